"""Where batches are stored: several at once over a network, one after the other in a file.

A SQLite file has one writer, and threads that pass the interpreter's lock to and fro are slower than one.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import Any, Final

from coinswarm.d1.types import Database, TakesTurns

AHEAD: Final = 2
"""Batches prepared while all requests are under way, so that a reply is at once followed by the next request."""


def pool_for(database: Database, concurrency: int) -> tuple[Executor, int]:
    """The executor that suits `database`, for `concurrency` batches being stored at once, and how many it takes."""
    if not database.parallel:
        return _SameThread(), concurrency
    takes = concurrency
    if isinstance(database, TakesTurns):
        database.turns = BoundedSemaphore(concurrency)
        takes += AHEAD
    return _Threads(takes, "consumer"), takes


class _Threads(ThreadPoolExecutor):
    """Ends when its calls have ended, unless the user stops everything at once: then nobody waits for them."""

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        at_once = isinstance(error, KeyboardInterrupt)
        self.shutdown(wait=not at_once, cancel_futures=at_once)


class _SameThread(Executor):
    """Runs each call where it is submitted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future
