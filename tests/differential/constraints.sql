CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL, b INTEGER CHECK (b > 0), c INTEGER CONSTRAINT small CHECK (c < 100), u UNIQUE, x, y, UNIQUE (x, y))

INSERT INTO t (a, b, u) VALUES ('ok', 1, 1)

INSERT INTO t (a) VALUES (NULL)

INSERT INTO t (b) VALUES (1)

INSERT INTO t (a, b) VALUES ('x', 0)

INSERT INTO t (a, c) VALUES ('x', 100)

INSERT INTO t (a, u) VALUES ('x', 1)

INSERT INTO t (a, x, y) VALUES ('x', 1, 2), ('y', 1, 2)

INSERT INTO t (id, a) VALUES (1, 'again')

INSERT INTO t (id, a) VALUES ('text', 'again')

UPDATE t SET a = NULL

UPDATE t SET b = -1

INSERT OR IGNORE INTO t (a) VALUES (NULL)

INSERT OR IGNORE INTO t (a, b) VALUES ('x', -1)

INSERT INTO t (a, b) VALUES ('x', -1) ON CONFLICT DO NOTHING

INSERT INTO t (a, b) VALUES (NULL, 1) ON CONFLICT DO NOTHING

INSERT OR REPLACE INTO t (a) VALUES (NULL)

CREATE UNIQUE INDEX u_expr ON t (lower(a))

INSERT INTO t (a) VALUES ('OK')

CREATE TABLE d (a NOT NULL DEFAULT 'dflt', b DEFAULT 5, c DEFAULT (1 + 1), d DEFAULT NULL, e DEFAULT -1.5, f DEFAULT x'00')

INSERT INTO d DEFAULT VALUES RETURNING *

INSERT OR REPLACE INTO d (a) VALUES (NULL) RETURNING a

CREATE TABLE s (a INTEGER, b TEXT, c REAL, d BLOB, e ANY, f INT) STRICT

INSERT INTO s VALUES (1, 'a', 1.5, x'00', 'any', 2)

INSERT INTO s (a) VALUES ('abc')

INSERT INTO s (a) VALUES ('12') RETURNING typeof(a)

INSERT INTO s (a) VALUES (1.5)

INSERT INTO s (b) VALUES (12) RETURNING typeof(b), b

INSERT INTO s (b) VALUES (x'00')

INSERT INTO s (c) VALUES (1) RETURNING typeof(c)

INSERT INTO s (d) VALUES ('text')

INSERT INTO s (e) VALUES ('007') RETURNING e, typeof(e)

--# a whole parameter goes into a STRICT integer column
--? [5]
INSERT INTO s (a) VALUES (?) RETURNING typeof(a)

--# a fraction does not go into a STRICT integer column
--? [5.5]
INSERT INTO s (a) VALUES (?)

CREATE TABLE s2 (a DATETIME) STRICT

CREATE TABLE s3 (a) STRICT

CREATE TABLE w (a TEXT, b INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID

INSERT INTO w VALUES ('x', 1), ('x', 2)

INSERT INTO w VALUES ('x', 1)

INSERT INTO w VALUES (NULL, 1)

SELECT rowid FROM w

UPDATE w SET b = b + 10

DELETE FROM w WHERE a = 'x' AND b = 11

CREATE TABLE w2 (a) WITHOUT ROWID

CREATE TABLE w3 (a INTEGER PRIMARY KEY AUTOINCREMENT) WITHOUT ROWID

CREATE TABLE w4 (a INTEGER PRIMARY KEY, b TEXT) WITHOUT ROWID, STRICT

INSERT INTO w4 VALUES (1, 'one'), (2, 'two')

INSERT INTO w4 (b) VALUES ('three')

CREATE TABLE two (a PRIMARY KEY, b PRIMARY KEY)

CREATE TABLE ai (a TEXT PRIMARY KEY AUTOINCREMENT)

CREATE TABLE chk (a, b, CHECK (a < b))

INSERT INTO chk VALUES (2, 1)

INSERT INTO chk VALUES (NULL, 1)

PRAGMA ignore_check_constraints = on

--# a pragma is forgotten after the call
INSERT INTO chk VALUES (3, 1)

PRAGMA ignore_check_constraints = off

--# check constraints ignored within the text
PRAGMA ignore_check_constraints = on; INSERT INTO chk VALUES (4, 1); PRAGMA ignore_check_constraints = off;

CREATE TABLE sub (a CHECK (a IN (SELECT 1)))

CREATE TABLE gen (a INTEGER, b INTEGER GENERATED ALWAYS AS (a * 2) STORED, c TEXT AS ('v' || a) VIRTUAL UNIQUE, d AS (b + 1))

INSERT INTO gen (a) VALUES (1), (2) RETURNING *

INSERT INTO gen (a, b) VALUES (1, 2)

UPDATE gen SET a = 10 WHERE a = 1 RETURNING b, c, d

UPDATE gen SET b = 1

INSERT INTO gen (a) VALUES (2)

SELECT * FROM gen WHERE c = 'v2'

INSERT INTO gen VALUES (7)

CREATE TABLE gen2 (a AS (a + 1))

CREATE TABLE gen3 (a AS (1))

CREATE TABLE gen4 (a, b AS (random()) STORED)

INSERT INTO t (a, b) VALUES ('e1', 'text')

CREATE TABLE conflict_clause (a UNIQUE ON CONFLICT REPLACE, b NOT NULL ON CONFLICT IGNORE)

INSERT INTO conflict_clause VALUES (1, 1), (1, 2), (2, NULL)

SELECT * FROM conflict_clause
