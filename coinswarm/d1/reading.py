"""Whether SQL text only reads, as SQLite judges it: compiled, never run, over an empty copy of the schema."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from typing import Final

from coinswarm.d1.splitter import split, verb
from coinswarm.d1.types import Database
from coinswarm.storage import scratch

_SCHEMA: Final = (
    "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
    "AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\' ORDER BY type = 'view', rowid"
)
_READING: Final = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
"""Every other action changes something, or may. https://www.sqlite.org/c3ref/c_alter_table.html"""
_READING_PRAGMAS: Final = frozenset(
    {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list"}
)


def only_reads(database: Database, sql: str) -> bool:
    """Whether all statements of `sql` leave the database as it is; what cannot be told counts as writing.

    Asks `database` for its schema, unless the first words say already that something is written.
    """
    statements = split(sql)
    if not _may_read(statements):
        return False
    schema = [str(row[0]) for row in database.execute(_SCHEMA)[0].rows]
    return judge(statements, schema)


def judge(statements: Sequence[str], schema: Iterable[str]) -> bool:
    """The same over a schema that is known. A schema object that this SQLite cannot make is passed over."""
    if not _may_read(statements):
        return False
    with closing(scratch()) as connection:
        for each in schema:
            with suppress(sqlite3.Error):
                connection.execute(each)
        harmless = True

        def authorize(code: int, first: str | None, second: str | None, _db: str | None, _via: str | None) -> int:
            nonlocal harmless
            if code == sqlite3.SQLITE_PRAGMA:
                harmless &= second is None or first in _READING_PRAGMAS
            else:
                harmless &= code in _READING
            return sqlite3.SQLITE_OK

        connection.set_authorizer(authorize)
        try:
            for statement in statements:
                connection.execute(statement if verb(statement) == "EXPLAIN" else f"EXPLAIN {statement}")
        except sqlite3.Error:
            return False
        return harmless


def _may_read(statements: Sequence[str]) -> bool:
    """By their first words; for some, such as VACUUM, SQLite asks nobody."""
    return bool(statements) and all(verb(each) in ("SELECT", "VALUES", "EXPLAIN", "PRAGMA") for each in statements)
