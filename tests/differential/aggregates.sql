CREATE TABLE c (symbol TEXT, ts INTEGER, close REAL)

INSERT INTO c VALUES ('A', 1, 10), ('A', 2, 12), ('A', 3, 11), ('B', 1, 5), ('B', 2, NULL), ('B', 4, 7.5)

SELECT symbol, count(*), count(close), sum(close), avg(close), min(close), max(close), total(close) FROM c GROUP BY symbol

SELECT symbol, max(ts), close FROM c GROUP BY symbol

SELECT symbol FROM c GROUP BY symbol HAVING count(close) > 2

SELECT symbol, close FROM c GROUP BY symbol ORDER BY 1

SELECT count(DISTINCT symbol), sum(DISTINCT ts), group_concat(DISTINCT symbol) FROM c

SELECT count(*) FROM c

SELECT count(*) FROM c WHERE symbol = 'A'

SELECT max(ts) FROM c

SELECT min(ts), max(ts) FROM c

SELECT symbol, ts, row_number() OVER (PARTITION BY symbol ORDER BY ts) AS n FROM c

SELECT symbol, ts, lag(close) OVER w, lead(close, 1, -1) OVER w, first_value(close) OVER w, last_value(close) OVER w FROM c WINDOW w AS (PARTITION BY symbol ORDER BY ts)

SELECT ts, avg(close) OVER (ORDER BY ts ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM c WHERE symbol = 'A'

SELECT ts, sum(close) OVER (ORDER BY ts RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW), sum(close) OVER (ORDER BY ts GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW) FROM c

SELECT ts, rank() OVER (ORDER BY ts), dense_rank() OVER (ORDER BY ts), percent_rank() OVER (ORDER BY ts), cume_dist() OVER (ORDER BY ts), ntile(2) OVER (ORDER BY ts), nth_value(ts, 2) OVER (ORDER BY ts) FROM c

SELECT ts, count(*) FILTER (WHERE close > 9) OVER (ORDER BY ts) FROM c

SELECT row_number() FROM c

SELECT sum(close) OVER missing FROM c

SELECT ts FROM c WHERE row_number() OVER () = 1

SELECT ts FROM c WHERE sum(close) > 1

SELECT sum(max(close)) FROM c

SELECT symbol, ts, ts - lag(ts) OVER (PARTITION BY symbol ORDER BY ts) AS step FROM c ORDER BY symbol, ts

--# gaps in a series
WITH d AS (SELECT symbol, ts, lead(ts) OVER (PARTITION BY symbol ORDER BY ts) AS next FROM c) SELECT symbol, ts, next FROM d WHERE next - ts > 1

SELECT symbol, group_concat(ts, ',') FROM (SELECT * FROM c ORDER BY ts DESC) GROUP BY symbol

SELECT ntile(0) OVER () FROM c

SELECT nth_value(ts, 0) OVER () FROM c

SELECT median(ts) FROM c

SELECT percentile(ts, 50) FROM c

SELECT sum(close) FROM c WHERE symbol = 'none'

SELECT symbol, sum(close) FROM c WHERE symbol = 'none' GROUP BY symbol

SELECT avg(ts) FILTER (WHERE ts > 1), string_agg(symbol, '') FROM c

SELECT ts, count(*) FROM c GROUP BY ts ORDER BY count(*) DESC, ts LIMIT 2

SELECT round(sum((close - 9.1) * (close - 9.1)), 6), round(sqrt(avg(close * close)), 6) FROM c
