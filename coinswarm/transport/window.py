"""An allowance counted by the server over a window of time: never one request too many, never one held back early."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from coinswarm.clock import Clock


class WindowLimiter:
    """At most `limit` in any window of `seconds`, exactly, so that a server that counts never has to refuse.

    A request counts from when it is begun until `seconds` after its reply came: the server has counted it somewhere in
    between, however slow the network was. Until the limit nothing waits; threads may share it.
    """

    def __init__(self, limit: int, seconds: float, clock: Clock) -> None:
        self._limit, self._seconds, self._clock = limit, seconds, clock
        self._done: deque[tuple[float, int]] = deque()
        self._in_flight: dict[int, tuple[float, int]] = {}
        self._used = self._tickets = 0
        self._held_until = clock.monotonic()
        self._quota: tuple[float, int] | None = None
        self._lock = threading.Lock()

    @contextmanager
    def slot(self, cost: int = 1) -> Iterator[None]:
        """Wait until `cost` more are allowed; they are taken until a window after the block has ended."""
        ticket = self._enter(cost)
        try:
            yield
        finally:
            with self._lock:
                self._in_flight.pop(ticket)
                self._done.append((self._clock.monotonic(), cost))

    def hold(self, seconds: float) -> None:
        """Let nobody through for so long."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock.monotonic() + seconds)

    def told(self, remaining: int, seconds: float) -> None:
        """The server says that `remaining` more are allowed for `seconds`: others may draw on the same allowance."""
        with self._lock:
            others = max(0, len(self._in_flight) - 1)
            self._quota = (self._clock.monotonic() + seconds, remaining - others)

    def _enter(self, cost: int) -> int:
        while True:
            with self._lock:
                wait = self._wait(cost, self._clock.monotonic())
                if wait <= 0:
                    return self._take(cost)
            self._clock.sleep(wait)

    def _wait(self, cost: int, now: float) -> float:
        while self._done and now - self._done[0][0] >= self._seconds:
            self._used -= self._done.popleft()[1]
        if now < self._held_until:
            return self._held_until - now
        if self._quota is not None:
            until, left = self._quota
            if now >= until:
                self._quota = None
            elif left < cost:
                return until - now
        if self._used == 0 or self._used + cost <= self._limit:
            return 0.0
        begun = min((at for at, _ in self._in_flight.values()), default=now)
        oldest = min(begun, self._done[0][0]) if self._done else begun
        return max(oldest + self._seconds - now, 0.001)

    def _take(self, cost: int) -> int:
        self._used += cost
        self._tickets += 1
        self._in_flight[self._tickets] = (self._clock.monotonic(), cost)
        if self._quota is not None:
            self._quota = (self._quota[0], self._quota[1] - cost)
        return self._tickets
