"""What D1 would bill, kept by day (UTC) and database: the sum of every call's `meta`.

Counted in memory and written down rarely, so that metering costs nothing beside the work: a process that is killed
takes a few seconds of counts with it, and a failed call, which Cloudflare may have read rows for, brings no `meta`.
Both only undercount. https://developers.cloudflare.com/d1/platform/pricing/
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from coinswarm.clock import Clock
from coinswarm.d1.types import Database, QueryResult, SqlValue, Statement
from coinswarm.errors import StorageError
from coinswarm.storage import connect, transaction, translated

Place = Literal["local", "remote"]
"""Where the database was: on this machine, whose `rows_read` are an estimate, or on Cloudflare, who counted itself."""

FLUSH_SECONDS: Final = 5.0
_BUSY_SECONDS: Final = 1.0
_DAY_MS: Final = 86_400_000

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS usage (
    day TEXT NOT NULL,
    place TEXT NOT NULL,
    database_id TEXT NOT NULL,
    database TEXT NOT NULL,
    calls INTEGER NOT NULL,
    queries INTEGER NOT NULL,
    rows_read INTEGER NOT NULL,
    rows_written INTEGER NOT NULL,
    PRIMARY KEY (day, place, database_id)
) STRICT, WITHOUT ROWID
"""
_ADD: Final = """
INSERT INTO usage (day, place, database_id, database, calls, queries, rows_read, rows_written)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (day, place, database_id) DO UPDATE SET
    database = excluded.database,
    calls = calls + excluded.calls,
    queries = queries + excluded.queries,
    rows_read = rows_read + excluded.rows_read,
    rows_written = rows_written + excluded.rows_written
"""
_ROWS: Final = """
SELECT day, place, database_id, database, calls, queries, rows_read, rows_written FROM usage
WHERE day BETWEEN ? AND ? ORDER BY day, place, database
"""


@dataclass(frozen=True, slots=True)
class DatabaseUsage:
    """One database on one day."""

    day: str
    """`YYYY-MM-DD`, UTC."""
    place: Place
    database_id: str
    database: str
    calls: int
    """Transactions: each is one request to D1."""
    queries: int
    rows_read: int
    rows_written: int


def usage_file(persist_to: Path) -> Path:
    """Where the counts lie below a state folder."""
    return persist_to / "v3" / "coinswarm" / "d1-usage.sqlite"


class UsageMeter:
    """Adds up what databases did; several threads, and several processes on one file, may count at once.

    Metering never makes the work fail: counts that cannot be written wait for the next time, and in the end are lost.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: dict[tuple[int, Place, str, str], tuple[int, int, int, int]] = {}
        self._flushed = clock.monotonic()

    def count(self, place: Place, database: Database, results: Sequence[QueryResult]) -> None:
        """Add one call; now and then all that was added is written down."""
        read = written = 0
        for result in results:
            meta = result.meta
            read += meta.rows_read
            written += meta.rows_written
        key = (self._clock.now_ms() // _DAY_MS, place, database.id, database.name)
        with self._lock:
            calls, queries, known_read, known_written = self._counts.get(key, (0, 0, 0, 0))
            self._counts[key] = (calls + 1, queries + len(results), known_read + read, known_written + written)
            due = self._clock.monotonic() - self._flushed >= FLUSH_SECONDS
        if due:
            self.flush()

    def flush(self) -> None:
        """Write down what was counted since the last time."""
        with self._lock:
            self._flushed = self._clock.monotonic()
            if not self._counts:
                return
            with suppress(StorageError):
                self._write()
                self._counts = {}

    def close(self) -> None:
        self.flush()

    def _write(self) -> None:
        rows = [(_day(number), *names, *counts) for (number, *names), counts in self._counts.items()]
        connection = connect(self._path, busy_timeout=_BUSY_SECONDS)
        with closing(connection), translated(self._path), transaction(connection):
            connection.execute(_SCHEMA)
            connection.executemany(_ADD, rows)


class Metered:
    """A `Database` whose calls are counted."""

    def __init__(self, database: Database, place: Place, meter: UsageMeter) -> None:
        self._database = database
        self._place: Place = place
        self._meter = meter

    @property
    def name(self) -> str:
        return self._database.name

    @property
    def id(self) -> str:
        return self._database.id

    @property
    def parallel(self) -> bool:
        return self._database.parallel

    @property
    def path(self) -> Path | None:
        """The file of a local database."""
        return getattr(self._database, "path", None)

    @property
    def turns(self) -> AbstractContextManager[object]:
        """Those of the database, if it takes turns; see `TakesTurns`."""
        turns: AbstractContextManager[object] = getattr(self._database, "turns")  # noqa: B009  # raises if it has none
        return turns

    @turns.setter
    def turns(self, turns: AbstractContextManager[object]) -> None:
        setattr(self._database, "turns", turns)  # noqa: B010

    def batch(self, statements: Sequence[Statement]) -> list[QueryResult]:
        results = self._database.batch(statements)
        self._meter.count(self._place, self._database, results)
        return results

    def execute(self, sql: str, params: Sequence[SqlValue] = ()) -> list[QueryResult]:
        results = self._database.execute(sql, params)
        self._meter.count(self._place, self._database, results)
        return results

    def close(self) -> None:
        """Close the database and write down what it did."""
        self._database.close()
        self._meter.flush()


def read_usage(path: Path, *, since: str = "0000-00-00", until: str = "9999-99-99") -> list[DatabaseUsage]:
    """By day, both ends inclusive; nothing where nothing was metered. Raises `StorageError`."""
    if not path.exists():
        return []
    with closing(connect(path, create=False)) as connection, translated(path):
        connection.execute(_SCHEMA)
        return [DatabaseUsage(*row) for row in connection.execute(_ROWS, (since, until))]


def _day(number: int) -> str:
    return datetime.fromtimestamp(number * 86_400, UTC).strftime("%Y-%m-%d")
