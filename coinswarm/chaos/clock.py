"""One clock for all processes of an episode: it runs, can be set to and fro, and nobody really waits."""

from __future__ import annotations

import mmap
import struct
import time
from typing import Final

_OFFSET: Final = struct.Struct("q")
SPEED: Final = 500
"""A wait is over so many times sooner than it says; every clock of the episode then shows the whole of it."""
_SHORTEST_SECONDS: Final = 0.0002


class SharedClock:
    """`Clock` over memory that forked children share. Waiting moves the time of all; `monotonic` is the process's own.

    Two waits at once may count as one: time then passes more slowly, which harms nobody.
    """

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, _OFFSET.size)
        self._slept = 0.0
        self.pauses = 0
        """How often this process has waited."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self._offset()

    def monotonic(self) -> float:
        return time.monotonic() + self._slept

    def sleep(self, seconds: float) -> None:
        self.pauses += 1
        if seconds > 0:
            time.sleep(max(_SHORTEST_SECONDS, seconds / SPEED))
            self._slept += seconds
            self.jump(seconds)

    def jump(self, seconds: float) -> None:
        """Set the clock of all processes forward, or back."""
        _OFFSET.pack_into(self._shared, 0, self._offset() + int(seconds * 1000))

    def _offset(self) -> int:
        (offset,) = _OFFSET.unpack_from(self._shared, 0)
        return int(offset)
