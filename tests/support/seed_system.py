"""Databases as the original system left them, with every hazard they are known for, and broken queue files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from coinswarm.storage import connect
from tests.support.databases import COLUMNS, ORIGINAL_TABLE

FIRST_OPEN = 1_699_999_200
"""An hour's open in unix seconds; divisible by 3600."""
STORED = FIRST_OPEN + 365 * 86_400
"""When rows were inserted unless a hazard says otherwise: long after they closed."""
LOCAL_TABLE = """
CREATE TABLE price_data (
    symbol TEXT, timestamp INTEGER, timeframe TEXT, open REAL, high REAL, low REAL, close REAL,
    volume_from REAL, volume_to REAL, source TEXT,
    PRIMARY KEY (symbol, timestamp, timeframe, source)
)
"""
"""What the original's create_local_sqlite.py makes: everything may be NULL."""


class Row(NamedTuple):
    """One row of price_data; sound unless changed."""

    symbol: Any = "BTC-USDC"
    timestamp: Any = FIRST_OPEN
    timeframe: Any = "1h"
    open: Any = 100.0
    high: Any = 110.0
    low: Any = 90.0
    close: Any = 105.0
    volume_from: Any = 1.5
    volume_to: Any = None
    source: Any = "binance"

    def at(self, hour: int) -> Row:
        return self._replace(timestamp=FIRST_OPEN + hour * 3600, close=100.0 + hour % 10 / 10)


HAZARDS: dict[str, list[Row]] = {
    "types": [Row(close="n/a").at(100)._replace(close="n/a"), Row().at(101)._replace(open=b"\x00\xff")],
    "not-finite": [Row().at(110)._replace(high=float("inf"))],
    "prices": [Row().at(120)._replace(low=0.0), Row().at(121)._replace(high=99.0), Row().at(122)._replace(close=120.0)],
    "volumes": [Row().at(130)._replace(volume_from=-1.0)],
    "timestamps": [Row(timestamp=12_345)],
    "twins": [Row().at(0)._replace(timestamp=FIRST_OPEN * 1000)],
    "milliseconds": [
        Row(timestamp=(FIRST_OPEN + 150 * 3600) * 1000),
        Row(timestamp=(FIRST_OPEN + 151 * 3600) * 1_000_000),
    ],
    "misaligned": [Row(timestamp=FIRST_OPEN + 160 * 3600 + 420)],
    "frozen": [Row().at(170)],
    "symbols": [
        Row(symbol="BITCOINUSDT").at(1),
        Row(symbol="PANCAKESWAP-TOKENUSDT").at(2),
        Row(symbol="solusdt").at(3),
    ],
    "timeframes": [Row(timeframe="day", timestamp=FIRST_OPEN // 86_400 * 86_400)],
    "sources": [Row(source="bin ance\n").at(4)],
    "relabelled": [Row(symbol="BTC-USDT").at(hour) for hour in range(5)],
}
"""By the kind of finding: rows that are one, besides hours 0 to 49 of BTC-USDC that are sound."""
SOUND = [Row().at(hour) for hour in range(50)]


def seed_database(path: Path, hazards: Iterable[str] = HAZARDS, *, table: str = ORIGINAL_TABLE) -> Path:
    """The original system's database with sound rows and those of the hazards."""
    with closing(connect(path)) as database:
        database.executescript(table)
        for row in SOUND:
            _insert(database, row, STORED)
        for kind in hazards:
            for row in HAZARDS[kind]:
                _insert(database, row, row.timestamp + 600 if kind == "frozen" else STORED)
    return path


def insert_rows(path: Path, rows: Iterable[Row], *, table: str) -> None:
    with closing(connect(path)) as database:
        database.executescript(table)
        for row in rows:
            _insert(database, row, STORED)


def contents(path: Path, table: str = "price_data") -> list[tuple[Any, ...]]:
    """All rows with all their columns, exactly as they are."""
    with closing(connect(path, create=False)) as database:
        database.text_factory = bytes
        return sorted(database.execute(f"SELECT * FROM {table}").fetchall(), key=repr)


def run_sql(path: Path, sql: str) -> None:
    with closing(connect(path, create=False)) as database:
        database.executescript(sql)


def _insert(database: sqlite3.Connection, row: Row, stored_at: int) -> None:
    names, values = COLUMNS, list(row)
    if any(column[1] == "created_at" for column in database.execute("PRAGMA table_info(price_data)")):
        names, values = f"{COLUMNS}, created_at", [*row, stored_at]
    names_of_row = dict(zip([*Row._fields, "created_at"], values, strict=False))
    ordered = [names_of_row[name.strip()] for name in names.split(",")]
    database.execute(f"INSERT INTO price_data ({names}) VALUES ({', '.join('?' * len(ordered))})", ordered)
