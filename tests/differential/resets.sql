CREATE TABLE t (id INTEGER PRIMARY KEY, v UNIQUE); CREATE TABLE child (a REFERENCES t (id)); CREATE TABLE later (a REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED); CREATE TABLE seq (id INTEGER PRIMARY KEY AUTOINCREMENT, v);

INSERT INTO t VALUES (1, 'one')

--# a deferred foreign key is still wrong at the end of the text
PRAGMA defer_foreign_keys = on; INSERT INTO child VALUES (78);

INSERT INTO t VALUES (2, 'two')

SELECT * FROM child

--# a deferred foreign key is still wrong at the end of the batch
PRAGMA defer_foreign_keys = on
--+
INSERT INTO t VALUES (3, 'three')
--+
INSERT INTO child VALUES (777)

INSERT INTO t VALUES (4, 'four')

--# an initially deferred foreign key is still wrong at the end
INSERT INTO later VALUES (500)

INSERT INTO t VALUES (5, 'five')

INSERT OR ROLLBACK INTO t (v) VALUES ('one')

INSERT INTO t VALUES (6, 'six')

CREATE TRIGGER roll_back BEFORE UPDATE ON t WHEN new.v = 667 BEGIN SELECT raise(ROLLBACK, 'rolled back'); END

UPDATE t SET v = 667

INSERT INTO t VALUES (7, 'seven')

INSERT INTO seq (id) VALUES (9223372036854775807)

--# no row id is left
INSERT INTO seq (v) VALUES (1)

INSERT INTO t VALUES (8, 'eight')

--# what is there after all of it
SELECT id, v, (SELECT count(*) FROM child), (SELECT count(*) FROM later), (SELECT count(*) FROM seq) FROM t
