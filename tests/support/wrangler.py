"""The official wrangler, as `make test` installs it, for the tests marked `wrangler`."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

_INSTALLED = Path(__file__).parent.parent / "node" / "node_modules" / ".bin" / "wrangler"
QUIET = {
    "WRANGLER_SEND_METRICS": "false",
    "WRANGLER_SEND_ERROR_REPORTS": "false",
    "WRANGLER_HIDE_BANNER": "true",
    "NO_COLOR": "1",
    "CI": "1",
}


def find_wrangler() -> str | None:
    """COINSWARM_WRANGLER, else the one in tests/node, else the one on the PATH."""
    named = os.environ.get("COINSWARM_WRANGLER")
    if named or _INSTALLED.exists():
        return named or str(_INSTALLED)
    return shutil.which("wrangler")


def wrangler(
    *arguments: str, cwd: Path, environment: Mapping[str, str] | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run one command in `cwd`; skips the test where wrangler or Node is absent."""
    program = find_wrangler()
    if program is None or shutil.which("node") is None:
        pytest.skip("wrangler is not here: run `make test` where npm is, or set COINSWARM_WRANGLER")
    home = cwd / ".wrangler-home"
    return subprocess.run(
        [program, *arguments],
        cwd=cwd,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            "WRANGLER_LOG_PATH": str(home / "logs"),
            **QUIET,
            **(environment or {}),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
