"""Where calls wait for a thread: each database has places of its own, so that a slow one keeps only its own waiting."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final
from weakref import WeakValueDictionary

from coinswarm.d1.waiting import TOO_LONG, TOO_MANY
from coinswarm.errors import ApiUnavailable, DatabaseUnavailable
from coinswarm.limits import D1

THREADS: Final = 40
"""For each database, and for all that has to do with none. Fewer than may wait for a `LocalDatabase`."""
MOST_WAITING: Final = 1_000
"""Calls without a thread, of one database."""


class Place:
    """`async with place:` has a thread. Raises for who is one too many, or has waited for as long as D1 allows."""

    def __init__(self, database: str | None) -> None:
        self._overloaded = ApiUnavailable if database is None else DatabaseUnavailable
        self._free = asyncio.Semaphore(THREADS)
        self._waiting = 0

    async def __aenter__(self) -> None:
        if self._free.locked() and self._waiting >= MOST_WAITING:
            raise self._overloaded(TOO_MANY)
        self._waiting += 1
        try:
            async with asyncio.timeout(D1.query_seconds):
                await self._free.acquire()
        except TimeoutError:
            raise self._overloaded(TOO_LONG) from None
        finally:
            self._waiting -= 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._free.release()


class Places:
    """The places of every database that is being asked, and of what asks for none."""

    def __init__(self) -> None:
        self._places: WeakValueDictionary[str | None, Place] = WeakValueDictionary()

    def of(self, database: str | None) -> Place:
        """It lives as long as somebody holds it."""
        return self._places.setdefault(database, Place(database))
