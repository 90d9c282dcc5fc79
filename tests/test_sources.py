"""The sources by name: what each is called, where it lives, and what may be said to it."""

from __future__ import annotations

import subprocess
import sys

import httpx
import pytest

from coinswarm import fetchers
from coinswarm.candles import Timeframe
from coinswarm.errors import UsageError
from tests.support.http import exchange, manual_clock


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ("cryptocompare", "https://min-api.cryptocompare.com"),
        ("binance", "https://data-api.binance.vision"),
        ("binanceus", "https://api.binance.us"),
        ("coingecko", "https://api.coingecko.com/api/v3"),
        ("kraken", "https://api.kraken.com"),
        ("coinbase", "https://api.exchange.coinbase.com"),
    ],
)
def test_six_sources_each_under_its_name_at_its_documented_address(source: str, url: str) -> None:
    assert source in fetchers.SOURCES
    assert fetchers.default_url(source) == url
    with exchange(source) as (fetcher, _):
        assert fetcher.source == source
        assert fetcher.timeframes
        assert all(fetcher.page_limit(timeframe) > 0 for timeframe in fetcher.timeframes)
        assert [t for t in Timeframe if t in fetcher.timeframes] == list(fetcher.timeframes)


def test_there_are_no_others() -> None:
    assert len(fetchers.SOURCES) == 6
    with pytest.raises(UsageError, match="unknown source 'bitstamp'") as caught:
        fetchers.default_url("bitstamp")
    assert caught.value.hint == "Choose one of: cryptocompare binance binanceus coingecko kraken coinbase"


@pytest.mark.parametrize("source", ["binance", "binanceus", "kraken", "coinbase"])
def test_a_key_for_a_source_that_takes_none_is_a_mistake(source: str) -> None:
    with pytest.raises(UsageError, match=f"{source} takes no API key"), exchange(source, api_key="k"):
        pass
    for nothing in (None, "", "  "):
        with exchange(source, api_key=nothing):
            pass


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "sch\u00fcssel", "nul\x00"])
def test_a_key_that_fits_no_header_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(UsageError, match="the API key for coingecko") as caught, exchange("coingecko", api_key=key):
        pass
    assert key not in caught.value.message


def test_an_address_that_is_none_is_refused_before_anything_is_asked() -> None:
    with httpx.Client(verify=False) as client, pytest.raises(UsageError, match="the base URL for kraken"):
        fetchers.build("kraken", client=client, clock=manual_clock(), base_url="api.kraken.com")


def test_neither_the_names_nor_the_addresses_load_an_http_client() -> None:
    program = (
        "import sys; from coinswarm import fetchers; from coinswarm.fetchers.base import Page; "
        "[fetchers.default_url(s) for s in fetchers.SOURCES]; "
        "print([m for m in ('httpx', 'tenacity') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
