CREATE VIRTUAL TABLE docs USING fts5 (title, body, tokenize = 'porter unicode61')

INSERT INTO docs VALUES ('First post', 'The quick brown fox jumps'), ('Second post', 'A lazy dog sleeps quickly'), ('Ünïcode', 'żółć and 日本')

SELECT rowid, title FROM docs WHERE docs MATCH 'quick' ORDER BY rowid

SELECT title FROM docs WHERE docs MATCH 'title:post AND dog'

SELECT title FROM docs WHERE docs MATCH 'quick OR żółć' ORDER BY rank

SELECT title FROM docs WHERE docs MATCH 'qui*' ORDER BY rowid

SELECT title FROM docs WHERE docs MATCH '"brown fox"'

SELECT title FROM docs WHERE docs MATCH 'NEAR(quick fox, 3)'

SELECT highlight(docs, 1, '[', ']'), snippet(docs, 1, '<', '>', '…', 3), round(bm25(docs), 4) FROM docs WHERE docs MATCH 'fox'

SELECT title FROM docs('unicode')

SELECT title FROM docs WHERE docs MATCH 'AND'

SELECT title FROM docs WHERE docs MATCH ''

SELECT title FROM docs WHERE docs MATCH 'nothing:x'

--# the query as a parameter
--? ["lazy"]
SELECT title FROM docs WHERE docs MATCH ?

UPDATE docs SET body = 'rewritten' WHERE rowid = 1

DELETE FROM docs WHERE rowid = 2

SELECT count(*) FROM docs WHERE docs MATCH 'rewritten'

INSERT INTO docs (docs) VALUES ('optimize')

INSERT INTO docs (docs) VALUES ('nonsense')

INSERT INTO docs (docs, rank) VALUES ('integrity-check', 1)

CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT); CREATE VIRTUAL TABLE posts_fts USING fts5 (body, content = 'posts', content_rowid = 'id'); CREATE TRIGGER posts_ai AFTER INSERT ON posts BEGIN INSERT INTO posts_fts (rowid, body) VALUES (new.id, new.body); END;

INSERT INTO posts (body) VALUES ('alpha beta'), ('beta gamma')

SELECT p.id FROM posts_fts JOIN posts AS p ON p.id = posts_fts.rowid WHERE posts_fts MATCH 'beta' ORDER BY p.id

CREATE VIRTUAL TABLE words USING fts5vocab (posts_fts, row)

SELECT term, doc, cnt FROM words

CREATE VIRTUAL TABLE trigrams USING fts5 (a, tokenize = 'trigram')

INSERT INTO trigrams VALUES ('abcdef')

SELECT a FROM trigrams WHERE a MATCH 'bcd'

SELECT a FROM trigrams WHERE a LIKE '%cde%'

CREATE VIRTUAL TABLE bad USING fts5 (a, tokenize = 'nothing')

CREATE VIRTUAL TABLE bad USING fts5 ()

CREATE VIRTUAL TABLE f4 USING fts4 (a)

CREATE VIRTUAL TABLE f3 USING fts3 (a)

CREATE VIRTUAL TABLE csv USING csv (filename = 'x')

CREATE VIRTUAL TABLE stat USING dbstat

SELECT name FROM dbstat

SELECT * FROM sqlite_stmt

SELECT * FROM pragma_table_info('posts')

SELECT name FROM sqlite_master WHERE name LIKE 'trigrams%' ORDER BY name

DROP TABLE docs

SELECT * FROM docs

CREATE VIRTUAL TABLE boxes USING rtree (id, x0, x1, y0, y1)

INSERT INTO boxes VALUES (1, 0, 10, 0, 10), (2, 5, 15, 5, 15), (3, 100, 110, 100, 110)

SELECT id FROM boxes WHERE x0 <= 7 AND x1 >= 7 AND y0 <= 7 AND y1 >= 7 ORDER BY id

SELECT * FROM boxes WHERE id = 2

INSERT INTO boxes VALUES (4, 10, 0, 0, 0)

INSERT INTO boxes VALUES (1, 0, 0, 0, 0)

UPDATE boxes SET x1 = 20 WHERE id = 1

DELETE FROM boxes WHERE id = 3

SELECT count(*) FROM boxes

CREATE VIRTUAL TABLE ints USING rtree_i32 (id, a, b)

INSERT INTO ints VALUES (1, 1, 2)

SELECT * FROM ints

CREATE VIRTUAL TABLE bad USING rtree (id, a)

SELECT rtreecheck('docs')

CREATE VIRTUAL TABLE geo USING geopoly (a)

CREATE VIRTUAL TABLE _cf_search USING fts5 (a)

CREATE VIRTUAL TABLE IF NOT EXISTS boxes USING rtree (id, a, b)
