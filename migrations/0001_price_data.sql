-- One row a candle; timestamp is the bucket's open in unix seconds, volumes are NULL where a source has none.
-- The key is the table itself (WITHOUT ROWID): a stored candle is one billed row, and a series lies together in time
-- order. Its columns stand first: SQLite up to 3.40 otherwise takes them for NULL in PRAGMA integrity_check.
-- A database that already holds the table is left as it is.
CREATE TABLE IF NOT EXISTS price_data (
    symbol TEXT NOT NULL,
    timeframe TEXT NOT NULL,
    source TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    open REAL NOT NULL,
    high REAL NOT NULL,
    low REAL NOT NULL,
    close REAL NOT NULL,
    volume_from REAL,
    volume_to REAL,
    PRIMARY KEY (symbol, timeframe, source, timestamp)
) WITHOUT ROWID;
