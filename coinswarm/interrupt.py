"""Ctrl-C and SIGTERM: the first asks a long command to finish what is in flight, the second stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from coinswarm.errors import EXIT_INTERRUPTED, EXIT_TERMINATED


class Interrupted(BaseException):
    """The user asked to stop while the command waited for something it can do without.

    Like `KeyboardInterrupt` no `Exception`: it comes out of a signal handler, maybe amid code that catches those.
    """


class StoppedAtOnce(KeyboardInterrupt):
    """The user asked twice."""

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__()


class Stopped(StoppedAtOnce):
    """The user asked once, in a command that has nothing to finish: what is half done is undone on the way out."""


class Interrupt:
    """Whether the user asked to stop, and with which exit code the command then ends. Call it: `stop()`."""

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self._waiting = False

    def __call__(self) -> bool:
        return self.exit_code is not None

    def handle(self, number: int, _frame: FrameType | None) -> None:
        code = EXIT_INTERRUPTED if number == signal.SIGINT else EXIT_TERMINATED
        if self.exit_code is not None:
            raise StoppedAtOnce(code)
        self.exit_code = code
        if self._waiting:
            raise Interrupted

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """A block that may be left half done, such as a request: a signal ends it at once, with `Interrupted`."""
        self._waiting = True
        try:
            if self.exit_code is not None:
                raise Interrupted
            yield
        finally:
            self._waiting = False


@contextmanager
def stoppable() -> Iterator[Interrupt]:
    """Within the block SIGTERM ends a command like Ctrl-C: by an exception, `Stopped`, that undoes what is half done.

    SQLite swallows what is raised while it asks one of our functions, and fails instead: the `Interrupt` remembers.
    """
    interrupt = Interrupt()

    def handle(number: int, _frame: FrameType | None) -> None:
        interrupt.exit_code = EXIT_INTERRUPTED if number == signal.SIGINT else EXIT_TERMINATED
        raise Stopped(interrupt.exit_code)

    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def graceful() -> Iterator[Interrupt]:
    """Within the block the first signal only sets the `Interrupt`; the former handlers come back afterwards."""
    interrupt = Interrupt()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, interrupt.handle) for number in numbers]
    try:
        yield interrupt
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
