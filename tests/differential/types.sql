CREATE TABLE a (i INTEGER, t TEXT, r REAL, n NUMERIC, b BLOB, x)

INSERT INTO a VALUES ('1', 1, 1, '1', 1, 1), ('1.5', 1.5, '1.5', '1.50', 1.5, 1.5), ('abc', x'61', 'abc', 'abc', 'abc', 'abc')

SELECT typeof(i), typeof(t), typeof(r), typeof(n), typeof(b), typeof(x), i, t, r, n, b, x FROM a

--# numbers as parameters are doubles
--? [1, 1.5, "1", null]
SELECT typeof(?), typeof(?), typeof(?), typeof(?)

--# a whole number as parameter meets each affinity
--? [7, 7, 7, 7, 7, 7]
INSERT INTO a VALUES (?, ?, ?, ?, ?, ?)

SELECT typeof(i), typeof(t), typeof(r), typeof(n), typeof(b), typeof(x), t, x FROM a WHERE i = 7

--# a large integer as parameter
--? [9007199254740991, -9007199254740991]
SELECT ?, ?, typeof(?1)

--# a timestamp as parameter is found in an INTEGER column
--? [7]
SELECT count(*) FROM a WHERE i = ?

--# text that looks like a number is found in an INTEGER column
--? ["7"]
SELECT count(*) FROM a WHERE i = ?

--# text that looks like a number is not equal to a bare number
--? ["7"]
SELECT 7 = ?, '7' = ?1, cast(7 AS TEXT) = ?1

SELECT cast('12abc' AS INTEGER), cast('abc' AS INTEGER), cast('1e3' AS INTEGER), cast(1.9 AS INTEGER), cast(-1.9 AS INTEGER)

SELECT cast('1e3' AS REAL), cast('0x10' AS INTEGER), cast('  42  ' AS INTEGER), cast('9223372036854775808' AS INTEGER)

SELECT cast(x'3132' AS INTEGER), cast(x'3132' AS TEXT), cast('ab' AS BLOB), cast(1 AS TEXT), cast(1.0 AS TEXT)

SELECT cast('12' AS NUMERIC), cast('12.0' AS NUMERIC), cast('1e400' AS NUMERIC), typeof(cast('12.0' AS NUMERIC))

SELECT typeof(cast(NULL AS INTEGER)), cast(NULL AS TEXT), cast('' AS INTEGER), cast('' AS REAL), cast('' AS NUMERIC)

SELECT 1 = 1.0, '1' = 1, 1 < 'a', 'a' < x'00', NULL = NULL, NULL IS NULL, 1 IS NOT NULL

SELECT max(1, 'a', x'00'), min(1, 'a', x'00', -1), max(1, NULL)

SELECT i, typeof(i) FROM a ORDER BY i DESC

CREATE TABLE declared (a VARCHAR(10), b DECIMAL(10,5), c DATETIME, d BOOLEAN, e DOUBLE PRECISION, f BIGINT, g CHARINT, h FLOATING POINT)

INSERT INTO declared VALUES (1, '1.5', '2024-01-01', TRUE, 1, 1.0, '1', '1')

SELECT typeof(a), typeof(b), typeof(c), typeof(d), typeof(e), typeof(f), typeof(g), typeof(h) FROM declared

SELECT * FROM declared

SELECT true, false, typeof(true), true IS TRUE, 2 IS TRUE, 0 IS FALSE, NULL IS TRUE, 'abc' IS TRUE

SELECT 0x7fffffffffffffff, 0xffffffffffffffff, 0x10

SELECT 1_000_000

SELECT name, typeof(a) FROM (SELECT 'x' AS name, 1 AS a UNION ALL SELECT 'y', '1' UNION ALL SELECT 'z', NULL)
