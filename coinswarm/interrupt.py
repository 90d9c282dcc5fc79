"""Ctrl-C and SIGTERM: the first asks a long command to finish what is in flight, the second stops at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from coinswarm.errors import EXIT_INTERRUPTED, EXIT_TERMINATED


class Interrupt:
    """Whether the user asked to stop, and with which exit code the command then ends. Call it: `stop()`."""

    def __init__(self) -> None:
        self.exit_code: int | None = None

    def __call__(self) -> bool:
        return self.exit_code is not None

    def handle(self, number: int, _frame: FrameType | None) -> None:
        if self.exit_code is not None:
            raise KeyboardInterrupt
        self.exit_code = EXIT_INTERRUPTED if number == signal.SIGINT else EXIT_TERMINATED


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
