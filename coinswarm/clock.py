"""Time as an argument: production passes `SystemClock`, tests pass `ManualClock` and never sleep."""

from __future__ import annotations

import time
from typing import Final, Protocol

STEP_SECONDS: Final = 0.5
"""How long a wait may stay deaf to a signal."""


class Clock(Protocol):
    """What the library knows of time."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards, for measuring."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; a negative or zero duration returns at once."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """In steps: a signal that comes just before the system begins to sleep is heard only when it wakes."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, STEP_SECONDS))


class ManualClock:
    """A clock that stands still until told: `advance` moves it, and so does `sleep`."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = float(now_ms)
        self._monotonic = 0.0
        self.slept: list[float] = []

    def now_ms(self) -> int:
        return int(self._now_ms)

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move both readings forward by `seconds`."""
        if seconds > 0:
            self._now_ms += seconds * 1000
            self._monotonic += seconds
