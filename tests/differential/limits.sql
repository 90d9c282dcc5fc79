CREATE TABLE t (a); CREATE TABLE big (id INTEGER PRIMARY KEY, a);

--# a statement of 99,999 bytes
SELECT '{{x*99990}}' = '' AS e

--# a statement of 100,001 bytes
SELECT '{{x*99983}}' = '' AS e

--# a statement of 100,100 bytes of two-byte characters
SELECT length('{{é*50043}}')

--# a statement just above the limit
SELECT '{{x*100000}}' = '' AS e

--# statements below the limit in a text above it
SELECT '{{x*60000}}' = ''; SELECT '{{y*60000}}' = '';

--# a text of one million characters as parameter
--? ["{{x*1000000}}"]
SELECT length(?)

--# a text of two million characters as parameter
--? ["{{x*2000000}}"]
SELECT length(?)

--# a text above two million characters as parameter
--? ["{{x*2000001}}"]
SELECT length(?)

--# a text of five million characters as parameter
--? ["{{x*5000000}}"]
SELECT length(?)

SELECT length(zeroblob(2000000))

SELECT length(zeroblob(2000001))

SELECT length(zeroblob(5000000))

SELECT length(randomblob(5000000))

SELECT length(replace(hex(zeroblob(500000)), '0', 'xx'))

SELECT length(replace(hex(zeroblob(2000000)), '0', 'xx'))

SELECT length(hex(zeroblob(1100000)))

INSERT INTO t SELECT zeroblob(2000000) WHERE 0

--# a row above two million bytes
INSERT INTO big VALUES (1, zeroblob(2000000))

INSERT INTO t VALUES (zeroblob(1999900))

SELECT count(*), length(a) FROM t

--# a pattern of 50 bytes
SELECT 'a' LIKE '{{x*50}}'

--# a pattern of 51 bytes
SELECT 'a' LIKE '{{x*51}}'

--# a GLOB pattern of 51 bytes
SELECT 'a' GLOB '{{x*51}}'

--# a pattern of 51 bytes as parameter
--? ["{{x*51}}"]
SELECT 'a' LIKE ?

--# a pattern of 26 two-byte characters
SELECT 'a' LIKE '{{é*26}}'

--# an expression 90 deep
SELECT {{1 + *89}}1

--# an expression 99 deep
SELECT {{1 + *98}}1

--# an expression 100 deep
SELECT {{1 + *99}}1

--# an expression 101 deep
SELECT {{1 + *100}}1

--# an expression 200 deep
SELECT {{1 + *199}}1

--# parentheses 50 deep
SELECT {{(*50}}1{{)*50}}

--# parentheses 200 deep
SELECT {{(*200}}1{{)*200}}

--# a hundred terms of OR
SELECT 1 WHERE 0{{ OR 1 = 2*97}}

--# 150 terms of OR
SELECT 1 WHERE 0{{ OR 1 = 2*150}}

--# an IN list of a thousand
SELECT 1 IN (0{{, 2*1000}})

--# 32 arguments of a function
SELECT max(1{{, 1*31}})

--# 33 arguments of a function
SELECT max(1{{, 1*32}})

--# 100 arguments of a function
SELECT max(1{{, 1*99}})

--# 127 arguments of a function
SELECT max(1{{, 1*126}})

--# 128 arguments of a function
SELECT max(1{{, 1*127}})

--# a join of eight tables
SELECT count(*) FROM (SELECT 1){{, (SELECT 1)*7}}

--# a join of 65 tables
SELECT count(*) FROM t{{, t AS x*64}}

--# five hundred rows of VALUES
SELECT count(*) FROM (VALUES (1){{, (1)*499}})

--# two thousand result rows
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT i FROM n

--# subqueries ten deep
SELECT {{(SELECT *10}}1{{)*10}}

--# subqueries a hundred deep
SELECT {{(SELECT *100}}1{{)*100}}

--# a CASE of sixty branches
SELECT CASE 60 {{WHEN 1 THEN 2 *60}}ELSE 3 END

--# views upon views
CREATE VIEW v1 AS SELECT 1 AS x; CREATE VIEW v2 AS SELECT x FROM v1; CREATE VIEW v3 AS SELECT x FROM v2; SELECT x FROM v3;

--# a long program
SELECT {{(SELECT count(*) FROM t WHERE a = 1 OR a = 2 OR a = 3), *400}}1

--# a very long program
SELECT 1 WHERE 1 IN ({{(SELECT count(*) FROM t WHERE a = 1), *1500}}1)

--# JSON nested a thousand deep
SELECT json_valid('{{[*1000}}{{]*1000}}')

--# JSON nested two thousand deep
SELECT json_valid('{{[*2001}}{{]*2001}}')

--# printf with a great width
SELECT length(printf('%1000000d', 1))

--# printf beyond the limit
SELECT length(printf('%3000000d', 1))

--# a name of a thousand characters
SELECT 1 AS {{x*1000}}

--# text built beyond the limit
SELECT length(group_concat('{{x*1000}}')) FROM (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) SELECT i FROM n)
