"""What storing a candle costs, found out by storing some: billed rows, bytes on disk, bytes in a message."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Final

from coinswarm.candles import Candle, Pair, Timeframe, as_values
from coinswarm.consumer.rows import insert_statements
from coinswarm.cost.month import Table
from coinswarm.d1.local import LocalDatabase
from coinswarm.d1.schema import TABLE, check_price_data
from coinswarm.d1.types import Database
from coinswarm.payload import pack

_START: Final = 1_735_689_600
"""2025-01-01."""
_SERIES: Final = 40
_ROUNDS: Final = 50
_CANDLES_A_ROUND: Final = 5
"""Ten thousand rows, that come as runs bring them: a few of every series at a time."""


def like(database: Database, migrated: Sequence[str]) -> Table:
    """What storing costs in the table that `database` has; in one that `migrated` makes where it has none yet."""
    found = database.execute(
        f"SELECT sql FROM sqlite_master WHERE tbl_name = '{TABLE}' COLLATE NOCASE AND sql IS NOT NULL "
        "AND type IN ('table', 'index') ORDER BY type DESC"
    )[0]
    schema = [str(sql) for (sql,) in found.rows]
    if not schema:
        return measure(migrated, stored_bytes=found.meta.size_after)
    return measure(schema, stored_bytes=found.meta.size_after, which=f"that of {database.name}")


def measure(schema: Sequence[str], *, stored_bytes: int = 0, which: str = "the one migrations make") -> Table:
    """What it costs to store into a table that the SQL texts of `schema` make. Raises `SchemaMismatch`."""
    origin = f"measured: {_SERIES * _ROUNDS * _CANDLES_A_ROUND:,} candles into a table like {which}"
    with (
        tempfile.TemporaryDirectory(prefix="coinswarm-cost-") as folder,
        closing(LocalDatabase(Path(folder) / "sample.sqlite", name="sample", id="sample")) as database,
    ):
        for sql in schema:
            database.execute(sql)
        check_price_data(database)
        empty = database.execute(f"SELECT 1 FROM {TABLE} LIMIT 1")[0].meta.size_after
        rounds = [_round(number) for number in range(_ROUNDS)]
        for candles in rounds:
            results = database.batch(insert_statements(as_values(candles)))
        written = results[0].meta.rows_written
        stored = results[0].meta.changes
        full = results[-1].meta.size_after
        (again, *_) = database.batch(insert_statements(as_values(rounds[-1])))
    per_statement = again.meta.rows_written
    rows = sum(map(len, rounds))
    return Table((written - per_statement) // stored, per_statement, (full - empty) / rows, stored_bytes, origin)


def body_bytes(pairs: Iterable[Pair], rows_per_message: int) -> list[int]:
    """Sizes of the messages that `rows_per_message` candles of the pair with the longest name make."""
    symbol = max((pair.symbol for pair in pairs), key=len, default="BTC-USDC")
    candles = [_candle(symbol, Timeframe.H1, at) for at in range(rows_per_message)]
    return [len(body) for body, _ in pack(candles, rows_per_message)]


def _round(number: int) -> list[Candle]:
    opens = range(number * _CANDLES_A_ROUND, (number + 1) * _CANDLES_A_ROUND)
    return list(
        chain.from_iterable(
            [_candle(f"C{series:02}-USDC", Timeframe.H1, at) for at in opens] for series in range(_SERIES)
        )
    )


def _candle(symbol: str, timeframe: Timeframe, at: int) -> Candle:
    """One with as many digits as real ones have."""
    price = 43_210.57 + at % 97 / 100
    return Candle(
        symbol=symbol,
        timestamp=_START + at * timeframe.seconds,
        timeframe=timeframe.value,
        open=price,
        high=price + 12.34,
        low=price - 12.34,
        close=price + 1.11,
        volume_from=123.45678901,
        volume_to=5_334_812.98765432,
        source="cryptocompare",
    )
