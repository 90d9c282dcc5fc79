"""The layout of the queue file, version by version: a new file takes all steps, an older one those it lacks."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from coinswarm.errors import StorageError, StorageTooNew
from coinswarm.failpoints import failpoint
from coinswarm.queue.statements import load
from coinswarm.storage import transaction

STEPS: Final = (
    "schema_1_queues.sql",
    "schema_2_dead_letters.sql",
    "schema_3_usage.sql",
    "schema_4_numbers.sql",
)
"""Step n leads to version n, which SQLite keeps as `user_version`."""
VERSION: Final = len(STEPS)
APPLICATION_ID: Final = 0x43_53_77_51
"""`CSwQ` in the file's header: a coinswarm queue file. https://www.sqlite.org/pragma.html#pragma_application_id"""
OLDEST_SQLITE: Final = (3, 37, 0)
"""STRICT tables; RETURNING came with 3.35."""
_HEADER: Final = """
    SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
    FROM pragma_application_id, pragma_user_version
"""
"""One statement, so that it sees one state of the file while another process sets it up."""


def prepare(connection: sqlite3.Connection, path: Path, *, version: int = VERSION) -> None:
    """Bring the file up to `version`, in one transaction; several processes may do so at once.

    Raises `StorageTooNew` for a newer file and `StorageError` for a database that is not a queue file; neither is
    altered. `sqlite3.Error` is left to the caller.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StorageError(
            f"the queue needs SQLite 3.37, this Python has {sqlite3.sqlite_version}",
            hint="Use a Python built with a newer SQLite, for example from python.org, uv or your distribution.",
        )
    if version_of(connection, path) == version:
        return
    with transaction(connection):
        for step in STEPS[version_of(connection, path) : version]:
            for sql in load(step).values():
                connection.execute(sql)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {version}")
        failpoint("queue.upgrading")


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the file, 0 for a new one. Raises as `prepare` does."""
    application, version, tables = connection.execute(_HEADER).fetchone()
    if application != APPLICATION_ID and (application or version or tables):
        raise StorageError(
            f"{path} is a SQLite database, but not a coinswarm queue file",
            hint="Choose another folder with --persist-to DIR, or move the file away.",
        )
    if version > VERSION:
        raise StorageTooNew(f"{path} has queue format {version}; this coinswarm knows formats up to {VERSION}")
    return int(version)
