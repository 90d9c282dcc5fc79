"""`coinswarm` as its users call it: in this process, arguments in, exit code and both streams out; or as a process."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coinswarm import cli
from coinswarm.cli import run
from coinswarm.clock import SystemClock

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

    @property
    def error(self) -> tuple[str, str, str | None]:
        """Type, message and hint of the one error document on stdout."""
        (document,) = (self.json["error"],)
        assert set(document) == {"type", "message", "hint"}
        return document["type"], document["message"], document["hint"]

    @property
    def continues_with(self) -> list[str]:
        """The arguments of the command that an error or a report says goes on."""
        (line,) = [line for line in self.err.splitlines() if "coinswarm fetch" in line]
        return shlex.split(line[line.index("coinswarm fetch") :])[1:]


class HastyClock(SystemClock):
    """Real time, but for waiting: it is over at once, and the clock shows as if it had lasted."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.on_sleep: Callable[[float], None] = lambda _seconds: None

    def now_ms(self) -> int:
        return super().now_ms() + int(sum(self.slept) * 1000)

    def monotonic(self) -> float:
        return super().monotonic() + sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(max(0.0, seconds))
        self.on_sleep(seconds)


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


def all_commands() -> dict[str, Any]:
    """Every command that can be called, by its words: `queues consumer http add`."""

    def below(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield " ".join(words), command
        for name, sub_command in (inner or {}).items():
            yield from below(sub_command, (*words, name))

    return {words: leaf for name in cli.CONTENTS for words, leaf in below(cli.load(name), (name,))}


def process(*arguments: str, environment: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Command line and environment of a `coinswarm` process of its own, for signals and kills."""
    return [sys.executable, "-m", "coinswarm", *arguments], {
        **CLEAN_ENVIRONMENT,
        "PYTHONPATH": str(ROOT),
        **environment,
    }


@contextmanager
def running(*arguments: str | Path, directory: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A `coinswarm` process in `directory`, killed at the end of the block if it is still there."""
    words, variables = process(*map(str, arguments), environment=environment)
    with subprocess.Popen(
        words, cwd=directory, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def wait_until(condition: Callable[[], bool], what: str, *, seconds: float = 20.0) -> None:
    """Look until `condition` holds: another process cannot be told when to be where."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.005)
