"""Equal inserts that run as one statement: nobody can tell but by the time it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinswarm.d1 import engine
from coinswarm.d1.joining import TOGETHER, Joined, joined
from coinswarm.d1.local import LocalDatabase
from coinswarm.d1.types import QueryResult, Statement
from coinswarm.errors import SqlError

TABLE = "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT) WITHOUT ROWID"
INSERT = "INSERT INTO t (a, b) VALUES (?, ?), (?, ?) ON CONFLICT (a) DO NOTHING"
Rows = Sequence[tuple[int, Any]]


def inserts(rows: Rows, sql: str = INSERT) -> list[Statement]:
    """Statements of two rows each."""
    return [Statement(sql, [*rows[n], *rows[n + 1]]) for n in range(0, len(rows) - 1, 2)]


def fresh(count: int, start: int = 0) -> list[tuple[int, str]]:
    return [(number, f"row {number}") for number in range(start, start + count)]


def told(results: Sequence[QueryResult]) -> list[tuple[int, ...]]:
    """All of a batch's meta but the time it took."""
    metas = [result.meta for result in results]
    return [(m.changes, m.last_row_id, m.changed_db, m.size_after, m.rows_read, m.rows_written) for m in metas]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[LocalDatabase]:
    """With a table into which such inserts have run once, so that their like may be joined."""
    database = LocalDatabase(tmp_path / "d1.sqlite", name="prices", id="0a1b")
    database.execute(TABLE)
    database.batch(inserts(fresh(2, start=-2)))
    yield database
    database.close()


@pytest.fixture
def joins(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Every block of statements that was tried together, and whether it was stored so."""
    tried: list[bool] = []
    store = Joined.store

    def noting(self: Joined, *arguments: Any) -> bool:
        tried.append(store(self, *arguments))
        return tried[-1]

    monkeypatch.setattr(Joined, "store", noting)
    return tried


def stored(database: LocalDatabase) -> list[tuple[Any, ...]]:
    return database.execute("SELECT a, b FROM t WHERE a >= 0 ORDER BY a")[0].rows


def test_a_batch_of_new_rows_is_stored_in_blocks_and_told_statement_by_statement(
    database: LocalDatabase, joins: list[bool]
) -> None:
    rows = fresh(4 * TOGETHER + 6)
    results = database.batch(inserts(rows))
    assert stored(database) == rows
    assert joins == [True, True]
    assert len(results) == 2 * TOGETHER + 3
    assert len({*told(results)}) == 1
    assert told(results)[0] == (2, 0, True, results[0].meta.size_after, 0, 2)


def test_rows_that_are_there_are_left_and_counted_where_they_came(database: LocalDatabase, joins: list[bool]) -> None:
    database.execute("INSERT INTO t VALUES (7, 'earlier')")
    results = database.batch(inserts(fresh(2 * TOGETHER)))
    assert joins == [False]
    assert [result.meta.changes for result in results] == [1 if n == 3 else 2 for n in range(TOGETHER)]
    assert stored(database)[7] == (7, "earlier")


def test_while_rows_keep_being_there_already_nothing_is_tried_in_vain(
    database: LocalDatabase, joins: list[bool]
) -> None:
    batch = inserts(fresh(2 * TOGETHER))
    for _ in range(4):
        database.batch(batch)
    assert joins == [True, False]
    for start in (1_000, 2_000):
        database.batch(inserts(fresh(2 * TOGETHER, start)))
    assert joins == [True, False, True]


def test_an_error_undoes_the_batch_and_names_its_statement(database: LocalDatabase, joins: list[bool]) -> None:
    database.execute("CREATE TABLE strict (a INTEGER PRIMARY KEY, b TEXT) STRICT, WITHOUT ROWID")
    sql = INSERT.replace("t (a", "strict (a")
    database.batch(inserts(fresh(2, start=-2), sql))
    rows: list[tuple[int, Any]] = [*fresh(2 * TOGETHER - 1), (99, b"a blob")]
    with pytest.raises(SqlError, match="cannot store BLOB value in TEXT column") as error:
        database.batch(inserts(rows, sql))
    assert joins == [False]
    assert f"statement {TOGETHER} of {TOGETHER}" in str(error.value.hint)
    assert database.execute("SELECT count(*) FROM strict WHERE a >= 0")[0].rows == [(0,)]


def test_an_error_after_the_joined_ones_is_numbered_among_all(database: LocalDatabase) -> None:
    batch = [*inserts(fresh(2 * TOGETHER)), Statement("SELECT 1 FROM nowhere")]
    with pytest.raises(SqlError, match="no such table: nowhere") as error:
        database.batch(batch)
    assert f"statement {TOGETHER + 1} of {TOGETHER + 1}" in str(error.value.hint)
    assert stored(database) == []


def test_parameters_are_not_made_up_for_by_those_of_a_neighbour(database: LocalDatabase) -> None:
    batch = inserts(fresh(2 * TOGETHER))
    batch[3:5] = [Statement(INSERT, batch[3].params[:3]), Statement(INSERT, [*batch[4].params, "one too many"])]
    with pytest.raises(SqlError, match="Wrong number of parameter bindings"):
        database.batch(batch)
    assert stored(database) == []


def test_what_is_joined_here_cannot_be_sent_from_outside(database: LocalDatabase) -> None:
    wide = "INSERT INTO t (a, b) VALUES " + ", ".join(["(?, ?)"] * 50)
    database.batch([Statement(wide, [*range(start, start + 100)]) for start in range(0, 100 * TOGETHER, 100)])
    database.batch(
        [Statement(wide, [*range(start, start + 100)]) for start in range(5_000, 5_000 + 100 * TOGETHER, 100)]
    )
    plan = joined(wide)
    assert plan is not None
    with pytest.raises(SqlError, match="too many SQL variables"):
        database.batch([Statement(plan.sql.partition(" --")[0], [0] * 100 * TOGETHER)])


@pytest.mark.parametrize(
    ("schema", "insert"),
    [
        ("CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a UNIQUE, b)", INSERT),
        ("CREATE TABLE t (a PRIMARY KEY, b)", INSERT),
        (
            "CREATE TABLE t (a PRIMARY KEY, b REFERENCES t) WITHOUT ROWID",
            INSERT.replace(" ON CONFLICT (a) DO NOTHING", ""),
        ),
    ],
    ids=["row ids given out", "row ids besides the key", "a foreign key"],
)
def test_where_a_difference_would_show_nothing_is_joined(
    tmp_path: Path, joins: list[bool], schema: str, insert: str
) -> None:
    database = LocalDatabase(tmp_path / "d1.sqlite", name="prices", id="0a1b")
    database.execute(schema)
    rows = [(number, None) for number in range(2 * TOGETHER)]
    for start in (0, 100):
        results = database.batch(inserts([(start + number, None) for number, _ in rows], insert))
        assert [result.meta.changes for result in results] == [2] * TOGETHER
    assert joins == []
    if "REFERENCES" not in schema:
        assert [result.meta.last_row_id for result in results] == [2 * TOGETHER + 2 * (n + 1) for n in range(TOGETHER)]
    database.close()


def test_triggers_do_their_part_and_are_counted_for_each_statement(database: LocalDatabase, joins: list[bool]) -> None:
    database.execute("CREATE TABLE log (a)")
    database.execute("CREATE TRIGGER noting AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.a); END")
    for start in (0, 100, 200):
        results = database.batch(inserts(fresh(2 * TOGETHER, start)))
        assert [result.meta.changes for result in results] == [4] * TOGETHER
    assert joins == []
    assert database.execute("SELECT count(*) FROM log")[0].rows == [(6 * TOGETHER,)]


def test_a_changed_table_is_looked_at_anew(database: LocalDatabase, joins: list[bool]) -> None:
    database.batch(inserts(fresh(2 * TOGETHER)))
    database.execute("CREATE INDEX by_b ON t (b)")
    for start in (100, 200):
        results = database.batch(inserts(fresh(2 * TOGETHER, start)))
        assert [result.meta.rows_written for result in results] == [4] * TOGETHER
    assert joins == [True, True]


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t (a) VALUES (1)",
        "INSERT INTO t (a) VALUES (?1)",
        "INSERT INTO t (a, b) VALUES (?, random())",
        "INSERT INTO t DEFAULT VALUES -- (a) VALUES (?)",
        "INSERT INTO t (a) VALUES (?) RETURNING a",
        "INSERT INTO t (a) VALUES (?) ON CONFLICT (a) DO UPDATE SET a = 1",
        "INSERT INTO t (a) VALUES (?) ON CONFLICT DO NOTHING; SELECT 1",
        "INSERT OR REPLACE INTO t (a) VALUES (?)",
        "INSERT INTO t (a) SELECT ?",
        "UPDATE t SET a = ?",
    ],
)
def test_only_plain_inserts_of_parameters_are_joined(sql: str) -> None:
    assert joined(sql) is None


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[bool], LocalDatabase]]:
    """A database that joins and one that does not."""
    databases = {
        name: LocalDatabase(tmp_path_factory.mktemp("d1") / "d1.sqlite", name="prices", id="0a1b")
        for name in (True, False)
    }
    yield databases.__getitem__
    for database in databases.values():
        database.close()


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 400), st.sampled_from(["x", "y", None])), min_size=2, max_size=90),
        min_size=1,
        max_size=6,
    )
)
def test_whatever_comes_the_table_and_the_meta_are_the_same(
    pair: Callable[[bool], LocalDatabase], batches: list[list[tuple[int, Any]]]
) -> None:
    for database in (pair(True), pair(False)):
        database.execute(f"DROP TABLE IF EXISTS t; {TABLE}")
    for rows in batches:
        ours = told(pair(True).batch(inserts(rows)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(engine, "TOGETHER", 1_000_000)
            assert told(pair(False).batch(inserts(rows))) == ours
    assert stored(pair(True)) == stored(pair(False))
