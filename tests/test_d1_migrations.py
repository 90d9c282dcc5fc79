"""Migrations, as wrangler numbers, orders, applies and records them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from coinswarm.candles import COLUMNS
from coinswarm.clock import ManualClock
from coinswarm.d1.local import LocalDatabase
from coinswarm.d1.migrate import applied, apply, bundled_migrations, create, migrations_in, pending
from coinswarm.d1.schema import check_price_data
from coinswarm.errors import SqlError, UsageError
from tests.support.databases import ORIGINAL_TABLE, open_database, stored, value


@pytest.fixture
def database(tmp_path: Path) -> Iterator[LocalDatabase]:
    with closing(open_database(tmp_path / "d1.sqlite")) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "migrations"
    path.mkdir()
    return path


def names(folder: Path, pattern: str = "*.sql") -> list[str]:
    return [migration.name for migration in migrations_in(folder, pattern)]


def test_files_are_ordered_by_number_and_the_unnumbered_come_last(folder: Path) -> None:
    for name in [
        "10_ten.sql",
        "2_two.sql",
        "0001_b.sql",
        "1_a.sql",
        "zeta.sql",
        "alpha.sql",
        "notes.txt",
        "0003_x.sql",
    ]:
        (folder / name).write_text("")
    (folder / "0004_folder.sql").mkdir()
    assert names(folder) == ["0001_b.sql", "1_a.sql", "2_two.sql", "0003_x.sql", "10_ten.sql", "alpha.sql", "zeta.sql"]


def test_a_pattern_takes_subfolders_each_level_in_order(folder: Path) -> None:
    for name in ["2_b/1_x.sql", "10_c/1_x.sql", "2_b/10_y.sql", "2_b/9_z.sql", "1_a.sql"]:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
    assert names(folder, "**/*.sql") == ["1_a.sql", "2_b/1_x.sql", "2_b/9_z.sql", "2_b/10_y.sql", "10_c/1_x.sql"]
    assert names(folder) == ["1_a.sql"]


def test_a_missing_folder_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no migrations folder") as caught:
        migrations_in(tmp_path / "nowhere")
    assert "migrations create" in str(caught.value.hint)


def test_each_is_applied_once_and_recorded_under_its_name(database: LocalDatabase, folder: Path) -> None:
    (folder / "0001_a.sql").write_text("CREATE TABLE a (x); INSERT INTO a VALUES ('1;');")
    told: list[str] = []
    assert apply(database, migrations_in(folder), on_applied=told.append) == ["0001_a.sql"]
    (folder / "0002_it's.sql").write_text("INSERT INTO a VALUES (2);")
    assert [m.name for m in pending(database, migrations_in(folder))] == ["0002_it's.sql"]
    assert apply(database, migrations_in(folder), on_applied=told.append) == ["0002_it's.sql"]
    assert apply(database, migrations_in(folder), on_applied=told.append) == []
    assert told == applied(database) == ["0001_a.sql", "0002_it's.sql"]
    assert database.execute("SELECT x FROM a")[0].rows == [("1;",), (2,)]


def test_the_record_is_wranglers_table(database: LocalDatabase) -> None:
    assert applied(database) == []
    sql = str(value(database, "SELECT sql FROM sqlite_master WHERE name = 'd1_migrations'"))
    assert re.sub(r"\s+", " ", sql) == (
        'CREATE TABLE "d1_migrations"( id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE,'
        " applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL )"
    )
    database.execute("INSERT INTO d1_migrations (name) VALUES ('0001_a.sql')")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", str(value(database, "SELECT applied_at FROM d1_migrations")))


def test_the_record_may_have_any_name(database: LocalDatabase, folder: Path) -> None:
    (folder / "0001_a.sql").write_text("CREATE TABLE a (x);")
    assert apply(database, migrations_in(folder), table='my "own" list') == ["0001_a.sql"]
    assert applied(database, table='my "own" list') == ["0001_a.sql"]
    assert value(database, "SELECT count(*) FROM sqlite_master WHERE name = 'd1_migrations'") == 0


def test_a_failing_one_is_rolled_back_and_stops_the_rest(database: LocalDatabase, folder: Path) -> None:
    (folder / "0001_a.sql").write_text("CREATE TABLE a (x);")
    (folder / "0002_b.sql").write_text("CREATE TABLE b (x); INSERT INTO nope VALUES (1);")
    (folder / "0003_c.sql").write_text("CREATE TABLE c (x);")
    with pytest.raises(SqlError, match=r"migration 0002_b\.sql failed: no such table: nope: SQLITE_ERROR") as caught:
        apply(database, migrations_in(folder))
    assert "1 before it" in str(caught.value.hint)
    assert applied(database) == ["0001_a.sql"]
    assert value(database, "SELECT count(*) FROM sqlite_master WHERE name IN ('b', 'c')") == 0
    (folder / "0002_b.sql").write_text("CREATE TABLE b (x);")
    assert apply(database, migrations_in(folder)) == ["0002_b.sql", "0003_c.sql"]


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE a (x)",
        "CREATE TABLE a (x) -- no semicolon, and a comment",
        "CREATE TABLE a (x);\r\nCREATE TRIGGER t AFTER INSERT ON a BEGIN\r\n DELETE FROM a;\r\nEND;\r\n",
        "\ufeffCREATE TABLE a (x);",
    ],
    ids=["no semicolon", "comment", "trigger with CRLF", "byte order mark"],
)
def test_files_may_end_as_they_like(database: LocalDatabase, folder: Path, text: str) -> None:
    (folder / "0001_a.sql").write_bytes(text.encode())
    assert apply(database, migrations_in(folder)) == ["0001_a.sql"]
    assert value(database, "SELECT count(*) FROM sqlite_master WHERE name = 'a'") == 1


@pytest.mark.parametrize("end", ["/* open", "SELECT 'open", "CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM a;"])
def test_a_file_that_would_swallow_its_own_record_is_not_run(database: LocalDatabase, folder: Path, end: str) -> None:
    (folder / "0001_a.sql").write_text(f"CREATE TABLE a (x); {end}")
    with pytest.raises(UsageError, match=r"migration 0001_a\.sql is not finished"):
        apply(database, migrations_in(folder))
    assert applied(database) == []
    assert value(database, "SELECT count(*) FROM sqlite_master WHERE name = 'a'") == 0


def test_a_file_of_comments_is_recorded_all_the_same(database: LocalDatabase, folder: Path) -> None:
    (folder / "0001_a.sql").write_text("-- Migration number: 0001\n")
    assert apply(database, migrations_in(folder)) == ["0001_a.sql"]


def test_a_file_that_is_no_text_is_named(database: LocalDatabase, folder: Path) -> None:
    (folder / "0001_a.sql").write_bytes(b"SELECT '\xff';")
    with pytest.raises(UsageError, match=r"0001_a\.sql cannot be read as UTF-8 text"):
        apply(database, migrations_in(folder))


def test_a_transaction_of_its_own_is_refused_in_cloudflares_words(database: LocalDatabase, folder: Path) -> None:
    (folder / "0001_a.sql").write_text("BEGIN TRANSACTION; CREATE TABLE a (x); COMMIT;")
    with pytest.raises(SqlError, match="To execute a transaction, please use"):
        apply(database, migrations_in(folder))


def test_a_new_one_gets_the_next_number_and_wranglers_first_line(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "migrations"
    clock = ManualClock(1_700_000_000_123)
    first = create(folder, "add a view", clock)
    assert first == folder / "0001_add_a_view.sql"
    assert first.read_bytes() == b"-- Migration number: 0001 \t 2023-11-14T22:13:20.123Z\n"
    (folder / "0041_x.sql").write_text("")
    assert create(folder, "more", clock).name == "0042_more.sql"


@pytest.mark.parametrize("message", ["a/b", "a\\b", "", "  "])
def test_a_message_that_is_no_file_name_is_refused(folder: Path, message: str) -> None:
    with pytest.raises(UsageError, match="cannot be part of a file name"):
        create(folder, message, ManualClock())
    assert list(folder.iterdir()) == []


# The bundled ones


def test_the_bundled_ones_are_numbered_without_holes_and_make_a_fit_table(database: LocalDatabase) -> None:
    found = names(bundled_migrations())
    assert [name[:4] for name in found] == [f"{n:04d}" for n in range(1, len(found) + 1)]
    assert apply(database, migrations_in(bundled_migrations())) == found
    check_price_data(database)
    assert value(database, "SELECT wr FROM pragma_table_list('price_data')") == 1


def test_the_originals_table_with_its_rows_is_left_as_it_is(database: LocalDatabase) -> None:
    database.execute(ORIGINAL_TABLE)
    stored(database, [0, 1, 2])
    schema = "SELECT type, name, sql FROM sqlite_master WHERE tbl_name = 'price_data' ORDER BY name"
    before = database.execute(f"{schema}; SELECT * FROM price_data;")
    apply(database, migrations_in(bundled_migrations()))
    after = database.execute(f"{schema}; SELECT * FROM price_data;")
    assert [r.rows for r in after] == [r.rows for r in before]
    check_price_data(database)


def test_sqlite_finds_the_table_in_order_however_old_it_is(database: LocalDatabase) -> None:
    """SQLite 3.40 reports NULLs that are not there where the key's columns stand in another order than the table's."""
    apply(database, migrations_in(bundled_migrations()))
    row = "'BTC-USDC', 1699999200, '1h', 1.0, 2.0, 0.5, 1.5, NULL, NULL, 'kraken'"
    database.execute(f"INSERT INTO price_data ({', '.join(COLUMNS)}) VALUES ({row})")
    assert database.execute("PRAGMA quick_check")[0].rows == [("ok",)]
