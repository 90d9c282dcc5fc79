CREATE TABLE b (a INTEGER PRIMARY KEY, v TEXT)

--# a batch gives one result a statement
INSERT INTO b VALUES (1, 'x')
--+
--? [2, "y"]
INSERT INTO b VALUES (?, ?)
--+
SELECT * FROM b ORDER BY a
--+
UPDATE b SET v = v || '!' RETURNING v
--+
DELETE FROM b WHERE a = 1

--# a failing statement undoes the batch
INSERT INTO b VALUES (10, 'ten')
--+
INSERT INTO b VALUES (2, 'again')
--+
INSERT INTO b VALUES (11, 'eleven')

SELECT group_concat(a) FROM b

--# a syntax error undoes the batch
INSERT INTO b VALUES (20, 'x')
--+
INSRT INTO b VALUES (21, 'x')

--# a missing table undoes the batch
DELETE FROM b
--+
SELECT * FROM nowhere

--# a wrong number of parameters undoes the batch
INSERT INTO b VALUES (30, 'x')
--+
--? [1]
INSERT INTO b VALUES (?, ?)

SELECT * FROM b

--# tables created earlier in the batch can be used
CREATE TABLE made (x)
--+
INSERT INTO made VALUES (1), (2)
--+
SELECT count(*) FROM made

--# creating a table is undone as well
CREATE TABLE undone (x)
--+
INSERT INTO nowhere VALUES (1)

SELECT count(*) FROM sqlite_master WHERE name = 'undone'

--# a dropped table is back after a failure
DROP TABLE made
--+
SELECT * FROM made

SELECT count(*) FROM made

--# changes and last row id within a batch
INSERT INTO b VALUES (40, 'x')
--+
SELECT changes(), last_insert_rowid()
--+
SELECT 1
--+
INSERT INTO b VALUES (41, 'x'), (42, 'x')

--# the same statement with other parameters
--? [50, "p"]
INSERT INTO b VALUES (?, ?)
--+
--? [51, "q"]
INSERT INTO b VALUES (?, ?)
--+
--? [50]
SELECT v FROM b WHERE a = ?
--+
--? [51]
SELECT v FROM b WHERE a = ?

--# several statements in one text
INSERT INTO b VALUES (60, 'a'); INSERT INTO b VALUES (61, 'b'); SELECT count(*) FROM b WHERE a >= 60;

--# a failure undoes the whole text
INSERT INTO b VALUES (70, 'a'); INSERT INTO b VALUES (70, 'b'); SELECT 1

SELECT count(*) FROM b WHERE a = 70

--# several statements in one text, and the last is a comment
INSERT INTO b VALUES (80, 'a'); -- that was all

--# comments between statements
/* first */ SELECT 1; -- one
/* second; */ SELECT 2 -- two; still two
;

--# semicolons in text, names and comments
SELECT ';' AS ";", 1 /* ; */ -- ;
; SELECT 'a;b'

--# empty statements between others
; ; SELECT 1 ; ; SELECT 2 ; ;

--# one statement with a semicolon
SELECT 1;

--# space after the semicolon
SELECT 1;  {{\n*3}}

--# a comment alone
-- nothing

--# a block comment alone
/* nothing */

--# an empty text

--# space alone
{{ *5}}

--# a semicolon alone
;

--# a comment before a statement
-- why
SELECT 1

--# a comment that never ends
SELECT 1 /* and so on

--# several statements with a parameter
--? [1]
SELECT 1; SELECT ?

--# a statement and a comment with a parameter
--? [1]
SELECT ?; -- done

--# a trigger and what follows
CREATE TRIGGER tr AFTER INSERT ON b WHEN new.a > 1000 BEGIN UPDATE b SET v = CASE WHEN new.a > 2000 THEN 'big;' ELSE 'small' END WHERE a = new.a; SELECT 1; END; INSERT INTO b VALUES (2001, 'x'), (1001, 'y');

SELECT a, v FROM b WHERE a > 1000

--# a trigger in lower case with CRLF
create trigger tr2 after delete on b begin{{\r\n*1}}  select 1;{{\r\n*1}}end;{{\r\n*1}}select 1

--# a text that creates, fills and reads
CREATE TABLE IF NOT EXISTS fresh (a); INSERT INTO fresh VALUES (1); SELECT * FROM fresh

--# an update inside a batch after a failed one is fresh again
UPDATE b SET v = 'z' WHERE a = 2
--+
SELECT v FROM b WHERE a = 2

--# a deferred foreign key is mended within the batch
PRAGMA defer_foreign_keys = on
--+
CREATE TABLE child (a REFERENCES b (a))
--+
INSERT INTO child VALUES (777)
--+
INSERT INTO b VALUES (777, 'late')

SELECT count(*) FROM child
