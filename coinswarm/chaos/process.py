"""Children forked from a process that has everything imported: told where to die, listened to, killed and reaped."""

from __future__ import annotations

import gc
import json
import logging
import os
import select
import signal
import sqlite3
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

from coinswarm import failpoints
from coinswarm.chaos.plan import END, STATEMENT, WALL, Kill
from coinswarm.errors import CoinswarmError

LONGEST_SECONDS: Final = 120.0
"""A child that takes longer hangs."""
_LOOK_SECONDS: Final = 0.02
_ENDS_WITHOUT_CARE: Final = (BrokenPipeError, KeyboardInterrupt)


class ChildEnded(RuntimeError):
    """A child is gone before it was ready."""


Tell = Callable[[dict[str, Any]], None]
Work = Callable[["Trigger"], dict[str, Any]]


class Trigger:
    """Inside a child: counts how often it stands where, and lets it die at its point."""

    def __init__(self, kill: Kill | None, tell: Tell) -> None:
        self.tell = tell
        self._kill = kill
        self._seen: Counter[str] = Counter()
        self.on_open: Callable[[sqlite3.Connection], None] = lambda _connection: None
        """Is handed every connection to a queue or D1 file that this process opens."""
        self.announces = ""
        """A failpoint of which the parent hears when the process comes to it first."""

    def __call__(self, name: str, subject: object = None) -> None:
        if isinstance(subject, sqlite3.Connection):
            self.on_open(subject)
            if self._kill is not None and self._kill.point == STATEMENT:
                subject.set_trace_callback(lambda _sql: self(STATEMENT))
            return
        self._seen[name] += 1
        if name == self.announces and self._seen[name] == 1:
            self.tell({"reached": name})
        kill = self._kill
        if kill is not None and kill.point == name and kill.hit == self._seen[name]:
            if kill.delay_ms:
                self.tell({"at": name, "after_ms": kill.delay_ms})
            else:
                self.die(name)

    def finish(self) -> None:
        """A job that is to be killed ends with that, everything still open."""
        if self._kill is not None and not self._kill.server:
            self.die(END)

    def die(self, name: str) -> None:
        self.tell({"at": name})
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(LONGEST_SECONDS)  # a signal to oneself may take a moment, in which nothing may go on


class Child:
    """A forked process that runs `work`, and what has been heard of it."""

    def __init__(self, name: str, work: Work, kill: Kill | None = None) -> None:
        self.name = name
        self.kill = kill
        self.heard: list[dict[str, Any]] = []
        self.status: int | None = None
        self._rest = b""
        self.started = time.monotonic()
        self._kill_at = self.started + kill.delay_ms / 1000 if kill is not None and kill.point == WALL else None
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reading)
            _child(work, kill, writing)
        os.close(writing)
        self.fd = reading

    @property
    def running(self) -> bool:
        return self.status is None

    @property
    def killed_at(self) -> str | None:
        """Where it stood when it was killed; None if it ended by itself."""
        if self.status is None or not os.WIFSIGNALED(self.status):
            return None
        places = [str(said["at"]) for said in self.heard if "at" in said]
        return places[-1] if places else WALL

    def said(self, key: str) -> Any:
        """The last value told under `key`."""
        return next((said[key] for said in reversed(self.heard) if key in said), None)

    def wait_for(self, key: str) -> Any:
        """The value told under `key`, as soon as it is. Raises `ChildEnded` for one that ended before."""
        while (value := self.said(key)) is None:
            if not self.running:
                raise ChildEnded(f"{self.name} ended before it was ready: {self.heard}")
            listen([self])
        return value

    def end(self) -> None:
        """SIGKILL, now, and wait until it is gone."""
        if self.running:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            while self.running:
                self._read()

    def _read(self) -> None:
        """What it wrote since; at the end of that it is gone."""
        piece = os.read(self.fd, 1 << 20)
        if not piece:
            os.close(self.fd)
            _, self.status = os.waitpid(self.pid, 0)
            return
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            said = json.loads(line)
            self.heard.append(said)
            if "after_ms" in said:
                self._kill_at = time.monotonic() + said["after_ms"] / 1000

    def _due(self) -> float:
        return min(self._kill_at or float("inf"), self.started + LONGEST_SECONDS)

    def _kill_if_due(self) -> None:
        now = time.monotonic()
        if now < self._due() or not self.running:
            return
        if self._kill_at is None or now < self._kill_at:
            self.heard.append({"hangs": True})
        self._kill_at = None
        self.started = now
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def listen(children: Iterable[Child]) -> None:
    """Wait until one of them says something, is due to be killed, or ends."""
    running = {child.fd: child for child in children if child.running}
    wait = max(0.0, min((child._due() for child in running.values()), default=0.0) - time.monotonic())  # noqa: SLF001
    ready, _, _ = select.select(list(running), [], [], min(wait, 1.0))
    for fd in ready:
        running[fd]._read()  # noqa: SLF001 - both are this module's
    for child in running.values():
        child._kill_if_due()  # noqa: SLF001


def hold_back_the_end() -> None:
    """In a server: from now on SIGTERM waits for `wait_for_end`. Before any thread is started."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def wait_for_end() -> None:
    """Returns on SIGTERM, or when the parent is gone: nobody is left behind."""
    parent = os.getppid()
    while signal.SIGTERM not in signal.sigpending() and os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)


def _child(work: Work, kill: Kill | None, writing: int) -> None:
    """Never returns: whatever happens, nothing of the parent's runs here."""

    def tell(said: dict[str, Any]) -> None:
        os.write(writing, json.dumps(said).encode() + b"\n")

    code = 1
    try:
        gc.freeze()
        logging.disable(logging.CRITICAL)
        trigger = Trigger(kill, tell)
        failpoints.arm(trigger)
        tell({"done": work(trigger)})
        trigger.finish()
        code = 0
    except CoinswarmError as error:
        cause = type(error.__cause__).__name__ if isinstance(error.__cause__, CoinswarmError) else None
        tell({"error": type(error).__name__, "message": error.message, "cause": cause})
        trigger.finish()
    except _ENDS_WITHOUT_CARE:
        pass
    except BaseException:
        tell({"bug": traceback.format_exc()})
    finally:
        os._exit(code)
