"""What each simulated exchange sends, read by plain HTTP against the documentation and against recorded bodies."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from coinswarm.candles import Pair, Span, Timeframe
from coinswarm.clock import ManualClock
from coinswarm.simulator import SOURCES, MarketCandle, Simulator, SyntheticMarket
from tests.support.simulated import NOW, PAGES, ask, raw, recorded, shape

HOUR = 3600
DAY = 86_400
THIS_HOUR = NOW // HOUR * HOUR
BTC_USD = Pair("BTC", "USD")
LISTED = THIS_HOUR - 4000 * HOUR
HALT = Span(THIS_HOUR - 500 * HOUR, THIS_HOUR - 490 * HOUR)
MARKET = SyntheticMarket(7, idle=0.05, listed={"SOL-USD": LISTED, "SOL-USDT": LISTED}, halts=[HALT])


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with Simulator(MARKET, clock=ManualClock(NOW * 1000)) as simulator:
        yield simulator


def hours(pair: str, first: int, last: int) -> dict[int, MarketCandle]:
    return {c.timestamp: c for c in MARKET.candles(Pair.parse(pair), Timeframe.H1, first, last)}


# --- CryptoCompare


def histo(sim: Simulator, unit: str = "hour", **query: Any) -> Any:
    return ask(sim, "cryptocompare", f"/data/v2/histo{unit}", **{"fsym": "BTC", "tsym": "USD", **query})


def rows_of(body: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body["Data"]["Data"]
    return found


@pytest.mark.parametrize(("unit", "rows"), [("minute", 1441), ("hour", 169), ("day", 31)])
def test_cryptocompare_sends_one_row_more_than_the_limit_by_default_too(sim: Simulator, unit: str, rows: int) -> None:
    assert len(rows_of(histo(sim, unit))) == rows
    assert len(rows_of(histo(sim, unit, limit=10))) == 11
    assert len(rows_of(histo(sim, unit, limit=5000))) == 2001


@pytest.mark.parametrize(("unit", "aggregate", "rows"), [("minute", 2, 1001), ("hour", 12, 167), ("day", 7, 31)])
def test_cryptocompare_cuts_limit_times_aggregate_to_2000_without_a_word(
    sim: Simulator, unit: str, aggregate: int, rows: int
) -> None:
    body = histo(sim, unit, aggregate=aggregate)
    assert body["Response"] == "Success"
    assert body["Data"]["Aggregated"] is True
    found = [row["time"] for row in rows_of(body)]
    assert len(found) == rows
    seconds = {"minute": 60, "hour": HOUR, "day": DAY}[unit]
    assert {b - a for a, b in itertools.pairwise(found)} == {seconds * aggregate}
    assert found[0] % (seconds * aggregate) == 0
    assert body["Data"]["TimeTo"] == NOW // seconds * seconds, "of the unit, not of the last row"


def test_cryptocompares_to_ts_is_inclusive_and_its_rows_are_the_markets(sim: Simulator) -> None:
    to = THIS_HOUR - 5 * HOUR
    found = rows_of(histo(sim, limit=100, toTs=to))
    truth = hours("BTC-USD", to - 100 * HOUR, to)
    assert [row["time"] for row in found] == list(range(to - 100 * HOUR, to + 1, HOUR))
    for row in found:
        candle = truth[row["time"]]
        assert (row["open"], row["high"], row["low"], row["close"]) == candle[1:5]
        assert (row["volumefrom"], row["volumeto"]) == (candle.volume, candle.quote_volume)
        assert (row["conversionType"], row["conversionSymbol"]) == ("direct", "")
    assert any(row["volumefrom"] == 0 and row["open"] == row["high"] == row["low"] for row in found), "idle, flat"


def test_cryptocompares_running_row_changes_and_may_close_above_its_high_or_be_an_empty_stub(sim: Simulator) -> None:
    last = [rows_of(histo(sim, limit=1))[-1] for _ in range(6)]
    assert {row["time"] for row in last} == {THIS_HOUR}
    assert len({(row["close"], row["volumefrom"]) for row in last}) >= 3
    assert any(row["close"] > row["high"] for row in last)
    assert any(row["volumefrom"] == 0 and row["open"] == row["high"] == row["low"] == row["close"] for row in last)


def test_cryptocompares_last_bucket_holds_no_unit_after_to_ts(sim: Simulator) -> None:
    opened = THIS_HOUR // (4 * HOUR) * 4 * HOUR - 8 * HOUR
    whole = rows_of(histo(sim, aggregate=4, limit=1, toTs=opened + 3 * HOUR))[-1]
    part = rows_of(histo(sim, aggregate=4, limit=1, toTs=opened))[-1]
    assert whole["time"] == part["time"] == opened
    assert whole["volumefrom"] > part["volumefrom"] > 0


def test_cryptocompare_goes_on_with_zeros_before_the_listing_and_in_a_halt(sim: Simulator) -> None:
    zero = {"high": 0, "low": 0, "open": 0, "volumefrom": 0, "volumeto": 0, "close": 0}
    page = rows_of(histo(sim, fsym="SOL", limit=10, toTs=LISTED + 3 * HOUR))
    assert [row["open"] > 0 for row in page] == [False] * 7 + [True] * 4
    assert zero.items() <= page[0].items()
    assert not any(row["open"] for row in rows_of(histo(sim, fsym="SOL", limit=2000, toTs=LISTED - HOUR)))
    halted = [row for row in rows_of(histo(sim, limit=10, toTs=HALT.last - HOUR)) if row["time"] >= HALT.first]
    assert halted
    assert all(zero.items() <= row.items() for row in halted)


def test_cryptocompare_keeps_minutes_for_a_week(sim: Simulator) -> None:
    old = histo(sim, "minute", toTs=NOW - 7 * DAY - 60)
    assert (old["Response"], old["Type"]) == ("Error", 1)
    assert old["Message"] == "Minute data for BTC-USD is only available for the last 7 days."
    page = rows_of(histo(sim, "minute", limit=100, toTs=NOW - 7 * DAY + 600))
    assert [row["open"] > 0 for row in page] == [row["time"] >= NOW - 7 * DAY for row in page]


def test_cryptocompare_makes_up_a_pair_that_never_traded_unless_forbidden(sim: Simulator) -> None:
    made_up = rows_of(histo(sim, fsym="ETH", tsym="SOL", limit=1, toTs=THIS_HOUR - HOUR))[0]
    assert (made_up["conversionType"], made_up["conversionSymbol"]) == ("divide", "BTC")
    assert made_up["low"] <= made_up["open"] <= made_up["high"]
    refused = histo(sim, fsym="ETH", tsym="SOL", tryConversion="false")
    assert refused["Message"] == "cccagg_or_exchange market does not exist for this coin pair (ETH-SOL)"
    forced = rows_of(histo(sim, limit=1, tryConversion="false"))[0]
    assert forced["conversionType"] == "force_direct"


def test_cryptocompares_errors_come_with_http_200(sim: Simulator) -> None:
    assert histo(sim, fsym="EZETH") == {
        "Response": "Error",
        "Message": "cccagg_or_exchange market does not exist for this coin pair (EZETH-USD)",
        "HasWarning": False,
        "Type": 2,
        "RateLimit": {},
        "Data": {},
        "Cooldown": 0,
    }
    assert ask(sim, "cryptocompare", "/data/histohour", fsym="EZETH", tsym="USD", e="Binance") == {
        "Response": "Error",
        "Message": "Binance market does not exist for this coin pair (EZETH-USD)",
        "Type": 2,
        "Aggregated": False,
        "Data": [],
    }
    missing = ask(sim, "cryptocompare", "/data/v2/histohour", fsym="BTC")
    assert (missing["Response"], missing["ParamWithError"]) == ("Error", "tsym")
    assert histo(sim, limit="many")["Message"] == "limit param is not an integer."


@pytest.mark.real_data
@pytest.mark.parametrize("unit", ["day", "hour", "minute"])
@pytest.mark.parametrize("variant", ["", "_aggregated", "_with_limit_10", "_with_to_ts"])
def test_cryptocompares_flat_bodies_are_built_like_the_recorded_ones(sim: Simulator, unit: str, variant: str) -> None:
    recording = recorded(f"cryptocompare/minapi_v1_btc_to_usd_histo_{unit}{variant}.json")
    recording = recording[0] if isinstance(recording, list) else recording
    theirs = recording["response"]["body"]
    query = {"_aggregated": {"aggregate": 2}, "_with_limit_10": {"limit": 10}}.get(variant, {})
    ours = ask(sim, "cryptocompare", f"/data/histo{unit}", fsym="BTC", tsym="USD", **query)
    assert shape(ours) == shape(theirs)
    assert len(ours["Data"]) == len(theirs["Data"])


@pytest.mark.real_data
def test_cryptocompares_nested_body_is_built_like_the_recorded_one(sim: Simulator) -> None:
    recording = recorded("cryptocompare/minapi_v2_histoday_BTC-USD_limit30_2022-06-09.json")
    recording = recording[0] if isinstance(recording, list) else recording
    theirs = recording["response"]["body"]
    ours = histo(sim, "day", limit=30)
    assert shape(ours) == shape(theirs)
    assert len(rows_of(ours)) == len(rows_of(theirs)) == 31


# --- Binance and Binance.US


def klines(sim: Simulator, source: str = "binance", **query: Any) -> list[list[Any]]:
    found: list[list[Any]] = ask(sim, source, "/api/v3/klines", **{"symbol": "BTCUSDT", "interval": "1h", **query})
    return found


def opens(rows: list[list[Any]], unit: int = 1000) -> list[int]:
    return [row[0] // unit for row in rows]


def test_binances_rows_are_twelve_columns_of_strings_and_numbers(sim: Simulator) -> None:
    at = next(c for c in hours("BTC-USDT", THIS_HOUR - 9 * HOUR, THIS_HOUR - HOUR).values() if c.trades)
    (row,) = klines(sim, startTime=at.timestamp * 1000, endTime=at.timestamp * 1000)
    assert row[:9] == [
        at.timestamp * 1000,
        f"{at.open:.8f}",
        f"{at.high:.8f}",
        f"{at.low:.8f}",
        f"{at.close:.8f}",
        f"{at.volume:.8f}",
        (at.timestamp + HOUR) * 1000 - 1,
        f"{at.quote_volume:.8f}",
        at.trades,
    ]
    assert 0 < float(row[9]) < at.volume
    assert 0 < float(row[10]) < at.quote_volume
    assert row[11] == "0"


@pytest.mark.real_data
def test_binances_body_is_built_like_the_recorded_ones(sim: Simulator) -> None:
    for recording in recorded("binance/recorded_spot_klines.json"):
        assert shape(klines(sim)) == shape(recording["response"]["body"])


def test_binances_bounds_choose_which_end_the_rows_come_from(sim: Simulator) -> None:
    end = THIS_HOUR - 50 * HOUR
    assert opens(klines(sim, limit=3)) == [THIS_HOUR - 2 * HOUR, THIS_HOUR - HOUR, THIS_HOUR]
    assert opens(klines(sim, limit=3, endTime=end * 1000)) == [end - 2 * HOUR, end - HOUR, end]
    assert opens(klines(sim, limit=3, endTime=end * 1000 - 1)) == [end - 3 * HOUR, end - 2 * HOUR, end - HOUR]
    assert opens(klines(sim, limit=3, startTime=end * 1000)) == [end, end + HOUR, end + 2 * HOUR]
    assert opens(klines(sim, limit=3, startTime=end * 1000 + 1)) == [end + HOUR, end + 2 * HOUR, end + 3 * HOUR]
    assert opens(klines(sim, startTime=end * 1000, endTime=(end + HOUR) * 1000)) == [end, end + HOUR]
    assert klines(sim, startTime=end * 1000, endTime=(end - HOUR) * 1000) == []


def test_binance_sends_500_rows_or_up_to_1000(sim: Simulator) -> None:
    assert [len(klines(sim, **query)) for query in ({}, {"limit": 1000}, {"limit": 5000})] == [500, 1000, 1000]


def test_binance_finds_the_listing_from_time_zero_and_nothing_before_it(sim: Simulator) -> None:
    assert opens(klines(sim, symbol="SOLUSDT", startTime=0, limit=2)) == [LISTED, LISTED + HOUR]
    assert klines(sim, symbol="SOLUSDT", endTime=LISTED * 1000 - 1) == []


def test_binance_has_flat_rows_for_idle_hours_and_none_for_a_halt(sim: Simulator) -> None:
    rows = klines(sim, startTime=(HALT.first - 100 * HOUR) * 1000, endTime=(HALT.last + 100 * HOUR) * 1000)
    halted = range(HALT.first, HALT.last - HOUR + 1, HOUR)
    assert set(opens(rows)) == set(range(HALT.first - 100 * HOUR, HALT.last + 100 * HOUR + 1, HOUR)) - set(halted)
    assert any(float(row[5]) == 0 and row[8] == 0 and row[1] == row[4] for row in rows)


def test_binances_running_candle_is_last_and_changes(sim: Simulator) -> None:
    first, second = klines(sim, limit=1)[0], klines(sim, limit=1)[0]
    assert first[0] == second[0] == THIS_HOUR * 1000
    assert first[6] >= NOW * 1000
    assert first[5] != second[5]


def test_binances_weeks_open_on_monday(sim: Simulator) -> None:
    assert {opened % (7 * DAY) for opened in opens(klines(sim, interval="1w"))} == {4 * DAY}


def test_binance_speaks_microseconds_when_asked_in_the_header(sim: Simulator) -> None:
    end = THIS_HOUR - HOUR
    (row,) = ask(
        sim,
        "binance",
        "/api/v3/klines",
        {"X-MBX-TIME-UNIT": "MICROSECOND"},
        symbol="BTCUSDT",
        interval="1h",
        endTime=end * 1_000_000,
        limit=1,
    )
    assert (row[0], row[6]) == (end * 1_000_000, THIS_HOUR * 1_000_000 - 1)


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ({"symbol": "BTCBUSD"}, -1121, "Invalid symbol."),
        ({"symbol": "btcusdt"}, -1100, "Illegal characters found in parameter 'symbol'; legal range is"),
        ({"symbol": ""}, -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
        ({"interval": "1H"}, -1120, "Invalid interval."),
        ({"interval": ""}, -1102, "Mandatory parameter 'interval' was not sent"),
        ({"limit": "ten"}, -1100, "Illegal characters found in parameter 'limit'"),
        ({"limit": "0"}, -1130, "Data sent for parameter 'limit' is not valid."),
        ({"startTime": "2024-01-01"}, -1100, "Illegal characters found in parameter 'startTime'"),
    ],
)
def test_binance_refuses_with_a_code(sim: Simulator, query: dict[str, str], code: int, message: str) -> None:
    reply = raw(sim, "binance", "/api/v3/klines", **{"symbol": "BTCUSDT", "interval": "1h", **query})
    assert reply.status_code == 400
    body = reply.json()
    assert list(body) == ["code", "msg"]
    assert body["code"] == code
    assert body["msg"].startswith(message)


def test_binance_us_has_the_same_paths_under_a_prefix_of_its_own_and_half_the_weight(sim: Simulator) -> None:
    assert klines(sim, "binanceus", endTime=LISTED * 1000) == klines(sim, endTime=LISTED * 1000)
    weights = {source: raw(sim, source, "/api/v3/klines", symbol="BTCUSDT", interval="1h") for source in SOURCES[1:3]}
    served = {source: sum(seen.source == source for seen in sim.requests) for source in weights}
    for source, weight in (("binance", 2), ("binanceus", 1)):
        assert int(weights[source].headers["X-MBX-USED-WEIGHT-1M"]) == served[source] * weight


def test_binance_tells_its_time_and_its_symbols(sim: Simulator) -> None:
    assert ask(sim, "binance", "/api/v3/time") == {"serverTime": NOW * 1000}
    symbols = {each["symbol"]: each for each in ask(sim, "binance", "/api/v3/exchangeInfo")["symbols"]}
    assert (symbols["USDCUSDT"]["baseAsset"], symbols["USDCUSDT"]["quoteAsset"]) == ("USDC", "USDT")


# --- CoinGecko


def ohlc(sim: Simulator, coin: str = "bitcoin", **query: Any) -> list[list[float]]:
    found: list[list[float]] = ask(sim, "coingecko", f"/coins/{coin}/ohlc", **{"vs_currency": "usd", **query})
    return found


@pytest.mark.parametrize(
    ("days", "seconds", "rows"),
    [(1, 1800, 48), (7, 14_400, 42), (14, 14_400, 84), (30, 14_400, 180), (90, 4 * DAY, 22), (365, 4 * DAY, 91)],
)
def test_coingecko_chooses_the_spacing_by_the_days_and_stamps_the_close(
    sim: Simulator, days: int, seconds: int, rows: int
) -> None:
    found = ohlc(sim, "ethereum", days=days)
    stamps = [row[0] // 1000 for row in found]
    assert stamps[-1] == NOW // seconds * seconds + seconds, "the running candle's close lies in the future"
    assert stamps[0] - seconds >= NOW - days * DAY > stamps[0] - 2 * seconds
    halted = set(range(HALT.first, HALT.last, seconds)) if seconds < DAY else set()
    assert rows - len(halted) - 1 <= len(found) <= rows + 1
    assert all(len(row) == 5 for row in found)


def test_coingeckos_rows_are_the_markets_without_volumes(sim: Simulator) -> None:
    truth = {c.timestamp + 1800: c for c in MARKET.candles(BTC_USD, Timeframe.M30, NOW - DAY, NOW - 1800)}
    closed = [row for row in ohlc(sim, days=1) if row[0] <= NOW * 1000]
    assert len(closed) == len(truth)
    assert [tuple(row) for row in closed] == [(close * 1000, *c[1:5]) for close, c in truth.items()]


def test_coingeckos_running_candle_changes(sim: Simulator) -> None:
    assert len({ohlc(sim, days=1)[-1][4] for _ in range(5)}) > 1


@pytest.mark.real_data
@pytest.mark.parametrize("days", ["7_days", "30_days_in_myr"])
def test_coingeckos_body_is_built_like_the_recorded_one(sim: Simulator, days: str) -> None:
    recording = recorded(f"coingecko/ohlc_data_for_one_coin_in_the_last_{days}.json")
    assert shape(ohlc(sim, days=days.partition("_")[0])) == shape(recording[0]["response"]["body"])
    refused = raw(sim, "coingecko", "/coins/bitcoin/ohlc")
    assert (refused.status_code, refused.json()) == (500, recording[1]["response"]["body"])


@pytest.mark.parametrize(
    ("coin", "query", "status", "body"),
    [
        ("nonesuch", {"vs_currency": "usd", "days": 1}, 404, {"error": "coin not found"}),
        ("bitcoin", {"vs_currency": "usdc", "days": 1}, 400, {"error": "invalid vs_currency"}),
        ("bitcoin", {"vs_currency": "usd", "days": 2}, 400, {"error": "Invalid days parameter"}),
        ("bitcoin", {"days": 1}, 422, {"error": "Missing parameter vs_currency"}),
        ("bitcoin", {"vs_currency": "usd"}, 422, {"error": "Missing parameter days"}),
    ],
)
def test_coingecko_refuses(sim: Simulator, coin: str, query: dict[str, Any], status: int, body: object) -> None:
    reply = raw(sim, "coingecko", f"/coins/{coin}/ohlc", **query)
    assert (reply.status_code, reply.json()) == (status, body)


@pytest.mark.parametrize(("query", "code"), [({"days": "max"}, 10012), ({"days": 1, "interval": "daily"}, 10005)])
def test_coingecko_refuses_what_is_for_paid_plans_with_401(sim: Simulator, query: dict[str, Any], code: int) -> None:
    reply = raw(sim, "coingecko", "/coins/bitcoin/ohlc", vs_currency="usd", **query)
    status = reply.json()["error"]["status"]
    assert (reply.status_code, status["error_code"]) == (401, code)
    assert status["timestamp"] == "2023-11-14T22:15:23.000+00:00"


def test_coingecko_answers_with_and_without_its_version_in_the_path(sim: Simulator) -> None:
    assert ohlc(sim, days=7)[:-1] == ask(sim, "coingecko", "/api/v3/coins/bitcoin/ohlc", vs_currency="usd", days=7)[:-1]
    assert {"id": "bitcoin", "symbol": "btc", "name": "Bitcoin"} in ask(sim, "coingecko", "/coins/list")


# --- Kraken


def kraken(sim: Simulator, **query: Any) -> tuple[str, list[list[Any]], int]:
    body = ask(sim, "kraken", "/0/public/OHLC", **{"pair": "XBTUSD", "interval": 60, **query})
    assert body["error"] == []
    key, last = body["result"]
    assert last == "last"
    return key, body["result"][key], body["result"]["last"]


def test_krakens_rows_have_vwap_before_volume_and_stand_under_its_own_name(sim: Simulator) -> None:
    key, rows, last = kraken(sim)
    assert key == "XXBTZUSD"
    truth = hours("BTC-USD", rows[0][0], last)
    for row in rows[:-1]:
        candle = truth[row[0]]
        assert row[1:5] == [f"{price:.2f}" for price in candle[1:5]]
        assert row[6:] == [f"{candle.volume:.8f}", candle.trades]
        if candle.trades:
            assert candle.low <= float(row[5]) <= candle.high
        else:
            assert row[5] == "0.0"
    assert any(row[7] == 0 for row in rows)


@pytest.mark.parametrize("name", ["XBTUSD", "XXBTZUSD", "XBT/USD"])
def test_kraken_answers_to_each_of_its_names(sim: Simulator, name: str) -> None:
    assert kraken(sim, pair=name)[0] == "XXBTZUSD"


@pytest.mark.parametrize("since", [None, 0, 1_420_070_400])
@pytest.mark.parametrize("interval", [1, 60, 1440])
def test_kraken_has_the_newest_720_closed_rows_and_a_running_one_whatever_since_says(
    sim: Simulator, since: int | None, interval: int
) -> None:
    seconds = interval * 60
    query = {} if since is None else {"since": since}
    _, rows, last = kraken(sim, pair="ETHUSD", interval=interval, **query)
    assert len(rows) == 721
    assert last == rows[-2][0] == NOW // seconds * seconds - seconds
    assert rows[-1][0] == NOW // seconds * seconds


def test_krakens_since_is_exclusive_and_the_uncommitted_row_always_comes(sim: Simulator) -> None:
    since = THIS_HOUR - 3 * HOUR
    assert [row[0] for row in kraken(sim, since=since)[1]] == [THIS_HOUR - 2 * HOUR, THIS_HOUR - HOUR, THIS_HOUR]
    _, rows, last = kraken(sim, since=NOW)
    assert ([row[0] for row in rows], last) == ([THIS_HOUR], THIS_HOUR - HOUR)
    assert kraken(sim, since=NOW)[1][0][6] != rows[0][6], "it changes between two calls"


def test_kraken_has_15_day_candles_and_weeks_that_open_on_thursday(sim: Simulator) -> None:
    for interval in (10_080, 21_600):
        _, rows, _ = kraken(sim, interval=interval)
        assert {row[0] % (interval * 60) for row in rows} == {0}


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"pair": "BTCUSD"}, "EQuery:Unknown asset pair"),
        ({"pair": ""}, "EGeneral:Invalid arguments"),
        ({"interval": 120}, "EGeneral:Invalid arguments"),
        ({"interval": "1h"}, "EGeneral:Invalid arguments"),
        ({"since": "yesterday"}, "EGeneral:Invalid arguments"),
    ],
)
def test_krakens_errors_come_with_http_200_and_without_a_result(
    sim: Simulator, query: dict[str, Any], error: str
) -> None:
    assert ask(sim, "kraken", "/0/public/OHLC", **{"pair": "XBTUSD", **query}) == {"error": [error]}


@pytest.mark.real_data
def test_krakens_body_is_built_like_the_recorded_one(sim: Simulator) -> None:
    theirs = recorded("kraken/ohlc_XXBTZUSD_1m_2017-08.json")
    assert shape(ask(sim, "kraken", "/0/public/OHLC", pair="XBTUSD")) == shape(theirs)


def test_kraken_tells_its_names_and_its_time(sim: Simulator) -> None:
    pairs = ask(sim, "kraken", "/0/public/AssetPairs")["result"]
    assert (pairs["XXBTZUSD"]["altname"], pairs["XXBTZUSD"]["wsname"]) == ("XBTUSD", "XBT/USD")
    assert ask(sim, "kraken", "/0/public/Time")["result"]["unixtime"] == NOW


# --- Coinbase


def candles(sim: Simulator, product: str = "BTC-USD", **query: Any) -> list[list[float]]:
    found: list[list[float]] = ask(sim, "coinbase", f"/products/{product}/candles", **{"granularity": HOUR, **query})
    return found


def test_coinbase_sends_newest_first_low_before_high_before_open(sim: Simulator) -> None:
    start, end = THIS_HOUR - 60 * HOUR, THIS_HOUR - 10 * HOUR
    truth = hours("BTC-USD", start, end)
    traded = [c for c in truth.values() if c.trades]
    assert 0 < len(traded) < len(truth), "hours without a trade have no row"
    assert candles(sim, start=start, end=end) == [
        [c.timestamp, c.low, c.high, c.open, c.close, c.volume] for c in reversed(traded)
    ]


def test_coinbases_bounds_are_both_inclusive_and_may_be_iso_8601(sim: Simulator) -> None:
    start, end = "2023-11-10T00:00:00Z", "2023-11-10T05:00:00+00:00"
    found = candles(sim, "LINK-USD", start=start, end=end, granularity=300)
    assert (found[-1][0], found[0][0]) == (1_699_574_400, 1_699_592_400)
    assert candles(sim, "LINK-USD", start="2023-11-10T00:00", end="2023-11-10 05:00", granularity=300) == found


def test_coinbase_counts_300_intervals_so_301_rows_can_come_and_one_more_is_refused(sim: Simulator) -> None:
    market = SyntheticMarket(7)
    end = THIS_HOUR - HOUR
    with Simulator(market, clock=ManualClock(NOW * 1000)) as busy:
        assert len(candles(busy, start=end - 300 * HOUR, end=end)) == 301
        reply = raw(busy, "coinbase", "/products/BTC-USD/candles", granularity=HOUR, start=end - 301 * HOUR, end=end)
    assert reply.status_code == 400
    assert reply.json() == {
        "message": "granularity too small for the requested time range. Count of aggregations requested exceeds 300"
    }


@pytest.mark.parametrize("bound", ["start", "end"])
def test_coinbase_passes_over_a_bound_that_comes_alone(sim: Simulator, bound: str) -> None:
    newest = candles(sim)
    assert newest[0][0] == THIS_HOUR
    assert candles(sim, **{bound: THIS_HOUR - 2000 * HOUR})[1:] == newest[1:]


def test_coinbase_sends_the_running_candle_too_and_an_empty_list_before_the_listing(sim: Simulator) -> None:
    volumes = {candles(sim, start=THIS_HOUR, end=NOW + HOUR)[0][5] for _ in range(2)}
    assert len(volumes) == 2
    assert candles(sim, "SOL-USD", start=LISTED - 9 * HOUR, end=LISTED - HOUR) == []


@pytest.mark.parametrize(
    ("product", "query", "status", "message"),
    [
        ("BTC-SOL", {}, 404, "NotFound"),
        ("BTC-USD", {"granularity": 1800}, 400, "Unsupported granularity"),
        ("BTC-USD", {"granularity": "1h"}, 400, "Unsupported granularity"),
        ("BTC-USD", {"start": "yesterday", "end": NOW}, 400, "invalid start"),
        ("BTC-USD", {"start": NOW, "end": NOW - DAY}, 400, "start must be before end"),
    ],
)
def test_coinbase_refuses_with_a_message(
    sim: Simulator, product: str, query: dict[str, Any], status: int, message: str
) -> None:
    reply = raw(sim, "coinbase", f"/products/{product}/candles", **{"granularity": HOUR, **query})
    assert (reply.status_code, reply.json()) == (status, {"message": message})


def test_coinbase_wants_to_know_the_user_agent(sim: Simulator) -> None:
    reply = raw(sim, "coinbase", "/products/BTC-USD/candles", {"User-Agent": ""}, granularity=HOUR)
    assert (reply.status_code, reply.json()) == (400, {"message": "User-Agent header is required."})


@pytest.mark.real_data
@pytest.mark.parametrize(
    "name", ["exchange_candles_BTC-USD_1h_2020-03-09", "truewire_cc0_exchange_candles_BTC-USD_1h_2026-09-01"]
)
def test_coinbases_body_is_built_like_the_recorded_ones(sim: Simulator, name: str) -> None:
    theirs = recorded(f"coinbase/{name}.json")
    theirs = theirs[0]["response"]["body"] if isinstance(theirs[0], dict) else theirs
    assert shape(candles(sim)) == shape(theirs)


def test_coinbase_lists_its_products(sim: Simulator) -> None:
    products = {each["id"]: each for each in ask(sim, "coinbase", "/products")}
    assert (products["ETH-BTC"]["base_currency"], products["ETH-BTC"]["quote_currency"]) == ("ETH", "BTC")


# --- All of them


@pytest.mark.parametrize("source", SOURCES)
def test_every_reply_carries_the_exchanges_own_time(sim: Simulator, source: str) -> None:
    reply = raw(sim, source, PAGES[source])
    assert reply.status_code == 200
    assert parsedate_to_datetime(reply.headers["date"]).timestamp() == NOW
    assert reply.headers["content-type"] == "application/json; charset=utf-8"


def test_nothing_from_the_future_is_served() -> None:
    clock = ManualClock(NOW * 1000)
    with Simulator(MARKET, clock=clock) as simulator:
        before = klines(simulator, startTime=THIS_HOUR * 1000, endTime=(THIS_HOUR + 9 * HOUR) * 1000)
        clock.advance(2 * HOUR)
        after = klines(simulator, startTime=THIS_HOUR * 1000, endTime=(THIS_HOUR + 9 * HOUR) * 1000)
    assert opens(before) == [THIS_HOUR]
    assert opens(after) == [THIS_HOUR, THIS_HOUR + HOUR, THIS_HOUR + 2 * HOUR]
    assert before[0][5] != after[0][5], "what was running is closed now"
