"""What D1 would bill, kept by day and database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coinswarm.clock import ManualClock
from coinswarm.d1.types import Statement
from coinswarm.d1.usage import FLUSH_SECONDS, Metered, UsageMeter, read_usage, usage_file
from coinswarm.errors import SqlError
from tests.support.command_line import CommandLine
from tests.support.databases import STORE, migrated, row

NOON = 1_700_049_600_000
"""2023-11-15 12:00 UTC."""
DAY = 86_400.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return usage_file(tmp_path)


@pytest.fixture
def database(tmp_path: Path, clock: ManualClock, path: Path) -> Iterator[Metered]:
    opened = Metered(migrated(tmp_path / "prices.sqlite"), "local", UsageMeter(path, clock))
    yield opened
    opened.close()


def store(database: Metered, *hours: int) -> None:
    database.batch([Statement(STORE, row(hour)) for hour in hours])


def test_what_every_call_read_and_wrote_is_added_up(database: Metered, path: Path) -> None:
    store(database, 0, 1, 2)
    store(database, 2, 3)
    database.execute("SELECT count(*) FROM price_data")
    database.close()
    (day,) = read_usage(path)
    assert (day.day, day.place, day.database) == ("2023-11-15", "local", "prices")
    assert (day.calls, day.queries, day.rows_written, day.rows_read) == (3, 6, 4, 4)


def test_midnight_utc_begins_a_new_day(database: Metered, clock: ManualClock, path: Path) -> None:
    store(database, 0)
    clock.advance(DAY / 2 - 1)
    store(database, 1)
    clock.advance(1)
    store(database, 2)
    database.close()
    assert [(day.day, day.rows_written) for day in read_usage(path)] == [("2023-11-15", 2), ("2023-11-16", 1)]
    assert [day.day for day in read_usage(path, since="2023-11-16")] == ["2023-11-16"]


def test_nothing_is_written_down_more_often_than_every_few_seconds(
    database: Metered, clock: ManualClock, path: Path
) -> None:
    store(database, 0)
    store(database, 1)
    assert read_usage(path) == [], "a process killed here loses this much, and no more"
    clock.advance(FLUSH_SECONDS)
    store(database, 2)
    assert [day.rows_written for day in read_usage(path)] == [3]


def test_processes_add_to_the_same_counts(tmp_path: Path, clock: ManualClock, path: Path) -> None:
    for hour in range(3):
        metered = Metered(migrated(tmp_path / "prices.sqlite"), "local", UsageMeter(path, clock))
        store(metered, hour)
        metered.close()
    assert [(day.calls, day.rows_written) for day in read_usage(path)] == [(3, 3)]


def test_a_call_that_failed_counts_nothing(database: Metered, path: Path) -> None:
    with pytest.raises(SqlError):
        database.execute("SELECT * FROM nowhere")
    database.close()
    assert read_usage(path) == []


def test_counts_that_cannot_be_written_neither_stop_the_work_nor_get_lost_at_once(
    database: Metered, clock: ManualClock, path: Path
) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("this is no database, and so long that SQLite looks at it. " * 10)
    store(database, 0)
    clock.advance(FLUSH_SECONDS)
    store(database, 1)
    path.unlink()
    clock.advance(FLUSH_SECONDS)
    store(database, 2)
    assert [day.rows_written for day in read_usage(path)] == [3]


def test_every_command_that_opens_a_database_is_metered(coinswarm: CommandLine, tmp_path: Path) -> None:
    assert coinswarm("d1", "migrations", "apply").exit_code == 0
    before = read_usage(usage_file(tmp_path / ".wrangler/state"))
    assert coinswarm("d1", "execute", "--command", "SELECT 1; SELECT 2").exit_code == 0
    after = read_usage(usage_file(tmp_path / ".wrangler/state"))
    assert sum(day.queries for day in after) == sum(day.queries for day in before) + 2
    assert {day.database for day in after} == {"coinswarm-evolution"}
