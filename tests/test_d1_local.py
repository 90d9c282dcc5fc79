"""The local D1: one call is one transaction, values come back as they went in, meta says what happened."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coinswarm.clock import ManualClock
from coinswarm.d1.local import LocalDatabase
from coinswarm.d1.path import database_key, database_path
from coinswarm.d1.types import Database, SqlValue, Statement
from coinswarm.errors import DatabaseUnavailable, SqlError, StorageError
from tests.support.command_line import wait_until
from tests.support.databases import ORIGINAL_TABLE, STORE, migrated, open_database, row, stored, value

values = (
    st.none()
    | st.integers(min_value=-(2**63), max_value=2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(alphabet=st.characters(exclude_categories=["Cs"]))
    | st.binary()
)
one_file = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[LocalDatabase]:
    with closing(open_database(tmp_path / "d1.sqlite")) as opened:
        opened.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT UNIQUE, c)")
        yield opened


def test_it_is_a_database(database: LocalDatabase) -> None:
    protocol: Database = database
    assert (protocol.name, protocol.id, protocol.parallel) == ("prices", "0a1b", False)


def test_the_file_is_wranglers() -> None:
    key = database_key("DB", database_id="ac4629b2-8240-4378-b3e3-e5262cd9b285")
    assert database_path(key).as_posix() == (
        ".wrangler/state/v3/d1/miniflare-D1DatabaseObject/"
        "9997cd2714855692c70bdef1acf310f63ff99deaea41720e53f41a497358c61d.sqlite"
    )


def test_a_preview_id_beats_the_id_and_the_id_the_binding() -> None:
    assert database_key("DB", database_id="id", preview_database_id="preview") == "preview"
    assert database_key("DB", database_id="id") == "id"
    assert database_key("DB") == "DB"


def test_opening_makes_no_file_before_the_first_call(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "d1.sqlite"
    with closing(open_database(path)) as database:
        assert not path.exists()
        assert value(database, "SELECT 1") == 1
    assert path.stat().st_mode & 0o077 == 0


def test_a_closed_database_takes_no_calls(database: LocalDatabase) -> None:
    database.close()
    database.close()
    with pytest.raises(StorageError, match="has been closed"):
        database.execute("SELECT 1")


def test_what_is_committed_is_durable_and_in_wal(database: LocalDatabase) -> None:
    other = sqlite3.connect(database.path)
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()


# One call, one transaction


@pytest.mark.parametrize("failing", range(4))
def test_any_failing_statement_of_a_batch_rolls_all_of_it_back(database: LocalDatabase, failing: int) -> None:
    statements = [Statement("INSERT INTO t VALUES (?, ?, 0)", [n, str(n)]) for n in range(4)]
    statements[failing] = Statement("INSERT INTO t VALUES (1, 'x', 0), (1, 'y', 0)")
    with pytest.raises(SqlError, match=r"UNIQUE constraint failed: t\.a: SQLITE_CONSTRAINT"):
        database.batch(statements)
    assert value(database, "SELECT count(*) FROM t") == 0


def test_several_statements_in_one_text_are_one_transaction(database: LocalDatabase) -> None:
    with pytest.raises(SqlError, match="no such table: nope: SQLITE_ERROR"):
        database.execute("CREATE TABLE u (a); INSERT INTO t VALUES (1, 'a', 0); INSERT INTO nope VALUES (1);")
    assert value(database, "SELECT count(*) FROM t") == 0
    assert value(database, "SELECT count(*) FROM sqlite_master WHERE name = 'u'") == 0


def test_a_text_gives_one_result_a_statement(database: LocalDatabase) -> None:
    results = database.execute("INSERT INTO t VALUES (1, ';', 0); -- c;\nSELECT b FROM t; SELECT 'a;b' AS x, 2 AS y;")
    assert [r.rows for r in results] == [[], [(";",)], [("a;b", 2)]]
    assert [list(r.columns) for r in results] == [[], ["b"], ["x", "y"]]


def test_a_batch_is_one_snapshot_and_sees_its_own_writes(database: LocalDatabase) -> None:
    results = database.batch(
        [
            Statement("SELECT count(*) FROM t"),
            Statement("INSERT INTO t VALUES (1, 'a', 0)"),
            Statement("SELECT b FROM t"),
        ]
    )
    assert [r.rows for r in results] == [[(0,)], [], [("a",)]]


def test_a_trigger_with_semicolons_is_one_statement(database: LocalDatabase) -> None:
    results = database.execute(
        "CREATE TRIGGER tr AFTER INSERT ON t BEGIN\r\n UPDATE t SET c = CASE WHEN new.a > 1 THEN ';' END"
        " WHERE a = new.a;\r\nEND;\r\nINSERT INTO t VALUES (2, 'b', 0);"
    )
    assert len(results) == 2
    assert value(database, "SELECT c FROM t") == ";"


def test_deferred_foreign_keys_are_judged_at_the_end_of_the_call(database: LocalDatabase) -> None:
    database.execute("CREATE TABLE child (a REFERENCES t (a))")
    with pytest.raises(SqlError, match="FOREIGN KEY constraint failed: SQLITE_CONSTRAINT"):
        database.execute("INSERT INTO child VALUES (7)")
    with pytest.raises(SqlError, match="FOREIGN KEY constraint failed: SQLITE_CONSTRAINT"):
        database.execute("PRAGMA defer_foreign_keys = on; INSERT INTO child VALUES (7);")
    database.execute("PRAGMA defer_foreign_keys = on; INSERT INTO child VALUES (7); INSERT INTO t VALUES (7, 'b', 0);")
    assert value(database, "SELECT count(*) FROM child") == 1


def test_pragmas_last_one_call(database: LocalDatabase) -> None:
    results = database.execute("PRAGMA recursive_triggers = on; PRAGMA recursive_triggers; PRAGMA foreign_keys = off;")
    assert results[1].rows == [(1,)]
    assert value(database, "PRAGMA recursive_triggers") == 0
    assert value(database, "PRAGMA foreign_keys") == 1
    database.execute("CREATE TABLE checked (a CHECK (a > 0))")
    database.execute("PRAGMA ignore_check_constraints = yes; INSERT INTO checked VALUES (0);")
    with pytest.raises(SqlError, match="CHECK constraint failed"):
        database.execute("INSERT INTO checked VALUES (0)")


@one_file
@given(batches=st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), max_size=6))
def test_a_batch_is_all_or_nothing_whatever_it_holds(tmp_path: Path, batches: list[list[int]]) -> None:
    with closing(open_database(tmp_path / "d1.sqlite")) as database:
        database.execute("DROP TABLE IF EXISTS u; CREATE TABLE u (a PRIMARY KEY);")
        expected: set[int] = set()
        for batch in batches:
            statements = [Statement("INSERT INTO u VALUES (?)", [n]) for n in batch]
            if len(set(batch)) == len(batch) and not expected & set(batch):
                database.batch(statements)
                expected |= set(batch)
            else:
                with pytest.raises(SqlError):
                    database.batch(statements)
        assert {n for (n,) in database.execute("SELECT a FROM u")[0].rows} == expected


@one_file
@given(again=st.lists(st.tuples(st.integers(0, 30), st.floats(90, 110), st.sampled_from(["binance", "kraken"]))))
def test_the_first_write_wins_under_any_later_ones(tmp_path: Path, again: list[tuple[int, float, str]]) -> None:
    def fingerprint(database: LocalDatabase) -> str:
        rows = database.execute("SELECT * FROM price_data WHERE timestamp < ? AND source = 'binance'", [limit])[0].rows
        return hashlib.sha256(repr(sorted(rows, key=repr)).encode()).hexdigest()

    limit = 1_699_999_200 + 20 * 3600
    with closing(migrated(tmp_path / "d1.sqlite")) as database:
        stored(database, list(range(20)))
        before = fingerprint(database)
        if again:
            database.batch([Statement(STORE, row(hour, close=close, source=source)) for hour, close, source in again])
        assert fingerprint(database) == before


def test_the_conflict_target_may_name_the_keys_columns_in_any_order(tmp_path: Path) -> None:
    with closing(migrated(tmp_path / "d1.sqlite")) as database:
        stored(database, [0, 0, 1])
        database.execute(
            STORE.replace("(symbol, timestamp, timeframe, source)", "(source, symbol, timeframe, timestamp)"), row(1)
        )
        assert value(database, "SELECT count(*) FROM price_data") == 2


# Values


@one_file
@given(sent=st.lists(values, min_size=1, max_size=100))
def test_values_come_back_as_they_went_in(tmp_path: Path, sent: list[object]) -> None:
    with closing(open_database(tmp_path / "d1.sqlite")) as database:
        result = database.execute(f"SELECT {', '.join('?' * len(sent))}", sent)[0]  # type: ignore[arg-type]
        assert [(type(v), v) for v in result.rows[0]] == [(type(v), v) for v in sent]


def test_a_blob_comes_back_from_a_table(database: LocalDatabase) -> None:
    database.execute("INSERT INTO t VALUES (1, 'a', ?)", [bytes(range(256))])
    assert value(database, "SELECT c FROM t") == bytes(range(256))


def test_text_that_is_not_utf8_is_shown_with_replacement_characters(database: LocalDatabase) -> None:
    results = database.execute("INSERT INTO t VALUES (1, 'a', 0); SELECT cast(x'ff41' AS TEXT);")
    assert results[1].rows == [("\ufffdA",)]
    assert value(database, "SELECT count(*) FROM t") == 1
    assert value(database, "SELECT 'é'") == "é"


def test_columns_of_the_same_name_survive_in_rows_and_the_last_wins_in_objects(database: LocalDatabase) -> None:
    result = database.execute("SELECT 1 AS a, 2 AS a")[0]
    assert (result.rows, result.objects) == ([(1, 2)], [{"a": 2}])


def test_our_integers_stay_integers_and_a_flag_binds_them_as_production_binds_json(tmp_path: Path) -> None:
    types = "SELECT typeof(?1), typeof(?2)"
    with closing(open_database(tmp_path / "d1.sqlite")) as ours:
        assert ours.execute(types, [1, "1"])[0].rows == [("integer", "text")]
    with closing(open_database(tmp_path / "d1.sqlite", bind_numbers_as_double=True)) as wire:
        assert wire.execute(types, [1, "1"])[0].rows == [("real", "text")]
        wire.execute("CREATE TABLE n (i INTEGER, t TEXT)")
        wire.execute("INSERT INTO n VALUES (?, ?)", [1_700_000_000, 1])
        assert wire.execute("SELECT i, typeof(i), t FROM n")[0].rows == [(1_700_000_000, "integer", "1.0")]


# Meta


def test_meta_says_what_changed(database: LocalDatabase) -> None:
    inserted, updated, read = database.batch(
        [
            Statement("INSERT INTO t VALUES (10, 'a', 0), (11, 'b', 0)"),
            Statement("UPDATE t SET c = 1"),
            Statement("SELECT * FROM t WHERE a = ?", [10]),
        ]
    )
    assert (inserted.meta.changes, inserted.meta.last_row_id, inserted.meta.changed_db) == (2, 11, True)
    assert (updated.meta.changes, updated.meta.changed_db) == (2, True)
    assert (read.meta.changes, read.meta.last_row_id, read.meta.changed_db) == (0, 11, False)
    assert read.meta.served_by == "coinswarm.local"


def test_size_after_is_the_size_without_free_pages(database: LocalDatabase) -> None:
    grown = database.execute("INSERT INTO t VALUES (1, 'a', ?)", [b"x" * 500_000])[0].meta.size_after
    assert grown > 500_000
    shrunk = database.execute("DELETE FROM t")[0].meta.size_after
    assert shrunk < 50_000
    assert database.execute("SELECT 1")[0].meta.size_after == shrunk


def test_duration_is_taken_from_the_clock_in_milliseconds(tmp_path: Path) -> None:
    class Ticking(ManualClock):
        def monotonic(self) -> float:
            self.advance(0.25)
            return super().monotonic()

    with closing(open_database(tmp_path / "d1.sqlite", clock=Ticking())) as database:
        assert database.execute("SELECT 1")[0].meta.duration == 250


def test_returned_rows_count_as_changes(database: LocalDatabase) -> None:
    result = database.execute("INSERT INTO t VALUES (1, 'a', 0), (2, 'b', 0) RETURNING a")[0]
    assert (result.rows, result.meta.changes) == ([(1,), (2,)], 2)


def test_the_originals_table_is_used_as_it_is(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "d1.sqlite")) as database:
        database.execute(ORIGINAL_TABLE)
        stored(database, [0, 1, 1])
        assert database.execute("SELECT id, close FROM price_data ORDER BY id")[0].rows == [(1, 105.0), (2, 105.0)]


# Time and threads


def test_a_call_is_over_after_thirty_seconds_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    class Racing(ManualClock):
        step = 0.0

        def monotonic(self) -> float:
            self.advance(self.step)
            return super().monotonic()

    clock = Racing()
    with closing(open_database(tmp_path / "d1.sqlite", clock=clock)) as database:
        database.execute("CREATE TABLE u (a)")
        clock.step = 1.0
        endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) INSERT INTO u SELECT i FROM n"
        with pytest.raises(DatabaseUnavailable, match="D1 DB storage operation exceeded timeout") as caught:
            database.execute(endless)
        assert caught.value.retryable
        with pytest.raises(DatabaseUnavailable):
            database.batch([Statement("INSERT INTO u VALUES (1)")] * 40)
        clock.step = 0.0
        assert value(database, "SELECT count(*) FROM u") == 0


class Blocking(list[SqlValue]):
    """Parameters that wait when they are bound, with the call already running."""

    def __init__(self) -> None:
        super().__init__([1])
        self.bound, self.go_on = threading.Event(), threading.Event()

    def __len__(self) -> int:
        self.bound.set()
        assert self.go_on.wait(10)
        return super().__len__()


@contextmanager
def occupied(database: LocalDatabase) -> Iterator[None]:
    """A call runs as long as the block."""
    blocking = Blocking()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(database.batch, [Statement("INSERT INTO t (c) VALUES (?)", blocking)])
        try:
            assert blocking.bound.wait(10)
            yield
        finally:
            blocking.go_on.set()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seconds": 0.01}, "D1 DB is overloaded. Requests queued for too long."),
        ({"most_waiting": 0}, "D1 DB is overloaded. Too many requests queued."),
    ],
)
def test_who_waits_too_long_or_is_one_too_many_is_told_in_d1s_words_and_may_try_again(
    tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    with closing(open_database(tmp_path / "d1.sqlite", **options)) as database:
        database.execute("CREATE TABLE t (c)")
        with occupied(database), pytest.raises(DatabaseUnavailable, match=words) as told:
            database.execute("INSERT INTO t VALUES (2)")
        assert told.value.retryable
        assert value(database, "SELECT count(*) FROM t") == 1


def test_the_thirty_seconds_of_a_call_begin_before_its_wait(tmp_path: Path) -> None:
    clock = ManualClock()
    with closing(open_database(tmp_path / "d1.sqlite", clock=clock)) as database, ThreadPoolExecutor(1) as pool:
        database.execute("CREATE TABLE t (c)")
        with occupied(database):
            waiting = pool.submit(database.batch, [Statement("INSERT INTO t VALUES (2)")])
            wait_until(lambda: database._alone._waiting == 1, "the second call waits")
            clock.advance(31)
        with pytest.raises(DatabaseUnavailable, match="exceeded timeout"):
            waiting.result()
        assert value(database, "SELECT count(*) FROM t") == 0


# The size of a reply


def test_what_does_not_fit_is_refused_in_d1s_words_and_nothing_is_kept(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "d1.sqlite", reply_bytes=1_000_000)) as database:
        database.execute("CREATE TABLE t (a)")
        for sql in (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, 'text' FROM n",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9) SELECT zeroblob(100000) FROM n",
            "INSERT INTO t SELECT a.value FROM json_each(?1) AS a, json_each(?1) RETURNING a",
        ):
            with pytest.raises(DatabaseUnavailable, match="D1 DB's isolate exceeded its memory limit and was reset"):
                database.execute(sql, [str([*range(300)])] if "?1" in sql else [])
        with pytest.raises(DatabaseUnavailable, match="exceeded its memory limit"):
            database.batch([Statement("SELECT hex(zeroblob(200000))")] * 3)
        assert value(database, "SELECT count(*) FROM t") == 0
        assert len(database.batch([Statement("SELECT hex(zeroblob(200000))")] * 2)) == 2


def test_a_reply_that_was_too_large_holds_no_old_state_of_the_file(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "d1.sqlite", reply_bytes=10_000)) as database:
        stored_numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 999) SELECT i FROM n"
        database.execute(f"CREATE TABLE t (a); INSERT INTO t {stored_numbers}")
        with pytest.raises(DatabaseUnavailable):
            database.execute("SELECT a FROM t")
        with closing(sqlite3.connect(database.path)) as other:
            other.execute("DELETE FROM t")
            other.commit()
            assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)


def test_all_rows_come_whatever_their_number(database: LocalDatabase) -> None:
    for count in (0, 1, 15, 16, 17, 32, 1000):
        sql = f"SELECT value FROM json_each('{[*range(count)]}')"
        assert database.execute(sql)[0].rows == [(n,) for n in range(count)]


def test_threads_share_one_database(database: LocalDatabase) -> None:
    def work(first: int) -> None:
        for n in range(first, first + 50):
            database.batch([Statement("INSERT INTO t VALUES (?, ?, 0)", [n, str(n)]), Statement("SELECT 1")])

    threads = [threading.Thread(target=work, args=(1000 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value(database, "SELECT count(*) FROM t") == 200


def test_two_objects_on_one_file_see_each_other(database: LocalDatabase) -> None:
    with closing(open_database(database.path)) as other:
        other.execute("INSERT INTO t VALUES (1, 'a', 0)")
        assert value(database, "SELECT b FROM t") == "a"
        database.execute("ALTER TABLE t ADD COLUMN d")
        other.execute("UPDATE t SET d = 4")
        assert value(database, "SELECT d FROM t") == 4


def test_an_interrupt_in_the_middle_of_a_call_rolls_it_back(tmp_path: Path) -> None:
    class Interrupting(ManualClock):
        armed = False

        def monotonic(self) -> float:
            if self.armed:
                raise KeyboardInterrupt
            return super().monotonic()

    clock = Interrupting()

    class Arming(list[int]):
        """Parameters that strike when they are bound, with the first row already written."""

        def __len__(self) -> int:
            clock.armed = True
            return super().__len__()

    with closing(open_database(tmp_path / "d1.sqlite", clock=clock)) as database:
        database.execute("CREATE TABLE u (a)")
        with pytest.raises(KeyboardInterrupt):
            database.batch([Statement("INSERT INTO u VALUES (1)"), Statement("INSERT INTO u VALUES (?)", Arming([2]))])
        clock.armed = False
        assert value(database, "SELECT count(*) FROM u") == 0
