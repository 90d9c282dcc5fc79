"""From a batch of messages to rows and statements. Pure: nothing here touches a queue or a database.

A row is a tuple in the order of `candles.COLUMNS`. Rows are sorted by the key of the table, because neighbours in the
table then lie in neighbouring pages: in random order the same rows take ten times as long to store.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec

from coinswarm.candles import COLUMNS, Candle
from coinswarm.d1.types import QueryResult, SqlValue, Statement
from coinswarm.errors import InvalidPayload
from coinswarm.limits import D1
from coinswarm.payload import decode
from coinswarm.queue.types import Message

Row = tuple[Any, ...]
Key = tuple[str, str, str, int]

ROWS_PER_STATEMENT: Final = D1.bound_parameters // len(COLUMNS)

_SYMBOL, _TIMESTAMP, _TIMEFRAME, _SOURCE = (
    COLUMNS.index(name) for name in ("symbol", "timestamp", "timeframe", "source")
)
key_of: Final = itemgetter(_SYMBOL, _TIMEFRAME, _SOURCE, _TIMESTAMP)
_series: Final = itemgetter(_SYMBOL, _TIMEFRAME, _SOURCE)
_row: Final = msgspec.structs.astuple

_NAMES: Final = ", ".join(COLUMNS)
_VALUES: Final = f"({', '.join('?' * len(COLUMNS))})"
_LOOK_UP: Final = (
    f"SELECT {', '.join('p.' + name for name in COLUMNS)} FROM json_each(?4) AS wanted CROSS JOIN price_data AS p "
    "ON p.symbol = ?1 AND p.timeframe = ?2 AND p.source = ?3 AND p.timestamp = wanted.value"
)


class Conflict(NamedTuple):
    """A candle that came although its place is taken by one with other values. The stored one stays."""

    stored: Row
    offered: Row


@dataclass(slots=True)
class Faulty:
    """A message that cannot be stored as it is: why, and how many of its rows are lost to it."""

    reason: str
    rejected: int
    sound: int
    """Its rows that are stored nevertheless."""


@dataclass(slots=True)
class Contents:
    """What the messages of a batch hold."""

    rows: list[Row] = field(default_factory=list)
    """Sound candles, each key once, in the order of the table's key."""
    received: int = 0
    duplicate: int = 0
    """Rows whose key an earlier message of the batch has already brought."""
    conflicts: list[Conflict] = field(default_factory=list)
    """Those of them that have other values: the first one wins."""
    faulty: dict[str, Faulty] = field(default_factory=dict)
    """By lease id."""


def read(messages: Iterable[Message]) -> Contents:
    """Decode, validate, deduplicate and sort the candles of `messages`."""
    contents = Contents()
    candles: list[Candle] = []
    for message in messages:
        try:
            decoded = decode(message.body, taken_ms=message.timestamp_ms)
        except InvalidPayload as error:
            contents.faulty[message.lease_id] = Faulty(error.message, 0, 0)
            continue
        candles += decoded.candles
        contents.received += decoded.received
        if decoded.faults:
            reason = "; ".join(decoded.faults)
            contents.faulty[message.lease_id] = Faulty(reason, len(decoded.faults), len(decoded.candles))
    _each_key_once(list(map(_row, candles)), contents)
    return contents


def _each_key_once(rows: list[Row], contents: Contents) -> None:
    keys = list(map(key_of, rows))
    by_key: dict[Key, Row] = dict(zip(keys, rows, strict=True))
    if len(by_key) < len(rows):
        by_key = {}
        for key, row in zip(keys, rows, strict=True):
            first = by_key.setdefault(key, row)
            if first is not row:
                contents.duplicate += 1
                if first != row:
                    contents.conflicts.append(Conflict(first, row))
    contents.rows = [by_key[key] for key in sorted(by_key)]


def insert_statements(rows: Sequence[Row]) -> list[Statement]:
    """Statements that store what is not stored yet and leave alone what is.

    `ON CONFLICT` names the key, so that a row which breaks another rule of the table is refused and not passed over, as
    `INSERT OR IGNORE` would.
    """
    return [
        Statement(_insert(len(chunk)), list(chain.from_iterable(chunk)))
        for start in range(0, len(rows), ROWS_PER_STATEMENT)
        if (chunk := rows[start : start + ROWS_PER_STATEMENT])
    ]


@lru_cache(ROWS_PER_STATEMENT)
def _insert(rows: int) -> str:
    return (
        f"INSERT INTO price_data ({_NAMES}) VALUES {', '.join([_VALUES] * rows)} "
        "ON CONFLICT (symbol, timestamp, timeframe, source) DO NOTHING"
    )


def inserted(results: Sequence[QueryResult], rows: Sequence[Row]) -> tuple[int, list[Row]]:
    """How many of `rows` the statements stored, and the rows of those that did not store all of theirs.

    `changes` counts what triggers of the user's table did as well, so a statement never counts for more than its rows.
    """
    stored = 0
    short: list[Row] = []
    for number, result in enumerate(results):
        chunk = rows[number * ROWS_PER_STATEMENT : (number + 1) * ROWS_PER_STATEMENT]
        changes = min(result.meta.changes, len(chunk))
        stored += changes
        if changes < len(chunk):
            short += chunk
    return stored, short


def look_up_statements(rows: Sequence[Row]) -> list[Statement]:
    """Statements that find the stored rows with the keys of `rows`, which are sorted: one a series, point by point."""
    return [
        Statement(_LOOK_UP, [*series, msgspec.json.encode([row[_TIMESTAMP] for row in members]).decode()])
        for series, members in groupby(rows, _series)
    ]


def conflicts(rows: Iterable[Row], results: Iterable[QueryResult]) -> list[Conflict]:
    """Those of `rows` in whose place the results of `look_up_statements` have other values."""
    stored: dict[Key, tuple[SqlValue, ...]] = {key_of(row): row for result in results for row in result.rows}
    return [Conflict(there, row) for row in rows if (there := stored.get(key_of(row), row)) != row]


def holders(messages: Iterable[Message], refused: dict[Key, str]) -> dict[str, str]:
    """The leases of the messages that hold a candle of `refused`, with the reason it was refused for."""
    found: dict[str, str] = {}
    for message in messages:
        try:
            candles = decode(message.body, taken_ms=message.timestamp_ms).candles
        except InvalidPayload:
            continue
        reasons = {refused[candle.key]: None for candle in candles if candle.key in refused}
        if reasons:
            found[message.lease_id] = "; ".join(reasons)
    return found
