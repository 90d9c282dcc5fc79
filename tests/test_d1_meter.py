"""Billed rows: the counts are what workerd's own SQLite reported for the same statements on the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from coinswarm.d1.local import LocalDatabase
from coinswarm.d1.types import Statement
from tests.support.databases import ORIGINAL_TABLE, STORE, migrated, open_database, row

TABLES = """
CREATE TABLE keyed (a TEXT, b INT, c, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE TABLE keyed_indexed (a TEXT, b INT, c, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE INDEX keyed_c ON keyed_indexed (c);
CREATE TABLE rowid (a TEXT, b INT, c, PRIMARY KEY (a, b));
CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, a, b, UNIQUE (a, b));
CREATE INDEX counted_b ON counted (b);
CREATE INDEX counted_ab ON counted (a, b DESC);
CREATE TABLE plain (a, b);
CREATE TABLE derived (a, b AS (a * 2));
CREATE INDEX derived_b ON derived (b);
CREATE VIRTUAL TABLE words USING fts5 (a);
"""
ROWS = """
INSERT INTO keyed VALUES ('a', 1, 1), ('a', 2, 1), ('a', 3, 1), ('a', 4, 1);
INSERT INTO keyed_indexed VALUES ('a', 1, 1), ('a', 2, 1), ('a', 3, 1);
INSERT INTO rowid VALUES ('a', 1, 1), ('a', 2, 1), ('a', 3, 1), ('a', 5, 1);
INSERT INTO counted (a, b) VALUES (1, 1), (2, 1), (3, 1);
INSERT INTO plain VALUES (1, 1), (2, 2), (11, 3), (12, 4);
INSERT INTO derived (a) VALUES (1), (2);
INSERT INTO words VALUES ('one two');
"""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[LocalDatabase]:
    with closing(open_database(tmp_path / "d1.sqlite")) as opened:
        opened.execute(TABLES + ROWS)
        yield opened


def written(database: LocalDatabase, sql: str) -> int:
    return database.execute(sql)[0].meta.rows_written


def read(database: LocalDatabase, sql: str) -> int:
    return database.execute(sql)[0].meta.rows_read


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("INSERT INTO keyed VALUES ('b', 1, 1), ('b', 2, 1), ('b', 3, 1)", 3),
        ("INSERT INTO keyed VALUES ('a', 1, 1), ('b', 2, 1) ON CONFLICT (b, a) DO NOTHING", 1),
        ("INSERT INTO keyed VALUES ('a', 1, 1) ON CONFLICT DO NOTHING", 0),
        ("INSERT INTO keyed SELECT value, 1, 1 FROM json_each('[7, 8, 9]')", 3),
        ("WITH x (v) AS (VALUES (7), (8)) INSERT INTO keyed SELECT v, 1, 1 FROM x", 2),
        ("INSERT OR REPLACE INTO keyed VALUES ('a', 1, 5)", 1),
        ("INSERT INTO keyed_indexed VALUES ('b', 1, 1), ('b', 2, 1), ('b', 3, 1)", 6),
        ("INSERT INTO rowid VALUES ('b', 1, 1), ('b', 2, 1)", 4),
        ("INSERT INTO counted (a, b) VALUES (8, 8)", 5),
        ("INSERT INTO counted (a, b) VALUES (7, 1), (8, 1), (9, 1)", 13),
        ("INSERT INTO counted (a, b) VALUES (1, 1), (2, 1) ON CONFLICT DO NOTHING", 1),
        ("INSERT INTO counted (a, b) VALUES (1, 1), (9, 1) ON CONFLICT DO NOTHING", 5),
        ("UPDATE keyed SET c = 9", 4),
        ("UPDATE keyed_indexed SET c = 9 WHERE b = 1", 2),
        ("UPDATE keyed_indexed SET b = 99 WHERE b = 1", 2),
        ("UPDATE rowid SET c = 9", 4),
        ("UPDATE rowid SET b = b + 100", 8),
        ("UPDATE counted SET b = b + 1 WHERE a = 2", 4),
        ("UPDATE counted SET id = id + 100 WHERE a = 2", 4),
        ("UPDATE counted SET a = 100 WHERE id = 77", 0),
        ("DELETE FROM keyed WHERE a = 'a' AND b = 1", 1),
        ("DELETE FROM keyed_indexed WHERE a = 'a'", 3),
        ("DELETE FROM rowid", 4),
        ("UPDATE derived SET a = a + 1", 4),
        ("INSERT INTO words VALUES ('a b'), ('c')", 2),
        ("UPDATE words SET a = 'three'", 1),
        ("DELETE FROM words", 1),
        ("SELECT * FROM keyed", 0),
        ("CREATE TABLE x (a)", 2),
        ("CREATE TABLE x (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID", 2),
        ("CREATE TABLE x (a UNIQUE)", 3),
        ("CREATE TABLE x AS SELECT * FROM plain", 6),
        ("CREATE TABLE IF NOT EXISTS plain (a)", 0),
        ("CREATE INDEX x ON plain (b)", 5),
        ("CREATE VIEW x AS SELECT * FROM plain", 2),
        ("CREATE TRIGGER x AFTER INSERT ON plain BEGIN SELECT 1; END", 1),
        ("ALTER TABLE plain ADD COLUMN c", 1),
        ("DROP TABLE plain", 0),
    ],
)
def test_rows_written_are_the_tables_and_the_indexes(database: LocalDatabase, sql: str, rows: int) -> None:
    assert written(database, sql) == rows


def test_what_a_trigger_writes_counts_too(database: LocalDatabase) -> None:
    database.execute("CREATE TRIGGER tr AFTER INSERT ON plain BEGIN INSERT INTO keyed VALUES (new.a, new.b, 1); END;")
    result = database.execute("INSERT INTO plain VALUES (70, 1), (71, 2)")[0]
    assert (result.meta.changes, result.meta.rows_written) == (4, 4)


def test_returned_rows_are_written_rows(database: LocalDatabase) -> None:
    assert written(database, "INSERT INTO rowid VALUES ('b', 1, 1), ('b', 2, 1) RETURNING a") == 4


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT * FROM keyed", 4),
        ("SELECT count(*) FROM keyed", 4),
        ("SELECT count(*) FROM keyed AS k", 4),
        ("SELECT * FROM keyed WHERE a = 'a' AND b = 2", 1),
        ("SELECT * FROM keyed WHERE b = 2", 4),
        ("SELECT * FROM keyed LIMIT 1", 1),
        ("SELECT a, count(*) FROM keyed GROUP BY a", 4),
        ("SELECT * FROM keyed x JOIN keyed y ON y.a = x.a AND y.b = x.b", 8),
        ("SELECT value FROM json_each('[1, 2, 3]')", 3),
        ("WITH x AS (SELECT a FROM plain) SELECT count(*) FROM x", 4),
        ("SELECT 1", 0),
        ("UPDATE keyed SET c = 9", 4),
        ("DELETE FROM keyed WHERE b = 2", 4),
        ("DELETE FROM keyed", 0),
        ("INSERT INTO keyed VALUES ('b', 1, 1) ON CONFLICT (a, b) DO NOTHING", 0),
        ("INSERT INTO counted (a, b) VALUES (8, 8)", 1),
        ("INSERT INTO keyed SELECT 'z', a, b FROM plain", 4),
        ("EXPLAIN SELECT * FROM keyed", 0),
    ],
)
def test_rows_read_count_scans_and_what_look_ups_find(database: LocalDatabase, sql: str, rows: int) -> None:
    assert read(database, sql) == rows


def test_a_scan_is_counted_anew_when_rows_have_come(database: LocalDatabase) -> None:
    for rows in (4, 5, 6):
        assert read(database, "SELECT count(*) FROM plain") == rows
        database.execute("INSERT INTO plain VALUES (1, 1)")


def test_a_new_index_costs_from_the_next_statement_on_whoever_made_it(database: LocalDatabase) -> None:
    insert = "INSERT INTO plain VALUES (1, 1)"
    assert written(database, insert) == 1
    results = database.batch([Statement(insert), Statement("CREATE INDEX i ON plain (a)"), Statement(insert)])
    assert [r.meta.rows_written for r in results] == [1, 6 + 1, 2]
    with closing(open_database(database.path)) as other:
        other.execute("CREATE INDEX j ON plain (b)")
    assert written(database, insert) == 3
    with closing(open_database(database.path)) as other:
        other.execute("DROP INDEX i; DROP INDEX j;")
    assert written(database, insert) == 1


def test_a_rolled_back_index_costs_nothing(database: LocalDatabase) -> None:
    insert = "INSERT INTO plain VALUES (1, 1)"
    assert written(database, insert) == 1
    with pytest.raises(Exception, match="no such table"):
        database.execute(f"CREATE INDEX i ON plain (a); {insert}; SELECT * FROM nope;")
    assert written(database, insert) == 1


def test_a_stored_candle_is_one_billed_row_in_our_table_and_four_or_five_in_the_originals(tmp_path: Path) -> None:
    ten = STORE.replace("(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"] * 10))
    params = [v for hour in range(10) for v in row(hour)]
    with closing(migrated(tmp_path / "ours.sqlite")) as ours:
        first, again = ours.batch([Statement(ten, params), Statement(ten, params)])
        assert (first.meta.changes, first.meta.rows_written, first.meta.rows_read) == (10, 10, 0)
        assert (again.meta.changes, again.meta.rows_written) == (0, 0)
    with closing(open_database(tmp_path / "original.sqlite")) as original:
        original.execute(ORIGINAL_TABLE)
        assert original.batch([Statement(ten, params)])[0].meta.rows_written == 10 * 4 + 1


def test_a_text_that_was_forgotten_while_it_was_still_compiled_is_reckoned_again(database: LocalDatabase) -> None:
    for n in range(1200):
        database.execute(f"SELECT {n}")
        if n % 50 == 0:
            assert database.execute("INSERT INTO rowid VALUES ('z', ?, 1)", [n])[0].meta.rows_written == 2
