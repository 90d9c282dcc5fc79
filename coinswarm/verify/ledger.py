"""What a table held at a moment, row by row, so that it can be shown later that none of it has changed.

A ledger is a file of lines of JSON: a header, blocks of up to a thousand rows of one series (opens, and 64 bits of
BLAKE2b for the other columns of each row), and an end that counts and seals them: some 20 bytes a row. Writing and
comparing read the table in pages: memory does not grow with the rows. New rows are not a difference.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from coinswarm.d1.schema import TABLE
from coinswarm.d1.splitter import quoted
from coinswarm.d1.types import Database
from coinswarm.errors import CoinswarmError, UsageError

Series = tuple[str, str, str]
"""Symbol, timeframe, source."""

VERSION: Final = 1
BLOCK: Final = 1_000
PAGE: Final = 5_000
EXAMPLES: Final = 10
"""Rows that are named; all are counted."""
MARK_SOURCE: Final = "coinswarm-verify"
"""The source of the canary's rows, which come and go: no ledger holds them."""
_KEY: Final = frozenset({"symbol", "timeframe", "source", "timestamp"})
_HASH: Final = 8
_START: Final = -(2**62)


class OutOfTime(CoinswarmError):
    """The table could not be read to its end in the time given."""

    default_hint = "Give it more: --timeout SECONDS"


class Taken(NamedTuple):
    rows: int
    series: int


class DifferentRow(NamedTuple):
    series: Series
    timestamp: int
    what: str
    """`changed` or `vanished`."""


@dataclass(slots=True)
class Difference:
    """What became of the rows of a ledger."""

    rows: int = 0
    """In the ledger."""
    added: int = 0
    """In the table now, and not in the ledger."""
    changed: Counter[Series] = field(default_factory=Counter)
    vanished: Counter[Series] = field(default_factory=Counter)
    examples: list[DifferentRow] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.changed.total() + self.vanished.total()

    @property
    def same(self) -> bool:
        return self.total == 0

    def by_series(self) -> dict[Series, str]:
        """What happened to each series that differs, most rows first."""
        told = {}
        for key, _ in (self.changed + self.vanished).most_common():
            counts = ((self.changed[key], "changed"), (self.vanished[key], "vanished"))
            told[key] = ", ".join(f"{number:,} {what}" for number, what in counts if number)
        return told

    def add(self, series: Series, timestamp: int, what: str) -> None:
        (self.changed if what == "changed" else self.vanished)[series] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(DifferentRow(series, timestamp, what))


class _Header(msgspec.Struct):
    coinswarm_ledger: int
    database: str
    database_id: str
    taken_ms: int
    columns: list[str]


class _Block(msgspec.Struct):
    series: Series
    timestamps: list[int]
    """The first, then the steps to the next ones."""
    hashes: str


class _End(msgspec.Struct):
    rows: int
    series: int
    seal: str
    """SHA-256 of all lines before."""


def write(database: Database, file: BinaryIO, *, now_ms: int, stop: Callable[[], bool] = lambda: False) -> Taken:
    """Write the ledger of `price_data` as it is now. Raises `OutOfTime` when `stop` says so."""
    columns = _columns(database)
    seal = hashlib.sha256()

    def put(line: msgspec.Struct) -> None:
        text = msgspec.json.encode(line) + b"\n"
        seal.update(text)
        file.write(text)

    put(_Header(VERSION, database.name, database.id, now_ms, columns))
    rows = series = 0
    for key in _series(database):
        series += 1
        for page in _pages(database, key, columns, _START, stop):
            for start in range(0, len(page), BLOCK):
                block = page[start : start + BLOCK]
                times = [row[0] for row in block]
                steps = times[:1] + [later - earlier for earlier, later in pairwise(times)]
                put(_Block(key, steps, base64.b64encode(b"".join(map(_digest, block))).decode()))
                rows += len(block)
    put(_End(rows, series, seal.hexdigest()))
    return Taken(rows, series)


def compare(database: Database, file: BinaryIO, *, stop: Callable[[], bool] = lambda: False) -> Difference:
    """What became of the rows of the ledger in `file`. Raises `UsageError` where it is none, damaged or cut short."""
    found = Difference()
    seal = hashlib.sha256()
    line = file.readline()
    header = _read(line, _Header, file)
    seal.update(line)
    if header.coinswarm_ledger != VERSION:
        raise UsageError(
            f"the baseline has version {header.coinswarm_ledger}, not {VERSION}", hint="Upgrade coinswarm."
        )
    missing = set(header.columns) - set(_columns(database))
    if missing:
        hint = "Columns were taken out of the table, and every row has changed with them."
        raise UsageError(f"{TABLE} lost the columns {', '.join(sorted(missing))} of the baseline", hint=hint)
    for line in file:
        if line.startswith(b'{"rows"'):
            break
        block = _read(line, _Block, file)
        seal.update(line)
        _compare_block(database, header.columns, block, found, stop)
    else:
        raise _damaged(file, "it ends too early")
    end = _read(line, _End, file)
    if end.seal != seal.hexdigest() or end.rows != found.rows or file.readline():
        raise _damaged(file, "its seal does not fit what it holds")
    sql = f"SELECT count(*) FROM {TABLE} WHERE source <> ?1"
    total = int(database.execute(sql, (MARK_SOURCE,))[0].rows[0][0] or 0)
    found.added = max(0, total - (found.rows - found.vanished.total()))
    return found


def _compare_block(
    database: Database, columns: list[str], block: _Block, found: Difference, stop: Callable[[], bool]
) -> None:
    times = list(accumulate(block.timestamps))
    hashes = base64.b64decode(block.hashes)
    found.rows += len(times)
    expected = iter([(t, hashes[n * _HASH : (n + 1) * _HASH]) for n, t in enumerate(times)])
    timestamp, digest = next(expected, (None, b""))
    for page in _pages(database, block.series, columns, times[0] - 1, stop, last=times[-1]):
        for row in page:
            while timestamp is not None and timestamp < row[0]:
                found.add(block.series, timestamp, "vanished")
                timestamp, digest = next(expected, (None, b""))
            if timestamp == row[0]:
                if _digest(row) != digest:
                    found.add(block.series, row[0], "changed")
                timestamp, digest = next(expected, (None, b""))
    while timestamp is not None:
        found.add(block.series, timestamp, "vanished")
        timestamp, digest = next(expected, (None, b""))


def _columns(database: Database) -> list[str]:
    """All columns but the key's, be they of our making or not: a row is all of them."""
    names = [str(row["name"]) for row in database.execute(f"PRAGMA table_info({TABLE})")[0].objects]
    return sorted(name for name in names if name.lower() not in _KEY)


def _series(database: Database) -> Iterator[Series]:
    """Every series but the canary's, in order."""
    sql = f"SELECT DISTINCT symbol, timeframe, source FROM {TABLE} ORDER BY symbol, timeframe, source"
    for symbol, timeframe, source in database.execute(sql)[0].rows:
        if source != MARK_SOURCE:
            yield str(symbol), str(timeframe), str(source)


def _pages(
    database: Database,
    series: Series,
    columns: list[str],
    after: int,
    stop: Callable[[], bool],
    *,
    last: int = 2**62,
) -> Iterator[list[tuple[Any, ...]]]:
    """Rows of a series, opens first, by time: those that open later than `after` and no later than `last`."""
    sql = (
        f"SELECT timestamp, {', '.join(map(quoted, columns))} FROM {TABLE} "
        "WHERE symbol = ?1 AND timeframe = ?2 AND source = ?3 AND timestamp > ?4 AND timestamp <= ?5 "
        f"ORDER BY timestamp LIMIT {PAGE}"
    )
    while True:
        if stop():
            raise OutOfTime
        page = database.execute(sql, (*series, after, last))[0].rows
        if page:
            yield page
        if len(page) < PAGE:
            return
        after = int(page[-1][0])  # type: ignore[arg-type]


_encode: Final = msgspec.msgpack.Encoder().encode


def _digest(row: tuple[Any, ...]) -> bytes:
    """Of all but the open. Whole numbers count as floats: over HTTP, D1 gives 2.0 back as 2."""
    values = [float(value) if type(value) is int else value for value in row[1:]]
    return hashlib.blake2b(_encode(values), digest_size=_HASH).digest()


def _read(line: bytes, kind: type[Any], file: BinaryIO) -> Any:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _damaged(file, "a line of it is not a ledger's") from None


def _damaged(file: BinaryIO, why: str) -> UsageError:
    name = getattr(file, "name", "the file")
    return UsageError(f"{name} is no baseline that can be relied on: {why}", hint="Write one: --write-baseline FILE")
