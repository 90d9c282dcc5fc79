"""Candles: the grid they stand on, pairs, gaps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinswarm.candles import Candle, Pair, Span, Timeframe, fault, gaps
from coinswarm.errors import UsageError


def test_a_candle_is_taken_from_the_second_it_closes() -> None:
    candle = Candle("BTC-USDC", 1_699_999_200, "1h", 1.0, 1.0, 1.0, 1.0, None, None, "kraken")
    assert fault(candle, closed_before=1_700_002_800) is None
    assert fault(candle, closed_before=1_700_002_799.9) is not None


def test_there_are_thirteen_timeframes() -> None:
    assert " ".join(t.value for t in Timeframe) == "1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 1w"


def test_an_unknown_timeframe_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown timeframe '1M'") as raised:
        Timeframe.parse("1M")
    assert "1m 3m 5m" in str(raised.value.hint)


@given(st.integers(min_value=0, max_value=4 * 10**9), st.sampled_from(Timeframe))
def test_floor_gives_the_bucket_that_holds_the_moment(moment: int, timeframe: Timeframe) -> None:
    opens = timeframe.floor(moment)
    assert opens <= moment < opens + timeframe.seconds
    assert opens % timeframe.grid == 0


def test_weeks_open_on_monday_unless_said_otherwise() -> None:
    assert Timeframe.W1.floor(1_700_000_000) == 1_699_833_600  # Monday 2023-11-13
    assert Timeframe.W1.floor(1_700_000_000, week_anchor=0) == 1_699_488_000  # Thursday 2023-11-09


@pytest.mark.parametrize("text", ["BTC-USDC", "btc/usdc", " BTC-usdc "])
def test_a_pair_is_base_and_quote(text: str) -> None:
    pair = Pair.parse(text)
    assert (pair.base, pair.quote, pair.symbol) == ("BTC", "USDC", "BTC-USDC")


@pytest.mark.parametrize("text", ["BTCUSDC", "", "BTC-", "BTC-USD-T", "BTC-BTC", "B C-USD", "../etc-x"])
def test_what_is_no_pair_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        Pair.parse(text)
    assert "BTC-USDC" in str(raised.value.hint)


def test_gaps_are_the_missing_grid_positions() -> None:
    assert gaps([0, 3600, 14_400, 18_000, 25_200], Timeframe.H1) == [Span(7200, 10_800), Span(21_600, 21_600)]
    assert gaps([], Timeframe.H1) == []
