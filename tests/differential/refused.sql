CREATE TABLE t (a)

BEGIN

BEGIN TRANSACTION

begin immediate

COMMIT

END

ROLLBACK

SAVEPOINT x

RELEASE x

ROLLBACK TO x

--# a transaction in one text
BEGIN; INSERT INTO t VALUES (1); COMMIT;

SELECT count(*) FROM t

--# a comment does not hide BEGIN
/* sneaky */ BEGIN

EXPLAIN BEGIN

VACUUM

VACUUM INTO 'copied.db'

ATTACH 'x.db' AS y

ATTACH ':memory:' AS y

ATTACH DATABASE 'x.db' AS y

DETACH y

DETACH main

CREATE TEMP TABLE x (a)

CREATE TEMPORARY TABLE x (a)

CREATE TABLE temp.x (a)

CREATE TEMP VIEW x AS SELECT 1

CREATE TEMP TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END

CREATE INDEX temp.i ON t (a)

SELECT sqlite_version()

SELECT sqlite_source_id()

SELECT sqlite_compileoption_used('X')

SELECT sqlite_compileoption_get(1)

SELECT load_extension('x')

SELECT sqlite_offset(a) FROM t

SELECT fts3_tokenizer('simple')

SELECT readfile('/etc/passwd')

SELECT writefile('x', 'y')

SELECT edit('x')

SELECT sqlite_log(1, 'x')

SELECT affinity(1)

SELECT subtype('x')

SELECT unistr('x')

SELECT sha3('x')

SELECT regexp('a', 'b')

SELECT rtreenode(2, x'00')

SELECT rtreedepth(x'00')

SELECT json_nope('x')

SELECT icu_load_collation('a', 'b')

SELECT fts5(NULL)

SELECT fts5_source_id()

SELECT load_extension('x', 'y')

SELECT parse_create_index('x', 1)

SELECT sqlite_rename_table('a', 'b', 'c', 'd', 'e', 'f', 'g')

SELECT geopoly_area('x')

SELECT sqlite_unsupported_offset(1)

SELECT * FROM sqlite_dbpage

SELECT * FROM bytecode('SELECT 1')

SELECT * FROM carray(1, 2)

SELECT * FROM completion('SEL')

CREATE TABLE _cf_mine (a)

CREATE TABLE _CF_MINE (a)

CREATE TABLE "_cf_quoted" (a)

CREATE TABLE _cfx (a)

CREATE INDEX _cf_i ON t (a)

CREATE VIEW _cf_v AS SELECT 1

CREATE TABLE to_rename (a)

ALTER TABLE to_rename RENAME TO _cf_renamed

CREATE TABLE to_rename_with_a_comment (a)

ALTER TABLE t ADD COLUMN _cf_column

SELECT * FROM _cf_METADATA

SELECT * FROM _cf_nothing

INSERT INTO _cf_METADATA VALUES (1, 2)

DELETE FROM _cf_METADATA

UPDATE _cf_METADATA SET value = 1

DROP TABLE _cf_METADATA

SELECT 1 AS _cf_alias

SELECT _cf_x.a FROM t AS _cf_x

WITH _cf_w AS (SELECT 1) SELECT * FROM _cf_w

SELECT count(*) FROM sqlite_master WHERE name = 't'

INSERT INTO temp.t VALUES (1)

CREATE TABLE x AS SELECT sqlite_version()

CREATE VIEW with_refused AS SELECT sqlite_version() AS v

SELECT * FROM with_refused

CREATE TABLE refused_default (a DEFAULT (sqlite_version()))

CREATE TABLE refused_check (a CHECK (a <> sqlite_version()))

CREATE INDEX refused_index ON t (sqlite_version())

SELECT a FROM t ORDER BY sqlite_version()

GRANT ALL ON t TO me

SHOW TABLES

DESCRIBE t

SET x = 1

CALL x()

TRUNCATE t

CREATE DATABASE x

CREATE FUNCTION f() RETURNS 1

USE main

.tables

EXPLAIN QUERY PLAN BEGIN

EXPLAIN QUERY PLAN COMMIT

EXPLAIN /* a comment */ SAVEPOINT x

ALTER TABLE to_rename_with_a_comment RENAME/* a comment */TO _cf_commented

--# a NUL character before the statement
{{\u0000*1}}SELECT 1

--# a NUL character behind the statement
SELECT 1{{\u0000*1}}

--# a NUL character between two statements
SELECT 1;{{\u0000*1}}SELECT 2

--# a NUL character and more text
SELECT 1 {{\u0000*1}} garbage

--# a NUL character in a comment
SELECT 1 -- x{{\u0000*1}}y

--# a NUL character in a string
SELECT 'a{{\u0000*1}}b'

--# a NUL character in a word
SEL{{\u0000*1}}ECT 1

--# a NUL character behind a table that is not there
SELECT * FROM nowhere{{\u0000*1}}

--# a NUL character behind a pragma
PRAGMA page_count{{\u0000*1}}
