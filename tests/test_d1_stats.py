"""What a database holds, and whether it can hold candles."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coinswarm.candles import Timeframe, gaps
from coinswarm.d1.local import LocalDatabase
from coinswarm.d1.schema import check_price_data
from coinswarm.d1.stats import info, stats
from coinswarm.d1.types import Statement
from coinswarm.errors import SchemaMismatch
from tests.support.databases import COLUMNS, ORIGINAL_TABLE, migrated, open_database, stored

KEY = "symbol, timestamp, timeframe, source"
HOUR_0 = 1_699_999_200


def original(path: Path) -> LocalDatabase:
    database = open_database(path)
    database.execute(ORIGINAL_TABLE)
    return database


@pytest.fixture(params=[migrated, original], ids=["our table", "the original's table"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalDatabase]:
    opener: Callable[[Path], LocalDatabase] = request.param
    with closing(opener(tmp_path / "d1.sqlite")) as opened:
        yield opened


def test_series_are_counted_with_their_ends_and_holes(database: LocalDatabase) -> None:
    stored(database, [0, 1, 2, 5, 6, 9])
    stored(database, [0, 1, 2], source="kraken")
    stored(database, [4], symbol="ETH-USDC")
    document = stats(database)
    series = {(s["symbol"], s["timeframe"], s["source"]): s for s in document["series"]}
    assert list(series) == [("BTC-USDC", "1h", "binance"), ("BTC-USDC", "1h", "kraken"), ("ETH-USDC", "1h", "binance")]
    assert series["BTC-USDC", "1h", "binance"] == {
        "symbol": "BTC-USDC",
        "timeframe": "1h",
        "source": "binance",
        "rows": 6,
        "first": HOUR_0,
        "last": HOUR_0 + 9 * 3600,
        "gaps": 2,
    }
    assert [s["gaps"] for s in document["series"]] == [2, 0, 0]
    assert document["by_source"] == {"binance": 7, "kraken": 3}
    assert (document["database"], document["rows"]) == ("prices", 10)
    assert document["size_bytes"] > 0


def test_an_empty_table_has_no_series(database: LocalDatabase) -> None:
    document = stats(database)
    assert (document["rows"], document["series"], document["by_source"]) == (0, [], {})


def test_gaps_of_an_unknown_timeframe_are_not_guessed(database: LocalDatabase) -> None:
    database.execute(f"INSERT INTO price_data ({COLUMNS}) VALUES ('A-B', 0, 'hour', 1, 1, 1, 1, 1, 1, 'manual')")
    assert [s["gaps"] for s in stats(database)["series"]] == [None]


def test_many_series_with_holes_are_all_looked_at(database: LocalDatabase) -> None:
    for n in range(45):
        stored(database, [0, 2 + n], symbol=f"C{n}-USD")
    assert [s["gaps"] for s in stats(database)["series"]] == [1] * 45


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(hours=st.sets(st.integers(0, 60), min_size=1))
def test_holes_are_those_that_the_candles_module_finds(tmp_path: Path, hours: set[int]) -> None:
    with closing(migrated(tmp_path / "d1.sqlite")) as database:
        database.execute("DELETE FROM price_data")
        stored(database, sorted(hours))
        expected = len(gaps([hour * 3600 for hour in sorted(hours)], Timeframe.H1))
        assert stats(database)["series"][0]["gaps"] == expected


@pytest.mark.slow
def test_half_a_million_rows_are_summed_up_in_seconds_and_little_memory(tmp_path: Path) -> None:
    with closing(migrated(tmp_path / "d1.sqlite")) as database:
        database.execute(
            f"""INSERT INTO price_data ({COLUMNS})
            WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT 50000)
            SELECT 'C' || s.value || '-USD', i * 3600, '1h', 1, 1, 1, 1, NULL, NULL, 'binance'
            FROM json_each('[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]') AS s, n WHERE i % 1000"""
        )
        tracemalloc.start()
        started = time.perf_counter()
        document = stats(database)
        seconds = time.perf_counter() - started
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (document["rows"], document["series"][0]["gaps"]) == (499_500, 49)
    assert seconds < 10
    assert peak < 1_000_000


def test_info_names_the_database_and_counts_the_users_tables(tmp_path: Path) -> None:
    with closing(migrated(tmp_path / "d1.sqlite")) as database:
        document = info(database, database.path)
        assert document == {
            "uuid": "0a1b",
            "name": "prices",
            "file_size": document["file_size"],
            "num_tables": 2,
            "path": str(database.path),
        }
        assert document["file_size"] == database.execute("SELECT 1")[0].meta.size_after
        assert "path" not in info(database)


# Fitness


def test_both_tables_are_fit(database: LocalDatabase) -> None:
    check_price_data(database)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("", "the database prices has no table price_data"),
        (
            "CREATE TABLE price_data (symbol, timestamp, timeframe, open, high, low, close)",
            "price_data lacks the columns volume_from, volume_to, source; found: symbol, timestamp, timeframe, open",
        ),
        (
            f"CREATE TABLE price_data ({COLUMNS})",
            "price_data lacks a unique key over symbol, timestamp, timeframe, source",
        ),
        (
            f"CREATE TABLE price_data ({COLUMNS}, UNIQUE (symbol, timestamp))",
            "price_data lacks a unique key over symbol, timestamp, timeframe, source",
        ),
        (
            f"CREATE TABLE price_data ({COLUMNS}); CREATE UNIQUE INDEX i ON price_data ({KEY}) WHERE open > 1",
            "price_data lacks a unique key over symbol, timestamp, timeframe, source",
        ),
        (
            f"CREATE TABLE price_data ({COLUMNS}, exchange TEXT NOT NULL, PRIMARY KEY ({KEY}))",
            "price_data demands values for exchange",
        ),
    ],
)
def test_a_table_that_cannot_hold_candles_is_refused_by_name(tmp_path: Path, sql: str, message: str) -> None:
    with closing(open_database(tmp_path / "d1.sqlite")) as database:
        if sql:
            database.execute(sql)
        with pytest.raises(SchemaMismatch, match=message) as caught:
            check_price_data(database)
        assert caught.value.hint
        with pytest.raises(SchemaMismatch):
            stats(database)


def test_the_advice_for_a_missing_key_works(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "d1.sqlite")) as database:
        database.execute(f"CREATE TABLE price_data ({COLUMNS}, note TEXT)")
        with pytest.raises(SchemaMismatch) as caught:
            check_price_data(database)
        database.execute(str(caught.value.hint).partition(": ")[2])
        check_price_data(database)
        stored(database, [0, 0])
        assert database.batch([Statement("SELECT count(*) FROM price_data")])[0].rows == [(1,)]
