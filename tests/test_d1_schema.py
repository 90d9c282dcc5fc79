"""Tables that would alter or lose candles are refused before the first one is stored."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest

from coinswarm.d1.schema import check_price_data
from coinswarm.errors import SchemaMismatch
from tests.support.databases import COLUMNS, ORIGINAL_TABLE, migrated, open_database

KEY = "symbol, timestamp, timeframe, source"
NUMBERS = ["timestamp", "open", "high", "low", "close", "volume_from", "volume_to"]
TEXTS = ["symbol", "timeframe", "source"]


def table(key: str = f"PRIMARY KEY ({KEY})", **types: str) -> str:
    columns = ", ".join(f"{name} {types.get(name, '')}" for name in COLUMNS.split(", "))
    return f"CREATE TABLE price_data ({columns}, {key});"


def trigger(event: str, body: str, name: str = "t") -> str:
    return f"CREATE TRIGGER {name} {event} ON price_data BEGIN {body}; END;"


def check(path: Path, sql: str) -> None:
    with closing(open_database(path / "d1.sqlite")) as database:
        database.execute(sql)
        check_price_data(database)


def refusal(path: Path, sql: str) -> SchemaMismatch:
    with pytest.raises(SchemaMismatch) as caught:
        check(path, sql)
    return caught.value


@pytest.mark.parametrize("action", ["REPLACE", "IGNORE"])
@pytest.mark.parametrize(
    "sql",
    [
        table(f"PRIMARY KEY ({KEY}) ON CONFLICT ?"),
        table(f"UNIQUE ({KEY}) on /* whatever */ conflict\n?"),
        table(close="REAL NOT NULL ON CONFLICT ? DEFAULT 0"),
        table(f"n INTEGER PRIMARY KEY ON CONFLICT ?, UNIQUE ({KEY})"),
        table(f"PRIMARY KEY ({KEY}), CHECK (low <= high) ON CONFLICT ?").replace("price_data", "Price_Data"),
    ],
)
def test_a_conflict_clause_that_loses_candles_is_refused(tmp_path: Path, sql: str, action: str) -> None:
    error = refusal(tmp_path, sql.replace("?", action))
    assert re.match(
        f"the table price_data is made with ON CONFLICT {action}: candles would be replaced or left out",
        error.message,
        re.IGNORECASE,
    )
    assert "rename it" in str(error.hint)


@pytest.mark.parametrize(
    "sql",
    [
        table(f"PRIMARY KEY ({KEY}) ON CONFLICT ABORT"),
        table(f"PRIMARY KEY ({KEY}) -- ON CONFLICT REPLACE\n"),
        table(f"note TEXT DEFAULT 'ON CONFLICT IGNORE', PRIMARY KEY ({KEY})"),
    ],
)
def test_other_conflict_clauses_and_mere_words_are_fine(tmp_path: Path, sql: str) -> None:
    check(tmp_path, sql)


@pytest.mark.parametrize("column", NUMBERS)
@pytest.mark.parametrize(("declared", "affinity"), [("TEXT", "TEXT"), ("varchar(20)", "TEXT"), ("BLOB", "BLOB")])
def test_numbers_are_not_kept_as_text_or_blobs(tmp_path: Path, column: str, declared: str, affinity: str) -> None:
    error = refusal(tmp_path, table(**{column: declared}))
    assert error.message == (
        f"the column {column} of price_data has the type {declared}, which SQLite keeps as {affinity}: "
        "it must hold numbers"
    )
    assert "rename it" in str(error.hint)


@pytest.mark.parametrize("column", TEXTS)
@pytest.mark.parametrize(
    ("declared", "affinity"),
    [("INTEGER", "INTEGER"), ("CHARINT", "INTEGER"), ("DOUBLE", "REAL"), ("STRING", "NUMERIC"), ("BLOB", "BLOB")],
)
def test_names_are_kept_as_text(tmp_path: Path, column: str, declared: str, affinity: str) -> None:
    error = refusal(tmp_path, table(**{column: declared}))
    assert error.message == (
        f"the column {column} of price_data has the type {declared}, which SQLite keeps as {affinity}: "
        "it must hold text"
    )
    assert "rename it" in str(error.hint)


@pytest.mark.parametrize("declared", ["", "NUMERIC", "DECIMAL(20, 8)", "BIGINT", "FLOAT", "DATETIME"])
def test_types_that_keep_the_value_are_fine(tmp_path: Path, declared: str) -> None:
    types = dict.fromkeys(NUMBERS, declared) | dict.fromkeys(TEXTS, declared and "VARCHAR(20)")
    check(tmp_path, table(f"note BLOB, PRIMARY KEY ({KEY})", **types))


@pytest.mark.parametrize("column", TEXTS)
@pytest.mark.parametrize("collation", ["NOCASE", "RTRIM"])
def test_a_key_that_takes_two_series_for_one_is_refused(tmp_path: Path, column: str, collation: str) -> None:
    error = refusal(tmp_path, table(**{column: f"TEXT COLLATE {collation}"}))
    assert error.message == (
        f"the unique key of price_data compares {column} by the collation {collation}, not BINARY: "
        "candles of different series would count as one"
    )
    assert "rename it" in str(error.hint)


def test_a_second_key_is_looked_at_too(tmp_path: Path) -> None:
    index = f"CREATE UNIQUE INDEX i ON price_data ({KEY.replace('symbol', 'symbol COLLATE NOCASE')})"
    assert "compares symbol by the collation NOCASE" in refusal(tmp_path, f"{table()} {index}").message


def test_collations_of_other_indexes_and_binary_by_name_are_fine(tmp_path: Path) -> None:
    check(
        tmp_path,
        table(symbol="TEXT COLLATE binary") + "CREATE INDEX i ON price_data (symbol COLLATE NOCASE, timestamp);",
    )


@pytest.mark.parametrize("when", ["", "BEFORE", "AFTER"])
def test_a_trigger_that_leaves_out_candles_is_refused(tmp_path: Path, when: str) -> None:
    error = refusal(
        tmp_path, table() + trigger(f"{when} INSERT", "SELECT raise ( ignore ) WHERE NEW.close > 5", '"my trigger"')
    )
    assert error.message == (
        "the trigger my trigger on price_data leaves out candles with RAISE(IGNORE), and counts would be wrong"
    )
    assert 'DROP TRIGGER "my trigger"' in str(error.hint)


@pytest.mark.parametrize(
    "sql",
    [
        trigger("BEFORE INSERT", "SELECT RAISE(ABORT, 'RAISE(IGNORE)') WHERE NEW.close > 5"),
        trigger("BEFORE DELETE", "SELECT RAISE(IGNORE)", '"INSERT"'),
        trigger("BEFORE UPDATE OF close", "INSERT INTO log VALUES (1); SELECT RAISE(IGNORE)"),
        trigger("AFTER INSERT", "INSERT INTO log VALUES (1) ON CONFLICT DO NOTHING"),
    ],
)
def test_other_triggers_are_fine(tmp_path: Path, sql: str) -> None:
    check(tmp_path, f"CREATE TABLE log (n); {table()} {sql}")


def test_what_is_wrong_with_other_tables_does_not_matter(tmp_path: Path) -> None:
    other = "CREATE TABLE other (n PRIMARY KEY ON CONFLICT REPLACE);"
    ignoring = "CREATE TRIGGER t BEFORE INSERT ON other BEGIN SELECT RAISE(IGNORE); END;"
    check(tmp_path, ORIGINAL_TABLE + other + ignoring)
    with closing(migrated(tmp_path / "ours.sqlite")) as database:
        database.execute(other + ignoring)
        check_price_data(database)
