"""The baseline: no row that existed then has changed, gone or been passed over; new ones are welcome."""

from __future__ import annotations

import io
import resource
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from coinswarm.clock import SystemClock
from coinswarm.d1.local import LocalDatabase
from coinswarm.d1.migrate import bundled_migrations
from coinswarm.errors import UsageError
from coinswarm.verify import ledger
from coinswarm.verify.check import Status
from coinswarm.verify.databases import write_baseline
from coinswarm.verify.ledger import Difference, OutOfTime
from coinswarm.verify.subject import Subject
from tests.support.command_line import CommandLine
from tests.support.verified import FreshStack, behind_http, statuses

BTC, ETH = ("BTC-USDC", "1h", "binance"), ("ETH-USD", "1h", "kraken")
START = 1_500_001_200
ORIGINAL_TABLE = """CREATE TABLE price_data (
    id INTEGER PRIMARY KEY AUTOINCREMENT, symbol TEXT NOT NULL, timestamp INTEGER NOT NULL, timeframe TEXT NOT NULL,
    open REAL NOT NULL, high REAL NOT NULL, low REAL NOT NULL, close REAL NOT NULL, volume_from REAL, volume_to REAL,
    source TEXT NOT NULL, created_at INTEGER DEFAULT (unixepoch()), UNIQUE (symbol, timestamp, timeframe, source))"""


@pytest.fixture(params=["ours", "the original's"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalDatabase]:
    """BTC every second hour, 3,000 rows, more than a block; ETH, 10 rows."""
    with closing(LocalDatabase(tmp_path / "d1.sqlite", name="x", id="1")) as opened:
        ours = (bundled_migrations() / "0001_price_data.sql").read_text()
        opened.execute(ours if request.param == "ours" else ORIGINAL_TABLE)
        fill(opened, BTC, 3_000, step=7_200)
        fill(opened, ETH, 10)
        yield opened


def fill(
    database: LocalDatabase, series: tuple[str, str, str], rows: int, *, start: int = START, step: int = 3_600
) -> None:
    database.execute(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?5) INSERT INTO price_data "
        "(symbol, timeframe, source, timestamp, open, high, low, close, volume_from, volume_to) "
        "SELECT ?1, ?2, ?3, ?4 + i * ?6, 1.5 + i, 2.5 + i, 1.25, 2, NULL, i / 7.0 FROM n",
        (*series, start, rows - 1, step),
    )


def taken(database: LocalDatabase) -> io.BytesIO:
    file = io.BytesIO()
    ledger.write(database, file, now_ms=1)
    file.seek(0)
    return file


def after(database: LocalDatabase, sql: str) -> Difference:
    file = taken(database)
    database.execute(sql)
    return ledger.compare(database, file)


def test_what_is_left_alone_is_the_same(database: LocalDatabase) -> None:
    found = after(database, "SELECT 1")
    assert (found.rows, found.added, found.same) == (3_010, 0, True)


def test_new_rows_before_between_and_after_are_no_difference(database: LocalDatabase) -> None:
    file = taken(database)
    fill(database, BTC, 6_500, start=START - 3_600 * 201, step=7_200)
    fill(database, ("NEW-USD", "1h", "coinbase"), 5)
    found = ledger.compare(database, file)
    assert (found.same, found.added) == (True, 6_505)


@pytest.mark.parametrize(
    ("sql", "what", "count"),
    [
        ("UPDATE price_data SET close = 2.0000000000000004 WHERE {0} AND timestamp = {1}", "changed", 1),
        ("UPDATE price_data SET volume_from = 0 WHERE {0} AND timestamp = {1}", "changed", 1),
        ("UPDATE price_data SET volume_to = NULL WHERE {0} AND timestamp >= {1}", "changed", 1_000),
        ("DELETE FROM price_data WHERE {0} AND timestamp = {1}", "vanished", 1),
        ("DELETE FROM price_data WHERE {0} AND timestamp >= {1}", "vanished", 1_000),
        ("UPDATE price_data SET timestamp = timestamp + 60 WHERE {0} AND timestamp = {1}", "vanished", 1),
        ("UPDATE price_data SET source = 'other' WHERE {0} AND timestamp = {1}", "vanished", 1),
    ],
)
def test_a_row_that_changed_or_vanished_is_named(database: LocalDatabase, sql: str, what: str, count: int) -> None:
    at = START + 2_000 * 7_200
    found = after(database, sql.format("symbol = 'BTC-USDC'", at))
    assert found.total == count
    assert list(found.by_series()) == [BTC]
    assert found.by_series()[BTC] == f"{count:,} {what}"
    assert found.examples[0] == (BTC, at, what)
    assert len(found.examples) <= 10


def test_a_series_that_vanished_as_a_whole_is_named(database: LocalDatabase) -> None:
    assert after(database, "DELETE FROM price_data WHERE symbol = 'ETH-USD'").by_series() == {ETH: "10 vanished"}


def test_columns_that_are_not_ours_count_as_well(tmp_path: Path) -> None:
    with closing(LocalDatabase(tmp_path / "d1.sqlite", name="x", id="1")) as database:
        database.execute(ORIGINAL_TABLE)
        fill(database, ETH, 10)
        assert after(database, "UPDATE price_data SET created_at = 1 WHERE id = 3").by_series() == {ETH: "1 changed"}


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-80],
        lambda text: text.replace(b"BTC-USDC", b"BTC-USDT", 1),
        lambda text: text[: text.rindex(b'{"rows"')],
        lambda text: b"",
        lambda text: b"PK\x03\x04 not a baseline",
        lambda text: text + text,
    ],
    ids=["cut", "altered", "without its end", "empty", "another file", "twice"],
)
def test_a_file_that_cannot_be_relied_on_is_refused(database: LocalDatabase, damage: object) -> None:
    text = damage(taken(database).getvalue())  # type: ignore[operator]
    with pytest.raises(UsageError):
        ledger.compare(database, io.BytesIO(text))


def test_a_table_that_lost_a_column_is_refused(database: LocalDatabase) -> None:
    file = taken(database)
    database.execute("ALTER TABLE price_data DROP COLUMN volume_to")
    with pytest.raises(UsageError, match="lost the columns volume_to"):
        ledger.compare(database, file)


def test_it_stops_when_its_time_is_over(database: LocalDatabase) -> None:
    over = threading.Event()
    over.set()
    with pytest.raises(OutOfTime):
        ledger.write(database, io.BytesIO(), now_ms=1, stop=over.is_set)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """Two million rows are 230 MB: the original's database."""
    with closing(LocalDatabase(tmp_path / "d1.sqlite", name="x", id="1")) as database:
        database.execute((bundled_migrations() / "0001_price_data.sql").read_text())
        for number in range(20):
            fill(database, (f"C{number}-USD", "1h", "kraken"), 100_000)
        with (tmp_path / "baseline").open("w+b") as file:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            assert ledger.write(database, file, now_ms=1) == (2_000_000, 20)
            file.seek(0)
            assert ledger.compare(database, file).same
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000


# On the command line


def test_a_baseline_written_here_holds_here_and_over_http(tmp_path: Path) -> None:
    from coinswarm.verify.catalogue import CHECKS, with_baseline

    fresh, file = FreshStack(tmp_path / "project"), tmp_path / "baseline"
    with fresh.database() as database:
        fill(database, BTC, 50)
    checks = (*CHECKS, *with_baseline(compare=None, write=file))
    assert statuses(fresh.verify("write-baseline", checks=checks)) == {}
    checks = (*CHECKS, *with_baseline(compare=file, write=None))
    with behind_http(fresh):
        assert statuses(fresh.verify("baseline", checks=checks, remote=True)) == {}
        fresh.sql("UPDATE price_data SET high = 9 WHERE timestamp = 1500001200")
        report = fresh.verify("baseline", checks=checks, remote=True)
    assert statuses(report) == {"baseline": Status.FAILED}
    assert "BTC-USDC 1h binance: 1 changed; first 1500001200 changed" in report.results[0].outcome.message


def test_the_baseline_is_proved_and_only_then_written_anew(coinswarm: CommandLine) -> None:
    coinswarm("d1", "migrations", "apply")
    insert = "INSERT INTO price_data VALUES ('A-B', '1h', 'kraken', {0}, 1, 1, 1, 1, 1, 1)"
    coinswarm("d1", "execute", "--command", insert.format(1_500_001_200))
    written = coinswarm("verify", "--only", "price-data", "--write-baseline", "mine", "--json")
    assert written.exit_code == 0, written.out
    coinswarm("d1", "execute", "--command", insert.format(1_500_004_800))
    held = coinswarm("verify", "--only", "baseline", "--baseline", "mine")
    assert (held.exit_code, held.out.splitlines()[0]) == (0, "✅ all 1 rows of the baseline are as they were; 1 new")
    coinswarm("d1", "execute", "--command", "UPDATE price_data SET close = 2")
    before = (coinswarm.directory / "mine").read_bytes()
    broken = coinswarm("verify", "--only", "baseline", "--baseline", "mine", "--write-baseline", "mine")
    assert broken.exit_code == 2
    assert "A-B 1h kraken: 1 changed" in broken.out
    assert (coinswarm.directory / "mine").read_bytes() == before


def test_a_baseline_that_is_not_there_is_a_wrong_use(coinswarm: CommandLine) -> None:
    result = coinswarm("verify", "--baseline", "nowhere")
    assert result.exit_code == 2
    assert "--write-baseline nowhere" in result.err


def test_a_baseline_that_cannot_be_written_says_why_and_leaves_nothing(coinswarm: CommandLine) -> None:
    coinswarm("d1", "migrations", "apply")
    result = coinswarm("verify", "--only", "write-baseline", "--write-baseline", "nowhere/mine")
    assert result.exit_code == 2
    assert "nowhere/mine cannot be written: No such file or directory" in result.out
    assert "report" not in result.out
    (coinswarm.directory / "folder").mkdir()
    result = coinswarm("verify", "--only", "write-baseline", "--write-baseline", "folder")
    assert "folder cannot be written: Is a directory" in result.out
    assert not list(coinswarm.directory.glob("*.new"))


def test_a_baseline_that_ran_out_of_time_leaves_nothing(tmp_path: Path) -> None:
    fresh, file = FreshStack(tmp_path / "project"), tmp_path / "baseline"
    with fresh.database() as database:
        fill(database, BTC, 50)
    subject = Subject(fresh.stack, SystemClock(), remote=False)
    subject.stop.set()
    with pytest.raises(OutOfTime):
        write_baseline(subject, file)
    assert not list(tmp_path.glob("baseline*"))
