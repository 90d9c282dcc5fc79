"""SQL text into statements, by the rules of `sqlite3_complete` (https://www.sqlite.org/c3ref/complete.html).

A semicolon ends a statement unless it stands in a string, a quoted name, a comment, or inside the body of a
`CREATE TRIGGER`, which ends with `; END ;`. Linear in the length of the text, whatever the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_SPACE = r"(?:[ \t\n\f\r\ufeff]|--[^\n]*|/\*(?s:.*?)(?:\*/|\Z))"
_QUOTED = r"'[^']*(?:'|\Z)|\"[^\"]*(?:\"|\Z)|`[^`]*(?:`|\Z)|\[[^\]]*(?:\]|\Z)"
_WORD = r"[A-Za-z0-9_$\x80-\U0010ffff]"

_GAP: Final = re.compile(rf"(?:{_SPACE}|;)*+")
_TO_SEMICOLON: Final = re.compile(rf"(?:[^;'\"`\[/\-]++|{_QUOTED}|{_SPACE}|[/\-])*+;?")
_TRIGGER: Final = re.compile(
    rf"(?:EXPLAIN{_SPACE}++)?CREATE{_SPACE}++(?:TEMP(?:ORARY)?{_SPACE}++)*TRIGGER(?!{_WORD})", re.IGNORECASE
)
_TRIGGER_END: Final = re.compile(rf"(?:{_SPACE}|;)*+END(?!{_WORD}){_SPACE}*+(?:;|\Z)", re.IGNORECASE)
_TOKEN: Final = re.compile(
    rf"{_SPACE}++|(?P<text>{_QUOTED})|(?P<parameter>\?\d*|[:@$]{_WORD}+)|(?P<word>{_WORD}+)|(?P<mark>.)", re.DOTALL
)


def split(sql: str) -> list[str]:
    """The statements of `sql` in order, each with its semicolon if it had one.

    Space and comments before a statement are left out, and so are empty statements. Text that never ends (an open
    string, a trigger without END) is one statement up to the end, for SQLite to refuse.
    """
    return [sql[start:stop] for start, stop in spans(sql)]


def spans(sql: str) -> Iterator[tuple[int, int]]:
    """Where each statement of `split` begins and ends, for who reads a text too long for the memory in pieces.

    Of a piece that breaks off anywhere all but the last span are certain.
    """
    end = len(sql)
    start = _GAP.match(sql).end()  # type: ignore[union-attr]  # matches the empty string too
    while start < end:
        stop = _statement_end(sql, start)
        yield start, stop
        start = _GAP.match(sql, stop).end()  # type: ignore[union-attr]


def tokens(sql: str) -> Iterator[tuple[str, str, int]]:
    """Kind (`text` in quotes, `parameter`, `word`, `mark`), token, offset in characters; no space, no comments."""
    for match in _TOKEN.finditer(sql):
        if match.lastgroup is not None:
            yield match.lastgroup, match.group(), match.start()


def verb(sql: str) -> str:
    """The word that says what a statement does, in upper case: for `WITH … INSERT` it is INSERT. Empty if none."""
    depth = 0
    common_table = False
    for kind, piece, _ in tokens(sql):
        if kind == "mark":
            depth += (piece == "(") - (piece == ")")
        if kind != "word":
            if piece != ";" and not common_table:
                return piece
        elif depth == 0:
            word = piece.upper()
            if not common_table:
                if word != "WITH":
                    return word
                common_table = True
            elif word in ("SELECT", "VALUES", "INSERT", "REPLACE", "UPDATE", "DELETE"):
                return word
    return "WITH" if common_table else ""


def quoted(name: str) -> str:
    """A name as SQL writes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def _statement_end(sql: str, start: int) -> int:
    """Where the statement that begins at `start` is over, its semicolon included."""
    trigger = _TRIGGER.match(sql, start)
    stop = _TO_SEMICOLON.match(sql, start).end()  # type: ignore[union-attr]
    if trigger is None:
        return stop
    while stop < len(sql):
        over = _TRIGGER_END.match(sql, stop)
        if over is not None:
            return over.end()
        stop = _TO_SEMICOLON.match(sql, max(stop, _GAP.match(sql, stop).end())).end()  # type: ignore[union-attr]
    return stop
