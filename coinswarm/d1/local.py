"""D1 on this machine: wrangler's own SQLite file, with D1's transactions, limits, error texts and meta."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from coinswarm.clock import Clock, SystemClock
from coinswarm.d1 import guard
from coinswarm.d1.engine import Engine, NotUtf8
from coinswarm.d1.splitter import split
from coinswarm.d1.types import QueryResult, SqlValue, Statement
from coinswarm.d1.waiting import OneAtATime
from coinswarm.errors import SqlError, StorageError, StorageLocked
from coinswarm.limits import D1
from coinswarm.storage import BUSY_TIMEOUT_SECONDS, translated

MOST_WAITING: Final = 64
REPLY_BYTES: Final = 1_000_000_000
"""Two million candles: for who asks on this machine. The server holds itself to what D1 has."""


class LocalDatabase:
    """One local D1 database. Opened at the first call; one call runs at a time, as in D1.

    `bind_numbers_as_double` binds integers as doubles, which is what production does with every JSON number
    (`typeof(?)` is `real`; a column of INTEGER affinity turns them back). `max_bytes` is D1's size limit. A call takes
    `seconds` at most, waiting included, and its rows `reply_bytes` of memory; no more than `most_waiting` wait.
    """

    parallel = False

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        id: str,  # noqa: A002  # the protocol's word
        clock: Clock | None = None,
        create: bool = True,
        busy_timeout: float = BUSY_TIMEOUT_SECONDS,
        max_bytes: int = D1.database_bytes,
        bind_numbers_as_double: bool = False,
        seconds: float = D1.query_seconds,
        most_waiting: int = MOST_WAITING,
        reply_bytes: int = REPLY_BYTES,
    ) -> None:
        self.path = path
        self._name = name
        self._id = id
        self._monotonic = (clock or SystemClock()).monotonic
        self._create = create
        self._busy_timeout = busy_timeout
        self._max_bytes = max_bytes
        self._as_double = bind_numbers_as_double
        self._seconds = seconds
        self._reply_bytes = reply_bytes
        self._alone = OneAtATime(seconds=seconds, most=most_waiting)
        self._engine: Engine | None = None
        self._inode: tuple[int, int] | None = None
        self._closed = False

    @property
    def name(self) -> str:
        return self._name

    @property
    def id(self) -> str:
        return self._id

    def batch(self, statements: Sequence[Statement]) -> list[QueryResult]:
        """Run single statements in order in one transaction, one result each.

        Raises `SqlError` with D1's text, `DatabaseUnavailable` after 30 seconds, where too many wait or for too large a
        reply, or the `StorageError` of the file; nothing was written then, and the object can be used again.
        """
        deadline = self._monotonic() + self._seconds
        if self._as_double:
            statements = [Statement(sql, as_doubles(params)) for sql, params in statements]
        with self._alone:
            engine = self._open()
            try:
                try:
                    return engine.run(statements, deadline=deadline)
                except NotUtf8:
                    return engine.run(statements, deadline=deadline, lenient=True)
            except StorageLocked:
                raise
            except StorageError:
                self._drop()  # the next call opens the file anew
                raise
            finally:
                if self._engine is not None and engine.in_transaction:
                    self._drop()

    def execute(self, sql: str, params: Sequence[SqlValue] = ()) -> list[QueryResult]:
        """Run SQL text that may hold several statements in one transaction, one result each. Raises as `batch` does."""
        texts = split(sql)
        if not texts:
            raise SqlError(guard.NO_STATEMENT)
        if len(texts) == 1:
            return self.batch([Statement(texts[0], params)])
        if params:
            raise SqlError(guard.ONE_STATEMENT)
        return self.batch([Statement(text) for text in texts])

    def close(self) -> None:
        """Close the file; further calls are refused. Does nothing the second time."""
        with self._alone.closing:
            self._closed = True
            self._drop()

    def _open(self) -> Engine:
        """The open file; opened if it is not, and refused if another file lies in its place."""
        if self._closed:
            raise StorageError(f"{self.path} has been closed")
        if self._engine is None:
            self._engine = Engine(
                self.path,
                monotonic=self._monotonic,
                create=self._create,
                busy_timeout=self._busy_timeout,
                max_bytes=self._max_bytes,
                reply_bytes=self._reply_bytes,
            )
            self._inode = self._look()
        elif self._look() != self._inode:
            self._drop()
            raise StorageError(
                f"{self.path} was deleted or replaced while it was open; nothing of this step was written",
                hint="Run the same command again: it opens the file that is there now.",
            )
        return self._engine

    def _look(self) -> tuple[int, int] | None:
        """Which file lies at the path. SQLite would go on writing to a deleted one, and all of it would be lost."""
        try:
            found = os.stat(self.path)  # noqa: PTH116  # on every call: a third of the time of Path.stat
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _drop(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            with translated(self.path):
                engine.close()


def as_doubles(params: Sequence[SqlValue]) -> list[SqlValue]:
    """Numbers as production binds those of a JSON body: as doubles, booleans included."""
    return [float(value) if isinstance(value, int) else value for value in params]
