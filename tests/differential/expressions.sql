SELECT 1 + 2 * 3, (1 + 2) * 3, 10 - 5 - 2, 2 || 3 + 1, -2 * -2, NOT 1 = 0, 1 = 1 = 1

SELECT 5 BETWEEN 1 AND 10, 5 NOT BETWEEN 1 AND 4, 3 IN (1, 2, 3), 3 NOT IN (), 1 IN (SELECT 1)

SELECT CASE 2 WHEN 1 THEN 'one' WHEN 2 THEN 'two' ELSE 'many' END, CASE WHEN 0 THEN 'a' END, iif(1, 'yes', 'no')

SELECT iif(0, 'a')

SELECT if(1, 'a', 'b')

SELECT EXISTS (SELECT 1), NOT EXISTS (SELECT 1), (SELECT 1, 2) = (1, 2)

SELECT (SELECT 1, 2)

SELECT 1, 2 WHERE 1 = 2

SELECT *

SELECT

SELECT 1 FROM

SELEC 1

SELECT 1 FROM nowhere

SELECT nothing

SELECT t.a FROM (SELECT 1 AS b) AS t

SELECT a FROM (SELECT 1 AS a), (SELECT 2 AS a)

SELECT 1 ORDER BY 2

SELECT 1 AS a ORDER BY a, 1

SELECT 1 GROUP BY 2

SELECT sum(1) + sum(sum(1))

SELECT 1 WHERE sum(1)

SELECT nofunction(1)

SELECT abs()

SELECT abs(1, 2)

SELECT count(1, 2)

SELECT 1 AS a HAVING a = 1

SELECT count(*) HAVING count(*) = 1

SELECT 1 = , 2

SELECT (1

SELECT 1)

SELECT 'a' 'b'

SELECT 1 2

SELECT @

SELECT #1

SELECT 1 # comment

SELECT 1; garbage

SELECT $$

SELECT 0x

SELECT 1e

SELECT 12abc

SELECT a.b.c.d

SELECT raise(ABORT, 'x')

SELECT * FROM json_each

SELECT 1 UNION SELECT 1, 2

VALUES (1, 2), (3, 4)

VALUES (1), (2, 3)

SELECT likely(1), unlikely(0), likelihood(1, 0.5), coalesce(1, 2), typeof(1)

SELECT likelihood(1, 2)

SELECT coalesce(1)

SELECT last_insert_rowid(), changes()

SELECT total_changes()

SELECT CAST(1 AS)

SELECT 1 AS from

SELECT 1 AS "from"

SELECT ALL 1

SELECT DISTINCT 1 FROM (SELECT 1 UNION ALL SELECT 1)

WITH x AS (SELECT 1) DELETE

INSERT INTO

UPDATE

DELETE FROM

CREATE

DROP TABLE

EXPLAIN

ALTER TABLE

WITH

REPLACE

PRAGMA

é

;;;

"quoted"

42

SELECT 1 COLLATE

SELECT (SELECT max(value) FROM json_each('[1,2]')) AS m, x.value FROM json_each('[3]') AS x

SELECT abs(-1) FILTER (WHERE 1)

SELECT count(*) FILTER (WHERE value > 1), sum(value) FILTER (WHERE value > 5) FROM json_each('[1,2,3]')

SELECT 1 ISNULL, NULL NOTNULL, 1 NOT NULL, 1 IS 1, 1 IS NOT 2, 1 <> 2, 1 != 2, 1 == 1

CREATE TABLE changed (a)

INSERT INTO changed VALUES (1), (2), (3)

--# changes() in the call after
SELECT changes()

--# changes() in the call itself
INSERT INTO changed VALUES (4), (5)
--+
SELECT changes()
