CREATE TABLE n (a, b UNIQUE)

INSERT INTO n VALUES (NULL, NULL), (NULL, NULL), (1, 2)

SELECT count(*), count(a), sum(a), avg(a), max(a), min(a), total(a) FROM n

SELECT sum(a), total(a), count(a), avg(a), group_concat(a) FROM n WHERE 0

SELECT NULL + 1, NULL || 'a', NULL AND 0, NULL AND 1, NULL OR 1, NOT NULL, NULL IN (1, 2), 1 IN (NULL), 1 NOT IN (2, NULL)

SELECT coalesce(NULL, NULL, 3), ifnull(NULL, 'x'), nullif(1, 1), nullif(1, 2), iif(NULL, 1, 2)

SELECT a FROM n ORDER BY a

SELECT a FROM n ORDER BY a DESC NULLS FIRST

SELECT a FROM n ORDER BY a ASC NULLS LAST

SELECT DISTINCT a FROM n

SELECT a, count(*) FROM n GROUP BY a ORDER BY a

SELECT count(*) FROM n WHERE a IS NOT DISTINCT FROM NULL

--# null as parameter
--? [null, null]
SELECT ?, ? IS NULL, typeof(?1)

--# comparing with a null parameter finds nothing
--? [null]
SELECT * FROM n WHERE a = ?

SELECT length(NULL), upper(NULL), abs(NULL), round(NULL), substr(NULL, 1), replace(NULL, 'a', 'b'), hex(NULL), quote(NULL)

SELECT NULL UNION SELECT NULL

SELECT (SELECT a FROM n WHERE 0) IS NULL, EXISTS (SELECT 1 FROM n WHERE 0)

SELECT NULL BETWEEN 1 AND 2, 1 BETWEEN NULL AND 2, 3 BETWEEN NULL AND 2

SELECT CASE NULL WHEN NULL THEN 'same' ELSE 'other' END, CASE WHEN NULL THEN 1 END

SELECT NULL LIKE 'a', 'a' LIKE NULL, NULL GLOB '*'
