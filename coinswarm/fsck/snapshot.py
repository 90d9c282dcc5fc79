"""One state of a file, to be looked at for as long as it takes while others go on writing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from coinswarm.errors import StorageCorrupt
from coinswarm.fsck.findings import EXAMPLES, Finding, Rule, shown
from coinswarm.interrupt import Interrupted
from coinswarm.storage import attach, translated

OPERATIONS_PER_LOOK: Final = 200_000
"""SQLite's virtual machine asks this often, every few milliseconds, whether the user wants it to stop."""
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_FAULTS_SHOWN: Final = 100


@contextmanager
def looking_at(path: Path, stop: Callable[[], bool]) -> Iterator[sqlite3.Connection]:
    """A read-only connection inside one transaction. Raises `Interrupted` when `stop` says so, else `StorageError`."""
    with closing(attach(path)) as connection, translated(path), interruptible(connection, stop):
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.execute("BEGIN")
        yield connection


@contextmanager
def interruptible(connection: sqlite3.Connection, stop: Callable[[], bool]) -> Iterator[None]:
    """Lets `stop` end a statement that runs for long."""
    connection.set_progress_handler(stop, OPERATIONS_PER_LOOK)
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT and stop():
            raise Interrupted from error
        raise
    finally:
        connection.set_progress_handler(None, 0)


def integrity(connection: sqlite3.Connection) -> Finding | None:
    """What SQLite itself says about pages, indexes and constraints. https://www.sqlite.org/pragma.html#pragma_integrity_check"""
    try:
        said = [str(row[0]) for row in connection.execute(f"PRAGMA integrity_check({_FAULTS_SHOWN})")]
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF not in _DAMAGED:
            raise
        said = [str(error)]
    faults = [line for line in said if line != "ok"]
    if not faults:
        return None
    return Finding(
        "integrity",
        "SQLite finds the file damaged",
        len(faults),
        tuple({"says": line} for line in faults[:EXAMPLES]),
        advice=StorageCorrupt.default_hint,
    )


def tables(connection: sqlite3.Connection) -> dict[str, dict[str, str]]:
    """By table, its columns by name in lower case, with their declared types."""
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {
        name: {
            column.lower(): declared
            for column, declared in connection.execute("SELECT name, type FROM pragma_table_info(?)", (name,))
        }
        for name in names
    }


def counted(connection: sqlite3.Connection, rules: Iterable[Rule], *, suspicious: str = "1") -> list[Finding]:
    """What the rules about one table find, counted in one pass over it; only `suspicious` rows are asked each rule."""
    rules = list(rules)
    if not rules:
        return []
    (table,) = {rule.table for rule in rules}
    counts = ", ".join(f"count(CASE WHEN {rule.where} THEN 1 END)" for rule in rules)
    found = connection.execute(f"SELECT {counts} FROM {table} WHERE {suspicious}").fetchone()
    return [finding(connection, rule, count) for rule, count in zip(rules, found, strict=True) if count]


def finding(connection: sqlite3.Connection, rule: Rule, count: int) -> Finding:
    """The finding of a rule that `count` rows break, with the first of them."""
    rows = connection.execute(
        f"SELECT {', '.join(rule.shown)} FROM {rule.table} WHERE {rule.where} LIMIT {EXAMPLES}"
    ).fetchall()
    return Finding(
        rule.kind,
        rule.what,
        count,
        examples(rule.shown, rows),
        rule.repair is not None,
        rule.advice,
        rule.severity,
        rule,
    )


def examples(names: Iterable[str], rows: Iterable[tuple[Any, ...]]) -> tuple[dict[str, Any], ...]:
    names = tuple(names)
    return tuple({name: shown(value) for name, value in zip(names, row, strict=True)} for row in rows)
