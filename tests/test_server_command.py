"""`coinswarm serve`: what it prints, whom it lets in, how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

STATE = Path(".wrangler") / "state" / "v3" / "coinswarm"


@contextmanager
def serving(folder: Path, *flags: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The command as a process, killed at the latest when the block ends."""
    with subprocess.Popen(
        [sys.executable, "-m", "coinswarm", "serve", "--port", "0", *flags],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def exports(process: subprocess.Popen[str]) -> dict[str, str]:
    """The lines to paste, as the shell would take them."""
    assert process.stdout is not None
    found: dict[str, str] = {}
    while len(found) < 3:
        line = process.stdout.readline()
        assert line, process.stderr.read() if process.stderr else ""
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            found[name] = value.split(" # ")[0].split("   #")[0].strip()
    return found


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_it_prints_what_to_paste_and_stops_when_told_to(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with serving(tmp_path) as process:
        pasted = exports(process)
        headers = {"Authorization": f"Bearer {pasted['CLOUDFLARE_API_TOKEN']}"}
        url = f"{pasted['CLOUDFLARE_API_BASE_URL']}/accounts/{pasted['CLOUDFLARE_ACCOUNT_ID']}"
        reply = httpx.get(f"{url}/d1/database", headers=headers, trust_env=False)
        assert reply.json()["result"][0]["name"] == "coinswarm-evolution"
        names = [queue["queue_name"] for queue in httpx.get(f"{url}/queues", headers=headers).json()["result"]]
        assert names == ["historical-data-dlq", "historical-data-queue"]
        process.send_signal(number)
        assert process.wait(10) == code
        assert (tmp_path / STATE / "api-token").read_text().strip() == pasted["CLOUDFLARE_API_TOKEN"]


def test_the_token_is_printed_once_and_read_from_its_file_afterwards(tmp_path: Path) -> None:
    with serving(tmp_path) as process:
        token = exports(process)["CLOUDFLARE_API_TOKEN"]
    with serving(tmp_path) as process:
        again = exports(process)["CLOUDFLARE_API_TOKEN"]
    assert token not in again
    assert again == f'"$(cat {tmp_path / STATE / "api-token"})"'


def test_a_token_of_the_users_is_never_printed(tmp_path: Path) -> None:
    with serving(
        tmp_path, "--json", CLOUDFLARE_API_TOKEN="a-secret-of-the-user", CLOUDFLARE_ACCOUNT_ID="a" * 32
    ) as process:
        assert process.stdout is not None
        text = "".join(iter(process.stdout.readline, "}\n")) + "}"
        document = json.loads(text)
        assert "secret" not in text
        assert (document["account_id"], document["token"], document["token_file"]) == ("a" * 32, None, None)
        reply = httpx.get(
            f"{document['url']}/user", headers={"Authorization": "Bearer a-secret-of-the-user"}, trust_env=False
        )
        assert reply.status_code == 200
    assert not (tmp_path / STATE / "api-token").exists()


def test_opening_to_others_needs_a_token_of_the_users(tmp_path: Path) -> None:
    with serving(tmp_path, "--host", "0.0.0.0") as process:
        _, said = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "needs a token of your own" in said
    assert "CLOUDFLARE_API_TOKEN" in said
