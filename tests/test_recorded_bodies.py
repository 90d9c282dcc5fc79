"""Every recorded body in ../shared/data/market goes through the fetcher it was recorded from."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from coinswarm.candles import Candle, Pair, Timeframe, fault
from coinswarm.errors import (
    QuotaExhausted,
    RateLimited,
    SourceError,
    SourceRefused,
    SourceUnavailable,
    UnknownPair,
)
from coinswarm.fetchers import binance, coinbase, coingecko, cryptocompare, kraken
from coinswarm.transport import Reply
from tests.support.http import ask, exchange, manual_clock

MARKET = Path(__file__).parent.parent.parent / "shared" / "data" / "market"

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not MARKET.is_dir(), reason="the recorded bodies in ../shared/data/market are absent"),
]


def files(pattern: str) -> list[Any]:
    return [pytest.param(path, id=path.stem) for path in sorted(MARKET.glob(pattern))] or [
        pytest.param(None, marks=pytest.mark.skip(reason=f"no {pattern} in ../shared/data/market"))
    ]


def load(path: Path | str) -> Any:
    return json.loads((MARKET / path).read_bytes())


def query(recording: Any) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(recording["request"]["url"]).query).items()}


def reply_of(recording: Any) -> Reply:
    response = recording["response"]
    return Reply.of(response.get("status", 200), json.dumps(response["body"]).encode(), response.get("headers"))


def ascending(candles: list[Candle]) -> bool:
    return all(a.timestamp < b.timestamp for a, b in pairwise(candles))


# CryptoCompare


@pytest.mark.parametrize("path", files("cryptocompare/minapi_v*_histo*.json"))
def test_cryptocompare(path: Path) -> None:
    (recording,) = load(path)
    asked_for = query(recording)
    step = (
        int(asked_for.get("aggregate", 1))
        * {"minute": 60, "hour": 3600, "day": 86_400}[path.stem.partition("histo")[2].lstrip("_").partition("_")[0]]
    )
    reply = reply_of(recording)
    timeframe = next((t for t in Timeframe if t.seconds == step), Timeframe.M1)
    cryptocompare.check(Pair("BTC", "USD"), reply)
    rows = cryptocompare.parse(Pair("BTC", "USD"), timeframe, reply.value)
    sent = reply.value["Data"] if isinstance(reply.value["Data"], list) else reply.value["Data"]["Data"]
    if "limit" in asked_for:
        assert len(sent) == int(asked_for["limit"]) + 1
    assert (len(rows.candles), rows.malformed) == (len(sent), [])
    assert ascending(rows.candles)
    assert {b.timestamp - a.timestamp for a, b in pairwise(rows.candles)} == {step}
    first = rows.candles[0]
    assert (first.timestamp, first.open, first.volume_to) == (
        sent[0]["time"],
        sent[0]["open"],
        sent[0]["volumeto"],
    )
    if timeframe.seconds == step:  # two minutes and two days are no timeframes of ours
        moment = reply.as_of if reply.as_of is not None else rows.candles[-1].timestamp
        closed = [c for c in rows.candles if c.closes_at <= moment]
        assert len(closed) >= len(rows.candles) - 2
        assert [fault(c) for c in closed] == [None] * len(closed)


def test_cryptocompares_running_day_breaks_the_rules_and_is_seen_to_be_running() -> None:
    (recording,) = load("cryptocompare/minapi_v1_btc_to_usd_histo_day_with_limit_10.json")
    reply = reply_of(recording)
    rows = cryptocompare.parse(Pair("BTC", "USD"), Timeframe.D1, reply.value)
    last = rows.candles[-1]
    assert last.close > last.high
    assert reply.as_of is not None
    assert last.closes_at > reply.as_of
    assert all(c.closes_at <= reply.as_of for c in rows.candles[:-1])


def test_cryptocompares_silent_cut_leaves_paging_at_the_oldest_row_that_came() -> None:
    (recording,) = load("cryptocompare/minapi_v1_btc_to_usd_histo_hour_aggregated.json")
    response = recording["response"]
    rows = response["body"]["Data"]
    with exchange("cryptocompare", api_key="k") as (fetcher, route):
        route.return_value = httpx.Response(200, json=response["body"], headers=response["headers"])
        page = fetcher.page(ask("BTC-USD", "2h", rows[-1]["time"], 1000))
    assert (page.covers_from, page.exhausted, len(page.candles)) == (rows[0]["time"], False, len(rows))


# Binance


def test_binance() -> None:
    recordings = load("binance/recorded_spot_klines.json")
    assert len(recordings) == 13
    for recording in recordings:
        asked_for = query(recording)
        reply = reply_of(recording)
        pair = Pair(asked_for["symbol"][:3], asked_for["symbol"][3:])
        timeframe = Timeframe(asked_for["interval"])
        binance.check("binance", pair, reply)
        rows = binance.parse("binance", pair, timeframe, reply.value)
        assert (len(rows.candles), rows.malformed) == (len(reply.value), [])
        assert ascending(rows.candles)
        assert [fault(c) for c in rows.candles] == [None] * len(rows.candles)
        for candle, row in zip(rows.candles, reply.value, strict=True):
            assert candle.timestamp * 1000 == row[0]
            assert (candle.volume_from, candle.volume_to) == (float(row[5]), float(row[7]))
        if "endTime" in asked_for:
            assert rows.candles[-1].timestamp * 1000 <= int(asked_for["endTime"])


def test_binances_end_is_inclusive_and_its_outage_is_a_hole_and_no_candle() -> None:
    recordings = load("binance/recorded_spot_klines.json")
    year = next(r for r in recordings if query(r).get("endTime") == "1577836800000")
    rows = binance.parse("binance", Pair("BTC", "USDT"), Timeframe.D1, year["response"]["body"])
    assert (len(rows.candles), rows.candles[-1].timestamp) == (366, 1_577_836_800)
    june = next(r for r in recordings if query(r).get("endTime") == "1593572400000")
    hours = {
        c.timestamp
        for c in binance.parse("binance", Pair("BTC", "USDT"), Timeframe.H1, june["response"]["body"]).candles
    }
    two_o_clock = 1_593_309_600
    assert not hours.intersection(range(two_o_clock, two_o_clock + 3 * 3600, 3600))
    assert {two_o_clock - 3600, two_o_clock + 3 * 3600} <= hours


def test_binances_recorded_errors() -> None:
    unknown, other = load("binance/recorded_error_bodies.json")
    with pytest.raises(UnknownPair):
        binance.check("binance", Pair("BTC", "USD"), Reply.of(400, json.dumps(unknown["response"]["body"]).encode()))
    with pytest.raises(SourceError, match="Maximum time interval"):
        binance.check("binance", Pair("BTC", "USD"), Reply.of(400, json.dumps(other["response"]["body"]).encode()))


# Kraken


def test_kraken() -> None:
    value = load("kraken/ohlc_XXBTZUSD_1m_2017-08.json")
    rows, committed = kraken.parse(Pair("BTC", "USD"), Timeframe.M1, value)
    assert (len(rows.candles), rows.malformed) == (720, [])
    assert [fault(c) for c in rows.candles] == [None] * 720
    # Only the last row is newer than `last`: the one still running.
    assert [c.timestamp > committed for c in rows.candles] == [False] * 719 + [True]
    still = [c for c in rows.candles if c.volume_from == 0]
    assert len(still) == 17
    assert all(c.open == c.high == c.low == c.close > 0 for c in still)


def test_krakens_recorded_page_is_its_whole_history() -> None:
    value = load("kraken/ohlc_XXBTZUSD_1m_2017-08.json")
    last = value["result"]["last"]
    with exchange("kraken") as (fetcher, route):
        route.side_effect = lambda request: httpx.Response(200, json=value)
        page = fetcher.page(ask("BTC-USD", "1m", last, 720))
        assert page.exhausted
        page = fetcher.page(ask("BTC-USD", "1m", last, 100))
        assert (page.exhausted, page.covers_from) == (False, last - 99 * 60)


# Coinbase


@pytest.mark.parametrize("path", files("coinbase/*.json"))
def test_coinbase(path: Path) -> None:
    value = load(path)
    if isinstance(value[0], dict):
        value = value[0]["response"]["body"]
    timeframe = Timeframe.H1 if "_1h_" in path.name else Timeframe.M1
    rows = coinbase.parse(Pair("BTC", "USD"), timeframe, value)
    assert (len(rows.candles), rows.malformed) == (len(value), [])
    assert ascending(rows.candles)
    assert [fault(c) for c in rows.candles] == [None] * len(rows.candles)
    newest, row = rows.candles[-1], value[0]
    assert [newest.timestamp, newest.low, newest.high, newest.open, newest.close, newest.volume_from] == row


def test_coinbases_bounds_are_both_inclusive() -> None:
    (recording,) = load("coinbase/truewire_cc0_exchange_candles_BTC-USD_1h_2026-09-01.json")
    value = recording["response"]["body"]
    with exchange("coinbase") as (fetcher, route):
        route.return_value = httpx.Response(200, json=value)
        page = fetcher.page(ask("BTC-USD", "1h", value[0][0], 6))
        assert dict(route.calls[0].request.url.params) == query(recording)
    assert len(page.candles) == 6
    assert page.covers_from == page.candles[0].timestamp


def test_two_adjoining_pages_of_coinbase_neither_overlap_nor_leave_a_minute_out() -> None:
    older, newer = (
        coinbase.parse(
            Pair("BTC", "USD"), Timeframe.M1, load(f"coinbase/exchange_candles_BTC-USD_1m_2020-03-20_{at}.json")
        )
        for at in ("0000", "0500")
    )
    assert len(older.candles) == len(newer.candles) == 300
    assert newer.candles[0].timestamp - older.candles[-1].timestamp == 60


# CoinGecko


@pytest.mark.parametrize(
    ("name", "count"),
    [("ohlc_data_for_one_coin_in_the_last_7_days", 42), ("ohlc_data_for_one_coin_in_the_last_30_days_in_myr", 180)],
)
def test_coingecko(name: str, count: int) -> None:
    recording = load(f"coingecko/{name}.json")[0]
    reply = reply_of(recording)
    pair = Pair("BTC", query(recording)["vs_currency"].upper())
    coingecko.check(pair, reply)
    rows = coingecko.parse(pair, Timeframe.H4, reply.value)
    assert (len(rows.candles), rows.malformed) == (count, [])
    assert [fault(c) for c in rows.candles] == [None] * count
    assert all(c.volume_from is None and c.volume_to is None for c in rows.candles)
    # Stamped 16:00 and recorded at 15:34: the last candle opened at 12:00 and was still running.
    assert reply.value[-1][0] / 1000 > (reply.as_of or 0)
    assert rows.candles[-1].timestamp == reply.value[-1][0] // 1000 - 4 * 3600
    assert reply.as_of is not None
    assert [c.closes_at > reply.as_of for c in rows.candles] == [False] * (count - 1) + [True]
    assert rows.candles[-2].timestamp <= coingecko.committed(reply, Timeframe.H4) < rows.candles[-1].timestamp


@pytest.mark.parametrize("path", files("coingecko/*.json"))
def test_coingeckos_samples_and_errors_never_become_candles(path: Path) -> None:
    pair = Pair("BTC", "USD")
    for recording in load(path):
        reply = reply_of(recording)
        if reply.status == 200 and isinstance(reply.value, list):
            continue
        with pytest.raises(SourceError):
            coingecko.check(pair, reply)


# Errors of all five

EXPECTED: dict[tuple[str, int, str], type[SourceError]] = {
    ("cryptocompare-minapi", 200, "over your rate limit"): QuotaExhausted,
    ("cryptocompare-minapi", 200, "Binance market does not exist"): UnknownPair,
    ("cryptocompare-minapi", 200, "cccagg_or_exchange market"): UnknownPair,
    ("cryptocompare-minapi", 401, "API key required"): SourceRefused,
    ("binance", 400, "-1121"): UnknownPair,
    ("binance", 400, "-1120"): SourceError,
    ("binance", 429, "Too much request weight"): RateLimited,
    ("binance", 418, "Way too much"): RateLimited,
    ("binance", 451, "restricted location"): SourceRefused,
    ("coingecko", 429, "exceeded the Rate Limit"): RateLimited,
    ("coingecko", 401, "10012"): SourceRefused,
    ("coingecko", 422, "Missing parameter"): SourceError,
    ("coingecko", 500, "Internal Server Error"): SourceUnavailable,
    ("kraken", 200, "Unknown asset pair"): UnknownPair,
    ("kraken", 200, "Too many requests"): RateLimited,
    ("kraken", 200, "Rate limit exceeded"): RateLimited,
    ("coinbase-exchange", 400, "granularity too small"): SourceError,
    ("coinbase-exchange", 404, "NotFound"): UnknownPair,
    ("coinbase-exchange", 429, "Public rate limit exceeded"): RateLimited,
}


def test_every_recorded_error_is_the_error_it_means() -> None:
    pair = Pair("BTC", "USD")
    checks = {
        "cryptocompare-minapi": lambda reply: cryptocompare.check(pair, reply),
        "binance": lambda reply: binance.check("binance", pair, reply),
        "coingecko": lambda reply: coingecko.check(pair, reply),
        "kraken": lambda reply: kraken.check(pair, reply),
        "coinbase-exchange": lambda reply: coinbase.check(pair, reply),
    }
    seen = set()
    for entry in load("error_payloads.json"):
        if entry["api"] not in checks:
            continue  # CryptoCompare's other API, which is not asked
        text = json.dumps(entry["body"])
        key = next(k for k in EXPECTED if k[:2] == (entry["api"], entry["status"]) and k[2] in text)
        reply = Reply.of(entry["status"], text.encode(), entry.get("headers"))
        with pytest.raises(SourceError) as caught:
            checks[entry["api"]](reply)
        assert type(caught.value) is EXPECTED[key], key
        seen.add(key)
        if entry.get("headers", {}).get("Retry-After") or entry.get("headers", {}).get("retry-after"):
            assert isinstance(caught.value, RateLimited)
            assert caught.value.retry_after in (27.0, 120.0, 119.0)
    assert seen == set(EXPECTED)


def test_the_ban_that_was_recorded_is_waited_out_by_its_own_word() -> None:
    ban = next(entry for entry in load("error_payloads.json") if entry["status"] == 418)
    clock = manual_clock()
    with exchange("binance", clock=clock) as (fetcher, route):
        route.side_effect = [
            httpx.Response(418, json=ban["body"], headers=ban["headers"]),
            httpx.Response(200, json=load("binance/recorded_spot_klines.json")[0]["response"]["body"]),
        ]
        assert len(fetcher.page(ask("BTC-USDT", "5m", 1_587_000_000, 24)).candles) == 24
    assert 120.0 <= sum(clock.slept) <= 121.0
