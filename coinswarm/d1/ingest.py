"""A file of SQL into a database: any length, little memory, all of it or nothing.

What `/import` does (https://developers.cloudflare.com/d1/best-practices/import-export-data/): the rules of
single statements hold, the 30 seconds of a request do not. The whole file is one transaction, so whoever is killed in
the middle leaves the database as it was.
"""

from __future__ import annotations

import codecs
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from coinswarm.clock import Clock
from coinswarm.d1 import faults, guard
from coinswarm.d1.guard import Guard, Kind, inspect
from coinswarm.d1.meter import Cost, Meter
from coinswarm.d1.splitter import spans
from coinswarm.d1.types import Meta, QueryResult
from coinswarm.errors import DatabaseUnavailable, SqlError
from coinswarm.failpoints import OPENED, failpoint
from coinswarm.limits import D1
from coinswarm.storage import connect, translated

READ_BYTES: Final = 262_144
_HELD_CHARACTERS: Final = 2_000_000
"""A statement may be 100,000 bytes long; the comments before it count here too."""
_BUSY_SECONDS: Final = 30.0
_KNOWN_COSTS: Final = 512
_FAILURES: Final = (sqlite3.Error, ArithmeticError, TypeError, ValueError)
_SQLITE_FILE: Final = b"SQLite format 3"


@dataclass(frozen=True, slots=True)
class Ingested:
    """What a file did: how many statements it held, and the sum of their meta."""

    queries: int
    result: QueryResult


def statements(file: BinaryIO) -> Iterator[str]:
    """The statements of a file of SQL text in UTF-8, read in pieces. Raises `SqlError` for what is no such file."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    held = ""
    piece = file.read(READ_BYTES)
    if piece.startswith(_SQLITE_FILE):
        raise SqlError("The file is an SQLite database, not SQL text; dump it first: sqlite3 FILE .dump")
    while True:
        try:
            held += decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            raise SqlError(f"The file is not UTF-8 text: {error.reason}") from None
        found = list(spans(held))
        certain = found if not piece else found[:-1]
        for start, stop in certain:
            yield held[start:stop]
        if not piece:
            return
        held = held[certain[-1][1] :] if certain else held
        if len(held) > _HELD_CHARACTERS:
            raise SqlError(guard.TOO_LONG)
        piece = file.read(READ_BYTES)


def ingest(path: Path, texts: Iterable[str], *, clock: Clock, stop: Callable[[], bool]) -> Ingested:
    """Run all `texts` in one transaction. `stop` is asked before each; when it says so, nothing has happened.

    Raises `SqlError` with D1's text, `DatabaseUnavailable` when stopped, or the `StorageError` of the file.
    """
    with closing(connect(path, busy_timeout=_BUSY_SECONDS)) as connection:
        return _Ingestion(connection, path, clock).run(texts, stop)


class _Ingestion:
    def __init__(self, connection: sqlite3.Connection, path: Path, clock: Clock) -> None:
        self._connection = connection
        self._path = path
        self._clock = clock
        self._guard = Guard()
        self._meter = Meter(connection, self._guard)
        self._costs: dict[str, Cost] = {}
        self._meta = Meta()
        with translated(path):
            connection.execute("PRAGMA foreign_keys=ON")
            (self._page_size,) = connection.execute("PRAGMA page_size").fetchone()
        failpoint(OPENED, connection)
        self._guard.install(connection)
        self._cursor = connection.cursor()

    def run(self, texts: Iterable[str], stop: Callable[[], bool]) -> Ingested:
        started = self._clock.monotonic()
        count = 0
        with translated(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            for text in texts:
                if stop():
                    raise DatabaseUnavailable("The server stopped during the import; the database is as it was.")
                self._execute(text, count + 1)
                count += 1
            size = self._size()
            failpoint("import.committing")
            self._commit()
        except BaseException:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise
        self._meta.duration = (self._clock.monotonic() - started) * 1000
        self._meta.size_after = size
        self._meta.changed_db = self._meta.changed_db or self._meta.changes != 0
        self._shrink_log()
        return Ingested(count, QueryResult(meta=self._meta))

    def _execute(self, sql: str, number: int) -> None:
        try:
            self._run(sql)
        except SqlError as error:
            error.hint = error.hint or faults.which(number, sql)
            raise

    def _run(self, sql: str) -> None:
        kind = inspect(sql)
        before = self._connection.total_changes
        actions: list[guard.Action] = []
        self._guard.actions = actions
        returned = 0
        try:
            self._cursor.execute(sql)
            for _ in self._cursor:
                returned += 1
            changes = self._connection.total_changes - before
            direct = self._cursor.rowcount
            cost = self._cost(kind, sql, actions)
            self._meta.rows_read += self._meter.rows_read(cost, returned, changes)
        except _FAILURES as error:
            self._guard.actions = None
            raise faults.translate(error, self._path, sql, (), self._complaint) from error
        finally:
            self._guard.actions = None
        # What a trigger or a foreign key changed besides is not in `rowcount`: one row each.
        own = changes * cost.per_row if direct < 0 else changes + direct * (cost.per_row - 1)
        self._meta.rows_written += cost.fixed + own
        self._meta.changes += changes
        self._meta.last_row_id = self._cursor.lastrowid or self._meta.last_row_id
        if kind is Kind.SCHEMA:
            self._meta.changed_db = True
            self._meter.forget()
            self._costs.clear()

    def _cost(self, kind: Kind, sql: str, actions: list[guard.Action]) -> Cost:
        """A text that comes again is still compiled from before, and then does nothing the guard could see."""
        if not actions and sql in self._costs:
            return self._costs[sql]
        cost = self._meter.cost(kind, sql, (), actions)
        if len(self._costs) >= _KNOWN_COSTS:
            self._costs.clear()
        self._costs[sql] = cost
        return cost

    def _size(self) -> int:
        self._guard.trusted = True
        try:
            pages, free = (
                self._connection.execute(f"PRAGMA {p}").fetchone()[0] for p in ("page_count", "freelist_count")
            )
        finally:
            self._guard.trusted = False
        size: int = (pages - free) * self._page_size
        if size > D1.database_bytes:
            raise SqlError(faults.DATABASE_FULL)
        return size

    def _commit(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise faults.translate(error, self._path, "COMMIT", (), self._complaint) from error

    def _complaint(self, sql: str) -> str | None:
        """SQLite's message about a statement that is compiled and not run."""
        try:
            self._connection.execute(f"EXPLAIN {sql}")
        except sqlite3.Error as error:
            return str(error)
        return None

    def _shrink_log(self) -> None:
        """The write-ahead log is now as long as the file was; whoever still reads it keeps it so a while longer."""
        failpoint("import.checkpoint")
        self._connection.set_authorizer(None)
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA busy_timeout=0")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
