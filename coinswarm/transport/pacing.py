"""When the next request may go out: the rate limiter, and how long to wait before trying again."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from coinswarm.clock import Clock
from coinswarm.errors import CoinswarmError, RateLimited, TooManyRequests


class RateLimiter:
    """A token bucket: `rate` tokens a second, at most `burst` saved up. Threads may share it.

    In any window of `t` seconds it lets through at most `burst + rate * t`.
    """

    def __init__(self, rate: float, burst: float, clock: Clock) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._tokens = burst
        self._refilled_at = self._held_until = clock.monotonic()
        self._lock = threading.Lock()

    def acquire(self, cost: float = 1.0) -> None:
        """Wait until `cost` tokens are there, and while `hold` says so, and take them."""
        with self._lock:
            now = self._clock.monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._refilled_at) * self._rate) - cost
            self._refilled_at = now
            free_at = now - min(0.0, self._tokens) / self._rate
        # Looked at anew after each wait: another thread may have been told to hold meanwhile.
        while (wait := max(free_at, self._held_until) - self._clock.monotonic()) > 0:
            self._clock.sleep(wait)

    def hold(self, seconds: float) -> None:
        """Let nobody through for so long: the source told one of us to wait, and means the address, not the thread."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock.monotonic() + seconds)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long to try; all durations in seconds."""

    attempts: int = 6
    first_wait: float = 0.5
    """Doubles with each attempt."""
    first_wait_limited: float = 2.0
    """The same after a rate limit that does not say how long: six attempts outlast a one-minute window."""
    longest_wait: float = 60.0
    patience: float = 600.0
    """The longest Retry-After that is waited for; above it the command says so and ends."""
    deadline: float = 900.0
    """No further attempt of a request is begun after this long."""
    reply_seconds: float = 60.0
    """One reply from request to last byte, so that a body that trickles for ever is cut off."""

    def wait(self, error: CoinswarmError, attempt: int, jitter: float) -> float:
        """Seconds before the next attempt; `jitter` is 0 to 1. Never less than the source asked for."""
        if isinstance(error, RateLimited) and error.retry_after is not None:
            return max(error.retry_after, self.first_wait) + jitter
        limited = isinstance(error, RateLimited | TooManyRequests)
        first = self.first_wait_limited if limited else self.first_wait
        return min(self.longest_wait, first * 2.0 ** (attempt - 1)) * (1 + jitter / 4)
