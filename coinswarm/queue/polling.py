"""How often a queue is asked that cannot tell when it will have something: at once, then ever less often."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Final

from coinswarm.clock import Clock

POLL_MS: Final = (1_000, 2_000, 5_000, 10_000, 20_000, 30_000)
"""Between looks at a queue that delivers nothing: each empty pull is billed as a read, and the look at the backlog
counts towards the account's 1,200 requests."""


class Polling:
    """Whether it is time for the next look. Threads may share it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._empty_pulls = 0
        self._is_empty = False
        self._next_look = clock.monotonic()
        self._lock = threading.Lock()

    @property
    def too_early(self) -> bool:
        return self._left() > 0

    def pulled(self, count: int) -> None:
        """A pull came back with so many messages."""
        with self._lock:
            self._empty_pulls = 0 if count else self._empty_pulls + 1

    def wake(self) -> None:
        """Something may be deliverable now."""
        with self._lock:
            self._empty_pulls, self._next_look = 0, self._clock.monotonic()

    def hint_ms(self, backlog: Callable[[], int]) -> int | None:
        """Milliseconds until the next look, None if `backlog` says that there is nothing; it is asked once a look."""
        with self._lock:
            empty_pulls, is_empty = self._empty_pulls, self._is_empty
        if not empty_pulls:
            return 0
        if (left := self._left()) > 0:
            return None if is_empty else math.ceil(left * 1000)
        is_empty = backlog() == 0
        wait = POLL_MS[min(empty_pulls, len(POLL_MS)) - 1]
        with self._lock:
            self._is_empty, self._next_look = is_empty, self._clock.monotonic() + wait / 1000
        return None if is_empty else wait

    def _left(self) -> float:
        with self._lock:
            return self._next_look - self._clock.monotonic()
