"""Time Travel on this machine: points of a database in the past, kept cheaply, named by bookmarks.

A point is a whole copy in pieces of 64 KB; a piece that another point has too is stored once, compressed. So a point of
a database that only grows costs what was added. Points of the last day are all kept, of older days the last one, for
30 days (https://developers.cloudflare.com/d1/reference/time-travel/) or as many as are configured. Unlike Cloudflare's,
which can return to any moment, these are the moments at which somebody took one; docs/d1.md says when that is.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import sqlite3
import threading
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coinswarm.clock import Clock
from coinswarm.d1.scratch import scratch
from coinswarm.errors import InvalidRequest, StorageCorrupt, StorageLocked
from coinswarm.storage import attach, connect, transaction, translated

WINDOW_DAYS: Final = 30
PIECE_BYTES: Final = 65_536
_DAY_MS: Final = 86_400_000
_BOOKMARK: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}")
_HASH_BYTES: Final = 16
_PAGES_A_STEP: Final = 1_000

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS points (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    bookmark TEXT NOT NULL,
    taken_ms INTEGER NOT NULL,
    pieces BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS pieces (hash BLOB PRIMARY KEY, data BLOB NOT NULL) STRICT, WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Point:
    """A state that can be restored."""

    number: int
    bookmark: str
    """In Cloudflare's form: in the order of the text lies the order of time."""
    taken_ms: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What there is of one database's past."""

    points: int
    oldest_ms: int | None
    bytes: int
    """On disk."""


class Snapshots:
    """The points of all databases, one file a database in `directory`. May be used from several threads."""

    def __init__(self, directory: Path, clock: Clock, *, window_days: int = WINDOW_DAYS) -> None:
        self._directory = directory
        self.window_days = window_days
        self._clock = clock
        self._lock = threading.Lock()
        self._locks: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)

    def take(
        self, database_id: str, path: Path, *, name: str = "", begun: Callable[[], object] = lambda: None
    ) -> Point:
        """A point of the database in `path` as it is now; the last one again if nothing changed since.

        With a `name`, a bookmark that was given out before, it is a new one in any case. `begun` is called as soon as
        what others write is no longer in it.
        """
        with self._alone(database_id), self._file(database_id) as connection, self._copy(path, begun) as copy:
            with transaction(connection):
                last = connection.execute("SELECT number, bookmark, taken_ms, pieces FROM points ORDER BY number DESC")
                before = last.fetchone()
                pieces = b"".join(_store(connection, piece) for piece in _pieces(copy))
                if before is not None and before[3] == pieces and not name:
                    return Point(*before[:3])
                point = self._record(connection, pieces, name)
                _prune(connection, point.taken_ms, self.window_days)
            return point

    def name(self, database_id: str) -> str:
        """The bookmark of a point that is still to be taken, to name something by it already."""
        with self._file(database_id) as connection:
            return _bookmark(_next(connection), 0, self._clock.now_ms(), secrets.token_hex(16))

    def _record(self, connection: sqlite3.Connection, pieces: bytes, name: str) -> Point:
        now, number = self._clock.now_ms(), _next(connection)
        digest = hashlib.blake2b(pieces, digest_size=_HASH_BYTES).hexdigest()
        bookmark = name or _bookmark(number, len(pieces) // _HASH_BYTES, now, digest)
        connection.execute("INSERT INTO points VALUES (?, ?, ?, ?)", (number, bookmark, now, pieces))
        return Point(number, bookmark, now)

    def _alone(self, database_id: str) -> threading.RLock:
        """Held by one thread at a time for each database: none waits for another's."""
        with self._lock:
            return self._locks[database_id]

    def named(self, database_id: str, bookmark: str) -> Point:
        """The point of that bookmark. Raises `InvalidRequest`."""
        if not _BOOKMARK.fullmatch(bookmark):
            raise InvalidRequest(f"Invalid property: bookmark => {bookmark!r} is not a bookmark")
        with self._alone(database_id), self._file(database_id) as connection:
            row = connection.execute(
                "SELECT number, bookmark, taken_ms FROM points WHERE bookmark = ?", (bookmark,)
            ).fetchone()
        if row is None:
            raise InvalidRequest(f"There is no restore point {bookmark}; they are kept for {self.window_days} days")
        return Point(*row)

    def at(self, database_id: str, moment_ms: int) -> Point:
        """The last point that was taken by then. Raises `InvalidRequest`."""
        with self._alone(database_id), self._file(database_id) as connection:
            row = connection.execute(
                "SELECT number, bookmark, taken_ms FROM points WHERE taken_ms <= ? ORDER BY number DESC", (moment_ms,)
            ).fetchone()
        if row is None:
            raise InvalidRequest("There is no restore point at or before that time")
        return Point(*row)

    def kept(self, database_id: str) -> Kept:
        """How far back one can go, and what that takes."""
        with self._alone(database_id), self._file(database_id) as connection:
            count, oldest = connection.execute("SELECT count(*), min(taken_ms) FROM points").fetchone()
        path = self._path(database_id)
        sizes = [Path(f"{path}{suffix}") for suffix in ("", "-wal")]
        return Kept(count, oldest, sum(each.stat().st_size for each in sizes if each.exists()))

    def restore(self, database_id: str, path: Path, point: Point) -> Point:
        """Put the database in `path` back to `point`, in one transaction of SQLite's; the point that undoes this.

        Others may write until that transaction has the file's only write lock, and the last look at what they wrote is
        taken then. So the point returned is the very state that is replaced. Raises `StorageLocked` when somebody else
        keeps the lock, `StorageCorrupt` for a damaged point; nothing is changed then.
        """
        with self._alone(database_id), self._scratch("restore") as folder:
            copy = folder / "copy.sqlite"
            with self._file(database_id) as connection, copy.open("wb") as target:
                _rebuild(connection, point, target.write)
            with (
                closing(connect(copy)) as source,
                closing(attach(path)) as observer,
                closing(connect(path)) as database,
                translated(path),
            ):
                state = _data_version(observer)
                before = self.take(database_id, path)
                locked = False

                def after_step(status: int, _remaining: int, _total: int) -> None:
                    nonlocal before, locked
                    if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                        raise StorageLocked(f"{path} is locked by another process; nothing was restored")
                    if not locked and _data_version(observer) != state:
                        before = self.take(database_id, path)
                    locked = True

                source.backup(database, pages=_part_of(source), progress=after_step)
            return before

    def forget(self, database_id: str) -> None:
        """Delete the points of a database that is gone."""
        with self._alone(database_id):
            for suffix in ("", "-wal", "-shm"):
                Path(f"{self._path(database_id)}{suffix}").unlink(missing_ok=True)

    def _path(self, database_id: str) -> Path:
        return self._directory / f"{database_id}.sqlite"

    @contextmanager
    def _file(self, database_id: str) -> Iterator[sqlite3.Connection]:
        path = self._path(database_id)
        with closing(connect(path)) as connection, translated(path):
            connection.executescript(_SCHEMA)
            yield connection

    @contextmanager
    def _copy(self, path: Path, begun: Callable[[], object]) -> Iterator[Path]:
        """A consistent copy of a database that others may write to. SQLite makes it: nobody else opens the file.

        A read transaction holds the state; when `begun` is called, whatever is written comes later.
        """
        with self._scratch("point") as folder:
            copy = folder / "copy.sqlite"
            with closing(connect(path)) as source, closing(connect(copy)) as target, translated(path):
                target.execute("PRAGMA journal_mode=OFF")
                target.execute("PRAGMA synchronous=OFF")
                source.execute("BEGIN")
                source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
                begun()
                source.backup(target)
            yield copy

    def _scratch(self, what: str) -> AbstractContextManager[Path]:
        return scratch(self._directory, what, "point", "restore", now=self._clock.now_ms() / 1000)


def _next(connection: sqlite3.Connection) -> int:
    known = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'points'").fetchone()
    return int(known[0]) + 1 if known else 1


def _bookmark(number: int, pieces: int, now_ms: int, digest: str) -> str:
    return f"{number:08x}-{pieces:08x}-{now_ms // 1000:08x}-{digest}"


def _data_version(connection: sqlite3.Connection) -> int:
    """Another number once somebody else has written. https://www.sqlite.org/pragma.html#pragma_data_version"""
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    return int(version)


def _part_of(source: sqlite3.Connection) -> int:
    """Fewer pages than `source` has, so that copying takes a second step and is not committed with the first."""
    if source.execute("PRAGMA page_count").fetchone()[0] < 2:
        source.executescript("CREATE TABLE page (v); DROP TABLE page")
    (pages,) = source.execute("PRAGMA page_count").fetchone()
    return max(1, min(_PAGES_A_STEP, int(pages) - 1))


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def _name(piece: bytes) -> bytes:
    return hashlib.blake2b(piece, digest_size=_HASH_BYTES).digest()


def _store(connection: sqlite3.Connection, piece: bytes) -> bytes:
    """Keep a piece, once, and return its hash."""
    name = _name(piece)
    if connection.execute("SELECT 1 FROM pieces WHERE hash = ?", (name,)).fetchone() is None:
        connection.execute("INSERT INTO pieces VALUES (?, ?)", (name, zlib.compress(piece, 1)))
    return name


def _rebuild(connection: sqlite3.Connection, point: Point, write: Callable[[bytes], object]) -> None:
    (pieces,) = connection.execute("SELECT pieces FROM points WHERE number = ?", (point.number,)).fetchone()
    for start in range(0, len(pieces), _HASH_BYTES):
        name = pieces[start : start + _HASH_BYTES]
        (data,) = connection.execute("SELECT data FROM pieces WHERE hash = ?", (name,)).fetchone()
        piece = zlib.decompress(data)
        if _name(piece) != name:
            raise StorageCorrupt(f"the restore point {point.bookmark} is damaged; nothing was restored")
        write(piece)


def _prune(connection: sqlite3.Connection, now_ms: int, days: int) -> None:
    """Drop points that are too old or too many, and the pieces that only they had."""
    dropped = connection.execute(
        "DELETE FROM points WHERE taken_ms < :oldest OR (taken_ms < :yesterday AND number NOT IN "
        "(SELECT max(number) FROM points GROUP BY taken_ms / :day))",
        {"oldest": now_ms - days * _DAY_MS, "yesterday": now_ms - _DAY_MS, "day": _DAY_MS},
    ).rowcount
    if not dropped:
        return
    used: set[bytes] = set()
    for (pieces,) in connection.execute("SELECT pieces FROM points"):
        used.update(pieces[i : i + _HASH_BYTES] for i in range(0, len(pieces), _HASH_BYTES))
    unused = [row for row in connection.execute("SELECT hash FROM pieces") if row[0] not in used]
    connection.executemany("DELETE FROM pieces WHERE hash = ?", unused)
