"""SQLite's errors in D1's words: `<message>[ at offset N]: SQLITE_XXX[ (extended: SQLITE_XXX_YYY)]`.

The form is workerd's `dbErrorMessage` (https://github.com/cloudflare/workerd, src/workerd/util/sqlite.c++). Python
does not hand out `sqlite3_error_offset`, so the place is found again by compiling altered copies of the statement.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from coinswarm.d1 import guard
from coinswarm.d1.splitter import tokens, verb
from coinswarm.d1.types import SqlValue
from coinswarm.errors import CoinswarmError, DatabaseUnavailable, SqlError
from coinswarm.limits import D1
from coinswarm.storage import storage_error

TIMED_OUT: Final = "D1 DB storage operation exceeded timeout which caused object to be reset."
DATABASE_FULL: Final = "Exceeded maximum DB size"
OUT_OF_MEMORY: Final = "out of memory: SQLITE_NOMEM"
TOO_BIG: Final = "string or blob too big: SQLITE_TOOBIG"
NOT_UTF8: Final = "Could not decode to UTF-8"
"""How Python begins its complaint about a TEXT value that is none."""

Failure = sqlite3.Error | ArithmeticError | MemoryError | TypeError | ValueError
FAILURES: Final = (sqlite3.Error, ArithmeticError, MemoryError, TypeError, ValueError)
"""Besides its own errors, Python's sqlite3 raises these for values that SQLite cannot hold and programs too long."""
"""What Python's sqlite3 raises for a statement or for values that SQLite cannot hold."""

Probe = Callable[[str], "str | None"]
"""Compiles a statement without running it; SQLite's message, or None if there is nothing to complain about."""

_FILE_FAULTS: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOLFS,
    }
)
_PLACED: Final = re.compile(
    r"(?P<syntax>near \"(?P<near>.+)\": syntax error|unrecognized token: \"(?P<token>.+)\")"
    r"|(?:no such column: |ambiguous column name: |no such function: |not authorized to use function: "
    r"|misuse of (?:aliased )?(?:aggregate|window function)(?: function)?:? |wrong number of arguments to function "
    r"|too many arguments on function |unknown database |FILTER may not be used with non-aggregate )"
    r"(?P<name>.+?)(?:\(\))?"
    r"|second argument to (?P<hint>likelihood)\(\) must be .+"
    r"|(?:table|view|trigger) (?P<object>.+) already exists",
    re.DOTALL,
)
_UNNAMED: Final = {3091: "SQLITE_CONSTRAINT_DATATYPE"}
"""What Python calls `unknown`."""
_STAND_IN: Final = "zq_no_such_name_qz"
_TRIES: Final = 50


def translate(
    error: Failure,
    path: Path,
    sql: str,
    params: Sequence[SqlValue],
    probe: Probe,
) -> CoinswarmError:
    """What to raise for an error that `sql` ran into. The database must still be as it was when it failed."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    message = str(error)
    # Python reports a value that cannot be bound under the code of whatever failed before: look at the values first.
    if (fault := _bad_value(params)) is not None:
        return SqlError(fault)
    if isinstance(error, sqlite3.Error) and code & 0xFF in _FILE_FAULTS:
        return storage_error(error, path)
    if code == sqlite3.SQLITE_INTERRUPT:
        return DatabaseUnavailable(TIMED_OUT)
    if isinstance(error, MemoryError):
        return SqlError(OUT_OF_MEMORY)
    if "number of bindings" in message:
        return SqlError(guard.WRONG_BINDINGS)
    if "one statement at a time" in message:
        return SqlError(guard.ONE_STATEMENT)
    if "null character" in message:
        return SqlError(_before_nul(sql[: sql.find("\0")], probe))
    if not code:
        return SqlError(message)
    extended = _UNNAMED.get(code) or str(getattr(error, "sqlite_errorname", "SQLITE_ERROR"))
    primary = "_".join(extended.split("_")[:2])
    place = offset(sql, message, probe)
    return SqlError(
        f"{message}{'' if place is None else f' at offset {place}'}: {primary}"
        f"{'' if extended == primary else f' (extended: {extended})'}"
    )


def _before_nul(sql: str, probe: Probe) -> str:
    """D1 compiles what stands before a NUL character, and behind that finds no statement."""
    message = probe(sql) if verb(sql) not in ("", "EXPLAIN") else None
    if message is None:
        return guard.NO_STATEMENT
    if message == "not authorized":
        return guard.NOT_AUTHORIZED
    place = offset(sql, message, probe)
    return f"{message}{'' if place is None else f' at offset {place}'}: SQLITE_ERROR"


def offset(sql: str, message: str, probe: Probe) -> int | None:
    """Where in `sql` the fault of SQLite's `message` lies, in bytes of UTF-8; None where SQLite names no place."""
    place: int | None = None
    if message == "too many SQL variables" or message.startswith("variable number must be between"):
        place = _bad_parameter(sql)
    elif verb(sql) != "PRAGMA" and (match := _PLACED.fullmatch(message)):
        if match["syntax"]:
            place = _first_prefix(sql, match["near"] or match["token"], message, probe)
        else:
            place = _responsible(sql, match["name"] or match["object"] or match["hint"], message, probe)
    return None if place is None else len(sql[:place].encode())


def _bad_parameter(sql: str) -> int | None:
    taken = 0
    for kind, token, place in tokens(sql):
        if kind == "parameter":
            number = int(token[1:]) if token[1:].isdigit() else taken + 1
            if not 1 <= number <= D1.bound_parameters:
                return place
            taken = max(taken, number)
    return None


def _first_prefix(sql: str, token: str, message: str, probe: Probe) -> int | None:
    """The parser stops at the first token that cannot follow: the statement cut off behind it fails the same way."""
    for start, end in _occurrences(sql, re.escape(token)):
        if probe(sql[:end]) == message:
            return start
    return None


def _responsible(sql: str, name: str, message: str, probe: Probe) -> int | None:
    """The occurrence of a name that SQLite complains about: called otherwise, it complains otherwise."""
    dot = r"[\"`\]]?\s*\.\s*[\"`\[]?"
    places = list(_occurrences(sql, rf"(?<![\w$]){dot.join(map(re.escape, name.split('.')))}(?![\w$])"))
    if message.startswith("misuse"):  # an unknown name would be complained about instead
        return places[0][0] if len(places) == 1 else None
    if len(places) > 1 and message.startswith("no such column"):
        # SQLite may look at valid ones first: only those stay whose fault remains when the others are gone.
        places = [p for p in places if probe(_without(sql, [q for q in places if q != p])) == message] or places
    for start, end in places:
        if probe(sql[:start] + _STAND_IN + sql[end:]) != message:
            place = start - 1 if start and sql[start - 1] in '"`[' else start
            # SQLite names no place for columns that UPDATE sets: before those no sign may stand, as before expressions.
            column = message.startswith("no such column")
            named = not column or probe(f"{sql[:place]}+{sql[place:]}") == message
            return place if named else None
    return None


def _without(sql: str, places: Sequence[tuple[int, int]]) -> str:
    for start, end in reversed(places):
        sql = f"{sql[:start]}NULL{sql[end:]}"
    return sql


def _occurrences(sql: str, pattern: str) -> Iterator[tuple[int, int]]:
    yield from (match.span() for match in islice(re.finditer(pattern, sql, re.IGNORECASE), _TRIES))


def _bad_value(params: Sequence[SqlValue]) -> str | None:
    """Why one of these cannot be bound, or None."""
    for value in params:
        if isinstance(value, int):
            if not -(1 << 63) <= value < 1 << 63:
                return f"the integer {value} has more than 64 bits; pass it as text"
        elif isinstance(value, str):
            if len(value) * 4 > D1.value_bytes and len(value.encode("utf-8", "replace")) > D1.value_bytes:
                return TOO_BIG
            if any("\ud800" <= char <= "\udfff" for char in value):
                return "a string with half a surrogate pair cannot be stored as UTF-8"
        elif isinstance(value, bytes | bytearray | memoryview):
            if len(value) > D1.value_bytes:
                return TOO_BIG
        elif value is not None and not isinstance(value, float):
            return f"Type '{type(value).__name__}' not supported for value '{value}'"
    return None


def which(number: int, sql: str, of: int | None = None) -> str:
    """Which statement of several it was: its number, and how it begins."""
    start = " ".join(sql[:200].split())
    shown = start if len(start) <= 80 else start[:79] + "…"
    return f"It is statement {number:,}{f' of {of:,}' if of else ''}: {shown}"
