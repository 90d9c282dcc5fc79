"""The queue file as an open thing: one connection, one lock, whole transactions, every fault a `StorageError`."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Final

from coinswarm.clock import Clock
from coinswarm.errors import StorageError, StorageLocked, StorageTooNew
from coinswarm.failpoints import OPENED, failpoint
from coinswarm.queue import schema
from coinswarm.storage import connect, translated

WAL_BYTES: Final = 64_000_000
"""What the write-ahead log is cut back to after a transaction that made it larger."""
CHECKPOINT_PAGES: Final = 4_000
"""The write-ahead log is copied into the file when it is about 16 MB: four times rarer than SQLite's default."""
OPENING_PAUSE_SECONDS: Final = 0.02


class QueueFile:
    """One SQLite file with all queues of a stack. Threads share it; other processes open their own.

    `execute` and `executemany` are SQLite's own, to be used inside `operation` or `reading`.
    """

    def __init__(self, path: Path, clock: Clock, *, busy_timeout: float) -> None:
        self.path = path
        self._connection = _open(path, clock, busy_timeout)
        self._open = True
        self._lock = RLock()
        self._depth = 0
        self._spoilt: BaseException | None = None
        """Why a part of the transaction failed after it had written."""
        self._pid = os.getpid()
        self._path = str(path)
        self._identity = self._stat()
        self.execute = self._connection.execute
        self.executemany = self._connection.executemany

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[None]:
        """All or nothing, durable when it ends. Inside another one it is a part of that.

        A part that fails before it has written anything fails alone; one that fails later takes the whole with it. To
        undo parts one by one (SAVEPOINT), SQLite would have to write out every page that a batch of acks gives free.

        Not `durable` spares the wait for the disk: a power cut, but no crash of the process, may undo it. The order of
        transactions is kept, so that whatever was durable after it proves that it was, too.
        """
        with self._lock:
            self._check()
            with self._part() if self._depth else self._whole(durable):
                yield

    @contextmanager
    def _part(self) -> Iterator[None]:
        before = self._connection.total_changes
        self._depth += 1
        try:
            yield
        except BaseException as error:
            if self._connection.total_changes != before:
                self._spoilt = self._spoilt or error
            raise
        finally:
            self._depth -= 1

    @contextmanager
    def _whole(self, durable: bool) -> Iterator[None]:
        self._spoilt = None
        self._depth += 1
        try:
            if not durable:
                self._say("PRAGMA synchronous = NORMAL")
            self._say("BEGIN IMMEDIATE")
            self._check_version()
            yield
            self._check_sound()
            failpoint("queue.committing")
            self._say("COMMIT")
            failpoint("queue.committed")
        except BaseException:
            if self._connection.in_transaction:
                self._say("ROLLBACK")
            raise
        finally:
            self._depth -= 1
            if not durable:
                self._say("PRAGMA synchronous = FULL")

    @contextmanager
    def operation(self, *, durable: bool = True) -> Iterator[None]:
        """A transaction of our own statements: what SQLite says inside becomes a `StorageError`."""
        with self.transaction(durable=durable), translated(self.path):
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Statements that only read; each sees one state of the file, and none waits for a writer."""
        with self._lock:
            self._check()
            with translated(self.path):
                yield

    def close(self) -> None:
        """Give the file back. A second call does nothing, nor one in a forked child: the locks are its parent's."""
        with self._lock:
            if self._open and self._pid == os.getpid():
                self._open = False
                failpoint("queue.closing")
                with translated(self.path):
                    self._connection.close()

    def _say(self, command: str) -> None:
        with translated(self.path):
            self.execute(command)

    def _check(self) -> None:
        if not self._open:
            raise StorageError(f"{self.path} was closed")
        if self._pid != os.getpid():
            raise StorageError(
                f"{self.path} was opened by process {self._pid} and cannot be used by its child {os.getpid()}",
                hint="Open the queue in the child, with the start method `spawn`, or open it after the fork only.",
            )
        if self._depth:
            self._check_sound()
        if self._stat() != self._identity:
            raise StorageError(
                f"{self.path} was deleted or replaced while it was open; nothing of this step was stored",
                hint="Run the command again: it begins with the file that is there now.",
            )

    def _check_version(self) -> None:
        """A newer coinswarm may have upgraded the file meanwhile, and these statements know nothing of what is new."""
        (version,) = self.execute("PRAGMA user_version").fetchone()
        if version != schema.VERSION:
            raise StorageTooNew(
                f"{self.path} was upgraded to queue format {version} while it was open; this coinswarm knows formats "
                f"up to {schema.VERSION}; nothing of this step was stored"
            )

    def _check_sound(self) -> None:
        if isinstance(self._spoilt, StorageError):
            raise self._spoilt
        if self._spoilt or not self._connection.in_transaction:
            raise StorageError(f"{self.path}: the transaction was rolled back; nothing of it was stored")

    def _stat(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path)  # noqa: PTH116 - twice as fast, and it stands before every transaction
        except OSError:
            return None
        return found.st_dev, found.st_ino


def _open(path: Path, clock: Clock, busy_timeout: float) -> sqlite3.Connection:
    """Waits while another process sets up the same new file: for that, SQLite's own busy timeout does not count."""
    deadline = clock.monotonic() + busy_timeout
    while True:
        try:
            return _connect(path, busy_timeout)
        except StorageLocked:
            if clock.monotonic() >= deadline:
                raise
            clock.sleep(OPENING_PAUSE_SECONDS)


def _connect(path: Path, busy_timeout: float) -> sqlite3.Connection:
    connection = connect(path, busy_timeout=busy_timeout, check=lambda opened: schema.version_of(opened, path))
    try:
        with translated(path):
            connection.execute("PRAGMA secure_delete = OFF")
            connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            schema.prepare(connection, path)
            failpoint(OPENED, connection)
    except BaseException:
        connection.close()
        raise
    return connection
