"""CryptoCompare: limit + 1 rows, zeros before the listing, conversions in disguise, and errors with HTTP 200."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinswarm.candles import Candle, Pair, Timeframe
from coinswarm.errors import QuotaExhausted, RateLimited, SourceRefused, SourceUnavailable, UnknownPair
from coinswarm.fetchers.cryptocompare import parse
from tests.support.http import NOW, ask, asked, body, exchange, manual_clock

HOUR, DAY, WEEK = 3600, 86_400, 604_800
TEN = 1_788_256_800
BTC = Pair("BTC", "USDC")
DATE = {"Date": "Tue, 01 Sep 2026 10:00:00 GMT"}


def row(opened: int, kind: str | None = "direct", **changes: object) -> dict[str, object]:
    fields: dict[str, object] = {
        "time": opened,
        "high": 32625.41,
        "low": 29836.19,
        "open": 30076.9,
        "volumefrom": 103840.6,
        "volumeto": 3244062170.09,
        "close": 31013.12,
    }
    if kind is not None:
        fields |= {"conversionType": kind, "conversionSymbol": "" if kind.endswith("direct") else "BTC"}
    return fields | changes


def zero(opened: int) -> dict[str, object]:
    return row(opened, high=0, low=0, open=0, volumefrom=0, volumeto=0, close=0)


def success(rows: list[dict[str, object]], **more: object) -> dict[str, object]:
    data = {"Aggregated": False, "TimeFrom": rows[0]["time"], "TimeTo": rows[-1]["time"], "Data": rows} if rows else {}
    return {
        "Response": "Success",
        "Message": "",
        "HasWarning": False,
        "Type": 100,
        "RateLimit": {},
        "Data": data,
    } | more


def failure(type_: int, message: str, **more: object) -> dict[str, object]:
    return {
        "Response": "Error",
        "Message": message,
        "HasWarning": False,
        "Type": type_,
        "RateLimit": {},
        "Data": {},
    } | more


def api(request: httpx.Request, *, listed: int = 0, hole: range = range(0)) -> httpx.Response:
    """The API in the small: one row more than the limit, whatever the time, and never more than 2000 units."""
    params = request.url.params
    unit = {"histominute": 60, "histohour": HOUR, "histoday": DAY}[request.url.path.rsplit("/", 1)[1]]
    step = unit * int(params.get("aggregate", 1))
    count = min(int(params["limit"]), 2000 * unit // step) + 1
    last = int(params["toTs"]) // step * step
    times = [last - n * step for n in reversed(range(count))]
    return body(success([zero(t) if t < listed or t in hole else row(t) for t in times]), **DATE)


def test_a_row_becomes_a_candle_with_both_volumes() -> None:
    with exchange("cryptocompare", api_key="k") as (cryptocompare, route):
        route.return_value = body(success([row(TEN)]))
        page = cryptocompare.page(ask("BTC-USDC", "1h", TEN, 1))
    assert page.candles == [
        Candle("BTC-USDC", TEN, "1h", 30076.9, 32625.41, 29836.19, 31013.12, 103840.6, 3244062170.09, "cryptocompare")
    ]


@pytest.mark.parametrize(("limit", "sent", "rows"), [(2000, "1999", 2000), (10, "9", 10), (5000, "1999", 2000)])
def test_one_row_less_is_asked_for_since_one_more_comes(limit: int, sent: str, rows: int) -> None:
    with exchange("cryptocompare", api_key="k") as (cryptocompare, route):
        route.side_effect = api
        page = cryptocompare.page(ask("BTC-USDC", "1h", TEN, limit))
        (params,) = asked(route)
        assert route.calls[0].request.url.path == "/data/v2/histohour"
    assert params == {"fsym": "BTC", "tsym": "USDC", "limit": sent, "toTs": str(TEN), "tryConversion": "false"}
    assert len(page.candles) == rows
    assert (page.covers_from, page.exhausted) == (TEN - (rows - 1) * HOUR, False)


def test_to_ts_is_inclusive() -> None:
    with exchange("cryptocompare", api_key="k") as (cryptocompare, route):
        route.side_effect = api
        page = cryptocompare.page(ask("BTC-USDC", "1h", TEN + 1234, 5))
    assert page.candles[-1].timestamp == TEN


def test_the_key_travels_in_the_header() -> None:
    with exchange("cryptocompare", api_key=" s3cr3t ") as (cryptocompare, route):
        route.side_effect = api
        cryptocompare.page(ask("BTC-USDC", "1h", TEN, 5))
        request = route.calls[0].request
    assert request.headers["authorization"] == "Apikey s3cr3t"
    assert "s3cr3t" not in str(request.url)


@pytest.mark.parametrize(
    ("timeframe", "endpoint", "aggregate", "most"),
    [
        ("1m", "histominute", None, 2000),
        ("3m", "histominute", "3", 666),
        ("5m", "histominute", "5", 400),
        ("15m", "histominute", "15", 133),
        ("30m", "histominute", "30", 66),
        ("1h", "histohour", None, 2000),
        ("2h", "histohour", "2", 1000),
        ("4h", "histohour", "4", 500),
        ("6h", "histohour", "6", 333),
        ("8h", "histohour", "8", 250),
        ("12h", "histohour", "12", 166),
        ("1d", "histoday", None, 2000),
        ("1w", "histoday", "7", 285),
    ],
)
def test_limit_times_aggregate_never_exceeds_2000(
    timeframe: str, endpoint: str, aggregate: str | None, most: int
) -> None:
    with exchange("cryptocompare", api_key="k") as (cryptocompare, route):
        route.side_effect = api
        page = cryptocompare.page(ask("BTC-USDC", timeframe, TEN, 2000))
        assert cryptocompare.page_limit(Timeframe(timeframe)) == most
        assert route.calls[0].request.url.path == f"/data/v2/{endpoint}"
        assert asked(route)[0].get("aggregate") == aggregate
        assert int(asked(route)[0]["limit"]) * int(aggregate or 1) <= 2000
    assert len(page.candles) == most


@pytest.mark.parametrize(
    ("timeframe", "to_ts", "sent"),
    [
        ("5m", TEN, TEN + 240),
        ("4h", TEN, TEN - 2 * HOUR + 3 * HOUR),
        ("4h", TEN - 2 * HOUR, TEN - 2 * HOUR + 3 * HOUR),
        ("1w", TEN, 1_787_788_800 + 6 * DAY),  # the week of Thursday, 27 August, to its Wednesday
    ],
)
def test_an_aggregated_bucket_is_asked_for_to_its_last_unit_or_it_would_lack_the_rest(
    timeframe: str, to_ts: int, sent: int
) -> None:
    with exchange("cryptocompare", api_key="k") as (cryptocompare, route):
        route.side_effect = api
        page = cryptocompare.page(ask("BTC-USDC", timeframe, to_ts, 10))
        assert int(asked(route)[0]["toTs"]) == sent
    step = Timeframe(timeframe).seconds
    assert page.candles[-1].timestamp == sent // step * step
    assert page.committed_to == page.candles[-1].timestamp


def test_a_silent_cut_of_an_aggregated_page_is_seen_by_its_rows() -> None:
    """`TimeTo` and the number asked for say nothing: paging goes on from the oldest row that came."""
    with exchange("cryptocompare", api_key="k") as (cryptocompare, route):
        rows = [row(TEN - n * 300) for n in reversed(range(101))]
        route.return_value = body(success(rows, Aggregated=True))
        page = cryptocompare.page(ask("BTC-USDC", "5m", TEN, 400))
    assert (page.covers_from, page.exhausted) == (TEN - 100 * 300, False)


def test_aggregated_buckets_off_their_grid_may_be_incomplete_and_are_refused() -> None:
    monday = 1_788_134_400
    rows = parse(BTC, Timeframe.W1, success([row(monday), row(1_787_788_800)]))
    assert [c.timestamp for c in rows.candles] == [1_787_788_800]
    assert rows.malformed == [f"row 0: opened at {monday}, off the 1w grid, so parts of it may be missing"]


def test_the_running_candle_may_break_every_rule_and_costs_no_other() -> None:
    live = row(TEN, close=39370.92)  # above its high: the close is a tick from another feed
    with exchange("cryptocompare", api_key="k") as (cryptocompare, route):
        route.return_value = body(success([row(TEN - HOUR), live]), **DATE)
        page = cryptocompare.page(ask("BTC-USDC", "1h", TEN, 2))
    assert [c.timestamp for c in page.candles] == [TEN - HOUR, TEN]
    assert page.as_of == NOW


# Before the listing


def test_a_whole_page_of_zeros_is_the_end_when_no_day_before_it_had_trades_either() -> None:
    with exchange("cryptocompare", api_key="k") as (cryptocompare, route):
        route.side_effect = lambda request: api(request, listed=TEN + 1)
        page = cryptocompare.page(ask("SOL-USD", "1h", TEN, 2000))
        paths = [call.request.url.path.rsplit("/", 1)[1] for call in route.calls]
        oldest = min(int(p["toTs"]) - int(p["limit"]) * DAY for p in asked(route)[1:])
    assert (page.exhausted, len(page.candles), page.requests) == (True, 2000, 4)
    assert paths == ["histohour", "histoday", "histoday", "histoday"]
    assert oldest <= 1_279_324_800  # the first day of bitcoin in dollars


@pytest.mark.parametrize(
    ("timeframe", "hole", "step"),
    [("1m", 2 * DAY, 60), ("5m", 2 * DAY, 300), ("1h", 200 * DAY, HOUR), ("4h", 200 * DAY, 4 * HOUR)],
)
@pytest.mark.parametrize("limit", [1, 2000])
def test_a_hole_larger_than_the_largest_page_is_left_behind(timeframe: str, hole: int, step: int, limit: int) -> None:
    begins = TEN - hole
    with exchange("cryptocompare", api_key="k") as (cryptocompare, route):
        route.side_effect = lambda request: api(request, hole=range(begins, TEN + 1))
        page = cryptocompare.page(ask("SOL-USD", timeframe, TEN, limit))
        assert not page.exhausted
        assert page.covers_from == begins // DAY * DAY + DAY
        before = cryptocompare.page(ask("SOL-USD", timeframe, page.covers_from - step, 2000))
    assert before.candles[-1].timestamp == page.covers_from - step
    assert any(c.open for c in before.candles)


def test_a_hole_that_begins_on_the_day_the_page_reaches_is_not_passed_over() -> None:
    begins = TEN - 2001 * HOUR
    with exchange("cryptocompare", api_key="k") as (cryptocompare, route):
        route.side_effect = lambda request: api(request, hole=range(begins, TEN + 1))
        page = cryptocompare.page(ask("SOL-USD", "1h", TEN, 2000))
    assert (page.exhausted, page.covers_from) == (False, TEN - 1999 * HOUR)


def test_a_hole_of_two_thousand_days_in_the_days_themselves_is_left_behind() -> None:
    newest = TEN // DAY * DAY
    with exchange("cryptocompare", api_key="k") as (cryptocompare, route):
        route.side_effect = lambda request: api(request, hole=range(newest - 2500 * DAY, newest + 1))
        page = cryptocompare.page(ask("SOL-USD", "1d", newest, 2000))
    assert (page.exhausted, page.covers_from, page.requests) == (False, newest - 2500 * DAY, 2)


def test_a_hole_that_ends_in_minutes_no_longer_kept_is_the_end_with_its_reason() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        days = request.url.path.endswith("histoday")
        return api(request, hole=range(TEN - (20 if days else 50) * DAY, TEN + 1))

    with exchange("cryptocompare", api_key="k") as (cryptocompare, route):
        route.side_effect = answer
        page = cryptocompare.page(ask("BTC-USDC", "1m", TEN - 6 * DAY, 2000))
        assert (page.exhausted, page.note) == (False, None)
        last = cryptocompare.page(ask("BTC-USDC", "1m", page.covers_from - 60, 2000))
    assert (last.exhausted, last.requests) == (True, 1)
    assert "seven days" in (last.note or "")


def test_days_that_cannot_be_read_prove_no_end() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("histoday"):
            return body(success([row(TEN // DAY * DAY, open="?")]), **DATE)
        return api(request, listed=TEN + 1)

    with exchange("cryptocompare", api_key="k") as (cryptocompare, route):
        route.side_effect = answer
        page = cryptocompare.page(ask("SOL-USD", "1h", TEN, 2000))
    assert (page.exhausted, page.covers_from) == (False, TEN - 1999 * HOUR)


def test_a_page_that_is_partly_zeros_is_not() -> None:
    with exchange("cryptocompare", api_key="k") as (cryptocompare, route):
        route.side_effect = lambda request: api(request, listed=TEN - 10 * HOUR)
        page = cryptocompare.page(ask("SOL-USD", "1h", TEN, 2000))
    assert not page.exhausted
    assert sum(c.open == 0 for c in page.candles) == 1989


def test_a_small_page_inside_a_hole_of_zeros_is_not_taken_for_the_end() -> None:
    hole = range(TEN - 50 * HOUR, TEN + 1)
    with exchange("cryptocompare", api_key="k") as (cryptocompare, route):
        route.side_effect = lambda request: api(request, hole=hole)
        page = cryptocompare.page(ask("SOL-USD", "1h", TEN, 10))
        assert [p["limit"] for p in asked(route)] == ["9", "1999"]
    assert (page.exhausted, page.requests, page.covers_from) == (False, 2, TEN - 9 * HOUR)


def test_a_small_page_before_the_listing_is_the_end() -> None:
    with exchange("cryptocompare", api_key="k") as (cryptocompare, route):
        route.side_effect = lambda request: api(request, listed=TEN + 1)
        page = cryptocompare.page(ask("SOL-USD", "1h", TEN, 10))
    assert (page.exhausted, page.requests) == (True, 5)


def test_minutes_older_than_a_week_come_with_the_reason_why_they_will_end() -> None:
    with exchange("cryptocompare", api_key="k") as (cryptocompare, route):
        route.side_effect = api
        assert cryptocompare.page(ask("BTC-USDC", "1m", TEN, 10)).note is None
        old = cryptocompare.page(ask("BTC-USDC", "1m", TEN - 8 * DAY, 10))
        hours = cryptocompare.page(ask("BTC-USDC", "1h", TEN - 8 * DAY, 10))
    assert "seven days" in (old.note or "")
    assert len(old.candles) == 10
    assert hours.note is None


def test_minutes_refused_for_their_age_are_the_end_and_no_unknown_pair() -> None:
    refused = failure(1, "toTs is too far in the past for histominute")
    with exchange("cryptocompare", api_key="k") as (cryptocompare, route):
        route.side_effect = lambda request: body(refused, **DATE)
        page = cryptocompare.page(ask("BTC-USDC", "1m", TEN - 8 * DAY, 10))
        assert (page.exhausted, page.candles) == (True, [])
        assert "seven days" in (page.note or "")
        with pytest.raises(UnknownPair):
            cryptocompare.page(ask("BTC-USDC", "1m", TEN - 6 * DAY, 10))
        with pytest.raises(UnknownPair):
            cryptocompare.page(ask("BTC-USDC", "1h", TEN - 8 * DAY, 10))


# Conversions


@pytest.mark.parametrize("kind", ["direct", "force_direct", None])
def test_rows_traded_in_the_pair_itself_are_taken(kind: str | None) -> None:
    assert len(parse(BTC, Timeframe.H1, success([row(TEN, kind)])).candles) == 1


@pytest.mark.parametrize("kind", ["invert", "multiply", "divide", "conversion"])
def test_a_pair_that_is_only_calculated_is_unknown(kind: str) -> None:
    with exchange("cryptocompare", api_key="k") as (cryptocompare, route):
        route.return_value = body(success([row(TEN - HOUR, kind), row(TEN, kind)]))
        with pytest.raises(UnknownPair, match=rf"no trades in BONK-SOL, only prices calculated from others \({kind}\)"):
            cryptocompare.page(ask("BONK-SOL", "1h", TEN, 2))
        assert route.call_count == 1


def test_single_calculated_rows_are_named_and_left_out() -> None:
    rows = parse(BTC, Timeframe.H1, success([row(TEN - HOUR, "multiply"), row(TEN)]))
    assert [c.timestamp for c in rows.candles] == [TEN]
    assert rows.malformed == [f"row 0: the candle at {TEN - HOUR} was calculated (multiply), not traded"]


def test_a_v1_body_says_so_once_for_all_rows() -> None:
    rows = [row(TEN, None)]
    v1: dict[str, Any] = {"Response": "Success", "Type": 100, "Data": rows, "ConversionType": {"type": "direct"}}
    assert len(parse(BTC, Timeframe.H1, v1).candles) == 1
    with pytest.raises(UnknownPair, match="multiply"):
        parse(BTC, Timeframe.H1, v1 | {"ConversionType": {"type": "multiply", "conversionSymbol": "BTC"}})


numbers = st.floats(min_value=0, max_value=1e12)


@given(st.lists(st.tuples(*[numbers] * 6), min_size=1, max_size=30), st.booleans())
def test_parsing_gives_back_what_was_sent(series: list[tuple[float, ...]], v1: bool) -> None:
    names = ("open", "high", "low", "close", "volumefrom", "volumeto")
    rendered = [dict(zip(names, values, strict=True)) | {"time": TEN + n * HOUR} for n, values in enumerate(series)]
    value = {"Response": "Success", "Data": rendered if v1 else {"Data": rendered}}
    rows = parse(BTC, Timeframe.H1, json.loads(json.dumps(value)))
    assert rows.candles == [
        Candle("BTC-USDC", TEN + n * HOUR, "1h", *values, "cryptocompare") for n, values in enumerate(series)
    ]


# What goes wrong


def test_without_a_key_it_is_said_that_one_is_needed_and_what_needs_none() -> None:
    with exchange("cryptocompare") as (cryptocompare, route):
        route.return_value = body({"Err": {"message": "API key required, please refer to the documentation"}}, 401)
        with pytest.raises(SourceRefused, match=r"only to API keys with a subscription, since 2026-05-21") as caught:
            cryptocompare.page(ask("BTC-USDC", "1h", TEN, 10))
        assert route.call_count == 1
    assert "CRYPTOCOMPARE_API_KEY" in (caught.value.hint or "")
    assert "--source binance" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "answer",
    [
        body(failure(1, "You need a valid auth key or api key to access this endpoint")),
        body({"Err": {"message": "API key required"}}),
        httpx.Response(401, text="<html>"),
    ],
    ids=["error in HTTP 200", "other shape in HTTP 200", "html"],
)
def test_a_refused_key_is_recognised_in_every_shape(answer: httpx.Response) -> None:
    with exchange("cryptocompare", api_key="bad") as (cryptocompare, route):
        route.return_value = answer
        with pytest.raises(SourceRefused, match="API keys"):
            cryptocompare.page(ask("BTC-USDC", "1h", TEN, 10))
        assert route.call_count == 1


def usage(**made: int) -> dict[str, object]:
    allowed = {"second": 20, "minute": 300, "hour": 3000, "day": 7500, "month": 50000}
    return {"calls_made": dict.fromkeys(allowed, 1) | made, "max_calls": allowed}


OVER = "You are over your rate limit please upgrade your account!"


@pytest.mark.parametrize(("span", "wait"), [("second", 1.0), ("minute", 60.0)])
def test_an_overrun_of_a_second_or_minute_is_waited_out(span: str, wait: float) -> None:
    clock = manual_clock()
    with exchange("cryptocompare", api_key="k", clock=clock) as (cryptocompare, route):
        route.side_effect = [body(failure(99, OVER, RateLimit=usage(**{span: 9999}))), api]
        assert len(cryptocompare.page(ask("BTC-USDC", "1h", TEN, 10)).candles) == 10
    assert wait <= sum(clock.slept) <= wait + 1


@pytest.mark.parametrize("span", ["hour", "day", "month"])
def test_an_overrun_that_will_not_clear_soon_stops_the_run(span: str) -> None:
    clock = manual_clock()
    with exchange("cryptocompare", api_key="k", clock=clock) as (cryptocompare, route):
        route.return_value = body(failure(99, OVER, RateLimit=usage(**{span: 99999, "second": 20})))
        with pytest.raises(QuotaExhausted, match=rf"99999 of \d+ calls of this {span} are used up") as caught:
            cryptocompare.page(ask("BTC-USDC", "1h", TEN, 10))
        assert (route.call_count, clock.slept) == (1, [])
    assert f"next {span}" in (caught.value.hint or "")


@pytest.mark.parametrize("limits", [{}, None, {"calls_made": {}}, {"calls_made": 3, "max_calls": {"day": 1}}])
def test_an_overrun_that_does_not_say_of_what_is_tried_again(limits: object) -> None:
    with exchange("cryptocompare", api_key="k") as (cryptocompare, route), pytest.raises(RateLimited, match="tried 6"):
        route.return_value = body(failure(99, OVER, RateLimit=limits))
        cryptocompare.page(ask("BTC-USDC", "1h", TEN, 10))


@pytest.mark.parametrize(
    "value",
    [
        failure(2, "cccagg_or_exchange market does not exist for this coin pair (EZETH-USD)", Cooldown=0),
        failure(1, "Binance market does not exist for this coin pair (ETH-USD)", Data=[]),
    ],
    ids=["v2", "v1"],
)
def test_a_market_that_does_not_exist_comes_with_http_200(value: object) -> None:
    with exchange("cryptocompare", api_key="k") as (cryptocompare, route):
        route.return_value = body(value, **DATE)
        with pytest.raises(UnknownPair, match="has no market for EZETH-USD"):
            cryptocompare.page(ask("EZETH-USD", "1h", TEN, 10))
        with pytest.raises(UnknownPair):
            cryptocompare.page(ask("EZETH-USD", "1m", TEN - 30 * DAY, 10))
        assert route.call_count == 2


@pytest.mark.parametrize(
    "value",
    [success([]), {"Response": "Success", "Data": []}, {"Response": "Success"}, [], "x", failure(7, "Internal error")],
)
def test_neither_candles_nor_a_known_error_is_tried_again_and_never_no_data(value: object) -> None:
    with exchange("cryptocompare", api_key="k") as (cryptocompare, route):
        route.return_value = body(value)
        with pytest.raises(SourceUnavailable):
            cryptocompare.page(ask("BTC-USDC", "1h", TEN, 10))
        assert route.call_count == 6


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(TEN, close=None), "'None' is not a number"),
        (row(TEN, time="now"), "the time 'now' is not a number"),
        ({"time": TEN}, "has not the documented shape"),
        ("row", "has not the documented shape"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_and_takes_no_other_along(bad: Any, reason: str) -> None:
    rows = parse(BTC, Timeframe.H1, {"Data": {"Data": [row(TEN - HOUR), bad]}})
    assert [c.timestamp for c in rows.candles] == [TEN - HOUR]
    assert len(rows.malformed) == 1
    assert reason in rows.malformed[0]


def test_weeks_are_asked_for_once_a_week_back() -> None:
    """Two pages in a row neither overlap nor leave a week out, by the rule the producer pages with."""
    with exchange("cryptocompare", api_key="k") as (cryptocompare, route):
        route.side_effect = api
        first = cryptocompare.page(ask("BTC-USD", "1w", TEN, 5))
        below = (first.covers_from - 1) // DAY * DAY
        second = cryptocompare.page(ask("BTC-USD", "1w", below, 5))
    opens = [c.timestamp for c in (*second.candles, *first.candles)]
    assert [b - a for a, b in pairwise(opens)] == [WEEK] * 9
