"""`coinswarm status`, `tail` and `/metrics`: views of what the stack does."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from coinswarm.clock import ManualClock
from coinswarm.d1.local import LocalDatabase
from coinswarm.log.file import FileLog
from coinswarm.server.app import create_app
from coinswarm.status.activity import failures, last_runs, rate_now
from coinswarm.status.series import NEWEST, newest_candles
from tests.support.command_line import CommandLine, running, wait_until
from tests.support.databases import ORIGINAL_TABLE, migrated, open_database, stored
from tests.support.queues import send
from tests.support.served import TOKEN, Client, served

NOW = 1_700_000_000_000


def three_series(database: LocalDatabase) -> None:
    stored(database, [0, 1, 2, 3])
    stored(database, [0, 1], source="kraken")
    stored(database, [-5], symbol="ETH-USD")


@pytest.mark.parametrize("original", [False, True])
def test_the_newest_candle_of_every_series_is_found_in_any_table(tmp_path: Path, original: bool) -> None:
    if original:
        database = open_database(tmp_path / "d1.sqlite")
        database.execute(ORIGINAL_TABLE)
    else:
        database = migrated(tmp_path / "d1.sqlite")
    three_series(database)
    found = newest_candles(database, (1_699_999_200 + 6 * 3600 + 60) * 1000)
    database.close()
    assert [(one.name, one.newest, one.timeframes) for one in found] == [
        ("BTC-USDC/1h/binance", 1_699_999_200 + 3 * 3600, pytest.approx(2 + 1 / 60)),
        ("BTC-USDC/1h/kraken", 1_699_999_200 + 3600, pytest.approx(4 + 1 / 60)),
        ("ETH-USD/1h/binance", 1_699_999_200 - 5 * 3600, pytest.approx(10 + 1 / 60)),
    ]


def test_finding_the_newest_candles_reads_no_more_of_a_longer_table(tmp_path: Path) -> None:
    database = migrated(tmp_path / "d1.sqlite")
    three_series(database)
    steps = [str(row[-1]) for row in database.execute("EXPLAIN QUERY PLAN " + NEWEST)[0].rows]
    database.close()
    looks = [step for step in steps if "price_data" in step]
    assert len(looks) == 7
    assert all(step.startswith("SEARCH price_data USING PRIMARY KEY") for step in looks)


def test_an_empty_table_has_no_series(tmp_path: Path) -> None:
    database = migrated(tmp_path / "d1.sqlite")
    assert newest_candles(database, NOW) == []
    database.close()


def test_the_rate_is_of_the_last_minute(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    log = FileLog(tmp_path, clock)
    log.event("batch.written", messages=1000, acked=1000, inserted=10_000, duplicate=0, seconds=1.0)
    clock.advance(300)
    assert rate_now(tmp_path, clock.now_ms()).messages == 0
    log.event("batch.written", messages=100, acked=100, inserted=900, duplicate=100, seconds=2.0)
    clock.advance(2)
    rate = rate_now(tmp_path, clock.now_ms())
    assert (rate.messages, rate.rows) == (25, 250)


def test_failures_are_counted_within_the_window(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    log = FileLog(tmp_path, clock)
    log.event("http.request", status=503, error="SourceUnavailable")
    clock.advance(3600)
    log.event("http.request", status=200)
    log.event("http.request", status=503, error="SourceUnavailable")
    log.event("batch.written", messages=10)
    log.event("messages.dead_lettered", messages=3, reason="poison")
    requests, messages = failures(tmp_path, clock.now_ms(), 30)
    assert (requests.tried, requests.failed, messages.tried, messages.failed) == (2, 1, 10, 3)


def test_a_run_without_an_end_whose_process_is_gone_has_vanished(tmp_path: Path) -> None:
    log = FileLog(tmp_path, ManualClock(NOW))
    log.event("run.started", kind="fetch", pid=2**22 + 1)
    assert [(run.kind, run.outcome) for run in last_runs(tmp_path)] == [("fetch", "vanished")]


def test_the_fetches_of_a_cron_run_are_one_run(tmp_path: Path) -> None:
    log = FileLog(tmp_path, ManualClock(NOW))
    alone = log.for_run()
    alone.event("run.started", kind="fetch", pid=1)
    alone.event("run.finished", kind="fetch", outcome="done")
    cron = log.for_run()
    cron.event("run.started", kind="cron", pid=1)
    for _ in range(39):
        cron.event("run.started", kind="fetch", pid=1)
        cron.event("run.finished", kind="fetch", outcome="done")
    cron.event("run.finished", kind="cron", outcome="done", candles=195)
    assert [(run.kind, run.about) for run in last_runs(tmp_path)] == [("cron", "195 candles"), ("fetch", "")]


def test_status_fits_80_columns_and_shows_what_there_is(
    coinswarm: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    coinswarm("d1", "migrations", "apply")
    coinswarm("queues", "send", "historical-data-queue", '[{"symbol":"BTC-USDC"}]')
    coinswarm("consume")
    coinswarm("queues", "send", "historical-data-queue", "[]")
    result = coinswarm("status")
    assert result.exit_code == 0
    assert max(map(len, result.out.splitlines())) <= 80
    for text in ("1 message, 2 B", "dead letters  1 in historical-data-dlq", "*/30 * * * *", "consume", "done"):
        assert text in result.out
    document = coinswarm("status", "--json").json
    assert document["queue"]["backlog"] == 1
    assert document["dead_letters"]["messages"] == 1
    assert len(document["crons"][0]["next_ms"]) == 3
    assert document["runs"][0]["outcome"] == "done"


def test_status_counts_what_still_lies_in_the_write_ahead_log(coinswarm: CommandLine, tmp_path: Path) -> None:
    coinswarm("d1", "migrations", "apply")
    (file,) = (path for path in tmp_path.rglob("*.sqlite") if "D1Database" in str(path) and "metadata" not in path.name)
    with closing(open_database(file)) as writer:
        before = coinswarm("status", "--json").json["database"]["bytes"]
        writer.execute("CREATE TABLE filler AS SELECT zeroblob(1000000) AS b")
        assert coinswarm("status", "--json").json["database"]["bytes"] > before + 1_000_000 > file.stat().st_size


def test_status_of_nothing_at_all_is_no_error(coinswarm: CommandLine) -> None:
    result = coinswarm("status", "--json")
    assert result.exit_code == 0
    assert result.json["database"]["note"] == "there is no database yet"
    assert not list(coinswarm.directory.rglob("miniflare-D1DatabaseObject"))


def test_looking_says_what_is_too_old_and_how_to_save_it_and_deletes_none(
    coinswarm: CommandLine, tmp_path: Path
) -> None:
    queue = "historical-data-queue"
    coinswarm("queues", "send", queue, "[]")
    (file,) = tmp_path.rglob("queues.sqlite")
    with closing(sqlite3.connect(file)) as raw, raw:
        five_days = 5 * 86_400_000
        raw.execute("UPDATE messages SET stored_ms = stored_ms - ?1, visible_at = visible_at - ?1", (five_days,))
    saving = f"coinswarm queues update {queue} --message-retention-period-secs 1209600"
    for words in (("status",), ("queues", "list"), ("queues", "info", queue)):
        said = coinswarm(*words)
        assert "1 message is older than the retention" in said.err, said
        assert saving in " ".join(said.err.split()), said
    assert coinswarm("queues", "info", queue, "--json").json["overdue"] == 1
    coinswarm(*saving.split()[1:])
    assert coinswarm("queues", "info", queue, "--json").json["backlog"] == 1
    assert coinswarm("queues", "peek", queue, "--json").json


def test_status_says_how_the_table_that_is_missing_is_made(coinswarm: CommandLine) -> None:
    step = "→ coinswarm d1 migrations apply"
    assert step in coinswarm("status").err
    coinswarm("d1", "migrations", "apply")
    after = coinswarm("status")
    assert "price_data is empty" in after.out
    assert step not in after.err


def log_of(directory: Path) -> FileLog:
    return FileLog(directory / ".wrangler/state/v3/coinswarm/log", ManualClock(NOW))


def test_tail_once_shows_the_end_of_the_log(coinswarm: CommandLine) -> None:
    log = log_of(coinswarm.directory)
    for number in range(30):
        log.event("page.fetched", source="kraken", candles=number)
    result = coinswarm("tail", "--once")
    assert result.exit_code == 0
    assert len(result.out.splitlines()) == 20
    assert "candles=29" in result.out.splitlines()[-1]
    assert len(coinswarm("tail", "--once", "--since", "2023-01-01").out.splitlines()) == 30
    assert coinswarm("tail", "--once", "--since", "1h").out == ""


def test_tail_json_is_one_object_a_line_and_filters_hold(coinswarm: CommandLine) -> None:
    log = log_of(coinswarm.directory)
    log.event("http.request", source="kraken", status=503, error="SourceUnavailable", message="\x1b[31mred")
    log.event("http.request", source="binance", status=200)
    result = coinswarm("tail", "--once", "--json", "--event", "http", "--source", "kraken", "--errors")
    (line,) = result.out.splitlines()
    assert json.loads(line)["message"] == "\x1b[31mred"
    assert "\x1b" not in result.out
    assert "\x1b" not in coinswarm("tail", "--once").out


@pytest.mark.parametrize("since", ["yesterday", "5 weeks", "1700000000000"])
def test_tail_refuses_a_time_that_is_none(coinswarm: CommandLine, since: str) -> None:
    result = coinswarm("tail", "--once", "--since", since)
    assert result.exit_code == 2
    assert "--since" in result.err


def test_tail_follows_and_ends_with_130_without_noise(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    log.event("first.one")
    with running("tail", directory=tmp_path, environment={}) as process:
        assert process.stdout is not None
        assert "first.one" in process.stdout.readline()
        log.event("second.one")
        assert "second.one" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        wait_until(lambda: process.poll() is not None, "tail ends")
        assert process.stderr is not None
        assert (process.returncode, process.stderr.read()) == (130, "")


def test_metrics_are_what_prometheus_reads(tmp_path: Path) -> None:
    with served(tmp_path) as api:
        api.queues.create("prices")
        send(api.queues.open("prices"), "a", "b")
        with api.account.catalogue.use("coinswarm-evolution") as database:
            database.execute("CREATE TABLE price_data (symbol, timeframe, source, timestamp)")
            database.execute("""INSERT INTO price_data VALUES ('A"B\\C', '1h', 'x\ny', 3600)""")
        reply = api.client.get("/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(reply.text)}
    assert all(family.documentation and family.type in ("gauge", "counter") for family in families.values())
    (backlog,) = families["coinswarm_queue_backlog_messages"].samples
    assert (backlog.labels, backlog.value) == ({"queue": "prices"}, 2)
    sent = {sample.labels["event"]: sample.value for sample in families["coinswarm_queue_messages"].samples}
    assert (sent["sent"], sent["acked"]) == (2, 0)
    (newest,) = families["coinswarm_newest_candle_timestamp_seconds"].samples
    assert newest.labels == {
        "database": "coinswarm-evolution",
        "symbol": 'A"B\\C',
        "timeframe": "1h",
        "source": "x\ny",
    }
    assert newest.value == 3600


def test_metrics_are_of_the_queues_there_are_and_not_of_every_scratch_queue_there_was(tmp_path: Path) -> None:
    """Each `verify` makes a queue and deletes it; its counters would stay for ever, under ever new labels."""
    with served(tmp_path) as api:
        for name in ("prices", "coinswarm-canary-1"):
            api.queues.create(name)
            send(api.queues.open(name), "a")
        api.queues.delete("coinswarm-canary-1")
        text = api.client.get("/metrics").text
        assert sum(day.operations for day in api.queues.usage(queue="coinswarm-canary-1"))
    assert 'coinswarm_queue_messages_total{queue="prices",event="sent"} 1' in text
    assert "coinswarm-canary-1" not in text


def test_metrics_need_the_token_where_others_can_reach_them(tmp_path: Path) -> None:
    with served(tmp_path) as api:
        client = Client(create_app(api.account, token=TOKEN, host="0.0.0.0"), "http://10.0.0.1:8787")
        assert client.get("/metrics").status_code == 400
        assert client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
