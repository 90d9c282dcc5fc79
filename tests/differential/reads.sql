CREATE TABLE candles (symbol TEXT, timeframe TEXT, source TEXT, ts INTEGER, close REAL, PRIMARY KEY (symbol, timeframe, source, ts)) WITHOUT ROWID

CREATE TABLE original (id INTEGER PRIMARY KEY AUTOINCREMENT, symbol TEXT NOT NULL, ts INTEGER NOT NULL, close REAL, UNIQUE (symbol, ts)); CREATE INDEX by_ts ON original (ts DESC);

--# five hundred rows
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 499) INSERT INTO candles SELECT CASE i % 5 WHEN 0 THEN 'A' WHEN 1 THEN 'B' WHEN 2 THEN 'C' WHEN 3 THEN 'D' ELSE 'E' END, '1h', 'binance', i / 5 * 3600, i FROM n

--# the same rows in the original's table
INSERT INTO original (symbol, ts, close) SELECT symbol, ts, close FROM candles

SELECT count(*) FROM candles

SELECT count(*) FROM candles WHERE symbol = 'A'

SELECT * FROM candles WHERE symbol = 'A' AND timeframe = '1h' AND source = 'binance' AND ts = 3600

SELECT max(ts) FROM candles WHERE symbol = 'A' AND timeframe = '1h' AND source = 'binance'

SELECT symbol, timeframe, source, count(*), min(ts), max(ts) FROM candles GROUP BY 1, 2, 3

SELECT ts, close FROM candles WHERE symbol = 'B' AND timeframe = '1h' AND source = 'binance' ORDER BY ts DESC LIMIT 3

SELECT sum(close) FROM candles WHERE close > 400

SELECT symbol FROM candles LIMIT 5

SELECT * FROM original WHERE id = 7

SELECT id FROM original WHERE symbol = 'C' AND ts BETWEEN 3600 AND 36000

SELECT close FROM original ORDER BY ts DESC LIMIT 2

SELECT close FROM original ORDER BY close DESC LIMIT 2

SELECT count(*), max(ts) FROM original

SELECT max(ts) FROM original

SELECT DISTINCT symbol FROM candles

SELECT EXISTS (SELECT 1 FROM candles WHERE symbol = 'E')

SELECT count(*) FROM candles AS c JOIN original AS o ON o.symbol = c.symbol AND o.ts = c.ts

--# inserting rows that are all there
INSERT INTO candles SELECT symbol, '1h', 'binance', ts, 0 FROM original WHERE ts < 36000 ON CONFLICT DO NOTHING

--# inserting one row that is there
INSERT INTO candles VALUES ('A', '1h', 'binance', 3600, 0) ON CONFLICT (symbol, timeframe, source, ts) DO NOTHING

--# inserting one new row
INSERT INTO candles VALUES ('A', '1h', 'binance', 9999999, 0) ON CONFLICT (symbol, timeframe, source, ts) DO NOTHING

INSERT OR IGNORE INTO original (symbol, ts, close) VALUES ('A', 3600, 0), ('Z', 1, 1)

UPDATE original SET close = 0 WHERE symbol = 'A'

UPDATE original SET ts = ts + 1 WHERE symbol = 'B' AND ts < 36000

DELETE FROM original WHERE ts < 36000

DELETE FROM candles WHERE symbol = 'E'

DELETE FROM candles
