"""The twenty-four faults of the original system, each made impossible: what happened there cannot happen here.

One test a hazard, through the product as its users meet it. The table of them: docs/security.md, "Hazards".
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from coinswarm.config import load
from coinswarm.errors import QueueError
from coinswarm.payload import ROWS_PER_MESSAGE
from coinswarm.queue.types import OutgoingMessage
from coinswarm.server.app import create_app
from coinswarm.server.stack import Outcome
from coinswarm.simulator import Faults, Simulator, SyntheticMarket
from coinswarm.wiring import queues as open_queues
from tests.support.answering import JSON, Asked, answering
from tests.support.candle_messages import FIRST_OPEN, body, row
from tests.support.command_line import ROOT, CommandLine, HastyClock, Result
from tests.support.databases import ORIGINAL_TABLE
from tests.support.served import Client, served
from tests.support.simulated import ask
from tests.support.verified import CLOCK, FreshStack, behind_http

QUEUE, DEAD = "historical-data-queue", "historical-data-dlq"
NEWEST = 1_700_000_000 // 3600 * 3600
SOL_LISTED = NEWEST - 99 * 3600
KEY = {"Authorization": "Apikey any"}
TEN_FIELDS = {
    "symbol": str,
    "timestamp": int,
    "timeframe": str,
    "open": float,
    "high": float,
    "low": float,
    "close": float,
    "volumeFrom": float | None,
    "volumeTo": float | None,
    "source": str,
}


@pytest.fixture(scope="module")
def exchanges() -> Iterator[Simulator]:
    with Simulator(SyntheticMarket(seed=24, listed={"SOL-USD": SOL_LISTED})) as running:
        yield running


@pytest.fixture
def market(exchanges: Simulator, coinswarm: CommandLine) -> Simulator:
    """The six exchanges, where `coinswarm` finds them."""
    exchanges.faults = Faults()
    coinswarm.environment = dict(exchanges.environment) | {"CRYPTOCOMPARE_API_KEY": "any"}
    return exchanges


@pytest.fixture
def pipeline(coinswarm: CommandLine) -> CommandLine:
    assert coinswarm("d1", "migrations", "apply").exit_code == 0
    return coinswarm


def send(coinswarm: CommandLine, *bodies: str) -> None:
    for text in bodies:
        assert coinswarm("queues", "send", QUEUE, text).exit_code == 0


def sql(coinswarm: CommandLine, text: str) -> list[dict[str, Any]]:
    result = coinswarm("d1", "execute", "--json", "--command", text)
    assert result.exit_code == 0, result
    rows: list[dict[str, Any]] = result.json[-1]["results"]
    return rows


def stored(coinswarm: CommandLine) -> list[dict[str, Any]]:
    return sql(coinswarm, "SELECT * FROM price_data ORDER BY symbol, source, timestamp")


def dead(coinswarm: CommandLine) -> list[dict[str, Any]]:
    letters: list[dict[str, Any]] = coinswarm("queues", "dlq", "list", "--json").json
    return letters


def waiting(coinswarm: CommandLine) -> int:
    count: int = coinswarm("queues", "info", QUEUE, "--json").json["backlog"]
    return count


def candles_waiting(coinswarm: CommandLine) -> list[dict[str, Any]]:
    messages = coinswarm("queues", "peek", QUEUE, "--limit", "100", "--json").json
    return [candle for message in messages for candle in json.loads(message["body"])]


def consumed(coinswarm: CommandLine) -> dict[str, Any]:
    result = coinswarm("consume", "--json")
    assert result.exit_code == 0, result
    report: dict[str, Any] = result.json
    return report


def refuse(coinswarm: CommandLine, symbol: str) -> None:
    """D1 fails for this symbol in words that nobody has foreseen."""
    sql(
        coinswarm,
        f"CREATE TRIGGER odd BEFORE INSERT ON price_data WHEN NEW.symbol = '{symbol}' "
        "BEGIN SELECT RAISE(ABORT, 'the moon is in the wrong house'); END",
    )


def test_h01_an_unknown_error_is_never_acknowledged(pipeline: CommandLine, hasty_clock: HastyClock) -> None:
    refuse(pipeline, "ODD-USD")
    send(pipeline, body(row(symbol="ODD-USD")))
    report = consumed(pipeline)
    assert (report["acked"], report["dead_lettered"], report["rows"]["inserted"]) == (0, 1, 0)
    (letter,) = dead(pipeline)
    assert "the moon is in the wrong house" in letter["reason"]
    shown = pipeline("queues", "dlq", "show", letter["id"], "--json")
    assert "ODD-USD" in shown.out


def test_h02_producer_and_cron_write_the_candles_that_the_consumer_stores(
    pipeline: CommandLine, market: Simulator, hasty_clock: HastyClock
) -> None:
    assert pipeline("fetch", "BTC-USDC", "--limit", "30").exit_code == 0
    assert pipeline("cron", "run").exit_code == 0
    candles = candles_waiting(pipeline)
    assert len(candles) == 30 + 195
    for candle in candles:
        assert list(candle) == list(TEN_FIELDS)
        assert all(isinstance(candle[name], kind) for name, kind in TEN_FIELDS.items()), candle
    report = consumed(pipeline)
    assert report["rows"]["rejected"] == report["dead_lettered"] == report["retried"] == 0
    assert report["rows"]["inserted"] + report["rows"]["duplicate"] == len(candles)


def test_h03_two_sources_of_one_candle_are_two_rows(pipeline: CommandLine) -> None:
    send(pipeline, body(row(source="binance"), row(source="coinbase", close=106.0), row(source="binance")))
    report = consumed(pipeline)
    assert [(r["source"], r["close"]) for r in stored(pipeline)] == [("binance", 105.0), ("coinbase", 106.0)]
    assert (report["rows"]["inserted"], report["rows"]["duplicate"]) == (2, 1)


def test_h04_no_source_is_filtered_out_for_its_name(pipeline: CommandLine) -> None:
    names = ["CCCAGG", "kraken", "manual", "my own notes"]
    send(pipeline, body(*(row(source=name) for name in names)))
    assert consumed(pipeline)["rows"] == {"received": 4, "inserted": 4, "duplicate": 0, "rejected": 0}
    assert [r["source"] for r in stored(pipeline)] == names


def test_h05_bad_json_is_dead_lettered_at_once_not_acknowledged(pipeline: CommandLine) -> None:
    send(pipeline, '[{"symbol": "BTC-')
    report = consumed(pipeline)
    assert (report["acked"], report["retried"], report["dead_lettered"]) == (0, 0, 1)
    (letter,) = dead(pipeline)
    assert letter["reason"].startswith("the body is not JSON")
    assert letter["attempts"] == 1


def test_h06_one_failing_message_decides_for_no_other(pipeline: CommandLine, hasty_clock: HastyClock) -> None:
    refuse(pipeline, "ODD-USD")
    sound = [body(row(hour)) for hour in range(0, 240, 2)]
    send(pipeline, *sound[:60], body(row(symbol="ODD-USD")), *sound[60:], "no json")
    report = consumed(pipeline)
    assert (report["acked"], report["dead_lettered"], report["rows"]["inserted"]) == (120, 2, 120)
    assert (report["messages"], report["retried"], report["released"]) == (122, 0, 0)  # each delivered once
    assert [r["timestamp"] for r in stored(pipeline)] == [FIRST_OPEN + hour * 3600 for hour in range(0, 240, 2)]
    assert waiting(pipeline) == 0


def test_h07_a_row_that_breaks_a_rule_of_the_table_does_not_vanish(
    coinswarm: CommandLine, hasty_clock: HastyClock
) -> None:
    ruled = ORIGINAL_TABLE.replace("volume_from REAL", "volume_from REAL NOT NULL CHECK (volume_from < 1000)", 1)
    sql(coinswarm, ruled)
    send(coinswarm, body(row(0)), body(row(1, volumeFrom=None)), body(row(2, volumeFrom=5000.0)))
    report = consumed(coinswarm)
    assert (report["acked"], report["rows"]["inserted"], report["dead_lettered"]) == (1, 1, 2)
    reasons = " ".join(letter["reason"] for letter in dead(coinswarm))
    assert "NOT NULL constraint failed" in reasons
    assert "CHECK constraint failed" in reasons


def test_h08_inserted_counts_rows_that_changed_not_statements_that_ran(pipeline: CommandLine) -> None:
    send(pipeline, body(*(row(hour) for hour in range(10))))
    assert consumed(pipeline)["rows"]["inserted"] == 10
    send(pipeline, body(*(row(hour) for hour in range(5, 15))))
    assert consumed(pipeline)["rows"] == {"received": 10, "inserted": 5, "duplicate": 5, "rejected": 0}


def test_h09_coingecko_highs_lows_and_volumes_are_never_made_up(pipeline: CommandLine, market: Simulator) -> None:
    assert pipeline("fetch", "BTC-USD", "--source", "coingecko", "--timeframe", "4h").exit_code == 0
    consumed(pipeline)
    rows = stored(pipeline)
    assert len(rows) > 100
    assert {(r["volume_from"], r["volume_to"]) for r in rows} == {(None, None)}
    made_up = [
        r for r in rows if abs(r["high"] / r["close"] - 1.01) < 1e-6 and abs(r["low"] / r["close"] - 0.99) < 1e-6
    ]
    assert made_up == []
    assert all(r["low"] <= min(r["open"], r["close"]) <= max(r["open"], r["close"]) <= r["high"] for r in rows)


def test_h10_milliseconds_never_make_a_second_row_of_a_candle(pipeline: CommandLine) -> None:
    send(pipeline, body(row()), body(row(timestamp=FIRST_OPEN * 1000)), body(row(timestamp=FIRST_OPEN * 1_000_000)))
    report = consumed(pipeline)
    assert [r["timestamp"] for r in stored(pipeline)] == [FIRST_OPEN]
    assert report["dead_lettered"] == 2
    assert all("timestamp" in letter["reason"] for letter in dead(pipeline))


def hourly_klines(count: int) -> bytes:
    opens = [NEWEST - (count - 1 - i) * 3600 for i in range(count)]
    return json.dumps(
        [[t * 1000, "10", "11", "9", "10", "1", (t + 3600) * 1000 - 1, "10", 1, "1", "10", "0"] for t in opens]
    ).encode()


def test_h11_the_timeframe_is_what_was_fetched(pipeline: CommandLine, market: Simulator) -> None:
    for timeframe in ("1m", "4h", "1d"):
        fetched = pipeline("fetch", "BTC-USDC", "--timeframe", timeframe, "--limit", "20")
        assert fetched.exit_code == 0, fetched
    consumed(pipeline)
    spacing = {"1m": 60, "4h": 14_400, "1d": 86_400}
    for timeframe, seconds in spacing.items():
        opens = [r["timestamp"] for r in stored(pipeline) if r["timeframe"] == timeframe]
        assert [b - a for a, b in pairwise(opens)] == [seconds] * 19
    with answering(lambda _: (200, JSON, hourly_klines(200))) as other:
        pipeline.environment["COINSWARM_BINANCE_URL"] = other.url
        mislabelled = pipeline("fetch", "BTC-USDC", "--timeframe", "1d", "--to-ts", str(NEWEST))
    assert mislabelled.exit_code == 1
    assert waiting(pipeline) == 0


def test_h12_a_symbol_is_base_and_quote_as_the_venue_trades_them(pipeline: CommandLine, market: Simulator) -> None:
    to_ts = ["--to-ts", str(int(time.time()) // 86_400 * 86_400 - 86_400)]
    for source, pair in (("binance", "BTC-USDT"), ("binanceus", "BTC-USDT"), ("cryptocompare", "BTC-USD")):
        assert pipeline("fetch", pair, "--source", source, "--limit", "10", *to_ts).exit_code == 0
    assert pipeline("fetch", "BTC-USD", "--source", "coingecko", "--timeframe", "4h").exit_code == 0
    refused = pipeline("fetch", "BTC-USDC", "--source", "coingecko", "--timeframe", "4h")
    assert refused.exit_code != 0
    consumed(pipeline)
    assert {(r["source"], r["symbol"]) for r in stored(pipeline)} == {
        ("binance", "BTC-USDT"),
        ("binanceus", "BTC-USDT"),
        ("cryptocompare", "BTC-USD"),
        ("coingecko", "BTC-USD"),
    }


def test_h13_a_candle_that_is_still_running_is_never_stored(pipeline: CommandLine, market: Simulator) -> None:
    started = time.time()
    for source in ("binance", "kraken", "cryptocompare"):
        assert pipeline("fetch", "BTC-USD" if source != "binance" else "BTC-USDC", "--source", source).exit_code == 0
    running = int(time.time()) // 3600 * 3600
    send(pipeline, body(row(timestamp=running, source="somebody else's producer")))
    report = consumed(pipeline)
    rows = stored(pipeline)
    assert len(rows) > 4000
    assert max(r["timestamp"] for r in rows) + 3600 <= time.time()
    assert started // 3600 != time.time() // 3600 or report["dead_lettered"] == 1


def hours(asked: Asked, surplus: int) -> bytes:
    """CryptoCompare's answer to what was asked, but with so many hours more."""
    query = {name: int(value) for name, value in re.findall(r"(limit|toTs)=(\d+)", asked.target)}
    opens = [query["toTs"] // 3600 * 3600 - i * 3600 for i in range(query["limit"] + 1 + surplus)]
    rows = [
        {"time": t, "open": 10, "high": 11, "low": 9, "close": 10, "volumefrom": 1, "volumeto": 10}
        for t in reversed(opens)
    ]
    return json.dumps({"Response": "Success", "Data": {"Data": rows}}).encode()


def test_h14_a_page_of_another_size_than_asked_for_does_not_end_the_walk(
    pipeline: CommandLine, market: Simulator
) -> None:
    first = pipeline("fetch", "BTC-USD", "--source", "cryptocompare", "--limit", "2000", "--json").json
    assert first["next_toTs"] is not None
    rest = pipeline(
        "fetch", "BTC-USD", "--source", "cryptocompare", "--to-ts", str(first["next_toTs"]), "--pages", "2", "--json"
    ).json
    consumed(pipeline)
    opens = [r["timestamp"] for r in stored(pipeline)]
    assert len(opens) == first["inserted"] + rest["inserted"] >= 6000
    assert {b - a for a, b in pairwise(opens)} == {3600}
    for surplus in (-3, -1, 1, 2):
        with answering(lambda asked: (200, JSON, hours(asked, surplus))) as other:  # noqa: B023
            pipeline.environment["COINSWARM_CRYPTOCOMPARE_URL"] = other.url
            arguments = ["--source", "cryptocompare", "--to-ts", str(NEWEST), "--pages", "3", "--json"]
            report = pipeline("fetch", "ETH-USD", *arguments).json
        assert (report["inserted"], report["gaps"]) == (6000, []), surplus
        assert report["next_toTs"] == report["oldest"] - 3600 == NEWEST - 6000 * 3600


def test_h15_zeros_from_before_the_listing_are_counted_and_never_stored(
    pipeline: CommandLine, market: Simulator
) -> None:
    arguments = ["SOL-USD", "--source", "cryptocompare", "--to-ts", str(NEWEST), "--limit", "2000"]
    sent = ask(market, "cryptocompare", f"/data/v2/histohour?fsym=SOL&tsym=USD&limit=2000&toTs={NEWEST}", KEY)
    zeros = [candle for candle in sent["Data"]["Data"] if candle["close"] == 0]
    assert len(zeros) > 1800  # the vendor's way, which the simulator has
    report = pipeline("fetch", *arguments, "--json").json
    assert report["skipped"]["before_listing"] >= len(zeros) - 1
    consumed(pipeline)
    rows = stored(pipeline)
    assert report["inserted"] == len(rows) == 100
    assert min(r["timestamp"] for r in rows) == SOL_LISTED
    assert min(r["low"] for r in rows) > 0


def test_h16_two_hundred_messages_go_in_calls_that_cloudflare_takes(
    tmp_path: Path, coinswarm: CommandLine, market: Simulator
) -> None:
    fresh = FreshStack(tmp_path)
    with behind_http(fresh) as queues:
        coinswarm.environment |= fresh.environ
        stack = load(cwd=tmp_path, environ=fresh.environ)
        with open_queues(stack, CLOCK, remote=True) as remote, pytest.raises(QueueError):
            remote.open(QUEUE).send_batch([OutgoingMessage(b"[]")] * 101)
        sent = coinswarm("fetch", "BTC-USDC", "--limit", "2000", "--remote", "--yes", "--json")
        assert (sent.exit_code, sent.json["inserted"], sent.json["messages"]) == (0, 2000, 200)
        assert queues.open(QUEUE).metrics().backlog == 200


def test_h17_a_key_travels_in_a_header_and_one_in_a_file_is_told_of(coinswarm: CommandLine, tmp_path: Path) -> None:
    key = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978"
    assert coinswarm("init").exit_code == 0
    with (tmp_path / "wrangler.toml").open("a") as file:
        file.write(f'[vars]\nCRYPTOCOMPARE_API_KEY = "{key}"\n')
    with answering(lambda asked: (401, JSON, json.dumps({"Message": f"bad key: {asked.headers}"}).encode())) as server:
        coinswarm.environment = {"COINSWARM_CRYPTOCOMPARE_URL": server.url}
        result = coinswarm("fetch", "BTC-USD", "--source", "cryptocompare")
    assert result.exit_code == 1
    assert key not in result.out + result.err
    assert "vars.CRYPTOCOMPARE_API_KEY looks like a secret, and this file is meant to be committed" in result.err
    assert server.asked
    assert all(key not in asked.target and key in str(asked.headers) for asked in server.asked)
    assert all(key not in path.read_text("utf-8", "replace") for path in tmp_path.rglob("*.jsonl"))


def test_h18_verification_looks_at_what_the_stack_does_and_sums_up_what_it_found(
    coinswarm: CommandLine, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    assert coinswarm("init").exit_code == 0
    (tmp_path / "worker.py").write_text("# INSERT OR IGNORE INTO price_data\n# max_concurrency = 5\n")
    broken = coinswarm("verify", "--json")
    assert broken.exit_code == 2
    assert failed_checks(broken) == ["database"]
    counted = Counter(check["status"] for check in broken.json["checks"])
    assert f"{counted['passed']} Passed" in coinswarm("verify").out
    assert coinswarm("d1", "migrations", "apply").exit_code == 0
    assert coinswarm("verify", "--json").exit_code == 0
    sql(coinswarm, "CREATE TRIGGER odd BEFORE INSERT ON price_data BEGIN SELECT RAISE(ABORT, 'no'); END")
    assert failed_checks(coinswarm("verify", "--json")) == ["canary"]
    sql(coinswarm, "DROP TABLE price_data")
    assert failed_checks(coinswarm("verify", "--json")) == ["price-data"]
    wrangler = tmp_path / "wrangler.toml"
    wrangler.write_text(wrangler.read_text().partition("[[queues")[0].replace('crons = ["*/30 * * * *"]', "crons = []"))
    assert failed_checks(coinswarm("verify", "--json")) == ["queue", "price-data", "cron", "fetch-queue"]


def failed_checks(verified: Result) -> list[str]:
    return [check["id"] for check in verified.json["checks"] if check["status"] == "failed"]


def test_h19_a_source_that_sends_nothing_usable_fails_the_run_by_name(
    pipeline: CommandLine, market: Simulator, hasty_clock: HastyClock
) -> None:
    market.faults = Faults(rates={"403": 1.0})
    fetched = pipeline("fetch", "BTC-USDC", "--json")
    assert (fetched.exit_code, waiting(pipeline)) == (1, 0)
    assert "binance" in fetched.error[1]
    for kind in ("403", "empty", "html", "no-result"):
        market.faults = Faults(rates={kind: 1.0})
        ran = pipeline("cron", "run")
        assert (ran.exit_code, waiting(pipeline)) == (1, 0), kind
        (job,) = pipeline("cron", "list", "--json").json["crons"]
        assert (job["last"]["outcome"], kind) == ("failed", kind)
        for source in ("binance", "coingecko", "cryptocompare"):
            assert source in ran.out + ran.err, kind
            assert source in job["last"]["message"], kind


class Broken:
    """Operations in which everything that can go wrong does."""

    def trigger(self, asked: dict[str, Any]) -> Outcome:
        raise RuntimeError("/home/someone/secret.py went wrong")

    def scheduled(self, cron: str | None, time_ms: int | None) -> Outcome:
        raise RuntimeError("/home/someone/secret.py went wrong")

    def stats(self) -> Outcome:
        raise RuntimeError("/home/someone/secret.py went wrong")

    status = health = stats


def test_h20_an_error_reply_has_no_traceback_and_opening_to_others_takes_a_token(
    tmp_path: Path, coinswarm: CommandLine
) -> None:
    with served(tmp_path) as api:
        local = Client(create_app(api.account, token="t" * 40, operations=Broken()), "http://127.0.0.1:8787")
        for method, path in (("POST", "/trigger"), ("GET", "/stats"), ("GET", "/cdn-cgi/local/scheduled")):
            reply = local.request(method, path)
            assert reply.status_code == 500
            assert not re.search(r"Traceback|secret\.py|RuntimeError", reply.text)
        for where in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert local.request("POST", "/trigger", headers=where).status_code == 403
        wide = Client(
            create_app(api.account, token="t" * 40, host="0.0.0.0", operations=Broken()), "http://192.0.2.1:8787"
        )
        assert wide.request("POST", "/trigger").status_code == 401
        for path in ("/stats", "/status", "/health", "/metrics"):
            assert wide.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 401
    with socket.create_server(("0.0.0.0", 0)) as taken:  # so that it could not begin to serve in any case
        refused = coinswarm("serve", "--host", "0.0.0.0", "--port", str(taken.getsockname()[1]))
    assert refused.exit_code == 2
    assert "needs a token of your own" in refused.err


def test_h21_health_is_what_the_stack_is(tmp_path: Path) -> None:
    from coinswarm.cron.runner import jobs_of
    from coinswarm.cron.state import CronState, PastRun
    from coinswarm.dev.operations import StackOperations
    from coinswarm.dev.schedule import cron_file
    from coinswarm.dev.supervisor import Part, Supervisor

    fresh = FreshStack(tmp_path)
    operations = StackOperations(fresh.stack, CLOCK)
    assert (operations.health().status, operations.health().document["status"]) == (200, "ok")

    def broken(reason: str) -> None:
        found = operations.health()
        assert (found.status, found.document["status"], len(found.document["reasons"])) == (503, "broken", 1)
        assert reason in found.document["reasons"][0]

    fresh.sql("DROP TABLE price_data")
    broken("no table price_data")
    fresh.sql(ORIGINAL_TABLE)
    with fresh.queues() as queues:
        queues.pause(QUEUE)
        broken(f"delivery from {QUEUE} is paused")
        queues.resume(QUEUE)
    operations.supervisor = Supervisor([Part("consumer", lambda _stop: None, error="no")], CLOCK)
    broken("consumer: no")
    operations.supervisor = None
    (job,) = jobs_of(fresh.stack.crons)
    with CronState(cron_file(fresh.stack)) as state:
        state.record(PastRun(job.key, 0, 0, 0, "failed", "Queued 0 candles; failed: binance", manual=False))
    broken("failed: binance")


def test_h22_two_crons_that_feed_one_table_are_told_of(coinswarm: CommandLine, tmp_path: Path) -> None:
    assert coinswarm("init").exit_code == 0
    lone = coinswarm("cron", "list")
    second = (
        'name = "old-cron"\n[triggers]\ncrons = ["*/15 * * * *"]\n'
        f'[[queues.producers]]\nqueue = "{QUEUE}"\nbinding = "HISTORICAL_DATA_QUEUE"\n'
    )
    (tmp_path / "old.toml").write_text(second)
    database = f'[[d1_databases]]\nbinding = "B"\ndatabase_id = "{load(cwd=tmp_path, environ={}).databases[0].id}"\n'
    (tmp_path / "writer.toml").write_text(f'name = "writer"\n[triggers]\ncrons = ["0 0 * * *"]\n{database}')
    (tmp_path / "other.toml").write_text(second.replace(QUEUE, "something-else"))

    def told(file: str) -> str:
        return coinswarm("cron", "list", "--config", "wrangler.toml", "--config", file).err

    assert "⚠" not in lone.err + told("other.toml")
    assert f'old.toml: both have active cron triggers and feed queue "{QUEUE}"' in told("old.toml")
    assert "writer.toml: both have active cron triggers and feed D1 database " in told("writer.toml")
    assert (tmp_path / "old.toml").read_text() == second  # told, not deleted


def test_h23_the_reply_of_a_trigger_sums_up_and_does_not_echo_the_candles(tmp_path: Path, exchanges: Simulator) -> None:
    from coinswarm.dev.operations import StackOperations

    exchanges.faults = Faults()
    stack = load(cwd=tmp_path, environ=exchanges.environment)
    with served(tmp_path) as api:
        app = create_app(api.account, token="t" * 40, operations=StackOperations(stack, CLOCK))
        reply = Client(app, "http://127.0.0.1:8787").request("POST", "/trigger")
    document = reply.json()
    assert (reply.status_code, document["inserted"], document["messages"]) == (200, 2000, 200)
    assert len(reply.content) < 2_000
    assert not {"open", "high", "low", "close", "volumeFrom"} & set(re.findall(r'"(\w+)":', reply.text))
    assert not any(isinstance(value, list) and value for value in document.values())


def test_h24_documents_and_code_say_the_same(coinswarm: CommandLine, tmp_path: Path, market: Simulator) -> None:
    bare = load(cwd=tmp_path, environ={})
    assert coinswarm("init").exit_code == 0
    begun = load(cwd=tmp_path, environ={})
    consumer, built_in = begun.consumer(), bare.consumer()
    assert consumer is not None
    assert built_in is not None
    assert (begun.queue_names, consumer.settings) == (bare.queue_names, built_in.settings)
    assert [(d.name, d.id) for d in begun.databases] == [(d.name, d.id) for d in bare.databases]
    assert [c.expression for c in begun.crons] == [c.expression for c in bare.crons]
    told, (cron,) = consumer.settings, begun.crons
    configuration = " ".join((ROOT / "docs" / "configuration.md").read_text().split())
    assert (
        f"the built-in stack: D1 `{begun.databases[0].name}` (binding `{begun.databases[0].binding}`), queue "
        f"`{consumer.queue}` (binding `{begun.producers[0].binding}`) with the dead-letter queue "
        f"`{told.dead_letter_queue}`, batches of {told.batch_size} messages or {(told.max_wait_time_ms or 0) // 1000} "
        f"s, {told.max_retries} retries, concurrency {told.max_concurrency}, cron `{cron.expression}`."
    ) in configuration
    assert begun.databases[0].id == "ac4629b2-8240-4378-b3e3-e5262cd9b285"  # the original's, whose data it is
    fetched = coinswarm("fetch", "--json").json
    assert fetched["inserted"] == fetched["messages"] * ROWS_PER_MESSAGE
    readme = (ROOT / "README.md").read_text()
    assert f"candles ──{fetched['inserted'] // fetched['messages']} a message──▶ queue" in readme
    assert f"queue ──{consumer.settings.batch_size} messages a batch──▶ consume" in readme
    assert fetched["message"] in readme
