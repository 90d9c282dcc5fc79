"""The databases of the local account: those that the wrangler files bind, and those created through the API.

Bound databases are always there and cannot be deleted from here: their files hold what the pipeline collected. The list
lies in SQLite beside the queues, so that several processes see the same one.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from coinswarm.clock import Clock
from coinswarm.d1.path import database_path
from coinswarm.d1.types import Database
from coinswarm.errors import DatabaseExists, DatabaseNotFound, InvalidRequest, StorageError
from coinswarm.storage import connect, transaction, translated

ReplicationMode = Literal["auto", "disabled"]

_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}", re.ASCII)
_IDLE: Final = 32
"""Databases kept open while nobody uses them."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS databases (
    uuid TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    created_on_ms INTEGER NOT NULL,
    read_replication TEXT NOT NULL DEFAULT 'disabled',
    location TEXT,
    jurisdiction TEXT
) STRICT
"""
_COLUMNS: Final = "uuid, name, key, created_on_ms, read_replication, location, jurisdiction"


@dataclass(frozen=True, slots=True)
class DatabaseInfo:
    """One database of the account."""

    uuid: str
    name: str
    key: str
    """What its local file is named by; wrangler's rule."""
    created_on_ms: int
    read_replication: ReplicationMode = "disabled"
    location: str | None = None
    jurisdiction: str | None = None
    configured: bool = False
    """Whether a wrangler file binds it."""


@dataclass(frozen=True, slots=True)
class BoundDatabase:
    """A database as a wrangler file binds it."""

    name: str
    uuid: str
    key: str


@dataclass(slots=True)
class _Opened:
    database: Database
    users: int = 0
    doomed: bool = False


class Catalogue:
    """All databases of the account, and the open ones. May be used from several threads."""

    def __init__(
        self,
        persist_to: Path,
        *,
        configured: Sequence[BoundDatabase],
        opener: Callable[[DatabaseInfo, Path], Database],
        clock: Clock,
    ) -> None:
        """`opener` opens a database's file. Raises `StorageError`."""
        self._persist_to = persist_to
        self._path = persist_to / "v3" / "coinswarm" / "databases.sqlite"
        self._opener = opener
        self._clock = clock
        self._lock = threading.RLock()
        self._opened: dict[str, _Opened] = {}
        self._bound = {database.uuid for database in configured}
        self._connection = connect(self._path)
        with translated(self._path):
            self._connection.execute(_SCHEMA)
            for database in configured:
                self._connection.execute(
                    "INSERT INTO databases (uuid, name, key, created_on_ms) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (uuid) DO UPDATE SET name = excluded.name, key = excluded.key",
                    (database.uuid, database.name, database.key, clock.now_ms()),
                )

    def databases(self) -> list[DatabaseInfo]:
        """All of them, oldest first."""
        return self._select("ORDER BY created_on_ms, rowid")

    def info(self, identifier: str) -> DatabaseInfo:
        """The database with this uuid or name, a bound one before others. Raises `DatabaseNotFound`."""
        found = self._select("WHERE uuid = ?1 OR name = ?2 ORDER BY rowid", identifier.lower(), identifier)
        if not found:
            raise DatabaseNotFound(f"The database {identifier} could not be found")
        return max(found, key=lambda d: (d.uuid == identifier.lower(), d.configured))

    def _select(self, which: str, *values: str) -> list[DatabaseInfo]:
        with self._lock, translated(self._path):
            rows = self._connection.execute(f"SELECT {_COLUMNS} FROM databases {which}", values).fetchall()
        return [replace(DatabaseInfo(*row), configured=row[0] in self._bound) for row in rows]

    def create(self, name: str, *, location: str | None = None, jurisdiction: str | None = None) -> DatabaseInfo:
        """A new, empty database. Raises `InvalidRequest`, `DatabaseExists`."""
        if not _NAME.fullmatch(name):
            raise InvalidRequest(f"Invalid property: name => {name[:300]!r} has to match ^[a-zA-Z0-9][a-zA-Z0-9_-]*$")
        new_id = str(uuid.uuid4())
        info = DatabaseInfo(new_id, name, new_id, self._clock.now_ms(), location=location, jurisdiction=jurisdiction)
        with self._lock, translated(self._path), transaction(self._connection):
            if self._connection.execute("SELECT 1 FROM databases WHERE name = ?", (name,)).fetchone():
                raise DatabaseExists(f"Database with name {name!r} already exists")
            self._connection.execute(
                f"INSERT INTO databases ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (new_id, name, new_id, info.created_on_ms, info.read_replication, location, jurisdiction),
            )
        return info

    def set_replication(self, identifier: str, mode: ReplicationMode) -> DatabaseInfo:
        """Remember the read replication's mode; there is one copy here either way. Raises `DatabaseNotFound`."""
        info = self.info(identifier)
        with self._lock, translated(self._path):
            self._connection.execute("UPDATE databases SET read_replication = ? WHERE uuid = ?", (mode, info.uuid))
        return replace(info, read_replication=mode)

    def delete(self, identifier: str) -> None:
        """Forget a database and delete its file; who still uses it finishes on what is left.

        Raises `DatabaseNotFound`, `InvalidRequest` for a bound one.
        """
        info = self.info(identifier)
        if info.configured:
            raise InvalidRequest(
                f"{info.name} is bound in a wrangler file, so it is always there; take the binding out first, "
                f"or delete its file {self.path(info).name} yourself"
            )
        with self._lock, translated(self._path):
            if not self._connection.execute("DELETE FROM databases WHERE uuid = ?", (info.uuid,)).rowcount:
                raise DatabaseNotFound(f"The database {identifier} could not be found")  # another one was quicker
            if (opened := self._opened.get(info.uuid)) is not None:
                opened.doomed = True
                self._close_idle()
            for suffix in ("", "-wal", "-shm"):
                Path(f"{self.path(info)}{suffix}").unlink(missing_ok=True)

    def path(self, info: DatabaseInfo) -> Path:
        """The database's file."""
        return database_path(info.key, self._persist_to)

    @contextmanager
    def use(self, identifier: str) -> Iterator[Database]:
        """The database with this uuid or name, open while the block runs.

        Raises `DatabaseNotFound`, also when it is deleted meanwhile, and `StorageError`.
        """
        with self._lock:
            info = self.info(identifier)
            if (opened := self._opened.pop(info.uuid, None)) is None:
                opened = _Opened(self._opener(info, self.path(info)))
            self._opened[info.uuid] = opened
            opened.users += 1
        try:
            yield opened.database
        except StorageError:
            if opened.doomed:
                raise DatabaseNotFound(f"The database {identifier} could not be found") from None
            raise
        finally:
            with self._lock:
                opened.users -= 1
                self._close_idle()

    def _close_idle(self) -> None:
        """Close what is deleted, and of the others the longest unused beyond `_IDLE`; never one that is in use."""
        spare = len(self._opened) - _IDLE
        for key, opened in list(self._opened.items()):
            if opened.users == 0 and (opened.doomed or spare > 0):
                del self._opened[key]
                opened.database.close()
                spare -= 1

    def close(self) -> None:
        """Close everything."""
        with self._lock:
            for opened in self._opened.values():
                opened.database.close()
            self._opened.clear()
            self._connection.close()
