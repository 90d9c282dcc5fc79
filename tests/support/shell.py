"""A person's shell, for what documentation and workflows tell to type."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from coinswarm.config import SOURCES
from coinswarm.simulator import Simulator
from tests.support.command_line import CLEAN_ENVIRONMENT, ROOT

SHELL = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")
"""As GitHub starts it for `shell: bash`."""


@dataclass
class Shell:
    """Scripts one after the other: each finds the folder and the variables that the one before left."""

    directory: Path
    environment: dict[str, str]
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def run(self, script: str, *, seconds: float = 120, **variables: str) -> subprocess.CompletedProcess[str]:
        """The script as the shell sees it, -e and pipefail set; standard input is empty, as in a job."""
        left = self._bookkeeping / "left"
        keep = f"trap 'code=$?; {{ pwd; env -0; }} >{shlex.quote(str(left))}; exit \"$code\"' EXIT\n"
        done = subprocess.run(
            [*SHELL, keep + script],
            cwd=self.directory,
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        directory, _, rest = left.read_text().partition("\n")
        self.directory = Path(directory)
        pairs = dict(entry.split("=", 1) for entry in rest.split("\0") if "=" in entry)
        self.environment = {name: value for name, value in pairs.items() if name not in variables}
        return done

    def start(self, script: str) -> subprocess.Popen[str]:
        """Something that runs until Ctrl-C, in the second terminal."""
        process = subprocess.Popen(
            [*SHELL, f"exec {script}"],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        self.started.append(process)
        return process

    @property
    def _bookkeeping(self) -> Path:
        return Path(self.environment["BOOKKEEPING"])


@contextmanager
def shell(folder: Path, directory: Path | None = None, **variables: str) -> Iterator[Shell]:
    """A shell in an empty folder, with the simulator as all exchanges. What it started is stopped at the end."""
    with Simulator() as simulator, shell_over(simulator, folder, directory, variables) as opened:
        yield opened


@contextmanager
def shell_over(
    simulator: Simulator, folder: Path, directory: Path | None, variables: Mapping[str, str]
) -> Iterator[Shell]:
    """The same, in `directory` where one is given, over a simulator that the test keeps, to let it fail."""
    programs, home = folder / "programs", folder / "home"
    programs.mkdir(parents=True)
    home.mkdir()
    for name, words in {"coinswarm": "-m coinswarm", "python": ""}.items():
        script = programs / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {words} "$@"\n')
        script.chmod(0o755)
    if directory is None:
        (directory := folder / "work").mkdir()
    urls = {f"COINSWARM_{source.upper()}_URL": simulator.url(source) for source in SOURCES}
    opened = Shell(
        directory,
        CLEAN_ENVIRONMENT
        | {"PATH": f"{programs}:{os.environ.get('PATH', '')}", "HOME": str(home), "PYTHONPATH": str(ROOT)}
        | {"BOOKKEEPING": str(programs), "COLUMNS": "80"}
        | urls
        | variables,
    )
    try:
        yield opened
    finally:
        for process in opened.started:
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=30)
            finally:
                process.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
