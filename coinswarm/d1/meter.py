"""Billed rows, reckoned locally: what production counts inside a patched SQLite is derived here from the schema.

`rows_written` follows https://developers.cloudflare.com/d1/platform/pricing/ and what workerd counts: one row for the
table and one for every index a row enters; `INSERT` into an AUTOINCREMENT table one more a statement; `UPDATE` the row
and the indexes whose columns are set; `DELETE` the rows alone. A partial index counts as if it held every row.
`rows_read` is an estimate: full scans count the table, look-ups the rows that came out of them. See docs/d1.md.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from coinswarm.d1.guard import Action, Guard, Kind
from coinswarm.d1.splitter import quoted, tokens
from coinswarm.d1.types import SqlValue

_AGGREGATES: Final = frozenset({"avg", "count", "max", "min", "sum", "total", "group_concat", "string_agg"})
_STEP: Final = re.compile(r"(?P<how>SCAN|SEARCH) (?!CONSTANT ROW|\d+ CONSTANT ROWS|\d+-ROW VALUES)(?P<name>\S+)")
"""A line of EXPLAIN QUERY PLAN that reads a table; rows written in the statement are none."""
_LIMIT: Final = re.compile(r"\bLIMIT\b", re.IGNORECASE)
_TARGETS: Final = {
    sqlite3.SQLITE_INSERT: "insert",
    sqlite3.SQLITE_UPDATE: "update",
    sqlite3.SQLITE_DELETE: "delete",
}
_GENERATED: Final = (2, 3)
"""How PRAGMA table_xinfo marks generated columns. https://www.sqlite.org/pragma.html#pragma_table_xinfo"""
_READING: Final = frozenset({sqlite3.SQLITE_READ, sqlite3.SQLITE_UPDATE})
_SCHEMA_ROWS: Final = {
    sqlite3.SQLITE_CREATE_TABLE: 2,
    sqlite3.SQLITE_CREATE_VTABLE: 2,
    sqlite3.SQLITE_CREATE_VIEW: 2,
    sqlite3.SQLITE_CREATE_INDEX: 1,
    sqlite3.SQLITE_CREATE_TRIGGER: 1,
    sqlite3.SQLITE_ALTER_TABLE: 1,
}
"""Rows of the schema table that workerd counts for each."""


@dataclass(slots=True)
class Cost:
    """What running one SQL text costs, in billed rows."""

    per_row: int = 1
    """Written for each row the statement itself changed; what triggers and foreign keys changed counts once."""
    fixed: int = 0
    """Written however many rows it changed."""
    direct: bool = False
    """Only the statement's own rows count: a virtual table's own tables are not billed."""
    reads: int = 0
    scans: tuple[str, ...] = ()
    """Tables read from end to end."""
    deletes: bool = False
    looks_up: bool = False
    """Rows are found through an index, or the reading stops early: only those that came out are known."""
    plain: bool = True
    """Neither scans nor looks up: `reads` is all it reads."""
    joins: bool = False
    """An insert that may run together with its like: the table gives out no row ids and refers to no other."""

    def rows_written(self, changed: int, direct: int) -> int:
        """Of one run that changed so many rows in all, and so many by itself (-1 if that is not known)."""
        if self.direct:
            return direct
        # What a trigger or a foreign key changed besides: one row each.
        return self.fixed + (changed * self.per_row if direct < 0 else changed + direct * (self.per_row - 1))


@dataclass(frozen=True, slots=True)
class _Table:
    autoincrement: bool
    key: frozenset[str]
    """Columns whose change moves the row in every index."""
    indexes: tuple[frozenset[str] | None, ...]
    """The columns of each index b-tree; None for one over an expression."""
    joins: bool


class Meter:
    """Costs by SQL text, for one connection and as long as its schema stays the same."""

    def __init__(self, connection: sqlite3.Connection, guard: Guard) -> None:
        self._connection = connection
        self._guard = guard
        self._tables: dict[str, _Table | None] = {}
        self._counts: dict[str, tuple[int, int, int]] = {}

    def forget(self) -> None:
        """The schema has changed."""
        self._tables.clear()
        self._counts.clear()

    def cost(self, kind: Kind, sql: str, params: Sequence[SqlValue], actions: list[Action]) -> Cost:
        """Reckon a statement that has just run, from what it did while it was compiled."""
        if kind is Kind.SCHEMA:
            return Cost(per_row=0, fixed=self._schema_rows(actions), reads=1)
        if kind is Kind.PRAGMA or sql.lstrip()[:7].upper() == "EXPLAIN":
            return Cost()
        cost = self._write_cost(actions) if kind is Kind.WRITE else Cost()
        if any(a.code in _READING and not _internal(a.first) for a in actions):
            self._plan(cost, sql, params, actions)
            cost.plain = not (cost.scans or cost.looks_up)
        return cost

    def rows_read(self, cost: Cost, returned: int, changed: int) -> int:
        """An estimate for one run that returned and changed so many rows."""
        rows = cost.reads
        for table in cost.scans:
            rows += self._count(table) + (changed if cost.deletes else 0)
        return rows + max(returned, changed) if cost.looks_up else rows

    def _write_cost(self, actions: list[Action]) -> Cost:
        target = next((a for a in actions if a.code in _TARGETS and not _internal(a.first)), None)
        if target is None or target.first is None:
            return Cost()
        what = _TARGETS[target.code]
        table = self._table(target.first)
        if table is None:
            return Cost(direct=self._is_virtual(target.first))
        if what == "delete":
            return Cost(deletes=True)
        if what == "insert":
            fixed = int(table.autoincrement)
            return Cost(per_row=1 + len(table.indexes), fixed=fixed, reads=fixed, joins=table.joins)
        columns = {a.second.lower() for a in actions if a.code == sqlite3.SQLITE_UPDATE and a.second}
        moved = bool(columns & table.key)
        return Cost(per_row=1 + sum(1 for index in table.indexes if moved or index is None or index & columns))

    def _plan(self, cost: Cost, sql: str, params: Sequence[SqlValue], actions: list[Action]) -> None:
        try:
            lines = [row[3] for row in self._connection.execute(f"EXPLAIN QUERY PLAN {sql}", params)]
        except sqlite3.Error:  # a statement that changed the schema it was compiled for; the estimate stays at nothing
            return
        read = {a.first for a in actions if a.code in _READING and a.first and not _internal(a.first)}
        aggregates = any(a.code == sqlite3.SQLITE_FUNCTION and (a.second or "").lower() in _AGGREGATES for a in actions)
        sorts = any("TEMP B-TREE" in line for line in lines)
        steps = [m for line in lines if (m := _STEP.match(line))]
        if not steps:
            return
        if _LIMIT.search(sql) and not aggregates and not sorts:
            cost.looks_up = True
            return
        # An alias hides the table's name; with one table read it can only be that one.
        only = next(iter(read)) if len(read) == 1 else None
        names = [only or m["name"] for m in steps if m["how"] == "SCAN"]
        cost.scans = tuple(name for name in names if self._table(name) is not None)
        cost.looks_up = len(cost.scans) < len(steps)

    def _schema_rows(self, actions: list[Action]) -> int:
        for code, first, second in actions:
            rows = _SCHEMA_ROWS.get(code)
            if rows is None or first is None:
                continue
            if code == sqlite3.SQLITE_CREATE_TABLE and (table := self._table(first)) is not None:
                return rows + len(table.indexes) + self._copied(first, actions)
            if code == sqlite3.SQLITE_CREATE_INDEX and second is not None:
                return rows + self._count(second)
            return rows
        return 0

    def _copied(self, table: str, actions: list[Action]) -> int:
        """Rows that `CREATE TABLE … AS SELECT` put in."""
        return self._count(table) if any(a.code == sqlite3.SQLITE_SELECT for a in actions) else 0

    def _table(self, name: str) -> _Table | None:
        """What an ordinary table of this name consists of; None for views and virtual tables."""
        if name not in self._tables:
            self._tables[name] = self._describe(name)
        return self._tables[name]

    def _describe(self, name: str) -> _Table | None:
        execute = self._connection.execute
        found = execute(
            "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE", (name,)
        ).fetchone()
        words, outside = _words(found[0]) if found and found[0] else ([], [])
        if not words or "VIRTUAL" in outside:
            return None
        without_rowid = ("WITHOUT", "ROWID") in pairwise(outside)
        fields = execute(f"PRAGMA table_xinfo({quoted(name)})").fetchall()
        primary = {row[1].lower() for row in fields if row[5]}
        # A generated column changes with others: an index that holds one counts as one over an expression.
        computed = {None, *(row[1] for row in fields if row[6] in _GENERATED)}
        key = {"rowid"}
        indexes: list[frozenset[str] | None] = []
        own_index = False
        for _, index, _, origin, _ in execute(f"PRAGMA index_list({quoted(name)})").fetchall():
            own_index |= origin == "pk"
            if not (without_rowid and origin == "pk"):
                columns = [row[2] for row in execute(f"PRAGMA index_info({quoted(index)})")]
                indexes.append(None if computed.intersection(columns) else frozenset(map(str.lower, columns)))
        if without_rowid or not own_index:
            key |= primary
        refers = execute(f"PRAGMA foreign_key_list({quoted(name)})").fetchone() is not None
        return _Table("AUTOINCREMENT" in words, frozenset(key), tuple(indexes), without_rowid and not refers)

    def _is_virtual(self, name: str) -> bool:
        found = self._connection.execute(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE", (name,)
        )
        return found.fetchone() is not None

    def _count(self, table: str) -> int:
        """The table's rows, counted again only when something was written since."""
        version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        changes = self._connection.total_changes
        known = self._counts.get(table)
        if known is None or known[1:] != (version, changes):
            count = self._connection.execute(f"SELECT count(*) FROM {quoted(table)}").fetchone()[0]
            known = self._counts[table] = (count, version, changes)
        return known[0]


def _words(sql: str) -> tuple[list[str], list[str]]:
    """All words of a statement in upper case, and those outside parentheses."""
    depth = 0
    words: list[str] = []
    outside: list[str] = []
    for kind, piece, _ in tokens(sql):
        if kind == "mark":
            depth += (piece == "(") - (piece == ")")
        elif kind == "word":
            words.append(piece.upper())
            if depth == 0:
                outside.append(piece.upper())
    return words, outside


def _internal(name: str | None) -> bool:
    return name is None or name.lower().startswith("sqlite_")
