"""Coinbase Exchange: `GET /products/{id}/candles`.

https://docs.cdp.coinbase.com/exchange/reference/exchangerestapi_getproductcandles. Not simulated: the merged USD and
USDC books (here they are two markets).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from coinswarm.candles import Pair, Timeframe
from coinswarm.simulator.exchange import Ask, Endpoint, Exchange, Refused, Reply, number
from coinswarm.simulator.market import EPOCH, MarketCandle

GRANULARITIES: Final = (60, 300, 900, 3_600, 21_600, 86_400)
INTERVALS: Final = 300
"""Most intervals between `start` and `end`. Both ends count, so that 301 rows can come."""


def candles(ask: Ask) -> Reply:
    """Newest first, low before high before open; buckets without a trade are absent."""
    if not ask.headers.get("user-agent"):
        raise Refused(_error(400, "User-Agent header is required."))
    pair = _pair(ask)
    text = ask.query.get("granularity", "60")
    seconds = int(text) if text.isdecimal() and len(text) < 8 else 0
    if seconds not in GRANULARITIES:
        raise Refused(_error(400, "Unsupported granularity"))
    start, end = _moment(ask, "start"), _moment(ask, "end")
    if start is None or end is None:  # one alone is passed over without a word
        found = ask.candles(pair, seconds, ask.now - INTERVALS * seconds, ask.now)
    elif end < start:
        raise Refused(_error(400, "start must be before end"))
    elif (end - start) / seconds > INTERVALS:
        raise Refused(
            _error(
                400,
                "granularity too small for the requested time range. Count of aggregations requested exceeds "
                f"{INTERVALS}",
            )
        )
    else:
        found = ask.candles(pair, seconds, start, end)
    page = ask.delivered([c for c in found if c.trades], pair, seconds, told=lambda candle: candle.trades)
    return Reply([_row(ask, candle) for candle in reversed(page)])


def _row(ask: Ask, candle: MarketCandle) -> list[Any]:
    prices = (candle.low, candle.high, candle.open, candle.close, candle.volume)
    return [ask.stamp(candle.timestamp), *map(number, prices)]


def products(ask: Ask) -> Reply:
    return Reply(
        [
            {
                "id": pair.symbol,
                "base_currency": pair.base,
                "quote_currency": pair.quote,
                "quote_increment": f"{10.0 ** -ask.market.decimals(pair):.{ask.market.decimals(pair)}f}",
                "status": "online",
                "trading_disabled": False,
            }
            for pair in ask.market.pairs
        ]
    )


def _pair(ask: Ask) -> Pair:
    found = next((pair for pair in ask.market.pairs if pair.symbol == ask.path["id"]), None)
    if found is None:
        raise Refused(_error(404, "NotFound"))
    return found


def _moment(ask: Ask, name: str) -> float | None:
    """Unix seconds out of ISO 8601 (UTC where no zone is told) or a number."""
    text = ask.query.get(name)
    if not text:
        return None
    if text.isdecimal() and len(text) <= 10:
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(_error(400, f"invalid {name}")) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _error(status: int, message: str) -> Reply:
    return Reply({"message": message}, status)


def refuse(_ask: Ask, status: int) -> Reply:
    words = {
        401: "Unauthorized.",
        403: "Forbidden",
        418: "Public rate limit exceeded",
        429: "Public rate limit exceeded",
    }
    return _error(status, words.get(status, "Internal server error"))


def soft_fault(ask: Ask) -> Reply:
    if ask.fault == "no-result":
        return Reply({})
    return refuse(ask, 429) if ask.fault == "quota" else _error(200, "Internal server error")


COINBASE: Final = Exchange(
    "coinbase",
    (Endpoint("/products/{id}/candles", candles, has_faults=True), Endpoint("/products", products)),
    refuse,
    soft_fault,
    tuple(timeframe for timeframe in Timeframe if timeframe.seconds in GRANULARITIES),
    EPOCH,
)
