"""Rows as they come out of SQLite, no more of them than a call may hold at once."""

from __future__ import annotations

import sqlite3
from itertools import chain
from typing import Final

import msgspec

from coinswarm.d1.types import SqlValue
from coinswarm.errors import DatabaseUnavailable

OUT_OF_MEMORY: Final = "D1 DB's isolate exceeded its memory limit and was reset."
_FEW: Final = 16
"""Rows fetched before they are counted: of the largest values, 32 MB."""
_MANY: Final = 64
_SMALL_BYTES: Final = 1_000_000
"""After a few rows that take no more than this, many are fetched at once."""
_OBJECT_BYTES: Final = 40
"""What Python adds to a value."""
_ARRAY_BYTES: Final = 8
"""A blob becomes an array of numbers, so much a byte, before it is sent or shown."""

Rows = list[tuple[SqlValue, ...]]


def fetched(cursor: sqlite3.Cursor, room: int) -> tuple[Rows, int]:
    """All rows of the statement that ran last, and what they leave of `room` bytes of memory.

    Raises `DatabaseUnavailable` in D1's words when they do not fit; what is to come is not fetched then.
    """
    rows: Rows = []
    count = _FEW
    while part := cursor.fetchmany(count):
        size = _memory(part)
        room -= size
        if room < 0:
            raise DatabaseUnavailable(OUT_OF_MEMORY)
        rows += part
        if len(part) < count:
            break
        count = _MANY if size < _SMALL_BYTES else _FEW
    return rows, room


def _memory(rows: Rows) -> int:
    """About what these rows take: their bytes as MessagePack, which C counts in no time, and the objects."""
    size = len(msgspec.msgpack.encode(rows)) + _OBJECT_BYTES * len(rows) * len(rows[0])
    if bytes in map(type, chain.from_iterable(rows)):
        size += _ARRAY_BYTES * sum(len(value) for value in chain.from_iterable(rows) if isinstance(value, bytes))
    return size
