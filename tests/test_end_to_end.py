"""The main job as its user does it: fetch over HTTP, consume, and the very candles the exchange has are in D1."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from coinswarm.candles import COLUMNS, Candle, Pair, Timeframe
from coinswarm.simulator import SOURCES, Faults, FileMarket, Simulator, SyntheticMarket, expected
from tests.support.command_line import CommandLine
from tests.support.wrangler import wrangler

DATA = Path(__file__).parent.parent.parent / "shared" / "data" / "market"
PAIRS = {"binance": "BTC-USDC", "cryptocompare": "BTC-USDC"}
TIMEFRAMES = {"coingecko": "4h"}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(SyntheticMarket(seed=3), faults=Faults.mild(0.15, seed=3, retry_after=0)) as running:
        yield running


def stored(coinswarm: CommandLine, source: str) -> list[Candle]:
    sql = f"SELECT {', '.join(COLUMNS)} FROM price_data WHERE source = '{source}' ORDER BY timestamp"
    result = coinswarm("d1", "execute", "--command", sql, "--json")
    assert result.exit_code == 0, result
    return [Candle(**row) for row in result.json[0]["results"]]


@pytest.mark.parametrize("source", SOURCES)
def test_what_the_exchange_has_is_stored_row_by_row_whatever_goes_wrong_between(
    source: str, simulator: Simulator, coinswarm: CommandLine
) -> None:
    coinswarm.environment = simulator.environment
    symbol, timeframe = PAIRS.get(source, "BTC-USD"), TIMEFRAMES.get(source, "1h")
    assert coinswarm("d1", "migrations", "apply").exit_code == 0

    now = simulator.clock.now_ms() / 1000
    fetched = coinswarm("fetch", symbol, "--source", source, "--timeframe", timeframe, "--limit", "700", "--json")
    assert fetched.exit_code == 0, fetched
    report = fetched.json
    consumed = coinswarm("consume", "--concurrency", "5", "--json")
    assert consumed.exit_code == 0, consumed

    truth = expected(
        simulator.market,
        source,
        Pair.parse(symbol),
        Timeframe.parse(timeframe),
        report["oldest"],
        report["newest"],
        now,
    )
    assert stored(coinswarm, source) == truth
    assert consumed.json["rows"] == {
        "received": len(truth),
        "inserted": len(truth),
        "duplicate": 0,
        "rejected": 0,
    }
    assert report["inserted"] == len(truth)
    assert report["messages"] == -(-len(truth) // 10) == consumed.json["acked"]


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the recorded market data is not beside this checkout")
def test_ten_years_of_real_hours_arrive_complete(coinswarm: CommandLine) -> None:
    market = FileMarket.load(DATA / "kraken" / "XBTUSD_60.csv", pair=Pair("BTC", "USD"), timeframe=Timeframe.H1)
    with Simulator(market) as simulator:
        coinswarm.environment = simulator.environment
        assert coinswarm("d1", "migrations", "apply").exit_code == 0
        fetched = coinswarm("fetch", "BTC-USD", "--source", "binanceus", "--all", "--json")
        assert fetched.exit_code == 0, fetched
        consumed = coinswarm("consume", "--json")
    report = fetched.json
    lines = (DATA / "kraken" / "XBTUSD_60.csv").read_text().splitlines()
    rows = [tuple(map(float, line.split(","))) for line in lines]
    assert len(rows) == 70_253
    assert report["inserted"] == consumed.json["rows"]["inserted"] == 70_253
    assert report["next_toTs"] is None
    assert len(report["gaps"]) == 3_254
    assert report["missing"] == 10_856
    assert [(c.timestamp, c.open, c.high, c.low, c.close, c.volume_from) for c in stored(coinswarm, "binanceus")] == [
        row[:6] for row in rows
    ]
    stats = coinswarm("d1", "stats", "--json").json
    assert stats["rows"] == 70_253
    assert stats["series"] == [
        {
            "symbol": "BTC-USD",
            "timeframe": "1h",
            "source": "binanceus",
            "rows": 70_253,
            "first": 1_381_093_200,
            "last": int(rows[-1][0]),
            "gaps": 3_254,
        }
    ]


@pytest.mark.wrangler
def test_wrangler_opens_the_same_database_and_counts_the_same_rows(
    simulator: Simulator, coinswarm: CommandLine
) -> None:
    coinswarm.environment = simulator.environment
    assert coinswarm("init").exit_code == 0
    assert coinswarm("d1", "migrations", "apply").exit_code == 0
    assert coinswarm("fetch", "--limit", "300").exit_code == 0
    assert coinswarm("consume").exit_code == 0
    count = "SELECT COUNT(*) AS rows FROM price_data"

    ran = wrangler(
        "d1", "execute", "coinswarm-evolution", "--local", "--json", "--command", count, cwd=coinswarm.directory
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads(ran.stdout)[0]["results"] == [{"rows": 300}]
    assert coinswarm("d1", "execute", "--command", count, "--json").json[0]["results"] == [{"rows": 300}]
