"""CoinGecko: stamped at the close, without volumes, in the spacing it chooses, for the last day or month."""

from __future__ import annotations

import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinswarm.candles import Candle, Pair, Timeframe
from coinswarm.errors import (
    RateLimited,
    SourceError,
    SourceRefused,
    SourceUnavailable,
    UnknownPair,
    UnsupportedTimeframe,
)
from coinswarm.fetchers.coingecko import parse
from coinswarm.fetchers.coins import COIN_IDS
from tests.support.http import ask, asked, body, exchange, manual_clock

STEP = 14_400
EIGHT = 1_788_249_600  # 2026-09-01 08:00 UTC
BTC = Pair("BTC", "USD")


def row(closed: int) -> list[object]:
    return [closed * 1000, 57945.79, 59122.18, 57900.5, 58122.18]


def closes(count: int, newest: int, step: int = STEP) -> list[list[object]]:
    return [row(newest - n * step) for n in reversed(range(count))]


def test_the_stamp_is_the_close_and_becomes_the_open() -> None:
    with exchange("coingecko") as (coingecko, route):
        route.return_value = body([row(EIGHT)])
        page = coingecko.page(ask("BTC-USD", "4h", EIGHT, 10))
    assert page.candles == [
        Candle("BTC-USD", EIGHT - STEP, "4h", 57945.79, 59122.18, 57900.5, 58122.18, None, None, "coingecko")
    ]


@pytest.mark.parametrize(("timeframe", "days", "limit"), [("30m", "1", 48), ("4h", "30", 180)])
def test_the_number_of_days_chooses_the_timeframe(timeframe: str, days: str, limit: int) -> None:
    with exchange("coingecko") as (coingecko, route):
        route.return_value = body([row(EIGHT)])
        coingecko.page(ask("SOL-EUR", timeframe, EIGHT, 10))
        assert route.calls[0].request.url.path == "/api/v3/coins/solana/ohlc"
        assert asked(route) == [{"vs_currency": "eur", "days": days}]
    assert coingecko.page_limit(Timeframe(timeframe)) == limit


@pytest.mark.parametrize("timeframe", ["1m", "5m", "1h", "1d", "1w"])
def test_days_of_a_year_are_not_offered_for_they_would_be_four_days_long(timeframe: str) -> None:
    with exchange("coingecko") as (coingecko, route):
        with pytest.raises(UnsupportedTimeframe) as caught:
            coingecko.page(ask("BTC-USD", timeframe, EIGHT, 10))
        assert route.call_count == 0
    assert caught.value.hint == "It offers: 30m 4h"


def test_candles_of_another_spacing_are_refused_whole() -> None:
    with exchange("coingecko") as (coingecko, route):
        route.return_value = body(closes(10, EIGHT, 4 * 86_400))
        with pytest.raises(SourceError, match=r"345600 s apart where 14400 s \(4h\) were asked for"):
            coingecko.page(ask("BTC-USD", "4h", EIGHT, 10))
        assert route.call_count == 1


def test_a_hole_and_a_doubled_row_are_not_another_spacing() -> None:
    rows = [row(EIGHT - 5 * STEP), row(EIGHT - 2 * STEP), row(EIGHT - STEP), row(EIGHT - STEP), row(EIGHT)]
    assert len(parse(BTC, Timeframe.H4, rows).candles) == 5


def test_rows_out_of_order_are_sorted() -> None:
    rows = [row(EIGHT - STEP), row(EIGHT), row(EIGHT - 2 * STEP)]
    opens = [c.timestamp for c in parse(BTC, Timeframe.H4, rows).candles]
    assert opens == [EIGHT - 3 * STEP, EIGHT - 2 * STEP, EIGHT - STEP]


def test_a_month_is_all_there_is_and_the_reason_is_given() -> None:
    with exchange("coingecko") as (coingecko, route):
        route.return_value = body(closes(180, EIGHT))
        page = coingecko.page(ask("BTC-USD", "4h", EIGHT, 180))
    assert page.exhausted
    assert page.covers_from == EIGHT - 180 * STEP
    assert page.note == "CoinGecko has 4h candles of the last 30 days only."


def test_what_is_beyond_the_limit_is_not_called_exhausted() -> None:
    with exchange("coingecko") as (coingecko, route):
        route.return_value = body(closes(180, EIGHT))
        page = coingecko.page(ask("BTC-USD", "4h", EIGHT - STEP, 50))
    assert (page.exhausted, page.covers_from) == (False, EIGHT - 50 * STEP)


def test_a_time_before_the_month_is_the_end() -> None:
    with exchange("coingecko") as (coingecko, route):
        route.return_value = body(closes(180, EIGHT))
        page = coingecko.page(ask("BTC-USD", "4h", EIGHT - 400 * STEP, 50))
    assert (page.exhausted, page.covers_from) == (True, EIGHT - 400 * STEP)


def test_a_cached_reply_may_be_fifteen_minutes_old_so_its_last_candle_waits() -> None:
    """Stamped 08:00 and fetched at 08:05: the copy may stem from 07:51, when that candle was still running."""
    at = {"Date": "Tue, 01 Sep 2026 08:05:00 GMT"}
    with exchange("coingecko") as (coingecko, route):
        route.side_effect = [
            body(closes(3, EIGHT), **at, Cf_Cache_Status="HIT"),
            body(closes(3, EIGHT), **at),
            body(closes(3, EIGHT), Date="Tue, 01 Sep 2026 08:15:00 GMT", Cf_Cache_Status="MISS"),
        ]
        cached, direct, later = (coingecko.page(ask("BTC-USD", "4h", EIGHT, 3)) for _ in range(3))
    newest = EIGHT - STEP
    assert cached.committed_to is not None
    assert newest - STEP < cached.committed_to < newest
    assert direct.committed_to is not None
    assert direct.committed_to >= newest
    assert later.committed_to == newest


@pytest.mark.parametrize("quote", ["USDT", "USDC", "BUSD", "XYZ"])
def test_a_dollar_coin_is_not_the_dollar(quote: str) -> None:
    with exchange("coingecko") as (coingecko, route):
        with pytest.raises(UnknownPair, match=f"does not price in {quote}") as caught:
            coingecko.page(ask(f"BTC-{quote}", "4h", EIGHT, 10))
        assert route.call_count == 0
    assert "Use BTC-USD" in (caught.value.hint or "")


def test_a_coin_that_is_not_known_is_never_taken_for_another() -> None:
    with exchange("coingecko") as (coingecko, route):
        with pytest.raises(UnknownPair, match="NOPE of NOPE-USD is not a coin"):
            coingecko.page(ask("NOPE-USD", "4h", EIGHT, 10))
        assert route.call_count == 0


def test_the_seed_systems_tokens_are_known_and_no_two_coins_share_an_id() -> None:
    seed = "BTC ETH SOL BNB CAKE RAY ORCA JUP ARB GMX OP VELO MATIC QUICK AERO"
    assert set(seed.split()) <= COIN_IDS.keys()
    assert len(set(COIN_IDS.values())) == len(COIN_IDS)


@pytest.mark.parametrize(
    ("base_url", "header"),
    [
        (None, "x-cg-demo-api-key"),
        ("https://pro-api.coingecko.com/api/v3", "x-cg-pro-api-key"),
        ("http://127.0.0.1:9000", "x-cg-demo-api-key"),
    ],
)
def test_a_key_goes_into_the_header_of_its_plan(base_url: str | None, header: str) -> None:
    with exchange("coingecko", base_url=base_url, api_key="CG-secret") as (coingecko, route):
        route.return_value = body([row(EIGHT)])
        coingecko.page(ask("BTC-USD", "4h", EIGHT, 10))
        request = route.calls[0].request
    assert request.headers[header] == "CG-secret"
    assert "secret" not in str(request.url)


def test_a_key_buys_a_faster_pace() -> None:
    def seconds_for_ten(key: str | None) -> float:
        clock = manual_clock()
        with exchange("coingecko", clock=clock, api_key=key) as (coingecko, route):
            route.side_effect = lambda request: body([row(EIGHT)])
            for _ in range(10):
                coingecko.page(ask("BTC-USD", "4h", EIGHT, 10))
        return clock.monotonic()

    assert seconds_for_ten(None) == pytest.approx(48.0)
    assert seconds_for_ten("CG-secret") == pytest.approx(10.0)


numbers = st.floats(min_value=1e-12, max_value=1e9)


@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=1, max_size=60))
def test_parsing_gives_back_what_was_sent(series: list[tuple[float, float, float, float]]) -> None:
    rendered = [[(EIGHT + n * STEP) * 1000, *prices] for n, prices in enumerate(series)]
    rows = parse(BTC, Timeframe.H4, json.loads(json.dumps(rendered)))
    assert rows.candles == [
        Candle("BTC-USD", EIGHT + (n - 1) * STEP, "4h", *prices, None, None, "coingecko")
        for n, prices in enumerate(series)
    ]


# What goes wrong


def nested(code: int, message: str) -> dict[str, object]:
    return {"error": {"status": {"timestamp": "2026-09-01T10:00:00Z", "error_code": code, "error_message": message}}}


def test_a_401_for_too_old_a_time_is_not_blamed_on_the_key() -> None:
    with exchange("coingecko", api_key="CG-secret") as (coingecko, route):
        route.return_value = body(nested(10012, "Your request exceeds the allowed time range."), 401)
        with pytest.raises(SourceRefused, match="does not give this plan candles so old") as caught:
            coingecko.page(ask("BTC-USD", "4h", EIGHT, 10))
        assert route.call_count == 1
    assert "The key is not the problem" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (nested(10002, "API Key Missing"), 401),
        (nested(10010, "Please use pro-api.coingecko.com"), 400),
        ({"status": {"error_code": 10011, "error_message": "Please use api.coingecko.com"}}, 400),
        ({"error": "unauthorized"}, 401),
    ],
)
def test_key_faults_say_which_key_belongs_where(value: object, status: int) -> None:
    with (
        exchange("coingecko") as (coingecko, route),
        pytest.raises(SourceRefused, match="refuses the API key") as caught,
    ):
        route.return_value = body(value, status)
        coingecko.page(ask("BTC-USD", "4h", EIGHT, 10))
    assert "COINSWARM_COINGECKO_URL=https://pro-api.coingecko.com/api/v3" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "answer",
    [
        body(
            {"status": {"error_code": 429, "error_message": "You've exceeded the Rate Limit."}}, 429, retry_after="119"
        ),
        body(
            {"status": {"error_code": 429, "error_message": "You've exceeded the Rate Limit."}}, 200, retry_after="119"
        ),
        httpx.Response(429, text="<html>Cloudflare</html>", headers={"Retry-After": "119"}),
    ],
    ids=["json", "json with HTTP 200", "html"],
)
def test_a_rate_limit_is_one_in_json_and_in_html(answer: httpx.Response) -> None:
    clock = manual_clock()
    with exchange("coingecko", clock=clock) as (coingecko, route):
        route.side_effect = [answer, body([row(EIGHT)])]
        assert len(coingecko.page(ask("BTC-USD", "4h", EIGHT, 10)).candles) == 1
    assert 119.0 <= sum(clock.slept) <= 120.0


def test_a_rate_limit_that_stays_ends_the_run() -> None:
    with exchange("coingecko") as (coingecko, route), pytest.raises(RateLimited, match="tried 6 times"):
        route.return_value = httpx.Response(429, text="<html>")
        coingecko.page(ask("BTC-USD", "4h", EIGHT, 10))


@pytest.mark.parametrize(
    ("value", "status"), [({"error": "coin not found"}, 404), ({"error": "invalid vs_currency"}, 422)]
)
def test_what_coingecko_does_not_have_is_an_unknown_pair(value: object, status: int) -> None:
    with exchange("coingecko") as (coingecko, route), pytest.raises(UnknownPair, match="does not have BTC-USD"):
        route.return_value = body(value, status)
        coingecko.page(ask("BTC-USD", "4h", EIGHT, 10))


def test_a_block_of_the_edge_is_a_refusal() -> None:
    with exchange("coingecko") as (coingecko, route), pytest.raises(SourceRefused, match="an HTML page"):
        route.return_value = httpx.Response(403, text="<html>error 1020</html>")
        coingecko.page(ask("BTC-USD", "4h", EIGHT, 10))


@pytest.mark.parametrize("value", [{"status": 500, "error": "Internal Server Error"}, {}, "x", None, []])
def test_a_body_without_candles_is_tried_again_and_never_no_data(value: object) -> None:
    with exchange("coingecko") as (coingecko, route):
        route.side_effect = [body(value), body([row(EIGHT)])]
        assert len(coingecko.page(ask("BTC-USD", "4h", EIGHT, 10)).candles) == 1


def test_a_row_that_cannot_be_read_is_named() -> None:
    rows = parse(BTC, Timeframe.H4, [row(EIGHT), [EIGHT * 1000, None, 1, 1, 1], [None, 1, 1, 1, 1]])
    assert len(rows.candles) == 1
    assert rows.malformed == ["row 1: 'None' is not a number", "row 2: the time 'None' is not a number"]


def test_an_unexpected_candle_list_cannot_pass_for_an_error() -> None:
    with exchange("coingecko") as (coingecko, route), pytest.raises(SourceUnavailable):
        route.return_value = httpx.Response(500, json=[row(EIGHT)])
        coingecko.page(ask("BTC-USD", "4h", EIGHT, 10))
