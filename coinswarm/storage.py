"""How coinswarm opens a SQLite file: one library, one door, durable, and every fault named.

See https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_:
A process that holds a database file open must not open it by any other way, or its locks vanish. Nobody else in this
package calls `sqlite3.connect` or `open` on such a file.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from coinswarm.errors import (
    StorageCorrupt,
    StorageError,
    StorageFull,
    StorageLocked,
    StorageReadOnly,
)

BUSY_TIMEOUT_SECONDS = 5.0
CACHED_STATEMENTS = 256
ROOM_BYTES = 65_536
"""With less free, the index of a write-ahead log (steps of 32 KiB) may not fit. https://www.sqlite.org/walformat.html"""


def connect(
    path: Path,
    *,
    busy_timeout: float = BUSY_TIMEOUT_SECONDS,
    create: bool = True,
    check: Callable[[sqlite3.Connection], object] = lambda _connection: None,
) -> sqlite3.Connection:
    """A connection in autocommit mode (`BEGIN IMMEDIATE` is ours to say), WAL, `synchronous=FULL`.

    It may be shared between threads by an owner that holds a lock. Files and folders made here are private to the user.
    `check` may refuse a file by what it raises, before the switch to WAL has altered it.
    Raises the `StorageError` that fits; with `create=False` also when the file does not exist.
    """
    with translated(path):
        if create:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not path.exists():
                path.touch(mode=0o600)
        elif not path.exists():
            raise StorageError(f"{path} does not exist")
        connection = sqlite3.connect(
            path,
            isolation_level=None,
            timeout=busy_timeout,
            check_same_thread=False,
            cached_statements=CACHED_STATEMENTS,
        )
        try:
            check(connection)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
        except BaseException:
            connection.close()
            raise
    return connection


def attach(path: Path, *, write: bool = False, busy_timeout: float = BUSY_TIMEOUT_SECONDS) -> sqlite3.Connection:
    """A connection to an existing file as it is: its journal mode stays, so a file of another program is not altered.

    Without `write` SQLite refuses every change. Others may use the file meanwhile. Raises the `StorageError` that fits.
    """
    with translated(path):
        if not path.is_file():
            raise StorageError(f"{path} does not exist" if not path.exists() else f"{path} is not a file")
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode={'rw' if write else 'ro'}",
            uri=True,
            isolation_level=None,
            timeout=busy_timeout,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA synchronous=FULL" if write else "PRAGMA query_only=ON")
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except BaseException:
            connection.close()
            raise
    return connection


def scratch() -> sqlite3.Connection:
    """A database in memory, gone when it is closed."""
    return sqlite3.connect(":memory:", isolation_level=None)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """`BEGIN IMMEDIATE` … `COMMIT`, or `ROLLBACK` when the block raises, whatever it raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turns SQLite's and the system's errors about `path` into `StorageError`s that say what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise storage_error(error, path) from error
    except OSError as error:
        raise _system_error(error, path) from error


def storage_error(error: sqlite3.Error, path: Path) -> StorageError:
    """The `StorageError` for what SQLite says about `path`. Codes: https://www.sqlite.org/rescode.html."""
    primary = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    text = str(error)
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StorageLocked(f"{path} is locked by another process")
    if primary == sqlite3.SQLITE_FULL or (primary == sqlite3.SQLITE_IOERR and _no_room(path)):
        return StorageFull(f"the disk is full: {path} could not grow; nothing of this step was written")
    if primary in (
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
    ):
        return _read_only(path, text)
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StorageCorrupt(f"{path} is damaged: {text}")
    if primary == sqlite3.SQLITE_IOERR:
        return StorageFull(
            f"writing {path} failed: {text}",
            hint="Check the disk's free space and health (df, dmesg), then run the same command again.",
        )
    return StorageError(f"{path}: {text}")


def _read_only(path: Path, text: str) -> StorageReadOnly:
    """A file that can only be read is left alone: without the WAL's index, SQLite could show a state that never was.

    https://www.sqlite.org/wal.html#read_only_databases
    """
    if not path.is_file() or (_writable(path) and _writable(path.parent)):
        return StorageReadOnly(f"{path} cannot be opened for writing: {text}")
    return StorageReadOnly(
        f"{path} cannot be opened: it or its folder cannot be written, which SQLite needs even to read it: {text}",
        hint="To look at it, copy the whole state folder (.wrangler/state unless --persist-to says otherwise) to where "
        "you can write, and give --persist-to COPY. To work on it, check the owner and permissions.",
    )


def _writable(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _no_room(path: Path) -> bool:
    """Whether the disk is full: an I/O error is all SQLite says when it cannot enlarge the index of the WAL."""
    try:
        disk = shutil.disk_usage(path.parent)
    except OSError:
        return False
    return disk.total > 0 and disk.free < ROOM_BYTES  # a tmpfs without a limit has a total of 0


def _system_error(error: OSError, path: Path) -> StorageError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageFull(f"the disk is full: {path} could not be written")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StorageReadOnly(f"{path} cannot be written: {os.strerror(error.errno)}")
    if error.errno in (errno.ENOTDIR, errno.ENOENT, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP):
        culprit = f" ({error.filename})" if error.filename not in (None, str(path)) else ""
        return StorageError(
            f"{path} cannot be made: {os.strerror(error.errno)}{culprit}",
            hint="Choose another folder with --persist-to DIR.",
        )
    return StorageError(f"{path}: {error}")
