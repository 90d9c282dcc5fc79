"""Equal inserts run as one: SQLite stores the rows of one long statement in less time than those of many short ones.

D1's limit of 100 parameters is what parts them, and each is held to it on its own; only SQLite gets them together. It
may, where nothing but the time can tell: into a table that gives out no row ids and refers to no other, and only if
every row is stored. Else the caller rolls back and runs them one by one.
"""

from __future__ import annotations

import re
import secrets
import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Final, NamedTuple

from coinswarm.d1.faults import FAILURES
from coinswarm.d1.types import Statement
from coinswarm.limits import D1

TOGETHER: Final = 25
"""Statements joined: a quarter of a full batch. More gain nothing, and fewer are left over this way."""

_MARK: Final = f" -- {secrets.token_hex(8)}"
"""Keeps Python's statement cache from handing the joined text, compiled, to someone who sends that very text."""

_NAMES: Final = r"\(\w+(?:, ?\w+)*\)"
_ROW: Final = r"\(\?(?:, ?\?)*\)"
_INSERT: Final = re.compile(
    rf"(INSERT INTO \w+ {_NAMES} VALUES )({_ROW}(?:, ?{_ROW})*)((?: ON CONFLICT {_NAMES} DO NOTHING)?)", re.ASCII
)


class Joined(NamedTuple):
    """`TOGETHER` runs of an insert as one statement."""

    sql: str
    parameters: int
    """Of each run."""
    rows: int
    """That each run brings."""

    def store(self, connection: sqlite3.Connection, cursor: sqlite3.Cursor, statements: Sequence[Statement]) -> bool:
        """Run `TOGETHER` statements; whether each row was stored and nothing changed besides. If not, roll back."""
        parameters = [params for _, params in statements]
        if {*map(len, parameters)} != {self.parameters}:
            return False  # which of them it is must come out, and a sum would hide it
        before = connection.total_changes
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, TOGETHER * D1.bound_parameters)
        try:
            cursor.execute(self.sql, list(chain.from_iterable(parameters)))
        except FAILURES:  # run one by one, they tell
            return False
        finally:
            connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, D1.bound_parameters)
        return cursor.rowcount == connection.total_changes - before == TOGETHER * self.rows


@lru_cache(64)
def joined(sql: str) -> Joined | None:
    """How to run this `INSERT … VALUES` of parameters alone several times in one; None for any other statement."""
    found = _INSERT.fullmatch(sql)
    if found is None:
        return None
    head, rows, tail = found.groups()
    return Joined(f"{head}{', '.join([rows] * TOGETHER)}{tail}{_MARK}", rows.count("?"), rows.count("("))
