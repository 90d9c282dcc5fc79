"""A forecast from metered days, what a remote statement would read, and the command that tells it all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from coinswarm.commands.reading import confirm_reading
from coinswarm.commands.run import Run
from coinswarm.cost.bill import Use
from coinswarm.cost.estimate import whole_table, whole_tables
from coinswarm.cost.free import spread_evenly
from coinswarm.cost.metered import basis, forecast_from_usage
from coinswarm.cost.month import DAY_MS, Table
from coinswarm.d1.types import QueryResult, SqlValue, Statement
from coinswarm.d1.usage import DatabaseUsage, read_usage, usage_file
from coinswarm.errors import UsageError
from coinswarm.queue.usage import Usage
from tests.support.cloudflare import TOKEN
from tests.support.command_line import CommandLine
from tests.support.databases import migrated, open_database
from tests.support.local_cloudflare import local_cloudflare

NOW = 20_000 * DAY_MS + DAY_MS // 2
"""2024-10-04, noon."""
TABLE = Table(per_row=2, per_statement=0, bytes_per_row=100.0, stored_bytes=1_000, origin="told")


def queued(day: str, count: int) -> Usage:
    return Usage(day, "candles", count, count, count, 0, count, count, count, 0, 0, 0, 0, 0)


def stored(day: str, read: int, written: int) -> DatabaseUsage:
    return DatabaseUsage(day, "local", "id", "prices", 1, 10, read, written)


def test_only_whole_days_are_taken_and_idle_ones_among_them_count() -> None:
    found = forecast_from_usage(
        [queued("2024-09-30", 9_999), queued("2024-10-01", 100), queued("2024-10-03", 200), queued("2024-10-04", 7)],
        [stored("2024-10-01", 30, 600), stored("2024-10-04", 1, 1)],
        now_ms=NOW,
        days=30,
        fires=1_440,
        fires_origin="wrangler.toml: triggers.crons",
        batch_size=100,
        table=TABLE,
        cpu_ms=10,
    )
    assert found.use == Use(
        requests=1_440 + 30,
        cpu_ms=14_700,
        queue_operations=900 * 10,
        rows_read=300,
        rows_written=6_000,
        stored_bytes=1_000 + 3_000 * 100,
    )
    assert "3 days, 2024-10-01 to 2024-10-03" in found.notes[0]
    operations = next(figure for figure in found.figures if figure.name == "queue operations")
    assert operations.formula == "900 (300 writes + 300 reads + 300 deletes + 0 purges) ÷ 3 × 30 days = 9,000"


def test_days_that_are_not_whole_are_named_so() -> None:
    assert str(basis(["2024-10-04"], NOW)) == "2024-10-04, not whole"
    assert str(basis(["2024-10-03", "2024-10-04"], NOW)) == "2 days, 2024-10-03 to 2024-10-04, not whole"
    assert basis(["2024-10-02", "2024-10-04"], NOW).whole


def test_nothing_metered_is_said_and_not_taken_for_nothing_used() -> None:
    with pytest.raises(UsageError, match="nothing was metered"):
        basis([], NOW)


def test_an_even_day_that_uses_twice_the_allowance_stops_at_noon() -> None:
    caps = {cap.name: cap for cap in spread_evenly(Use(queue_operations=600_000, requests=30), 30, NOW)}
    assert (caps["queue operations"].used, caps["queue operations"].exceeded_at) == (20_000, "12:00")
    assert caps["requests"].exceeded_at is None


class Large:
    """A real database that says it holds a gigabyte."""

    parallel = False
    name = "prices"
    id = "0a1b"

    def __init__(self, path: Path) -> None:
        self.real = migrated(path)
        self.asked: list[str] = []

    def batch(self, statements: Sequence[Statement]) -> list[QueryResult]:
        self.asked += [statement.sql for statement in statements]
        results = self.real.batch(statements)
        for result in results:
            result.meta.size_after = 1_000_000_000
        return results

    def execute(self, sql: str, params: Sequence[SqlValue] = ()) -> list[QueryResult]:
        return self.batch([Statement(sql, params)])

    def close(self) -> None:
        self.real.close()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM price_data",
        "SELECT source, count(*) FROM price_data GROUP BY source LIMIT 5",
        "SELECT * FROM price_data WHERE close > 100 ORDER BY close LIMIT 5",
        "DELETE FROM price_data WHERE close > 1",
        "UPDATE price_data SET close = 1 WHERE open = 2",
        "SELECT 1; SELECT * FROM price_data",
    ],
)
def test_a_statement_that_reads_a_large_table_is_told_before_it_does(tmp_path: Path, sql: str) -> None:
    with closing(Large(tmp_path / "d1.sqlite")) as database:
        found = whole_tables(database, sql)
        assert found is not None
        assert found.tables == ("price_data",)
        assert found.rows == 13_333_333
        assert "267%" in found.warning("prices")
        assert "$0.0133" in found.warning("prices")
        assert all(asked.startswith("EXPLAIN QUERY PLAN") for asked in database.asked), "nothing else was run"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM price_data LIMIT 5",
        "SELECT * FROM price_data WHERE symbol = 'BTC-USDC' AND timeframe = '1h'",
        "INSERT INTO price_data VALUES ('a', 'b', 'c', 1, 1, 1, 1, 1, 1, 1)",
        "CREATE TABLE t (v); SELECT * FROM t",
        "SELECT * FROM nowhere",
        "PRAGMA table_info(price_data)",
        "",
    ],
)
def test_a_statement_that_reads_little_or_cannot_be_judged_brings_no_warning(tmp_path: Path, sql: str) -> None:
    with closing(Large(tmp_path / "d1.sqlite")) as database:
        assert whole_tables(database, sql) is None


def test_small_databases_bring_no_warning(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "d1.sqlite")) as database:
        database.execute("CREATE TABLE t (v)")
        assert whole_tables(database, "SELECT * FROM t") is None
        assert whole_table(database, "t") is None


def test_cost_says_free_and_paid_with_formulas_and_the_date_of_the_prices(coinswarm: CommandLine) -> None:
    told = coinswarm("cost")
    assert told.exit_code == 0
    for part in ("2026-11-23", "Workers Paid: $5.00", "Workers Free: $0.00, and it fits", "86,400", "triggers.crons"):
        assert part in told.out
    assert not Path(coinswarm.directory / ".wrangler").exists(), "a forecast leaves nothing behind"


def test_cost_is_one_json_document(coinswarm: CommandLine) -> None:
    document = coinswarm("cost", "--json", "--cron", "*/15 * * * *", "--tokens", "26").json
    assert document["use"]["queue_operations"] == 2_880 * 39 * 3
    assert document["change"]["use"]["queue_operations"] == 2_880 * 39 * 3 - 86_400
    assert document["now"]["use"]["queue_operations"] == 86_400
    assert document["free"]["fits"] is False
    assert {"prices_read", "figures", "paid", "notes"} <= set(document)


def test_cost_shows_the_change_against_now(coinswarm: CommandLine) -> None:
    told = coinswarm("cost", "--rows-per-message", "1").out
    assert "stops at 08:30 UTC" in told
    assert "+756,000" in told


def test_one_plan_alone_can_be_asked_for(coinswarm: CommandLine) -> None:
    free, paid = coinswarm("cost", "--plan", "free"), coinswarm("cost", "--plan", "paid", "--json")
    assert "Workers Paid" not in free.out
    assert "free" not in paid.json
    assert paid.json["paid"]["total"] == 5.0


@pytest.mark.parametrize(
    ("flags", "code", "part"),
    [
        (["--from-config", "--from-usage"], 2, "exclude each other"),
        (["--from-usage", "--tokens", "3"], 2, "what was metered"),
        (["--from-usage"], 2, "nothing was metered"),
        (["--cron", "every morning"], 2, "five fields"),
        (["--plan", "enterprise"], 2, "enterprise"),
        (["--days", "0"], 2, "days"),
        (["--tokens", "0"], 2, "tokens"),
    ],
)
def test_bad_input_says_what_to_do(coinswarm: CommandLine, flags: list[str], code: int, part: str) -> None:
    told = coinswarm("cost", *flags, "--json")
    assert told.exit_code == code
    assert part in json.dumps(told.json["error"])


def test_what_commands_did_is_forecast_from_use(coinswarm: CommandLine) -> None:
    coinswarm("d1", "migrations", "apply")
    candle = {"symbol": "BTC-USDC", "timestamp": 1_699_999_200, "timeframe": "1h", "source": "binance"}
    prices = {"open": 1, "high": 2, "low": 1, "close": 2, "volumeFrom": 1, "volumeTo": 1}
    body = json.dumps([candle | prices])
    coinswarm("queues", "send", "historical-data-queue", body)
    assert coinswarm("consume").exit_code == 0
    document = coinswarm("cost", "--from-usage", "--json").json
    assert document["source"] == "usage"
    assert document["use"]["queue_operations"] == 3 * 30
    assert document["use"]["rows_written"] >= 30
    assert any("hint" in note for note in document["notes"])


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, *, answer: bool) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("coinswarm.commands.run.Run.agreed", lambda _run, _question: answer)


def test_reading_a_large_table_is_asked_about_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Large(tmp_path / "d1.sqlite")) as database:
        confirm_reading(Run(), database, "price_data", yes=False)
        assert "this reads all of price_data in prices" in capsys.readouterr().err, "without a terminal nobody is asked"
        on_a_terminal(monkeypatch, answer=False)
        with pytest.raises(UsageError, match="nothing was read"):
            confirm_reading(Run(), database, "price_data", yes=False)
        confirm_reading(Run(), database, "price_data", yes=True)
        on_a_terminal(monkeypatch, answer=True)
        confirm_reading(Run(), database, "price_data", yes=False)


@pytest.mark.parametrize(
    "words",
    [
        ["stats"],
        ["export", "--output", "all.sql"],
        ["execute", "--command", "SELECT count(*) FROM price_data"],
    ],
)
def test_commands_warn_before_they_read_a_large_table_on_cloudflare(
    coinswarm: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr("coinswarm.cost.estimate.WARN_FROM_ROWS", 1)
    with local_cloudflare(tmp_path / "cloudflare") as cloudflare:
        coinswarm.environment |= {
            "CLOUDFLARE_API_TOKEN": TOKEN,
            "CLOUDFLARE_ACCOUNT_ID": cloudflare.account.id,
            "CLOUDFLARE_API_BASE_URL": cloudflare.url,
        }
        assert coinswarm("d1", "migrations", "apply", "--remote", "--yes").exit_code == 0
        told = coinswarm("d1", *words, "--remote", *([] if words[0] == "execute" else ["--yes"]), "--json")
        assert told.exit_code == 0, told
        assert "this reads all of" in told.err
        assert "on Paid beyond its allowance" in told.err
    metered = read_usage(usage_file(coinswarm.directory / ".wrangler/state"))
    assert {day.place for day in metered} == {"remote"}, "what Cloudflare said it read"
    assert coinswarm("d1", "migrations", "apply").exit_code == 0
    quiet = coinswarm("d1", *words, "--json")
    assert quiet.exit_code == 0
    assert "this reads" not in quiet.err, "on this machine reading is free"
