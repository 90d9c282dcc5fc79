"""Commands that are stopped half way, by a person, a supervisor or for good.

They say how far they came if they can, and whoever goes on has every candle, each once.
"""

from __future__ import annotations

import itertools
import json
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from coinswarm.candles import COLUMNS, Candle, Pair, Timeframe
from coinswarm.clock import SystemClock
from coinswarm.simulator import Faults, Simulator, SyntheticMarket, expected
from tests.support.candle_messages import FIRST_OPEN, body, row
from tests.support.command_line import CommandLine, HastyClock, running, wait_until
from tests.support.hardship import locked_by_another_process
from tests.support.local_cloudflare import TOKEN, LocalCloudflare, local_cloudflare

QUEUE = "historical-data-queue"
HOURS = 6000
NEWEST = FIRST_OPEN + (HOURS - 1) * 3600
SERIES = ["--to-ts", str(NEWEST), "--since", str(FIRST_OPEN), "--limit", "1000"]
"""Six pages, each one request of Binance's."""
SIGNALS = [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def market() -> Iterator[Simulator]:
    with Simulator(SyntheticMarket(seed=11)) as running:
        yield running


@pytest.fixture
def simulator(market: Simulator, coinswarm: CommandLine, hasty_clock: HastyClock) -> Simulator:
    """What is run in this process does not wait for leases and retries to be over."""
    market.faults = Faults()
    coinswarm.environment = market.environment
    assert coinswarm("d1", "migrations", "apply").exit_code == 0
    return market


def fetch_all(coinswarm: CommandLine) -> None:
    result = coinswarm("fetch", *SERIES, "--json")
    assert (result.exit_code, result.json["inserted"]) == (0, HOURS)


def backlog(coinswarm: CommandLine) -> int:
    count: int = coinswarm("queues", "info", QUEUE, "--json").json["backlog"]
    return count


def stored(coinswarm: CommandLine) -> list[Candle]:
    sql = f"SELECT {', '.join(COLUMNS)} FROM price_data ORDER BY timestamp"
    return [Candle(**each) for each in coinswarm("d1", "execute", "--command", sql, "--json").json[0]["results"]]


def truth(simulator: Simulator) -> list[Candle]:
    now = simulator.clock.now_ms() / 1000
    return expected(simulator.market, "binance", Pair("BTC", "USDC"), Timeframe.H1, FIRST_OPEN, NEWEST, now)


def finish(coinswarm: CommandLine, simulator: Simulator) -> dict[str, int]:
    """Drain what is left, deliveries that were cut short included; the counts of the rows."""
    result = coinswarm("consume", "--json")
    assert result.exit_code == 0, result
    assert backlog(coinswarm) == 0
    assert coinswarm("queues", "dlq", "list", "--json").json == []
    assert stored(coinswarm) == truth(simulator)
    rows: dict[str, int] = result.json["rows"]
    return rows


# --- the first signal: finish what is in flight, report, end ---


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_fetch_that_waits_for_its_exchange_ends_at_once_and_the_printed_command_completes_it(
    coinswarm: CommandLine, simulator: Simulator, number: int, code: int
) -> None:
    simulator.faults = Faults(script={"binance": ["ok", "ok", "stall"]}, stall_seconds=60)
    seen = len(simulator.requests)
    with running("fetch", *SERIES, directory=coinswarm.directory, environment=coinswarm.environment) as process:
        wait_until(lambda: len(simulator.requests) >= seen + 3, "the third request")
        began = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        assert time.monotonic() - began < 5
    assert process.returncode == code
    assert out.startswith("Queued 2000 candles for BTC-USDC in 200 messages.\n")
    consume, go_on = (line.strip().removeprefix("→ ") for line in err.splitlines() if "→" in line)
    assert consume == "coinswarm consume"
    simulator.faults = Faults()
    assert backlog(coinswarm) == 200
    assert coinswarm(*go_on.split()[1:]).exit_code == 0
    assert finish(coinswarm, simulator)["inserted"] == HOURS


def test_a_fetch_that_waits_before_it_tries_again_ends_at_once_too(
    coinswarm: CommandLine, simulator: Simulator
) -> None:
    simulator.faults = Faults(script={"binance": ["ok", "429"]}, retry_after=500)
    with running(
        "fetch", *SERIES, "--json", directory=coinswarm.directory, environment=coinswarm.environment
    ) as process:
        assert process.stderr is not None
        assert "trying again in 50" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "")
    report = json.loads(out)
    assert report["interrupted"]
    assert (report["inserted"], report["messages"]) == (1000, 100)
    assert report["next_trigger"].endswith(f"--to-ts {NEWEST - 1000 * 3600} --since {FIRST_OPEN} --limit 1000")
    assert backlog(coinswarm) == 100


def test_a_signal_that_comes_just_before_a_long_wait_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python notes it, but the system's sleep begins all the same: what is caught here is a wait in one piece."""
    naps: list[float] = []
    moments = itertools.count(1_000.0, 0.25)
    system = SimpleNamespace(sleep=naps.append, monotonic=lambda: next(moments))
    monkeypatch.setattr("coinswarm.clock.time", system)
    SystemClock().sleep(500)
    assert max(naps) <= 0.5
    assert len(naps) > 500


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_consumer_finishes_its_batch_reports_and_leaves_the_rest_in_the_queue(
    coinswarm: CommandLine, simulator: Simulator, number: int, code: int
) -> None:
    fetch_all(coinswarm)
    with running(
        *("consume", "--batch-size", "1", "--json"), directory=coinswarm.directory, environment=coinswarm.environment
    ) as process:
        wait_until(lambda: backlog(coinswarm) < 590, "the first batches")
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (code, "")
    report = json.loads(out)
    assert report["interrupted"]
    assert 10 < report["acked"] < 600
    assert report["messages"] == report["acked"]
    assert report["rows"]["inserted"] == report["acked"] * 10
    info = coinswarm("queues", "info", QUEUE, "--json").json
    assert (info["backlog"], info["in_flight"]) == (600 - report["acked"], 0)
    assert finish(coinswarm, simulator)["inserted"] == HOURS - report["rows"]["inserted"]


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_watching_consumer_stores_what_comes_and_ends_when_told(
    coinswarm: CommandLine, simulator: Simulator, number: int, code: int
) -> None:
    with running("consume", "--watch", directory=coinswarm.directory, environment=coinswarm.environment) as process:
        coinswarm("queues", "send", QUEUE, body(row()))
        wait_until(lambda: backlog(coinswarm) == 0, "the message")
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert out.startswith("Stored 1 new row from 1 message in 1 batch, ")
    assert "Traceback" not in err


def test_a_stop_while_the_database_is_locked_gives_the_batch_back(coinswarm: CommandLine, simulator: Simulator) -> None:
    fetch_all(coinswarm)
    database = next((coinswarm.directory / ".wrangler/state/v3/d1/miniflare-D1DatabaseObject").glob("*.sqlite"))
    with (
        locked_by_another_process(database) as holder,
        running("consume", "--json", directory=coinswarm.directory, environment=coinswarm.environment) as process,
    ):
        wait_until(lambda: coinswarm("queues", "info", QUEUE, "--json").json["in_flight"] > 0, "the first lease")
        process.send_signal(signal.SIGINT)
        holder.let_go()
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    report = json.loads(out)
    assert report["messages"] == report["acked"] + report["retried"] + report["released"]
    assert finish(coinswarm, simulator)["inserted"] == HOURS - report["rows"]["inserted"]


# --- the second signal: stop at once ---


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_second_signal_stops_a_consumer_whose_database_does_not_answer(
    coinswarm: CommandLine, simulator: Simulator, tmp_path: Path, number: int, code: int
) -> None:
    fetch_all(coinswarm)
    with local_cloudflare(tmp_path / "cloud") as cloud:
        coinswarm.environment |= remote(cloud)
        assert coinswarm("d1", "migrations", "apply", "--remote").exit_code == 0
        (database,) = (tmp_path / "cloud").rglob("miniflare-D1DatabaseObject/*.sqlite")
        with (
            locked_by_another_process(database),
            running(
                *("consume", "--remote"), directory=coinswarm.directory, environment=coinswarm.environment
            ) as process,
        ):
            wait_until(lambda: coinswarm("queues", "info", QUEUE, "--json").json["in_flight"] >= 500, "five batches")
            time.sleep(0.2)  # until they are on their way
            process.send_signal(number)
            time.sleep(0.2)  # it now waits for them
            assert process.poll() is None
            began = time.monotonic()
            process.send_signal(number)
            out, err = process.communicate(timeout=20)
            assert time.monotonic() - began < 2
        assert process.returncode == code
        assert "stopped at once; what was not finished comes back after its visibility timeout" in err
        assert "Traceback" not in err
        assert out == ""

        result = coinswarm("consume", "--remote", "--json")
        assert result.exit_code == 0, result
        assert backlog(coinswarm) == 0
        sql = "SELECT count(*) AS rows, count(DISTINCT timestamp) AS opens FROM price_data"
        counts = coinswarm("d1", "execute", "--remote", "--command", sql, "--json").json[0]["results"]
        assert counts == [{"rows": HOURS, "opens": HOURS}]


def remote(cloud: LocalCloudflare) -> dict[str, str]:
    return {
        "CLOUDFLARE_API_BASE_URL": cloud.url,
        "CLOUDFLARE_API_TOKEN": TOKEN,
        "CLOUDFLARE_ACCOUNT_ID": cloud.account.id,
    }


def test_a_second_signal_stops_a_local_consumer(coinswarm: CommandLine, simulator: Simulator) -> None:
    fetch_all(coinswarm)
    with running(
        *("consume", "--batch-size", "1"), directory=coinswarm.directory, environment=coinswarm.environment
    ) as process:
        wait_until(lambda: backlog(coinswarm) < 590, "the first batches")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    assert process.returncode in (130, 143)
    assert "Traceback" not in err
    finish(coinswarm, simulator)


# --- no chance to say anything ---


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_a_consumer_killed_again_and_again_loses_nothing_and_stores_nothing_twice(
    coinswarm: CommandLine, simulator: Simulator, kills: int
) -> None:
    fetch_all(coinswarm)
    chance = random.Random(kills)
    for _ in range(kills):
        before = backlog(coinswarm)
        with running(
            *("consume", "--batch-size", "2"), directory=coinswarm.directory, environment=coinswarm.environment
        ) as process:
            wait_until(lambda: backlog(coinswarm) < before or process.poll() is not None, "a batch")  # noqa: B023
            time.sleep(chance.random() / 50)
            process.kill()
            process.communicate()
    rows = finish(coinswarm, simulator)
    assert rows["inserted"] + rows["duplicate"] == rows["received"]


@pytest.mark.parametrize("kills", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_a_fetch_killed_again_and_again_leaves_whole_messages_and_is_simply_repeated(
    coinswarm: CommandLine, simulator: Simulator, kills: int
) -> None:
    chance = random.Random(kills)
    for _ in range(kills):
        before, seen = backlog(coinswarm), len(simulator.requests)
        with running("fetch", *SERIES, directory=coinswarm.directory, environment=coinswarm.environment) as process:
            wait_until(lambda: len(simulator.requests) > seen or process.poll() is not None, "a request")  # noqa: B023
            time.sleep(chance.random() / 10)
            process.kill()
            process.communicate()
        assert backlog(coinswarm) >= before
    fetch_all(coinswarm)
    rows = finish(coinswarm, simulator)
    assert (rows["inserted"], rows["rejected"]) == (HOURS, 0)
    assert rows["received"] == HOURS + rows["duplicate"]


@pytest.mark.parametrize("consumers", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_consumers_side_by_side_share_the_work_and_each_message_is_acked_once(
    coinswarm: CommandLine, simulator: Simulator, consumers: int
) -> None:
    fetch_all(coinswarm)
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                running(
                    *("consume", "--batch-size", "5", "--json"),
                    directory=coinswarm.directory,
                    environment=coinswarm.environment,
                )
            )
            for _ in range(consumers)
        ]
        outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * consumers
    assert [err for _, err in outputs] == [""] * consumers
    reports = [json.loads(out) for out, _ in outputs]
    assert sum(report["acked"] for report in reports) == 600
    assert sum(report["rows"]["inserted"] for report in reports) == HOURS
    assert sum(report["rows"]["duplicate"] for report in reports) == 0
    assert stored(coinswarm) == truth(simulator)
    assert backlog(coinswarm) == 0


def test_a_fetch_and_a_consumer_at_the_same_time_do_not_disturb_each_other(
    coinswarm: CommandLine, simulator: Simulator
) -> None:
    with running(
        *("consume", "--watch", "--json"), directory=coinswarm.directory, environment=coinswarm.environment
    ) as consumer:
        with running("fetch", *SERIES, directory=coinswarm.directory, environment=coinswarm.environment) as producer:
            producer.communicate(timeout=60)
        assert producer.returncode == 0
        wait_until(lambda: backlog(coinswarm) == 0, "the drain")
        consumer.send_signal(signal.SIGTERM)
        out, _ = consumer.communicate(timeout=20)
    assert consumer.returncode == 143
    assert json.loads(out)["rows"] == {"received": HOURS, "inserted": HOURS, "duplicate": 0, "rejected": 0}
    assert stored(coinswarm) == truth(simulator)
