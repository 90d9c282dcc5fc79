"""Local D1 databases for tests, and the tables they meet in the field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coinswarm.clock import Clock, ManualClock
from coinswarm.d1.local import LocalDatabase
from coinswarm.d1.migrate import apply, bundled_migrations, migrations_in
from coinswarm.d1.types import SqlValue, Statement

COLUMNS = "symbol, timestamp, timeframe, open, high, low, close, volume_from, volume_to, source"
STORE = (
    f"INSERT INTO price_data ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (symbol, timestamp, timeframe, source) DO NOTHING"
)
ORIGINAL_TABLE = """
CREATE TABLE price_data (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    symbol TEXT NOT NULL, timestamp INTEGER NOT NULL, timeframe TEXT NOT NULL,
    open REAL NOT NULL, high REAL NOT NULL, low REAL NOT NULL, close REAL NOT NULL,
    volume_from REAL, volume_to REAL, source TEXT NOT NULL,
    created_at INTEGER DEFAULT (unixepoch()),
    UNIQUE (symbol, timestamp, timeframe, source)
);
CREATE INDEX idx_price_symbol ON price_data (symbol, timeframe, timestamp DESC);
CREATE INDEX idx_price_timestamp ON price_data (timestamp DESC);
"""


def open_database(path: Path, *, clock: Clock | None = None, **options: Any) -> LocalDatabase:
    return LocalDatabase(path, name="prices", id="0a1b", clock=clock or ManualClock(), **options)


def migrated(path: Path) -> LocalDatabase:
    database = open_database(path)
    apply(database, migrations_in(bundled_migrations()))
    return database


def row(hour: int, *, symbol: str = "BTC-USDC", source: str = "binance", close: float = 105.0) -> list[SqlValue]:
    return [symbol, 1_699_999_200 + hour * 3600, "1h", 100.0, 110.0, 90.0, close, 1.5, None, source]


def stored(database: LocalDatabase, hours: list[int], **changes: Any) -> None:
    database.batch([Statement(STORE, row(hour, **changes)) for hour in hours])


def value(database: LocalDatabase, sql: str, *params: SqlValue) -> SqlValue:
    return database.execute(sql, params)[0].rows[0][0]
