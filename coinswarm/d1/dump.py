"""A database as SQL text, in the form of `wrangler d1 export`, a statement at a time.

The form follows Cloudflare's dump (https://github.com/cloudflare/workers-sdk, miniflare's `dumpSql`), with what that
loses mended, so that every value comes back as it was: text that holds a backslash-n beside a line break, NUL
characters, text that is not UTF-8, infinities, whole REALs, integers beyond 2^53, triggers on views.
"""

from __future__ import annotations

import itertools
import math
import re
import sqlite3
from collections.abc import Callable, Collection, Iterator
from typing import Final

from coinswarm.d1.splitter import quoted, tokens
from coinswarm.d1.types import SqlValue
from coinswarm.errors import SqlError

VIRTUAL: Final = "D1 Export error: cannot export databases with Virtual Tables (fts5)"
_QUOTED_TABLE: Final = re.compile(r"CREATE TABLE (?=['\"])")
_READABLE: Final = (1e-30, 1e30)
"""Within it doubles are written as short as they can be."""
_LEAST_READ: Final = 1e-280
_DISTANCE: Final = 32 / 15
"""At half the distance between two doubles begins what is nearer to the next one; a sixteenth of that stays free."""
_ORDER: Final = {"index": 0, "trigger": 1, "view": 2}


def dump(
    connection: sqlite3.Connection, *, tables: Collection[str] = (), schema: bool = True, data: bool = True
) -> Iterator[str]:
    """The statements, each with its semicolon; `tables` names those that are wanted, none means all.

    The caller holds the connection for this alone, in a transaction that keeps the state it reads.
    Raises `SqlError` for virtual tables, as Cloudflare does.
    """
    connection.text_factory = text_of
    wanted = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql NOT NULL "
        "ORDER BY tbl_name = 'sqlite_sequence', rowid"
    ).fetchall()
    if any(sql.upper().startswith("CREATE VIRTUAL TABLE") for _, sql in wanted):
        raise SqlError(VIRTUAL)
    yield "PRAGMA defer_foreign_keys=TRUE;"
    for table, sql in wanted:
        if (tables and table not in tables) or not _exported(table):
            continue
        if schema:
            yield _creation(table, sql)
        if data:
            yield from _rows(connection, table)
    if schema:
        yield from _rest(connection, tables)


def _exported(table: str) -> bool:
    internal = table.startswith(("_cf_", "sqlite_"))
    return not internal or table == "sqlite_sequence" or table.startswith("sqlite_stat")


def _creation(table: str, sql: str) -> str:
    if table == "sqlite_sequence":
        return "DELETE FROM sqlite_sequence;"
    if table.startswith("sqlite_stat"):
        return "ANALYZE sqlite_schema;"
    return _ended(_QUOTED_TABLE.sub("CREATE TABLE IF NOT EXISTS ", sql, count=1))


def _ended(sql: str) -> str:
    """A stored statement with its semicolon, behind a comment that is still open at its end."""
    for end in (";", "\n;", "*/;"):
        *_, (_, _, place) = tokens(sql + end)
        if place == len(sql + end) - 1:
            return sql + end
    raise AssertionError(f"no end to {sql!r}")


def literal(value: SqlValue) -> str:
    """A value as SQL writes it, exact to the bit; text as `text_of` makes it may hold any bytes."""
    return _LITERALS[type(value)](value)


def _rows(connection: sqlite3.Connection, table: str) -> Iterator[str]:
    """`PRAGMA table_info` leaves out generated columns, which nobody may insert."""
    columns = [quoted(row[1]) for row in connection.execute(f"PRAGMA table_info({quoted(table)})")]
    if not columns:
        return
    listed = ",".join(columns)
    start = f"INSERT INTO {quoted(table)} ({listed}) VALUES("
    for row in connection.execute(f"SELECT {listed} FROM {quoted(table)}"):
        yield start + ",".join([_LITERALS[type(value)](value) for value in row]) + ");"


def _rest(connection: sqlite3.Connection, tables: Collection[str]) -> Iterator[str]:
    """Indexes, triggers and views; a trigger on a view after all views, which it needs."""
    found = connection.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql NOT NULL AND type <> 'table' ORDER BY rowid"
    ).fetchall()
    views = {name for kind, name, _, _ in found if kind == "view"}

    def place(entry: tuple[str, str, str, str]) -> int:
        kind, _, table, _ = entry
        return len(_ORDER) if kind == "trigger" and table in views else _ORDER[kind]

    for _, _, table, sql in sorted(found, key=place):
        if _exported(table) and (not tables or table in tables):
            yield _ended(sql)


class _Bytes(bytes):
    """A TEXT value that is not UTF-8."""


def text_of(raw: bytes) -> str | bytes:
    """A `text_factory` that keeps what is no UTF-8 as it is, for `literal`."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return _Bytes(raw)


def _string(value: str) -> str:
    if "\0" in value:
        return _raw_text(value.encode())
    literal = "'" + value.replace("'", "''") + "'"
    for character, name, code in (("\r", r"\r", 13), ("\n", r"\n", 10)):
        if character in value:
            stand_in = next(s for s in _stand_ins(name) if s not in value)
            literal = f"replace({literal.replace(character, stand_in)},'{stand_in}',char({code}))"
    return literal


def _stand_ins(name: str) -> Iterator[str]:
    yield name
    yield from (f"({name}{number})" for number in itertools.count())


def _raw_text(value: bytes) -> str:
    return f"CAST(X'{value.hex()}' AS TEXT)"


def _real(value: float) -> str:
    """Digits that every SQLite reads as this very double.

    SQLite does not round text to the nearest double: depending on version and machine it is off by up to some 2^-58 of
    the value, and takes the neighbour where the shortest digits lie nearly in the middle between two. There it gets 18
    digits, which lie on the spot. The least doubles it reads worse: they are written as a quotient without rounding.
    """
    size = abs(value)
    if _READABLE[0] <= size < _READABLE[1]:
        text = repr(value)
        return text if len(text) < 18 and _is_near(text, value) else f"{value:#.18g}"
    if size < _LEAST_READ:
        return _quotient(value) if value else repr(value)
    if value - value != 0:
        return "9e999" if value > 0 else "-9e999"
    return f"{value:#.18g}"


def _is_near(text: str, value: float) -> bool:
    """Whether the number in `text` is farther from the middle between `value` and the next double than any error."""
    digits, _, exponent = text.partition("e")
    whole, _, part = digits.partition(".")
    places = len(part) - int(exponent or 0)
    number = int(whole + part)
    if places < 0:
        number, places = number * int(10**-places), 0
    above, below = value.as_integer_ratio()
    scale: int = 10**places
    limit = below * scale
    return -limit < (number * below - above * scale) * _DISTANCE / math.ulp(value) < limit


def _quotient(value: float) -> str:
    """By powers of two, so that no step rounds."""
    dividend, divisor = value.as_integer_ratio()
    steps, rest = divmod(divisor.bit_length() - 1, 50)
    return f"{dividend}{f'/{1 << 50}.0' * steps}/{1 << rest}.0"


_LITERALS: Final[dict[type, Callable[..., str]]] = {
    type(None): lambda _: "NULL",
    int: str,
    float: _real,
    str: _string,
    bytes: lambda value: f"X'{value.hex()}'",
    _Bytes: _raw_text,
}
