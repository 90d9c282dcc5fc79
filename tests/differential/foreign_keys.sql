CREATE TABLE parent (id INTEGER PRIMARY KEY, code TEXT UNIQUE)

CREATE TABLE child (id INTEGER PRIMARY KEY, pid INTEGER REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE, code TEXT REFERENCES parent (code) ON DELETE SET NULL)

INSERT INTO parent VALUES (1, 'a'), (2, 'b'), (3, 'c')

INSERT INTO child VALUES (1, 1, 'b'), (2, 1, NULL), (3, 2, 'c')

INSERT INTO child (pid) VALUES (99)

INSERT INTO child (pid) VALUES (NULL)

INSERT OR IGNORE INTO child (pid) VALUES (99)

UPDATE child SET pid = 99 WHERE id = 1

UPDATE parent SET id = 10 WHERE id = 1

DELETE FROM parent WHERE id = 10

SELECT * FROM child ORDER BY id

DELETE FROM parent WHERE code = 'c'

SELECT id, code FROM child ORDER BY id

CREATE TABLE strict_child (pid REFERENCES parent (id))

INSERT INTO strict_child VALUES (2)

DELETE FROM parent WHERE id = 2

UPDATE parent SET id = 20 WHERE id = 2

DROP TABLE parent

PRAGMA foreign_keys

PRAGMA foreign_keys = off

PRAGMA foreign_keys

--# switching foreign keys off does nothing
PRAGMA foreign_keys = off; INSERT INTO child (pid) VALUES (98);

--# deferring lets the text put things right
PRAGMA defer_foreign_keys = on; INSERT INTO child (id, pid) VALUES (50, 77); INSERT INTO parent VALUES (77, 'late');

PRAGMA defer_foreign_keys

CREATE TABLE deferred (pid INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)

--# an initially deferred key within one text
INSERT INTO deferred VALUES (501); INSERT INTO parent VALUES (501, 'x501');

CREATE TABLE broken (a REFERENCES nowhere (id))

INSERT INTO broken VALUES (1)

INSERT INTO broken VALUES (NULL)

CREATE TABLE mismatch (a REFERENCES child (code))

INSERT INTO mismatch VALUES ('x')

CREATE TABLE node (id INTEGER PRIMARY KEY, up INTEGER REFERENCES node (id) ON DELETE CASCADE)

INSERT INTO node VALUES (1, NULL), (2, 1), (3, 2), (4, 3)

DELETE FROM node WHERE id = 2

SELECT id FROM node

PRAGMA foreign_key_check

PRAGMA foreign_key_check(child)

PRAGMA foreign_key_list(child)

CREATE TABLE restricted (pid INTEGER REFERENCES parent (id) ON DELETE RESTRICT ON UPDATE NO ACTION)

INSERT INTO restricted VALUES (77)

DELETE FROM parent WHERE id = 77

CREATE TABLE with_default (pid INTEGER DEFAULT 2 REFERENCES parent (id) ON DELETE SET DEFAULT)

INSERT INTO with_default VALUES (501)

DELETE FROM deferred

DELETE FROM parent WHERE id = 501

SELECT * FROM with_default

EXPLAIN PRAGMA foreign_keys = off

PRAGMA foreign_keys

INSERT INTO child (pid) VALUES (98)

EXPLAIN QUERY PLAN PRAGMA foreign_keys = off

INSERT INTO child (pid) VALUES (99)

EXPLAIN PRAGMA defer_foreign_keys = on

INSERT INTO child (pid) VALUES (100)
