"""Kraken: the newest 720 candles under an odd name, the last of them still running, and errors with HTTP 200."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinswarm.candles import Candle, Pair, Timeframe
from coinswarm.errors import (
    QuotaExhausted,
    RateLimited,
    SourceError,
    SourceUnavailable,
    UnknownPair,
    UnsupportedTimeframe,
)
from coinswarm.fetchers.kraken import parse
from tests.support.http import ask, asked, body, exchange, manual_clock

HOUR = 3600
TEN = 1_788_256_800
BTC = Pair("BTC", "USD")


def row(opened: int, vwap: str = "9631.1", volume: str = "1.01200000") -> list[object]:
    return [opened, "9620.0", "9655.5", "9601.1", "9640.2", vwap, volume, 7]


def ohlc(opens: list[int], key: str = "XXBTZUSD", last: object = None) -> dict[str, object]:
    return {"error": [], "result": {key: [row(t) for t in opens], "last": opens[-2] if last is None else last}}


def test_volume_is_the_seventh_field_and_the_quotes_volume_is_unknown() -> None:
    with exchange("kraken") as (kraken, route):
        route.return_value = body(ohlc([TEN - HOUR, TEN]))
        page = kraken.page(ask("BTC-USD", "1h", TEN, 10))
    assert page.candles[0] == Candle("BTC-USD", TEN - HOUR, "1h", 9620.0, 9655.5, 9601.1, 9640.2, 1.012, None, "kraken")


@pytest.mark.parametrize(
    ("pair", "asset_pair"),
    [
        ("BTC-USD", "XBTUSD"),
        ("DOGE-EUR", "XDGEUR"),
        ("ETH-BTC", "ETHXBT"),
        ("SOL-USD", "SOLUSD"),
        ("BTC-USDC", "XBTUSDC"),
    ],
)
def test_it_asks_in_krakens_names_and_without_since(pair: str, asset_pair: str) -> None:
    with exchange("kraken") as (kraken, route):
        route.return_value = body(ohlc([TEN - HOUR, TEN]))
        kraken.page(ask(pair, "1h", TEN, 10))
        assert route.calls[0].request.url.path == "/0/public/OHLC"
        assert asked(route) == [{"pair": asset_pair, "interval": "60"}]


@pytest.mark.parametrize("key", ["XXBTZUSD", "XBTUSD", "BTC/USD", "anything"])
def test_the_candles_stand_under_the_one_key_that_is_not_last(key: str) -> None:
    with exchange("kraken") as (kraken, route):
        route.return_value = body(ohlc([TEN - HOUR, TEN], key))
        page = kraken.page(ask("BTC-USD", "1h", TEN, 10))
    assert [c.timestamp for c in page.candles] == [TEN - HOUR, TEN]
    assert {c.symbol for c in page.candles} == {"BTC-USD"}


def test_last_is_the_newest_candle_that_is_final() -> None:
    with exchange("kraken") as (kraken, route):
        route.return_value = body(ohlc([TEN - 2 * HOUR, TEN - HOUR, TEN], last=TEN - HOUR))
        page = kraken.page(ask("BTC-USD", "1h", TEN, 10))
    assert page.committed_to == TEN - HOUR
    assert page.candles[-1].timestamp == TEN  # handed over, for the producer to count as unfinished


def test_without_last_the_newest_row_is_taken_for_running_as_it_always_is() -> None:
    value = {"error": [], "result": {"XXBTZUSD": [row(TEN - HOUR), row(TEN)]}}
    with exchange("kraken") as (kraken, route):
        route.return_value = body(value)
        assert kraken.page(ask("BTC-USD", "1h", TEN, 10)).committed_to == TEN - HOUR


def test_720_candles_are_all_there_is_and_the_reason_is_given() -> None:
    opens = [TEN - n * HOUR for n in range(720, -1, -1)]  # 721 rows, as Kraken sends them
    with exchange("kraken") as (kraken, route):
        route.return_value = body(ohlc(opens))
        page = kraken.page(ask("BTC-USD", "1h", TEN, 720))
    assert page.exhausted
    assert page.covers_from == opens[0]
    assert "newest 720" in (page.note or "")
    assert len(page.candles) == 721


def test_what_is_beyond_the_limit_is_not_called_exhausted() -> None:
    opens = [TEN - n * HOUR for n in range(720, -1, -1)]
    with exchange("kraken") as (kraken, route):
        route.return_value = body(ohlc(opens))
        page = kraken.page(ask("BTC-USD", "1h", TEN, 100))
    assert not page.exhausted
    assert page.covers_from == TEN - 100 * HOUR  # the hundredth of those committed


def test_a_time_before_the_oldest_candle_is_the_end_and_not_the_same_page_for_ever() -> None:
    with exchange("kraken") as (kraken, route):
        route.return_value = body(ohlc([TEN - HOUR, TEN]))
        page = kraken.page(ask("BTC-USD", "1h", TEN - 100 * HOUR + 7, 720))
    assert page.exhausted
    assert page.covers_from == TEN - 100 * HOUR


def test_hours_without_trades_are_flat_candles_whose_zero_vwap_is_not_used() -> None:
    value = {"error": [], "result": {"XXBTZUSD": [row(TEN - HOUR, "0.0", "0.00000000"), row(TEN)], "last": TEN - HOUR}}
    rows, _ = parse(BTC, Timeframe.H1, value)
    assert rows.candles[0].volume_from == 0.0
    assert rows.candles[0].volume_to is None
    assert rows.candles[0].close == 9640.2


def test_weeks_open_on_thursday() -> None:
    thursday = 1_787_788_800
    rows, _ = parse(BTC, Timeframe.W1, ohlc([thursday, thursday + 604_800]))
    assert [c.timestamp for c in rows.candles] == [thursday, thursday + 604_800]


def test_timeframes_kraken_lacks_are_named_before_anything_is_asked() -> None:
    with exchange("kraken") as (kraken, route):
        with pytest.raises(UnsupportedTimeframe, match="kraken: does not offer the timeframe 3m") as caught:
            kraken.page(ask("BTC-USD", "3m", TEN, 10))
        with pytest.raises(UnsupportedTimeframe):
            kraken.page_limit(Timeframe.H2)
        assert route.call_count == 0
    assert caught.value.hint == "It offers: 1m 5m 15m 30m 1h 4h 1d 1w"
    assert [t.value for t in kraken.timeframes] == ["1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w"]


@given(
    st.lists(
        st.tuples(st.integers(400_000, 500_000), *[st.decimals("0.00001", 10**8, places=5)] * 6),
        min_size=1,
        max_size=20,
    )
)
def test_parsing_gives_back_what_was_sent(series: list[tuple[object, ...]]) -> None:
    sent = [(int(str(hour)) * HOUR, *map(str, values)) for hour, *values in series]
    value = {"error": [], "result": {"K": [[*fields, 3] for fields in sent], "last": sent[0][0]}}
    rows, committed = parse(BTC, Timeframe.H1, value)
    expected = [
        Candle("BTC-USD", int(t), "1h", float(o), float(h), float(lo), float(c), float(volume), None, "kraken")
        for t, o, h, lo, c, _, volume in sent
    ]
    assert rows.candles == sorted(expected, key=lambda candle: candle.timestamp)
    assert committed == sent[0][0]


# What goes wrong


@pytest.mark.parametrize(
    "value",
    [
        {"error": []},
        {"error": [], "result": None},
        {"error": [], "result": {}},
        {"error": [], "result": {"last": 1}},
        {"error": [], "result": {"A": [], "B": [], "last": 1}},
        {"error": [], "result": {"A": "x", "last": 1}},
        {"error": [], "result": {"A": [], "last": 1}},
        [],
        "x",
    ],
)
def test_a_body_without_candles_and_without_an_error_is_tried_again_and_reported(value: object) -> None:
    with exchange("kraken") as (kraken, route):
        route.return_value = body(value)
        with pytest.raises(SourceUnavailable, match=r"neither candles nor an error|no candles of BTC-USD at all"):
            kraken.page(ask("BTC-USD", "1h", TEN, 10))
        assert route.call_count == 6


def test_an_unknown_pair_comes_with_http_200_and_no_result() -> None:
    with exchange("kraken") as (kraken, route):
        route.return_value = body({"error": ["EQuery:Unknown asset pair"]})
        with pytest.raises(UnknownPair, match="does not list NOPE-USD"):
            kraken.page(ask("NOPE-USD", "1h", TEN, 10))
        assert route.call_count == 1


@pytest.mark.parametrize(
    "error",
    [
        "EGeneral:Too many requests",
        "EAPI:Rate limit exceeded",
        "EService:Busy",
        "EService:Unavailable",
        "EGeneral:Internal error",
    ],
)
def test_what_passes_is_tried_again(error: str) -> None:
    with exchange("kraken") as (kraken, route):
        route.side_effect = [body({"error": [error]}), body(ohlc([TEN - HOUR, TEN]))]
        assert len(kraken.page(ask("BTC-USD", "1h", TEN, 10)).candles) == 2


def test_a_rate_limit_that_does_not_end_is_called_one() -> None:
    with exchange("kraken") as (kraken, route), pytest.raises(RateLimited, match="Too many requests"):
        route.return_value = body({"error": ["EGeneral:Too many requests"]})
        kraken.page(ask("BTC-USD", "1h", TEN, 10))


def test_a_lockout_is_not_hammered() -> None:
    clock = manual_clock()
    with exchange("kraken", clock=clock) as (kraken, route):
        route.return_value = body({"error": ["EGeneral:Temporary lockout"]})
        with pytest.raises(QuotaExhausted, match="locked this address out") as caught:
            kraken.page(ask("BTC-USD", "1h", TEN, 10))
        assert (route.call_count, clock.slept) == (1, [])
    assert "15 minutes" in (caught.value.hint or "")


def test_other_errors_are_permanent_and_quoted() -> None:
    with exchange("kraken") as (kraken, route):
        route.return_value = body({"error": ["EGeneral:Invalid arguments"]})
        with pytest.raises(SourceError, match="EGeneral:Invalid arguments"):
            kraken.page(ask("BTC-USD", "1h", TEN, 10))
        assert route.call_count == 1


def test_warnings_are_no_errors() -> None:
    with exchange("kraken") as (kraken, route):
        route.return_value = body(ohlc([TEN - HOUR, TEN]) | {"error": ["WDatabase:Slow"]})
        assert len(kraken.page(ask("BTC-USD", "1h", TEN, 10)).candles) == 2


def test_a_fault_of_the_edge_is_html() -> None:
    with exchange("kraken") as (kraken, route):
        route.side_effect = [httpx.Response(520, text="<html>"), body(ohlc([TEN - HOUR, TEN]))]
        assert len(kraken.page(ask("BTC-USD", "1h", TEN, 10)).candles) == 2


def test_one_request_a_second() -> None:
    clock = manual_clock()
    with exchange("kraken", clock=clock) as (kraken, route):
        route.side_effect = lambda request: body(ohlc([TEN - HOUR, TEN]))
        for _ in range(5):
            kraken.page(ask("BTC-USD", "1h", TEN, 10))
    assert clock.monotonic() == pytest.approx(4.0)
