SELECT date(0, 'unixepoch'), time(0, 'unixepoch'), datetime(0, 'unixepoch'), julianday('2000-01-01'), unixepoch('2000-01-01')

SELECT date('2024-02-29', '+1 year'), date('2024-01-31', '+1 month'), date('2024-03-31', '-1 month'), date('2024-01-01', '-1 day')

SELECT date('2024-05-15', 'start of month'), date('2024-05-15', 'start of year'), datetime('2024-05-15 13:14:15', 'start of day'), date('2024-05-15', 'weekday 0')

SELECT strftime('%Y-%m-%dT%H:%M:%SZ', 1700000000, 'unixepoch'), strftime('%s', '2023-11-14 22:13:20'), strftime('%j %w %W %f %J', '2024-05-15 12:00:00.5')

SELECT strftime('%e %k %I %l %p %P %R %T %u %F', '2024-05-15 13:14:15')

SELECT strftime('%G %g %U %V', '2024-05-15 13:14:15')

SELECT strftime('%Q', '2024-05-15'), strftime('100%%', '2024-05-15'), strftime('', '2024-05-15')

SELECT datetime('2024-05-15T13:14:15Z'), datetime('2024-05-15T13:14:15+02:00'), datetime('2024-05-15 13:14'), time('13:14:15.678'), datetime(2460000.5)

SELECT date('not a date'), date('2024-13-01'), time('25:00'), date('2024-5-1'), date(''), date(NULL)

SELECT date('2024-02-30')

SELECT datetime(1700000000, 'auto'), datetime(2460000.5, 'auto'), datetime(1700000000.75, 'unixepoch'), datetime('1700000000', 'unixepoch')

SELECT datetime(1700000000, 'unixepoch', 'subsec'), unixepoch('2024-01-01', 'subsec')

SELECT datetime(-1, 'unixepoch'), datetime(253402300799, 'unixepoch'), datetime(253402300800, 'unixepoch')

SELECT unixepoch('2024-05-15', '+1 hours', '+30 minutes', '+15 seconds'), datetime('2024-05-15', '+1.5 days'), datetime('2024-05-15', '01:30')

SELECT date('2024-05-15', 'nonsense')

SELECT timediff('2024-05-15', '2023-04-10')

SELECT date('2024-01-31', '+1 month', 'floor'), date('2024-01-31', '+1 month', 'ceiling')

SELECT typeof(unixepoch()), typeof(julianday('now')), length(CURRENT_TIMESTAMP), length(CURRENT_DATE), length(CURRENT_TIME), length(datetime('now')), unixepoch() = unixepoch('now')

SELECT unixepoch('now') > 1700000000, date('now') = CURRENT_DATE, datetime('now', 'utc') IS NOT NULL, datetime('now', 'localtime') = datetime('now')

--# a timestamp in seconds as parameter
--? [1700000000]
SELECT datetime(?, 'unixepoch'), date(?1, 'unixepoch')

--# a timestamp in milliseconds divided
--? [1700000000123]
SELECT datetime(? / 1000, 'unixepoch'), strftime('%f', ?1 / 1000.0, 'unixepoch')

CREATE TABLE stamped (id INTEGER PRIMARY KEY, at TEXT DEFAULT CURRENT_TIMESTAMP, day DEFAULT CURRENT_DATE, ts INTEGER DEFAULT (unixepoch()))

INSERT INTO stamped (id) VALUES (1) RETURNING length(at), length(day), typeof(ts)

SELECT strftime('%Y-%m', ts, 'unixepoch') = strftime('%Y-%m', 'now'), julianday(at) <= julianday('now') FROM stamped

SELECT value, date(value, 'unixepoch') FROM json_each('[0, 86399, 86400, 951782400, 4107542400]')

CREATE INDEX by_now ON stamped (date('now'))

CREATE INDEX by_day ON stamped (date(ts, 'unixepoch'))

CREATE TABLE due (a CHECK (a > date('now')))

INSERT INTO due VALUES ('9999-01-01')
