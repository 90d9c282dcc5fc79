"""`coinswarm` as its users call it, in this process: arguments in, exit code and both streams out."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coinswarm.cli import run

ROOT = Path(__file__).parent.parent.parent
CLEAN_ENVIRONMENT = {"PATH": os.environ.get("PATH", ""), "HOME": "/nonexistent", "NO_COLOR": "1"}


@dataclass(frozen=True)
class Result:
    """What one command did."""

    exit_code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)


class CommandLine:
    """Runs commands in one working directory with one environment, nothing else leaking in."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self.environment: dict[str, str] = {}
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> Result:
        with self._monkeypatch.context() as patch:
            patch.chdir(self.directory)
            for name in list(os.environ):
                if name.startswith(("COINSWARM_", "CLOUDFLARE_", "CRYPTOCOMPARE_", "COINGECKO_")):
                    patch.delenv(name)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            self._capsys.readouterr()
            code = run([str(argument) for argument in arguments])
        out, err = self._capsys.readouterr()
        return Result(code, out, err)


def process(*arguments: str, environment: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Command line and environment of a `coinswarm` process of its own, for signals and kills."""
    return [sys.executable, "-m", "coinswarm", *arguments], {**CLEAN_ENVIRONMENT, "PYTHONPATH": str(ROOT), **environment}
