"""One call of a database runs at a time, as in D1; the others wait, not too long and not too many of them."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Final

from coinswarm.errors import DatabaseUnavailable

TOO_LONG: Final = "D1 DB is overloaded. Requests queued for too long."
TOO_MANY: Final = "D1 DB is overloaded. Too many requests queued."


class OneAtATime:
    """`with one_at_a_time:` runs alone. Raises `DatabaseUnavailable` for who waits for `seconds`, or is one too many.

    `closing` is for the end: it waits for as long as it takes, and a thread that was interrupted passes itself.
    """

    def __init__(self, *, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._counting = threading.Lock()
        self._waiting = 0
        self.closing = threading.RLock()

    def __enter__(self) -> None:
        if not self.closing.acquire(blocking=False):
            self._wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.closing.release()

    def _wait(self) -> None:
        with self._counting:
            if self._waiting >= self._most:
                raise DatabaseUnavailable(TOO_MANY)
            self._waiting += 1
        try:
            if not self.closing.acquire(timeout=self._seconds):
                raise DatabaseUnavailable(TOO_LONG)
        finally:
            with self._counting:
                self._waiting -= 1
