"""`expected` says what a source serves; each source's own pages, read here by hand, say the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinswarm import fetchers
from coinswarm.candles import Candle, Pair, Span, Timeframe
from coinswarm.clock import ManualClock
from coinswarm.errors import UnknownPair, UnsupportedTimeframe
from coinswarm.fetchers.producer import collect
from coinswarm.fetchers.report import FetchRequest
from coinswarm.simulator import SOURCES, Faults, Simulator, SyntheticMarket, expected
from tests.support.simulated import NOW, ask

DAY = 86_400
BTC_USD = Pair("BTC", "USD")
HALT = Span(NOW - 12 * DAY, NOW - 11 * DAY)
MARKET = SyntheticMarket(7, idle=0.05, listed={"BTC-USD": NOW // DAY * DAY - 150 * DAY}, halts=[HALT])

Row = tuple[int, float, float, float, float, float | None, float | None]


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with Simulator(MARKET, clock=ManualClock(NOW * 1000)) as simulator:
        yield simulator


def from_cryptocompare(sim: Simulator, timeframe: Timeframe) -> Iterator[Row]:
    unit, name = next((s, n) for s, n in ((DAY, "day"), (3600, "hour"), (60, "minute")) if timeframe.seconds >= s)
    to = NOW
    while True:
        body = ask(
            sim,
            "cryptocompare",
            f"/data/v2/histo{name}",
            fsym="BTC",
            tsym="USD",
            limit=2000,
            aggregate=timeframe.seconds // unit,
            toTs=to,
        )
        if body["Response"] == "Error":
            return
        page = body["Data"]["Data"]
        if not any(row["open"] for row in page):
            return
        for row in page:
            if row["open"]:
                prices = (row["open"], row["high"], row["low"], row["close"])
                yield (row["time"], *prices, row["volumefrom"], row["volumeto"])
        to = page[0]["time"] - 1  # the last unit of the bucket before


def from_binance(sim: Simulator, timeframe: Timeframe, source: str = "binance") -> Iterator[Row]:
    start = 0
    while True:
        page = ask(
            sim,
            source,
            "/api/v3/klines",
            symbol="BTCUSD",
            interval=timeframe.value,
            limit=1000,
            startTime=start,
        )
        if not page:
            return
        for row in page:
            opened, *prices, volume = row[0], *map(float, row[1:6])
            yield (opened // 1000, prices[0], prices[1], prices[2], prices[3], volume, float(row[7]))
        start = page[-1][0] + 1


def from_coingecko(sim: Simulator, timeframe: Timeframe) -> Iterator[Row]:
    days = {Timeframe.M30: 1, Timeframe.H4: 30}[timeframe]
    for closes, opened, high, low, close in ask(sim, "coingecko", "/coins/bitcoin/ohlc", vs_currency="usd", days=days):
        yield (closes // 1000 - timeframe.seconds, opened, high, low, close, None, None)


def from_kraken(sim: Simulator, timeframe: Timeframe) -> Iterator[Row]:
    result = ask(sim, "kraken", "/0/public/OHLC", pair="XBTUSD", interval=timeframe.seconds // 60)["result"]
    for row in result["XXBTZUSD"]:
        if row[0] <= result["last"]:
            opened, high, low, close, _vwap, volume = map(float, row[1:7])
            yield (row[0], opened, high, low, close, volume, None)


def from_coinbase(sim: Simulator, timeframe: Timeframe) -> Iterator[Row]:
    end = NOW // timeframe.seconds * timeframe.seconds
    while end > MARKET.listed_at(BTC_USD) - 300 * timeframe.seconds:
        start = end - 299 * timeframe.seconds
        path = "/products/BTC-USD/candles"
        for opened, low, high, first, close, volume in ask(
            sim, "coinbase", path, granularity=timeframe.seconds, start=start, end=end
        ):
            yield (opened, first, high, low, close, volume, None)
        end = start - timeframe.seconds


READERS: dict[str, Callable[[Simulator, Timeframe], Iterator[Row]]] = {
    "cryptocompare": from_cryptocompare,
    "binance": from_binance,
    "binanceus": lambda sim, timeframe: from_binance(sim, timeframe, "binanceus"),
    "coingecko": from_coingecko,
    "kraken": from_kraken,
    "coinbase": from_coinbase,
}

SERIES = [
    *(("cryptocompare", timeframe) for timeframe in ("1m", "15m", "1h", "8h", "1d", "1w")),
    *((source, timeframe) for source in ("binance", "binanceus") for timeframe in ("15m", "1h", "8h", "1d", "1w")),
    *(("coingecko", timeframe) for timeframe in ("30m", "4h")),
    *(("kraken", timeframe) for timeframe in ("1m", "30m", "1h", "1d", "1w")),
    *(("coinbase", timeframe) for timeframe in ("15m", "1h", "6h", "1d")),
]


@pytest.mark.parametrize(("source", "name"), SERIES)
def test_the_whole_series_of_a_source_is_what_was_expected_row_by_row(sim: Simulator, source: str, name: str) -> None:
    timeframe = Timeframe(name)
    closed = {row[0]: row for row in READERS[source](sim, timeframe) if row[0] + timeframe.seconds <= NOW}
    candles = [
        Candle("BTC-USD", t, name, o, h, low, c, base, quote, source)
        for t, o, h, low, c, base, quote in sorted(closed.values())
    ]
    wanted = expected(MARKET, source, BTC_USD, timeframe, 0, NOW, NOW)
    assert len(candles) > 15
    assert candles == wanted


@pytest.mark.parametrize(("source", "name"), [series for series in SERIES if series[0] != "binanceus"])
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_with_rows_too_many_in_most_pages_a_fetcher_still_gets_what_was_expected(
    sim: Simulator, source: str, name: str, seed: int
) -> None:
    timeframe, clock = Timeframe(name), ManualClock(NOW * 1000)
    sim.faults = Faults(rates={"overlap": 0.6, "duplicate": 0.3}, seed=seed)
    got: list[Candle] = []
    with httpx.Client(trust_env=False, verify=False) as client:
        fetcher = fetchers.build(source, client=client, clock=clock, base_url=sim.url(source))
        collect(fetcher, got, FetchRequest(BTC_USD, timeframe, limit=900, pages=None), clock=clock)
    got.sort(key=lambda candle: candle.timestamp)
    assert got == expected(MARKET, source, BTC_USD, timeframe, 0, NOW, NOW)


def test_only_what_lies_between_the_bounds_is_expected() -> None:
    first, last = NOW // 3600 * 3600 - 20 * 3600, NOW // 3600 * 3600 - 10 * 3600
    found = expected(MARKET, "binance", BTC_USD, Timeframe.H1, first, last, NOW)
    assert (found[0].timestamp, found[-1].timestamp, len(found)) == (first, last, 11)


def test_a_running_candle_is_not_expected_until_the_moment_it_closes() -> None:
    opened = NOW // 3600 * 3600

    def newest(now: float) -> int:
        return expected(MARKET, "binance", BTC_USD, Timeframe.H1, 0, 2**33, now)[-1].timestamp

    assert newest(opened + 3599.9) == opened - 3600
    assert newest(opened + 3600) == opened


def test_kraken_is_expected_to_have_720_candles_and_cryptocompare_a_week_of_minutes() -> None:
    assert len(expected(MARKET, "kraken", BTC_USD, Timeframe.M5, 0, NOW, NOW)) == 720
    minutes = expected(MARKET, "cryptocompare", BTC_USD, Timeframe.M1, 0, NOW, NOW)
    assert len(minutes) == 7 * 1440 - 1
    assert minutes[0].timestamp >= NOW - 7 * DAY


def test_idle_hours_are_expected_of_all_but_coinbase() -> None:
    idle = next(c.timestamp for c in MARKET.candles(BTC_USD, Timeframe.H1, NOW - 5 * DAY, NOW - DAY) if c.trades == 0)
    for source in ("cryptocompare", "binance", "kraken"):
        assert len(expected(MARKET, source, BTC_USD, Timeframe.H1, idle, idle, NOW)) == 1
    assert expected(MARKET, "coinbase", BTC_USD, Timeframe.H1, idle, idle, NOW) == []


def test_what_a_source_does_not_have_is_said_and_not_expected_to_be_nothing() -> None:
    with pytest.raises(UnsupportedTimeframe, match="kraken: no 2h candles"):
        expected(MARKET, "kraken", BTC_USD, Timeframe.H2, 0, NOW, NOW)
    with pytest.raises(UnknownPair, match="coingecko: BTC-USDC is not listed"):
        expected(MARKET, "coingecko", Pair("BTC", "USDC"), Timeframe.M30, 0, NOW, NOW)
    with pytest.raises(UnknownPair, match="binance: ETH-SOL is not listed"):
        expected(MARKET, "binance", Pair("ETH", "SOL"), Timeframe.H1, 0, NOW, NOW)


def test_every_source_is_read_here() -> None:
    assert {source for source, _ in SERIES} == set(READERS) == set(SOURCES)
