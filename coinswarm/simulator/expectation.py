"""What a source is expected to serve: the market's truth, less what that API does not tell."""

from __future__ import annotations

from typing import Final

from coinswarm.candles import Candle, Pair, Timeframe
from coinswarm.errors import UnknownPair, UnsupportedTimeframe
from coinswarm.simulator.binance import BINANCE, BINANCEUS
from coinswarm.simulator.coinbase import COINBASE
from coinswarm.simulator.coingecko import COINGECKO
from coinswarm.simulator.cryptocompare import CRYPTOCOMPARE, MINUTES_KEPT_SECONDS
from coinswarm.simulator.exchange import Exchange
from coinswarm.simulator.kraken import COMMITTED_ROWS, KRAKEN
from coinswarm.simulator.market import Market, MarketCandle, newest

EXCHANGES: Final = {
    exchange.source: exchange for exchange in (CRYPTOCOMPARE, BINANCE, BINANCEUS, COINGECKO, KRAKEN, COINBASE)
}

_COINGECKO_DAYS: Final = {Timeframe.M30: 1, Timeframe.H4: 30}
_DOLLAR_TOKENS: Final = frozenset({"USDT", "USDC"})
"""Not among CoinGecko's currencies."""


def expected(
    market: Market, source: str, pair: Pair, timeframe: Timeframe, first: int, last: int, now: float
) -> list[Candle]:
    """The closed candles that opened from `first` to `last` and that `source` still serves at `now`, ascending.

    Volumes are what the API tells: none from CoinGecko, of the base alone from Kraken and Coinbase. Raises
    `UnknownPair` and `UnsupportedTimeframe` for what the source does not have.
    """
    exchange = EXCHANGES[source]
    if pair not in market.pairs or (source == "coingecko" and pair.quote in _DOLLAR_TOKENS):
        raise UnknownPair(source, f"{pair.symbol} is not listed")
    if timeframe not in exchange.timeframes:
        names = " ".join(each.value for each in exchange.timeframes)
        raise UnsupportedTimeframe(source, f"no {timeframe.value} candles", hint=f"It has: {names}")
    closed_by = int(now) - timeframe.seconds
    since = max(first, _served_from(market, exchange, pair, timeframe, now))
    truth = market.candles(pair, timeframe, since, min(last, closed_by), week_anchor=exchange.week_anchor)
    return [_told(source, pair, timeframe, candle) for candle in truth if candle.trades or source != "coinbase"]


def _served_from(market: Market, exchange: Exchange, pair: Pair, timeframe: Timeframe, now: float) -> int:
    """The earliest open that is within the source's history."""
    listed = market.listed_at(pair) - timeframe.seconds  # its first bucket may have opened before the first trade
    match exchange.source:
        case "kraken":
            closed_by = int(now) - timeframe.seconds
            kept = newest(market, pair, timeframe.seconds, closed_by, COMMITTED_ROWS, anchor=exchange.week_anchor)
            return kept[0].timestamp if kept else listed
        case "coingecko":
            return -int(-(now - _COINGECKO_DAYS[timeframe] * 86_400) // 1)
        case "cryptocompare" if timeframe.seconds < 3_600:
            return -int(-(now - MINUTES_KEPT_SECONDS) // 1)
    return listed


def _told(source: str, pair: Pair, timeframe: Timeframe, candle: MarketCandle) -> Candle:
    volume_from = None if source == "coingecko" else candle.volume
    volume_to = None if source in ("coingecko", "kraken", "coinbase") else candle.quote_volume
    return Candle(
        pair.symbol,
        candle.timestamp,
        timeframe.value,
        candle.open,
        candle.high,
        candle.low,
        candle.close,
        volume_from,
        volume_to,
        source,
    )
