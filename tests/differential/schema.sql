CREATE TABLE t (a, b, c)

CREATE TABLE t (a)

CREATE TABLE IF NOT EXISTS t (a)

CREATE TABLE "odd name" ("a b" TEXT, 'q' INTEGER, [br] REAL, `bt`)

INSERT INTO "odd name" VALUES ('x', 1, 2.5, NULL)

SELECT * FROM "odd name"

CREATE TABLE dup (a, a)

CREATE TABLE nothing ()

CREATE TABLE copied AS SELECT 1 AS x, 'y' AS y UNION ALL SELECT 2, 'z'

SELECT * FROM copied

CREATE TABLE a100 (c{{0, c1*1}}) -- two columns

--# a hundred columns
CREATE TABLE columns100 (a INTEGER{{, b*0}}, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19, c20, c21, c22, c23, c24, c25, c26, c27, c28, c29, c30, c31, c32, c33, c34, c35, c36, c37, c38, c39, c40, c41, c42, c43, c44, c45, c46, c47, c48, c49, c50, c51, c52, c53, c54, c55, c56, c57, c58, c59, c60, c61, c62, c63, c64, c65, c66, c67, c68, c69, c70, c71, c72, c73, c74, c75, c76, c77, c78, c79, c80, c81, c82, c83, c84, c85, c86, c87, c88, c89, c90, c91, c92, c93, c94, c95, c96, c97, c98, c99)

--# a hundred and one columns
CREATE TABLE columns101 (a INTEGER, c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19, c20, c21, c22, c23, c24, c25, c26, c27, c28, c29, c30, c31, c32, c33, c34, c35, c36, c37, c38, c39, c40, c41, c42, c43, c44, c45, c46, c47, c48, c49, c50, c51, c52, c53, c54, c55, c56, c57, c58, c59, c60, c61, c62, c63, c64, c65, c66, c67, c68, c69, c70, c71, c72, c73, c74, c75, c76, c77, c78, c79, c80, c81, c82, c83, c84, c85, c86, c87, c88, c89, c90, c91, c92, c93, c94, c95, c96, c97, c98, c99)

--# a hundred and one result columns
SELECT 1{{, 1*100}}

ALTER TABLE t ADD COLUMN d INTEGER DEFAULT 7

ALTER TABLE t ADD COLUMN e TEXT DEFAULT CURRENT_TIMESTAMP

INSERT INTO t (a) VALUES (1)

ALTER TABLE t ADD COLUMN f DEFAULT (random())

ALTER TABLE t ADD COLUMN g NOT NULL

ALTER TABLE t ADD COLUMN h UNIQUE

ALTER TABLE t ADD COLUMN i PRIMARY KEY

ALTER TABLE t ADD COLUMN j AS (a + 1)

ALTER TABLE t ADD COLUMN k AS (a + 1) STORED

ALTER TABLE t ADD COLUMN a

ALTER TABLE t RENAME COLUMN b TO bb

ALTER TABLE t RENAME COLUMN nothing TO x

ALTER TABLE t RENAME COLUMN c TO bb

ALTER TABLE t DROP COLUMN c

ALTER TABLE t DROP COLUMN nothing

SELECT a, bb, d, length(e), j FROM t

ALTER TABLE t RENAME TO u

ALTER TABLE t RENAME TO v

ALTER TABLE u RENAME TO copied

ALTER TABLE u RENAME TO "with space"

ALTER TABLE "with space" RENAME TO u

ALTER TABLE u ALTER COLUMN a SET NOT NULL

CREATE INDEX i1 ON u (a)

CREATE INDEX i1 ON u (bb)

CREATE INDEX IF NOT EXISTS i1 ON u (bb)

CREATE INDEX i2 ON u (nothing)

CREATE INDEX i3 ON nowhere (a)

CREATE UNIQUE INDEX i4 ON u (a, bb DESC) WHERE a > 0

CREATE INDEX i5 ON u (a + 1, lower(bb))

CREATE INDEX i6 ON u (random())

INSERT INTO u (a, bb) VALUES (2, 'B'), (-2, 'C')

INSERT INTO u (a, bb) VALUES (2, 'B')

UPDATE u SET a = 3 WHERE bb = 'B'

SELECT bb FROM u WHERE a + 1 = 4

SELECT bb FROM u WHERE a = 3

SELECT a FROM u INDEXED BY i1 WHERE a > 0

ALTER TABLE u DROP COLUMN a

DROP INDEX i1

DROP INDEX i1

DROP INDEX IF EXISTS i1

REINDEX

REINDEX u

ANALYZE

ANALYZE u

SELECT tbl, idx FROM sqlite_stat1 ORDER BY 1, 2

CREATE VIEW v AS SELECT a, bb FROM u WHERE a > 0

SELECT * FROM v

CREATE VIEW v AS SELECT 1

CREATE VIEW IF NOT EXISTS v AS SELECT 1

CREATE VIEW v2 (x, y) AS SELECT 1, 2

SELECT x, y FROM v2

CREATE VIEW v3 AS SELECT * FROM nowhere

SELECT * FROM v3

INSERT INTO v VALUES (1, 2)

DELETE FROM v

UPDATE v SET a = 1

DROP VIEW v3

DROP VIEW v3

DROP TABLE v

DROP VIEW u

DROP TABLE u

DROP TABLE u

DROP TABLE IF EXISTS u

SELECT * FROM v

DROP TABLE sqlite_master

DROP TABLE sqlite_stat1

CREATE TABLE sqlite_mine (a)

INSERT INTO sqlite_master VALUES (1, 2, 3, 4, 5)

DELETE FROM sqlite_master

UPDATE sqlite_schema SET sql = ''

SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name IN ('copied', 'odd name', 'v2') ORDER BY name

SELECT count(*) FROM sqlite_schema WHERE name = 'copied'

SELECT * FROM sqlite_temp_master

CREATE TABLE main.qualified (a)

CREATE TABLE other.qualified (a)

CREATE TABLE key_words ("select" INTEGER, "order" TEXT)

SELECT "select", "order" FROM key_words

CREATE TABLE z (a PRIMARY KEY, b UNIQUE, c UNIQUE, UNIQUE (b, c))

CREATE TABLE z2 (a INTEGER PRIMARY KEY AUTOINCREMENT)

CREATE TABLE z3 (a TEXT PRIMARY KEY) WITHOUT ROWID

DROP TABLE z

DROP TABLE z2
