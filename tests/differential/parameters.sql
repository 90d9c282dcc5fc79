CREATE TABLE t (a, b)

--# parameters by position
--? [1.5, "x"]
SELECT ?, ?

--# numbered parameters, one of them twice
--? ["first", "second"]
SELECT ?2, ?1, ?2

--# numbered and plain parameters mixed
--? ["a", "b", "c"]
SELECT ?2, ?, ?1

--# a gap in the numbers counts
--? ["a", "b", "c"]
SELECT ?3

--# a gap in the numbers, with one value
--? ["a"]
SELECT ?3

--# too few parameters
--? [1]
SELECT ?, ?

--# too many parameters
--? [1, 2]
SELECT ?

--# parameters for a statement without
--? [1]
SELECT 1

--# no parameters for a statement with
SELECT ?

--# question marks in text and comments are none
--? ["x"]
SELECT '?', "?", ? -- ?

--# a parameter number of zero
--? [1]
SELECT ?0

--# a parameter number of a hundred
SELECT ?100

--# a parameter number of a hundred and one
SELECT ?101

--# named parameters with values
--? [1]
SELECT :name

--# named parameters without values
SELECT :name

--# an at sign without values
SELECT @name

--# a dollar sign without values
SELECT $name

--# the names of columns with parameters
--? [1, 2]
SELECT ?, ?2, ?1 + ?2 AS total

--# a hundred parameters
--? ["v"{{, "v"*99}}]
SELECT count(*) FROM (VALUES (?){{, (?)*99}})

--# a hundred and one parameters
--? ["v"{{, "v"*100}}]
SELECT count(*) FROM (VALUES (?){{, (?)*100}})

--# ten rows of ten parameters
--? [1{{, 1*99}}]
SELECT count(*), sum(column1) FROM (VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?){{, (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)*9}})

--# a parameter as a table's name
--? ["t"]
SELECT * FROM ?

--# a parameter as a column's name
--? ["a"]
SELECT ? FROM t

--# a parameter in a CREATE statement
--? [1]
CREATE TABLE p (a DEFAULT ?)

--# a parameter in a view
--? [1]
CREATE VIEW v AS SELECT ?

--# a parameter in a PRAGMA
--? ["t"]
PRAGMA table_info(?)

--# a parameter in ORDER BY is a constant
--? [1]
SELECT value FROM json_each('[2,1]') ORDER BY ?

--# a parameter in IN
--? ["a", "b"]
SELECT 'a' IN (?, ?)

--# a parameter in LIKE
--? ["a%"]
SELECT 'abc' LIKE ?

--# SQL in a parameter is only text
--? ["'; DROP TABLE t; --"]
INSERT INTO t (a) VALUES (?) RETURNING a

--# a very long text as parameter
--? ["{{x*100000}}"]
SELECT length(?)

--# parameters in an insert of several rows
--? [1, "a", 2, "b"]
INSERT INTO t VALUES (?, ?), (?, ?)

SELECT a, typeof(a), b FROM t ORDER BY rowid

--# parameters in a WITH
--? [3]
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT count(*) FROM n

--# text parameters that look like numbers, null and true
--? ["1", "1.0", "null", "true", ""]
SELECT typeof(?), typeof(?), typeof(?), typeof(?), typeof(?)

--# parameters with EXPLAIN QUERY PLAN
--? [1]
EXPLAIN QUERY PLAN SELECT * FROM t WHERE rowid = ?

--# a parameter for JSON
--? ["{\"a\":[1,2]}", "$.a[1]"]
SELECT json_extract(?, ?)
