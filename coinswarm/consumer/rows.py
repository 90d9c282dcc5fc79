"""From a batch of messages to rows and statements. Pure: nothing here touches a queue or a database.

Rows are sorted by the key of the table, because neighbours in the table then lie in neighbouring pages: in random order
the same rows take ten times as long to store.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, groupby, islice
from operator import itemgetter, lt
from typing import Any, Final, NamedTuple

import msgspec

from coinswarm.candles import COLUMNS, Row, Values, as_values, rows
from coinswarm.d1.schema import TABLE
from coinswarm.d1.types import QueryResult, SqlValue, Statement
from coinswarm.errors import InvalidPayload
from coinswarm.limits import D1
from coinswarm.payload import decode, decode_together
from coinswarm.queue.types import Message

Key = tuple[str, str, str, int]

WIDTH: Final = len(COLUMNS)
ROWS_PER_STATEMENT: Final = D1.bound_parameters // WIDTH

_SYMBOL, _TIMEFRAME, _SOURCE, _TIMESTAMP = map(COLUMNS.index, ("symbol", "timeframe", "source", "timestamp"))
key_of: Final = itemgetter(_SYMBOL, _TIMEFRAME, _SOURCE, _TIMESTAMP)
_series: Final = itemgetter(_SYMBOL, _TIMEFRAME, _SOURCE)

_LOOK_UP: Final = (
    f"SELECT {', '.join('p.' + name for name in COLUMNS)} FROM json_each(?4) AS wanted CROSS JOIN {TABLE} AS p "
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

    values: Values = field(default_factory=list)
    """Sound candles, each key once, in the order of the table's key."""
    received: int = 0
    """Rows in all; a body that cannot be read has none."""
    duplicate: int = 0
    """Rows whose key an earlier message of the batch has already brought."""
    conflicts: list[Conflict] = field(default_factory=list)
    """Those of them that have other values: the first one wins."""
    faulty: dict[str, Faulty] = field(default_factory=dict)
    """By lease id."""


def read(messages: Sequence[Message]) -> Contents:
    """Decode, validate, deduplicate and sort the candles of `messages`."""
    earliest = min((message.timestamp_ms for message in messages), default=0)
    values = decode_together((message.body for message in messages), taken_ms=earliest)
    contents = _read_one_by_one(messages) if values is None else Contents(values, len(values) // WIDTH)
    _sort(contents)
    return contents


def _read_one_by_one(messages: Iterable[Message]) -> Contents:
    contents = Contents()
    for message in messages:
        values = decode_together((message.body,), taken_ms=message.timestamp_ms)
        if values is not None:
            contents.values += values
            contents.received += len(values) // WIDTH
            continue
        try:
            decoded = decode(message.body, taken_ms=message.timestamp_ms)
        except InvalidPayload as error:
            contents.faulty[message.lease_id] = Faulty(error.message, 0, 0)
            continue
        contents.values += as_values(decoded.candles)
        contents.received += decoded.received
        if decoded.faults:
            reason = "; ".join(decoded.faults)
            contents.faulty[message.lease_id] = Faulty(reason, len(decoded.faults), len(decoded.candles))
    return contents


def _sort(contents: Contents) -> None:
    """Each key once, in the order of the table: a producer's page comes so already."""
    values = contents.values
    *names, times = (values[column::WIDTH] for column in (_SYMBOL, _TIMEFRAME, _SOURCE, _TIMESTAMP))
    keys: list[Any] = times
    if any(name.count(name[0]) < len(name) for name in names if name):  # more than one series
        keys = list(zip(*names, times, strict=True))
    if all(map(lt, keys, islice(keys, 1, None))):
        return
    by_key: dict[Key, Row] = {}
    for row in rows(values):
        key = key_of(row)
        first = by_key.setdefault(key, row)
        if first is not row:
            contents.duplicate += 1
            if first != row:
                contents.conflicts.append(Conflict(first, row))
    contents.values = list(chain.from_iterable(by_key[key] for key in sorted(by_key)))


def insert_statements(values: Values) -> list[Statement]:
    """Statements that store what is not stored yet and leave alone what is.

    `ON CONFLICT` names the key, so that a row which breaks another rule of the table is refused and not passed over, as
    `INSERT OR IGNORE` would.
    """
    width = ROWS_PER_STATEMENT * WIDTH
    parts = [values[start : start + width] for start in range(0, len(values), width)]
    return [Statement(_insert(len(part) // WIDTH), part) for part in parts]


@lru_cache(ROWS_PER_STATEMENT)
def _insert(count: int) -> str:
    row = f"({', '.join('?' * WIDTH)})"
    return (
        f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) VALUES {', '.join([row] * count)} "
        "ON CONFLICT (symbol, timestamp, timeframe, source) DO NOTHING"
    )


def inserted(results: Iterable[QueryResult], statements: Sequence[Statement]) -> tuple[int, list[Row]]:
    """How many rows the statements stored, and the rows of those that did not store all of theirs.

    `changes` counts what triggers of the user's table did as well, so a statement never counts for more than its rows.
    """
    stored = 0
    short: list[Row] = []
    for statement, result in zip(statements, results, strict=True):
        sent = len(statement.params) // WIDTH
        changes = min(result.meta.changes, sent)
        stored += changes
        if changes < sent:
            short += rows(list(statement.params))
    return stored, short


def look_up_statements(wanted: Sequence[Row]) -> list[Statement]:
    """Statements that find the stored rows with the keys of `wanted`, which are sorted: one a series."""
    return [
        Statement(_LOOK_UP, [*series, msgspec.json.encode([row[_TIMESTAMP] for row in members]).decode()])
        for series, members in groupby(wanted, _series)
    ]


def compare(offered: Sequence[Row], results: Iterable[QueryResult]) -> tuple[list[Conflict], list[Row]]:
    """Those of `offered` in whose place the results of `look_up_statements` have other values, and those not found.

    A row that is not found was neither stored nor there: something in the user's table kept it out without a word.
    """
    found = list(chain.from_iterable(result.rows for result in results))
    if found == offered:
        return [], []
    stored: dict[Key, tuple[SqlValue, ...]] = {key_of(row): row for row in found}
    conflicts = [
        Conflict(there, row)
        for row in offered
        if (there := stored.get(key_of(row), row)) != row and not _same(there, row)
    ]
    return conflicts, [row for row in offered if key_of(row) not in stored]


def _same(there: Sequence[SqlValue], row: Row) -> bool:
    """Equal as D1 sees them: JSON may give a large double back as a whole number."""
    return all(
        a == b or (isinstance(a, int | float) and isinstance(b, int | float) and float(a) == float(b))
        for a, b in zip(there, row, strict=True)
    )


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
