"""Binance and Binance.US: one wire format, two exchanges, two stored names."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinswarm.candles import Candle, Pair, Timeframe, fault
from coinswarm.errors import (
    QuotaExhausted,
    SourceError,
    SourceRefused,
    SourceUnavailable,
    UnknownPair,
)
from coinswarm.fetchers.binance import parse
from tests.support.http import ask, asked, body, exchange, manual_clock

HOUR = 3600
TEN = 1_591_437_600  # 2020-06-06 10:00 UTC
BTC = Pair("BTC", "USDC")


def row(opened: int, unit: int = 1000, **changes: object) -> list[object]:
    """A klines row in the documented shape."""
    fields = {
        "time": opened * unit,
        "open": "9620.00000000",
        "high": "9655.50000000",
        "low": "9601.10000000",
        "close": "9640.25000000",
        "volume": "22.19000000",
        "close_time": (opened + HOUR) * unit - 1,
        "quote_volume": "213517.54906000",
    } | changes
    return [*fields.values(), 40, "10.92900000", "105173.36273462", "0"]


def test_a_row_becomes_a_candle_with_both_volumes() -> None:
    with exchange("binance") as (binance, route):
        route.return_value = body([row(TEN)])
        page = binance.page(ask("BTC-USDC", "1h", TEN, 10))
    assert page.candles == [
        Candle("BTC-USDC", TEN, "1h", 9620.0, 9655.5, 9601.1, 9640.25, 22.19, 213517.54906, "binance")
    ]


def test_it_asks_for_the_newest_up_to_a_time_and_never_by_start_alone() -> None:
    with exchange("binance") as (binance, route):
        route.return_value = body([row(TEN)])
        binance.page(ask("BTC-USDC", "1h", TEN, 500))
        binance.page(ask("BTC-USDC", "1h", TEN, 5000))
        url = route.calls[0].request.url
        first, second = asked(route)
    assert (url.scheme, url.host, url.path) == ("https", "data-api.binance.vision", "/api/v3/klines")
    assert first == {"symbol": "BTCUSDC", "interval": "1h", "endTime": str(TEN * 1000), "limit": "500"}
    assert second["limit"] == "1000"


def test_binance_us_is_another_exchange_under_its_own_name() -> None:
    with exchange("binanceus") as (fetcher, route):
        route.return_value = body([row(TEN)])
        page = fetcher.page(ask("BTC-USD", "1h", TEN, 10))
        assert route.calls[0].request.url.host == "api.binance.us"
    assert (fetcher.source, page.candles[0].source, page.candles[0].symbol) == ("binanceus", "binanceus", "BTC-USD")


def test_a_users_base_url_takes_the_place_of_scheme_host_and_prefix() -> None:
    with exchange("binance", base_url="http://127.0.0.1:9000/x") as (binance, route):
        route.return_value = body([])
        binance.page(ask("BTC-USDC", "1h", TEN, 1))
        assert str(route.calls[0].request.url).startswith("http://127.0.0.1:9000/x/api/v3/klines?")


@pytest.mark.parametrize("timeframe", [t.value for t in Timeframe])
def test_all_thirteen_timeframes_are_asked_for_in_their_own_word(timeframe: str) -> None:
    with exchange("binance") as (binance, route):
        route.return_value = body([])
        binance.page(ask("BTC-USDC", timeframe, TEN, 1))
        assert asked(route)[0]["interval"] == timeframe
    assert Timeframe(timeframe) in binance.timeframes
    assert binance.page_limit(Timeframe(timeframe)) == 1000


def test_an_empty_array_is_the_end_once_there_is_no_first_candle_before_it_either() -> None:
    with exchange("binance") as (binance, route):
        route.return_value = body([])
        page = binance.page(ask("BTC-USDC", "1h", TEN + 5, 10))
        newest, first, again = asked(route)
    assert (page.candles, page.exhausted, page.covers_from, page.requests) == ([], True, TEN, 3)
    assert first == newest | {"startTime": "0", "limit": "1"}
    assert again == newest


def test_two_empty_arrays_in_a_row_are_no_end() -> None:
    with exchange("binance") as (binance, route):
        route.side_effect = [body([]), body([]), body([row(TEN)])]
        page = binance.page(ask("BTC-USDC", "1h", TEN, 10))
    assert ([c.timestamp for c in page.candles], page.exhausted, page.requests) == ([TEN], False, 3)


def test_an_empty_array_in_the_middle_of_a_history_is_asked_for_again() -> None:
    with exchange("binance") as (binance, route):
        route.side_effect = [body([]), body([row(TEN - 9 * HOUR)]), body([row(TEN)])]
        page = binance.page(ask("BTC-USDC", "1h", TEN, 10))
    assert ([c.timestamp for c in page.candles], page.exhausted, page.requests) == ([TEN], False, 3)


def test_an_empty_array_that_stays_is_an_error_and_never_no_data() -> None:
    with exchange("binance") as (binance, route):
        route.side_effect = lambda request: body([row(TEN - HOUR)] if "startTime" in request.url.params else [])
        with pytest.raises(SourceUnavailable, match="sends empty pages of BTC-USDC, but has older candles"):
            binance.page(ask("BTC-USDC", "1h", TEN, 10))


def test_a_short_page_is_no_proof() -> None:
    with exchange("binance") as (binance, route):
        route.return_value = body([row(TEN - HOUR), row(TEN)])
        page = binance.page(ask("BTC-USDC", "1h", TEN, 1000))
    assert (page.exhausted, page.covers_from) == (False, TEN - HOUR)


def test_the_running_candle_and_an_outage_pass_through_for_the_producer_to_judge() -> None:
    opens = [TEN - 5 * HOUR, TEN - HOUR, TEN]
    with exchange("binance") as (binance, route):
        route.return_value = body([row(t) for t in opens], Date="Sat, 06 Jun 2020 10:20:00 GMT")
        page = binance.page(ask("BTC-USDC", "1h", TEN, 3))
    assert [c.timestamp for c in page.candles] == opens
    assert page.as_of == TEN + 1200


@pytest.mark.parametrize("unit", [1, 1000, 1_000_000], ids=["s", "ms", "µs"])
def test_the_unit_of_time_is_told_by_magnitude(unit: int) -> None:
    rows = parse("binance", BTC, Timeframe.H1, [row(TEN, unit)])
    assert [c.timestamp for c in rows.candles] == [TEN]


def test_units_may_change_within_a_body() -> None:
    rows = parse("binance", BTC, Timeframe.H1, [row(TEN, 1000), row(TEN + HOUR, 1_000_000)])
    assert [c.timestamp for c in rows.candles] == [TEN, TEN + HOUR]


def test_opens_between_two_seconds_are_named_and_neither_rounded_nor_lost() -> None:
    """As after the outage of 2018-02-08, when hours opened at 09:28:14.789."""
    misaligned = 1_518_168_494_789
    with exchange("binance") as (binance, route):
        route.return_value = body([row(misaligned, 1), row(1_518_318_000)])
        page = binance.page(ask("BTC-USDC", "1h", 1_518_318_000, 2))
    assert [c.timestamp for c in page.candles] == [1_518_318_000]
    assert list(page.malformed) == ["row 0: opened at 1518168494789, between two seconds"]
    # 10:00, so that the next page ends at 09:00 and still brings the candle of 08:28:14.789.
    assert page.covers_from == 1_518_170_400


def test_opens_off_the_grid_pass_through_to_be_refused_with_a_count() -> None:
    with exchange("binance") as (binance, route):
        route.return_value = body([row(1_518_168_494), row(1_518_172_094)])
        page = binance.page(ask("BTC-USDC", "1h", 1_518_174_000, 2))
    assert [c.timestamp for c in page.candles] == [1_518_168_494, 1_518_172_094]
    assert "grid" in (fault(page.candles[0]) or "")
    assert page.covers_from == 1_518_170_400


def test_a_page_of_nothing_but_unreadable_rows_is_not_the_end() -> None:
    with exchange("binance") as (binance, route):
        route.return_value = body([row(TEN, close="n/a")])
        page = binance.page(ask("BTC-USDC", "1h", TEN, 1))
    assert (page.exhausted, page.covers_from, len(page.malformed)) == (False, TEN, 1)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(TEN, open=None), "'None' is not a number"),
        (row(TEN, high="1_000"), "'1_000' is not a number"),
        (row(TEN, low="NaN"), "'NaN' is not a number"),
        (row(TEN, close=""), "'' is not a number"),
        (row(TEN, volume=True), "'True' is not a number"),
        (row(TEN, quote_volume=[1]), "is not a number"),
        (row(TEN, time="10:00"), "the time '10:00' is not a number"),
        (row(TEN)[:7], "has not the documented shape"),
        ([], "has not the documented shape"),
        (None, "has not the documented shape"),
        ({"t": TEN}, "has not the documented shape"),
        (row(10**400), "has not the documented shape"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_and_takes_no_other_along(bad: object, reason: str) -> None:
    rows = parse("binance", BTC, Timeframe.H1, [row(TEN - HOUR), bad, row(TEN + HOUR)])
    assert [c.timestamp for c in rows.candles] == [TEN - HOUR, TEN + HOUR]
    assert len(rows.malformed) == 1
    assert rows.malformed[0].startswith("row 1: ")
    assert reason in rows.malformed[0]


positive = st.decimals(min_value="0.00000001", max_value=10**9, places=8)


@given(
    st.lists(st.tuples(st.integers(400_000, 500_000), positive, positive, positive, positive, positive, positive)),
    st.sampled_from([1, 1000, 1_000_000]),
)
def test_parsing_gives_back_what_was_sent(series: list[tuple[object, ...]], unit: int) -> None:
    sent = [(int(str(hour)) * HOUR, *map(str, values)) for hour, *values in series]
    rendered = [[t * unit, o, h, lo, c, v, (t + HOUR) * unit - 1, q, 1, "0", "0", "0"] for t, o, h, lo, c, v, q in sent]
    rows = parse("binance", BTC, Timeframe.H1, rendered)
    expected = [Candle("BTC-USDC", t, "1h", *map(float, numbers), "binance") for t, *numbers in sent]
    assert rows.malformed == []
    assert rows.candles == sorted(expected, key=lambda candle: candle.timestamp)


@pytest.mark.parametrize("value", [{"Data": []}, "text", 12, None, True])
def test_a_body_that_is_no_list_of_candles_is_tried_again_and_then_reported(value: object) -> None:
    with exchange("binance") as (binance, route), pytest.raises(SourceUnavailable, match="no list of candles"):
        route.return_value = body(value)
        binance.page(ask("BTC-USDC", "1h", TEN, 1))
    assert route.call_count == 6


# What goes wrong


def test_a_geo_block_is_permanent_although_its_code_is_0() -> None:
    said = "Service unavailable from a restricted location according to 'b. Eligibility'"
    with exchange("binance", base_url="https://api.binance.com") as (binance, route):
        route.return_value = body({"code": 0, "msg": said}, 451)
        with pytest.raises(SourceRefused, match="does not serve this country") as caught:
            binance.page(ask("BTC-USDC", "1h", TEN, 1))
        assert route.call_count == 1
    assert "https://data-api.binance.vision" in (caught.value.hint or "")
    assert "--source binanceus" in (caught.value.hint or "")


def test_a_geo_block_of_binance_us_does_not_send_one_back_there() -> None:
    with exchange("binanceus") as (fetcher, route):
        route.return_value = body({"code": 0, "msg": "restricted"}, 451)
        with pytest.raises(SourceRefused) as caught:
            fetcher.page(ask("BTC-USD", "1h", TEN, 1))
    assert "binanceus" not in (caught.value.hint or "")


@pytest.mark.parametrize(
    "value",
    [
        {"code": -1121, "msg": "Invalid symbol."},
        {"code": -1100, "msg": "Illegal characters found in parameter 'symbol'; legal range is ..."},
    ],
)
def test_an_unknown_symbol_is_an_unknown_pair(value: object) -> None:
    with exchange("binance") as (binance, route):
        route.return_value = body(value, 400)
        with pytest.raises(UnknownPair, match="binance: does not list NOPE-USDC"):
            binance.page(ask("NOPE-USDC", "1h", TEN, 1))
        assert route.call_count == 1


def test_whoever_asks_binance_for_dollars_is_told_what_it_has() -> None:
    with exchange("binance") as (binance, route), pytest.raises(UnknownPair) as caught:
        route.return_value = body({"code": -1121, "msg": "Invalid symbol."}, 400)
        binance.page(ask("BTC-USD", "1h", TEN, 1))
    assert "BTC-USDT or BTC-USDC" in (caught.value.hint or "")


def test_a_429_is_waited_out_as_long_as_it_says() -> None:
    clock = manual_clock()
    with exchange("binance", clock=clock) as (binance, route):
        route.side_effect = [
            body({"code": -1003, "msg": "Too much request weight used"}, 429, Retry_After="27"),
            body([row(TEN)]),
        ]
        assert len(binance.page(ask("BTC-USDC", "1h", TEN, 1)).candles) == 1
    assert 27.0 <= sum(clock.slept) <= 28.0


def test_a_ban_of_days_ends_the_run_with_the_time_it_ends() -> None:
    clock = manual_clock()
    with (
        exchange("binance", clock=clock) as (binance, route),
        pytest.raises(QuotaExhausted, match="has banned") as caught,
    ):
        route.return_value = body({"code": -1003, "msg": "IP banned until ..."}, 418, Retry_After="259200")
        binance.page(ask("BTC-USDC", "1h", TEN, 1))
    assert "4320 minutes" in (caught.value.hint or "")
    assert clock.slept == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (body({"code": -1120, "msg": "Invalid interval."}, 400), SourceError),
        (body({"code": -1102, "msg": "Mandatory parameter"}, 200), SourceError),
        (httpx.Response(403, text="<html>WAF</html>"), SourceRefused),
    ],
)
def test_other_refusals_are_permanent_and_quoted(answer: httpx.Response, error: type[SourceError]) -> None:
    with exchange("binance") as (binance, route):
        route.return_value = answer
        with pytest.raises(error) as caught:
            binance.page(ask("BTC-USDC", "1h", TEN, 1))
        assert route.call_count == 1
    assert not caught.value.retryable


@pytest.mark.parametrize("code", [-1000, -1001, -1007, -1008])
@pytest.mark.parametrize("status", [200, 400, 500])
def test_troubles_of_binances_own_are_tried_again_whatever_the_status(code: int, status: int) -> None:
    with exchange("binance") as (binance, route):
        route.side_effect = [body({"code": code, "msg": "Please try again."}, status), body([row(TEN)])]
        assert len(binance.page(ask("BTC-USDC", "1h", TEN, 1)).candles) == 1


def test_the_weight_of_candles_is_kept_below_the_minutes_allowance() -> None:
    clock = manual_clock()
    with exchange("binance", clock=clock) as (binance, route):
        route.side_effect = lambda request: body([row(TEN)])
        begun = clock.monotonic()
        for _ in range(3001):
            binance.page(ask("BTC-USDC", "1h", TEN, 1))
    assert clock.monotonic() - begun >= 60.0
