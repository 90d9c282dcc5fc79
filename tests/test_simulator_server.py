"""The simulator as a server: starting and stopping, its log, its command line, its speed."""

from __future__ import annotations

import gc
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from coinswarm.candles import Pair, Timeframe
from coinswarm.clock import ManualClock
from coinswarm.errors import UsageError
from coinswarm.simulator import SOURCES, Faults, FileMarket, Simulator, SyntheticMarket
from coinswarm.simulator.assets import ASSETS
from coinswarm.simulator.faults import KINDS
from tests.support.simulated import NOW, PAGES, RECORDED, raw

CSV = "1699992000,122.0,122.0,122.0,122.0,0.1,1\n1699995600,123.61,123.7,123.5,123.65,0.1,2\n"


def test_the_address_is_known_before_the_start_and_lies_on_loopback() -> None:
    sim = Simulator()
    try:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/binance", sim.url("binance"))
        with pytest.raises(KeyError):
            sim.url("mtgox")
    finally:
        sim.stop()


def test_the_environment_points_each_source_to_its_prefix() -> None:
    sim = Simulator()
    sim.stop()
    assert sim.environment == {
        f"COINSWARM_{source.upper()}_URL": f"http://127.0.0.1:{sim.port}/{source}" for source in SOURCES
    }


def test_it_starts_and_stops_quickly_and_leaves_nothing_behind() -> None:
    before = threading.active_count()
    began = time.monotonic()
    with Simulator(clock=ManualClock(NOW * 1000)) as sim, httpx.Client(trust_env=False) as kept_alive:
        kept_alive.get(sim.url("kraken") + PAGES["kraken"])
        port = sim.port
    assert time.monotonic() - began < 2
    with socket.socket() as prober:
        assert prober.connect_ex(("127.0.0.1", port)) != 0
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert threading.active_count() <= before
    gc.collect()  # an unclosed socket or loop would warn here, and warnings are errors


def test_it_may_be_stopped_twice_and_without_having_been_started() -> None:
    sim = Simulator()
    sim.stop()
    sim.stop()


def test_a_taken_port_is_told() -> None:
    with Simulator() as sim, pytest.raises(UsageError, match=rf"127.0.0.1:{sim.port} cannot be used: Address already"):
        Simulator(port=sim.port)


def test_two_simulators_do_not_disturb_each_other() -> None:
    with Simulator(SyntheticMarket(1)) as one, Simulator(SyntheticMarket(2)) as two:
        path = PAGES["binance"] + "&endTime=1600000000000"
        assert raw(one, "binance", path).json() != raw(two, "binance", path).json()


def test_requests_are_logged_with_their_faults_and_without_keys() -> None:
    with Simulator(faults=Faults(script={"binance": ["503"]}), clock=ManualClock(NOW * 1000)) as sim:
        raw(sim, "binance", PAGES["binance"])
        raw(sim, "cryptocompare", "/data/v2/histohour", fsym="BTC", tsym="USD", limit=9, api_key="hush")
        raw(sim, "kraken", PAGES["kraken"])
        log = httpx.get(sim.url("binance").replace("/binance", "/_requests")).json()
        assert log["total"] == 3
        assert log["by_source"] == {"binance": 1, "cryptocompare": 1, "kraken": 1}
        assert log["by_fault"] == {"503": 1, "ok": 2}
        assert [(each["status"], each["rows"]) for each in log["requests"]] == [(503, None), (200, 10), (200, 721)]
        assert log["requests"][1]["query"] == {"fsym": "BTC", "tsym": "USD", "limit": "9", "api_key": "…"}
        assert [seen.source for seen in sim.requests] == ["binance", "cryptocompare", "kraken"]
        newest = httpx.get(sim.url("binance").replace("/binance", "/_requests?last=1")).json()
        assert [each["source"] for each in newest["requests"]] == ["kraken"]
        assert httpx.get(sim.url("binance").replace("/binance", "/_requests?last=all")).status_code == 400


def test_a_cut_body_is_no_error_in_the_log_but_a_broken_market_is(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(SyntheticMarket):
        def candles(self, *_: object, **__: object) -> list[object]:  # type: ignore[override]
            raise LookupError("no such table")

    with caplog.at_level(logging.DEBUG, "coinswarm.simulator"), Simulator(Broken()) as sim:
        sim.faults = Faults(script={"binance": ["ok"]})
        assert raw(sim, "binance", PAGES["binance"]).status_code == 500
    assert "no such table" in caplog.text
    caplog.clear()
    cutting = Faults(rates={"cut": 1.0})
    with (
        caplog.at_level(logging.DEBUG),
        Simulator(faults=cutting) as sim,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        raw(sim, "binance", PAGES["binance"])
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_many_clients_at_once_get_the_same_candles() -> None:
    results: list[bytes] = []
    with Simulator(clock=ManualClock(NOW * 1000)) as sim:
        path = PAGES["binance"] + "&endTime=1600000000000"
        threads = [
            threading.Thread(target=lambda: results.append(raw(sim, "binance", path).content)) for _ in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(results) == 12
    assert len(set(results)) == 1


@pytest.mark.real_data
def test_a_file_of_70_253_hours_is_served_quickly_and_comes_back_whole() -> None:
    path = RECORDED / "kraken/XBTUSD_60.csv"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    market = FileMarket.load(path)
    rows: list[list[str | int]] = []
    with Simulator(market) as sim, httpx.Client(trust_env=False) as client:
        url = sim.url("binance") + "/api/v3/klines?symbol=BTCUSD&interval=1h&limit=1000"
        start, requests, serving, yardstick = 0, 0, 0.0, 0.0
        while True:
            began = time.process_time()
            reply = client.get(f"{url}&startTime={start}")
            served = time.process_time()
            body = reply.json()
            json.dumps(body)
            serving, yardstick = serving + served - began, yardstick + time.process_time() - served
            requests += 1
            if not body:
                break
            rows += body
            start = body[-1][0] + 1
    assert requests == 72
    # 4 to 5 ms a page where nothing else runs; processor time against work of the same kind holds on any machine.
    assert serving < 6 * yardstick
    truth = market.candles(Pair("BTC", "USD"), Timeframe.H1, 0, 2**33)
    assert len(rows) == 70_253
    assert [(row[0], *map(float, row[1:6])) for row in rows] == [(c.timestamp * 1000, *c[1:6]) for c in truth]


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """`python -m coinswarm.simulator`, and the environment it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "coinswarm.simulator", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in SOURCES]
        yield process, dict(line.removeprefix("export ").strip().split("=", 1) for line in lines)
    finally:
        process.kill()
        process.communicate()


def test_the_command_prints_lines_to_paste_and_runs_until_it_is_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(CSV)
    arguments = ("--csv", str(path), "--pair", "BTC-USD", "--timeframe", "1h", "--now", "2023-11-14T22:15:23")
    with running(*arguments, "--script", "kraken:503") as (process, environment):
        assert set(environment) == {f"COINSWARM_{source.upper()}_URL" for source in SOURCES}
        klines = httpx.get(environment["COINSWARM_BINANCEUS_URL"] + "/api/v3/klines?symbol=BTCUSD&interval=1h")
        assert [row[0] for row in klines.json()] == [1_699_992_000_000, 1_699_995_600_000]
        assert klines.headers["date"] == "Tue, 14 Nov 2023 22:15:23 GMT"
        assert httpx.get(environment["COINSWARM_KRAKEN_URL"] + PAGES["kraken"]).status_code == 503
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert process.stderr is not None
        assert "1 pairs; GET /_requests" in process.stderr.read()


def test_over_a_file_the_exchanges_clock_stands_at_the_files_end(tmp_path: Path) -> None:
    path = tmp_path / "XBTUSD_60.csv"
    path.write_text(CSV)
    with running("--csv", str(path)) as (_, environment):
        reply = httpx.get(environment["COINSWARM_KRAKEN_URL"] + PAGES["kraken"])
    assert reply.headers["date"] == "Tue, 14 Nov 2023 22:00:00 GMT"
    assert reply.json()["result"]["last"] == 1_699_995_600


def test_the_command_serves_the_synthetic_market_and_ends_on_sigterm() -> None:
    options = ("--seed", "7", "--idle", "0.5", "--halt", "2023-11-01/2023-11-02", "--fault", "kraken/503:1")
    with running(*options) as (process, environment):
        start = 1_698_796_800
        query = f"/products/BTC-USD/candles?granularity=3600&start={start}&end={start + 90_000}"
        rows = httpx.get(environment["COINSWARM_COINBASE_URL"] + query).json()
        market = SyntheticMarket(7, idle=0.5)
        after = market.candles(Pair("BTC", "USD"), Timeframe.H1, start + 86_400, start + 90_000)
        assert sorted(row[0] for row in rows) == [c.timestamp for c in after if c.trades]
        assert httpx.get(environment["COINSWARM_KRAKEN_URL"] + PAGES["kraken"]).status_code == 503
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fault", "429"], "error: '429' is no fault with its rate\nhint: For example: --fault 429:0.1\n"),
        (["--script", "mtgox:429"], "error: 'mtgox:429': unknown source 'mtgox'\n"),
        (["--halt", "now"], "error: 'now' is no span\n"),
        (["--now", "later"], "error: 'later' is no moment\n"),
        (["--pair", "BTC-USD"], "error: --pair and --timeframe tell what a file holds\n"),
        (["--csv", "x.csv", "--idle", "0.1"], "error: --idle and --halt are for the synthetic market\n"),
        (["--csv", "XBTUSD_60.csv"], "error: XBTUSD_60.csv cannot be read: No such file or directory\n"),
    ],
)
def test_wrong_use_is_told_in_a_line_with_exit_code_2(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from coinswarm.simulator import __main__ as command

    monkeypatch.setattr(sys, "argv", ["simulator", "--port", "0", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(message)


def test_the_documentation_names_every_fault_and_source_and_its_example_runs() -> None:
    text = (Path(__file__).parent.parent / "docs/simulator.md").read_text()
    assert [kind for kind in KINDS if f"`{kind}`" not in text] == []
    assert all(f"COINSWARM_{source.upper()}_URL=http://127.0.0.1:8600/{source}\n" in text for source in SOURCES)
    assert f"{len(ASSETS)} assets" in text
    example = text.partition("```python\n")[2].partition("```")[0]
    found: dict[str, object] = {}
    exec(example, found)
    assert isinstance(found["truth"], list)
    assert len(found["truth"]) == 23
