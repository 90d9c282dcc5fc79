CREATE TABLE k (id INTEGER PRIMARY KEY, name TEXT UNIQUE, n INTEGER DEFAULT 0)

INSERT INTO k (name) VALUES ('a'), ('b'), ('c')

INSERT INTO k (id, name) VALUES (100, 'd')

INSERT INTO k (name) VALUES ('e') RETURNING id

INSERT INTO k DEFAULT VALUES RETURNING *

INSERT INTO k (name) VALUES ('a')

INSERT OR IGNORE INTO k (name) VALUES ('a'), ('f')

INSERT OR REPLACE INTO k (name, n) VALUES ('a', 5)

REPLACE INTO k (id, name) VALUES (100, 'dd')

INSERT OR ABORT INTO k (name) VALUES ('b')

INSERT OR FAIL INTO k (name) VALUES ('fail-1'), ('b'), ('fail-2')

SELECT count(*) FROM k WHERE name LIKE 'fail%'

INSERT INTO k (name) VALUES ('b') ON CONFLICT DO NOTHING

INSERT INTO k (name) VALUES ('b') ON CONFLICT (name) DO UPDATE SET n = n + 1 RETURNING id, n

INSERT INTO k (name, n) VALUES ('b', 7), ('g', 1) ON CONFLICT (name) DO UPDATE SET n = excluded.n WHERE excluded.n > k.n

INSERT INTO k (name) VALUES ('x') ON CONFLICT (n) DO NOTHING

INSERT INTO k (id, name) VALUES (1, 'a') ON CONFLICT (id) DO UPDATE SET name = 'A' ON CONFLICT (name) DO UPDATE SET n = 99

SELECT * FROM k ORDER BY id

UPDATE k SET n = n + 1 WHERE name IN ('b', 'c')

UPDATE k SET n = 0 WHERE name = 'nobody'

UPDATE k SET n = 1, name = upper(name) WHERE name = 'c' RETURNING id, name, n

UPDATE k SET name = 'b' WHERE name = 'C'

UPDATE OR IGNORE k SET name = 'b' WHERE name = 'C'

UPDATE k SET (n, name) = (SELECT 8, 'cc') WHERE name = 'C'

UPDATE k SET n = x.v FROM (SELECT 'cc' AS name, 21 AS v) AS x WHERE x.name = k.name RETURNING k.n, x.v

UPDATE k SET id = 500 WHERE name = 'cc'

UPDATE k SET nothing = 1

UPDATE k SET n = nothing

UPDATE nowhere SET n = 1

DELETE FROM k WHERE name = 'cc' RETURNING id, name

DELETE FROM k WHERE id = -1

DELETE FROM nowhere

DELETE FROM k WHERE nothing = 1

INSERT INTO k (id) VALUES ('not a number')

INSERT INTO k VALUES (1)

INSERT INTO k (id, nothing) VALUES (1, 2)

INSERT INTO k (id, name) VALUES (1, 2, 3)

INSERT INTO nowhere VALUES (1)

INSERT INTO k SELECT 1

INSERT INTO k (name) SELECT 'copy-' || name FROM k WHERE id > 0 ORDER BY id LIMIT 2 RETURNING name

INSERT INTO k (name) VALUES ('r1'), ('r2') RETURNING id > 0, name, length(name) AS len, *

INSERT INTO k (name) VALUES ('x1') RETURNING nothing

INSERT INTO k (name) VALUES ('x1') RETURNING count(*)

DELETE FROM k

SELECT count(*) FROM k

INSERT INTO k (name) VALUES ('after')

CREATE TABLE seq (id INTEGER PRIMARY KEY AUTOINCREMENT, v)

INSERT INTO seq (v) VALUES (1), (2), (3)

DELETE FROM seq WHERE id = 3

INSERT INTO seq (v) VALUES (4) RETURNING id

INSERT OR IGNORE INTO seq (id, v) VALUES (1, 0)

SELECT * FROM sqlite_sequence

UPDATE sqlite_sequence SET seq = 100 WHERE name = 'seq'

INSERT INTO seq (v) VALUES (5) RETURNING id

DELETE FROM sqlite_sequence

INSERT INTO seq (id, v) VALUES (9223372036854775807, 0) RETURNING id > 0

CREATE TABLE wide (a PRIMARY KEY, b UNIQUE, c, UNIQUE (b, c))

CREATE INDEX wide_c ON wide (c)

INSERT INTO wide VALUES (1, 1, 1), (2, 2, 2)

UPDATE wide SET c = 9

UPDATE wide SET a = a + 10

UPDATE wide SET b = b + 10 WHERE a = 11

UPDATE wide SET rowid = rowid + 100

INSERT INTO wide VALUES (11, 50, 50) ON CONFLICT (a) DO UPDATE SET c = excluded.c

INSERT OR REPLACE INTO wide VALUES (11, 12, 0)

DELETE FROM wide WHERE c = 9

DELETE FROM wide
