"""Coinbase Exchange: windows with both ends, newest first, low before high before open, and nothing without trades."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinswarm.candles import Candle, Pair, Timeframe
from coinswarm.errors import SourceError, SourceUnavailable, UnknownPair, UnsupportedTimeframe
from coinswarm.fetchers.coinbase import parse
from tests.support.http import ask, asked, body, exchange, manual_clock

HOUR, DAY = 3600, 86_400
TEN = 1_788_256_800
BTC = Pair("BTC", "USD")


def row(opened: int) -> list[object]:
    return [opened, 78607.25, 78888, 78653.94, 78704.48, 238.79396548]


def seconds(iso: str) -> int:
    return int(datetime.fromisoformat(iso).timestamp())


def traded_at(opens: list[int]) -> Callable[[httpx.Request], httpx.Response]:
    """A market with trades in these moments alone: answers any window as the exchange would."""

    def answer(request: httpx.Request) -> httpx.Response:
        step = int(request.url.params["granularity"])
        first, last = seconds(request.url.params["start"]), seconds(request.url.params["end"])
        assert (last - first) // step <= 300, "granularity too small for the requested time range"
        buckets = sorted({t - t % step for t in opens if first <= t - t % step <= last}, reverse=True)
        return body([row(t) for t in buckets])

    return answer


def test_a_row_is_time_low_high_open_close_volume() -> None:
    with exchange("coinbase") as (coinbase, route):
        route.return_value = body([row(TEN)])
        page = coinbase.page(ask("BTC-USD", "1h", TEN, 1))
    assert page.candles == [
        Candle("BTC-USD", TEN, "1h", 78653.94, 78888.0, 78607.25, 78704.48, 238.79396548, None, "coinbase")
    ]


def test_newest_first_becomes_oldest_first() -> None:
    with exchange("coinbase") as (coinbase, route):
        route.return_value = body([row(TEN), row(TEN - HOUR), row(TEN - 2 * HOUR)])
        page = coinbase.page(ask("BTC-USD", "1h", TEN, 3))
    assert [c.timestamp for c in page.candles] == [TEN - 2 * HOUR, TEN - HOUR, TEN]


@pytest.mark.parametrize(("limit", "rows"), [(1, 1), (24, 24), (300, 300), (2000, 300)])
def test_both_bounds_are_sent_and_their_window_holds_no_more_than_300_candles(limit: int, rows: int) -> None:
    with exchange("coinbase") as (coinbase, route):
        route.return_value = body([row(TEN)])
        page = coinbase.page(ask("BTC-USD", "1h", TEN + 59, limit))
        (params,) = asked(route)
        assert route.calls[0].request.url.path == "/products/BTC-USD/candles"
    assert params == {"granularity": "3600", "start": params["start"], "end": "2026-09-01T10:00:00Z"}
    assert seconds(params["start"]) == TEN - (rows - 1) * HOUR
    assert page.covers_from == TEN - (rows - 1) * HOUR


def test_a_window_with_holes_speaks_for_all_of_it() -> None:
    with exchange("coinbase") as (coinbase, route):
        route.side_effect = traded_at([TEN, TEN - 250 * HOUR])
        page = coinbase.page(ask("BTC-USD", "1h", TEN, 300))
    assert len(page.candles) == 2
    assert (page.covers_from, page.exhausted, page.requests) == (TEN - 299 * HOUR, False, 1)


def test_rows_before_the_window_are_handed_over_and_move_nothing() -> None:
    with exchange("coinbase") as (coinbase, route):
        route.return_value = body([row(TEN), row(TEN - 500 * HOUR)])
        page = coinbase.page(ask("BTC-USD", "1h", TEN, 10))
    assert (len(page.candles), page.covers_from) == (2, TEN - 9 * HOUR)


def test_an_empty_window_leads_to_the_last_day_with_trades() -> None:
    with exchange("coinbase") as (coinbase, route):
        route.side_effect = traded_at([TEN - 400 * DAY])
        page = coinbase.page(ask("BTC-USD", "1m", TEN, 300))
        params = asked(route)
    assert page.candles == []
    assert not page.exhausted
    assert page.covers_from == (TEN - 400 * DAY) // DAY * DAY + DAY
    # the window, 300 days that are empty twice, the 300 before them, and the window once more
    assert page.requests == 5
    assert [p["granularity"] for p in params] == ["60", "86400", "86400", "86400", "60"]
    assert params[2] == params[1]
    assert seconds(params[3]["end"]) == seconds(params[2]["start"]) - DAY
    assert params[4] == params[0]


def test_trades_earlier_on_the_same_day_do_not_move_the_page_forward() -> None:
    midnight = TEN // DAY * DAY
    with exchange("coinbase") as (coinbase, route):
        route.side_effect = traded_at([midnight])
        page = coinbase.page(ask("BTC-USD", "1m", TEN, 60))
    assert (page.covers_from, page.exhausted) == (TEN - 59 * 60, False)


def test_before_the_listing_it_looks_back_to_2015_and_then_knows_the_end() -> None:
    with exchange("coinbase") as (coinbase, route):
        route.side_effect = traded_at([TEN])
        page = coinbase.page(ask("BTC-USD", "1h", TEN - 400 * HOUR, 300))
        oldest = min(seconds(p["start"]) for p in asked(route))
    assert page.exhausted
    assert page.requests == route.call_count == 32
    assert oldest <= 1_420_070_400


def test_a_window_that_is_empty_against_the_word_of_its_days_is_asked_for_again() -> None:
    market = traded_at([TEN - n * HOUR for n in range(2000)])
    with exchange("coinbase") as (coinbase, route):
        route.side_effect = [body([]), market, market]
        page = coinbase.page(ask("BTC-USD", "1h", TEN, 300))
    assert (len(page.candles), page.requests, page.exhausted) == (300, 3, False)


@pytest.mark.parametrize("timeframe", ["1m", "5m"])
def test_a_window_that_is_empty_by_mistake_is_asked_for_again_where_it_holds_no_whole_day(timeframe: str) -> None:
    step = Timeframe(timeframe).seconds
    market = traded_at([TEN - n * step for n in range(2000)])
    with exchange("coinbase") as (coinbase, route):
        route.side_effect = [body([]), market, market]
        page = coinbase.page(ask("BTC-USD", timeframe, TEN, 100))
    assert (len(page.candles), page.requests, page.exhausted) == (100, 3, False)


def test_days_that_are_empty_by_mistake_are_not_passed_over() -> None:
    market = traded_at([TEN - DAY - n * 60 for n in range(2000)])
    with exchange("coinbase") as (coinbase, route):
        route.side_effect = [body([]), body([]), market, market]
        page = coinbase.page(ask("BTC-USD", "1m", TEN, 60))
    assert (page.candles, page.covers_from, page.exhausted) == ([], TEN // DAY * DAY, False)


def test_a_window_that_stays_empty_against_the_word_of_its_days_is_an_error_and_no_hole() -> None:
    days = traded_at([TEN - n * HOUR for n in range(2000)])
    with exchange("coinbase") as (coinbase, route):
        route.side_effect = lambda request: days(request) if request.url.params["granularity"] == "86400" else body([])
        with pytest.raises(SourceUnavailable, match="no candles of BTC-USD for days that had trades"):
            coinbase.page(ask("BTC-USD", "1h", TEN, 300))


def test_before_2015_there_is_nothing_to_look_for() -> None:
    with exchange("coinbase") as (coinbase, route):
        route.return_value = body([])
        page = coinbase.page(ask("BTC-USD", "1d", 1_400_000_000, 300))
    assert (page.exhausted, page.requests) == (True, 2)


def test_paging_by_the_pages_word_finds_every_candle_of_a_thin_market_and_ends() -> None:
    """What the producer does with `covers_from`, here over ten years with six trades."""
    opens = [TEN, TEN - 60, TEN - 301 * 60, TEN - 3 * DAY, TEN - 900 * DAY, TEN - 901 * DAY - 7 * 60]
    found: list[int] = []
    with exchange("coinbase") as (coinbase, route):
        route.side_effect = traded_at(opens)
        to_ts = TEN
        for _ in range(60):
            page = coinbase.page(ask("BTC-USD", "1m", to_ts, 300))
            found += [c.timestamp for c in page.candles]
            assert page.covers_from <= to_ts
            to_ts = page.covers_from - 60
            if page.exhausted:
                break
    assert page.exhausted
    assert sorted(found) == sorted(opens)


def test_unreadable_rows_are_not_an_empty_window() -> None:
    with exchange("coinbase") as (coinbase, route):
        route.return_value = body([[TEN, 1, 2, None, 2, 3], [TEN - HOUR, 1, 2]])
        page = coinbase.page(ask("BTC-USD", "1h", TEN, 10))
    assert (page.requests, page.exhausted) == (1, False)
    assert list(page.malformed) == [
        "row 0: 'None' is not a number",
        f"row 1: [{TEN - HOUR}, 1, 2] has not the documented shape",
    ]


def test_usdc_is_said_to_share_the_book_of_usd() -> None:
    with exchange("coinbase") as (coinbase, route):
        route.return_value = body([row(TEN)])
        page = coinbase.page(ask("BTC-USDC", "1h", TEN, 1))
        assert route.calls[0].request.url.path == "/products/BTC-USDC/candles"
    assert page.candles[0].symbol == "BTC-USDC"
    assert page.note is None  # nothing is missing because of it
    assert "repeats the one in USD" in (page.remark or "")


@pytest.mark.parametrize("timeframe", ["3m", "30m", "2h", "4h", "8h", "12h", "1w"])
def test_timeframes_coinbase_lacks_are_named_before_anything_is_asked(timeframe: str) -> None:
    with exchange("coinbase") as (coinbase, route):
        with pytest.raises(UnsupportedTimeframe) as caught:
            coinbase.page(ask("BTC-USD", timeframe, TEN, 10))
        assert route.call_count == 0
    assert caught.value.hint == "It offers: 1m 5m 15m 1h 6h 1d"


numbers = st.floats(min_value=1e-8, max_value=1e8)


@given(st.lists(st.tuples(st.integers(400_000, 500_000), numbers, numbers, numbers, numbers, numbers)))
def test_parsing_gives_back_what_was_sent(series: list[tuple[int, float, float, float, float, float]]) -> None:
    rendered = json.loads(json.dumps([[hour * HOUR, low, high, o, c, v] for hour, low, high, o, c, v in series]))
    rows = parse(BTC, Timeframe.H1, rendered)
    expected = [
        Candle("BTC-USD", hour * HOUR, "1h", o, high, low, c, v, None, "coinbase")
        for hour, low, high, o, c, v in series
    ]
    assert rows.candles == sorted(expected, key=lambda candle: candle.timestamp)


# What goes wrong


def test_an_unknown_product_is_an_unknown_pair() -> None:
    with exchange("coinbase") as (coinbase, route):
        route.return_value = body({"message": "NotFound"}, 404)
        with pytest.raises(UnknownPair, match="does not list NOPE-USD"):
            coinbase.page(ask("NOPE-USD", "1h", TEN, 10))
        assert route.call_count == 1


def test_a_404_that_is_not_the_exchanges_own_is_not_about_the_pair() -> None:
    with exchange("coinbase") as (coinbase, route), pytest.raises(SourceError) as caught:
        route.return_value = httpx.Response(404, text="<html>nginx</html>")
        coinbase.page(ask("BTC-USD", "1h", TEN, 10))
    assert not isinstance(caught.value, UnknownPair)


def test_a_refused_range_is_permanent_and_quoted() -> None:
    said = "granularity too small for the requested time range. Count of aggregations requested exceeds 300"
    with exchange("coinbase") as (coinbase, route):
        route.return_value = body({"message": said}, 400)
        with pytest.raises(SourceError, match="exceeds 300"):
            coinbase.page(ask("BTC-USD", "1h", TEN, 10))
        assert route.call_count == 1


def test_a_429_without_retry_after_is_waited_out() -> None:
    clock = manual_clock()
    with exchange("coinbase", clock=clock) as (coinbase, route):
        route.side_effect = [body({"message": "Public rate limit exceeded"}, 429), body([row(TEN)])]
        assert len(coinbase.page(ask("BTC-USD", "1h", TEN, 1)).candles) == 1
    assert sum(clock.slept) >= 2.0


def test_a_failure_while_looking_back_is_a_failure_and_not_the_end() -> None:
    with exchange("coinbase") as (coinbase, route), pytest.raises(SourceUnavailable):
        route.side_effect = [body([])] + [httpx.Response(502, text="<html>")] * 6
        coinbase.page(ask("BTC-USD", "1h", TEN, 10))


@pytest.mark.parametrize("value", [{"candles": []}, None, "x"])
def test_a_body_that_is_no_list_is_no_empty_window(value: object) -> None:
    with exchange("coinbase") as (coinbase, route), pytest.raises(SourceUnavailable, match="no list of candles"):
        route.return_value = body(value)
        coinbase.page(ask("BTC-USD", "1h", TEN, 10))
