"""CoinGecko: sampled candles of the last day (30m) or month (4h), without volumes.

https://docs.coingecko.com/reference/coins-id-ohlc
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median_low
from typing import TYPE_CHECKING, Final

from coinswarm.candles import LATEST, Candle, Pair, Timeframe
from coinswarm.errors import RateLimited, SourceError, SourceRefused, SourceUnavailable, UnknownPair
from coinswarm.fetchers.base import Page, PageRequest
from coinswarm.fetchers.coins import COIN_IDS, QUOTES
from coinswarm.fetchers.wire import RateLimit, Rows, Site, collect, number, offered, reached

if TYPE_CHECKING:
    from coinswarm.transport import Reply, Transport


def _key_headers(key: str, base_url: str) -> Mapping[str, str]:
    """Demo and paid keys have a host and a header each. https://docs.coingecko.com/docs/errors-and-rate-limits"""
    return {"x-cg-pro-api-key" if "://pro-api." in base_url else "x-cg-demo-api-key": key}


_DOCS: Final = "https://docs.coingecko.com/docs/errors-and-rate-limits"
COINGECKO: Final = Site(
    "coingecko",
    "https://api.coingecko.com/api/v3",
    # Without a key the allowance is per address and unwritten, 5 to 15 calls a minute; with one 30 or more.
    RateLimit(10 / 60, 2.0, _DOCS),
    keyed_limit=RateLimit(0.4, 6.0, _DOCS),
    key_headers=_key_headers,
)

DAYS: Final = {Timeframe.M30: 1, Timeframe.H4: 30}
"""How many days back have which candles: 1 to 2 days half-hours, 3 to 30 four hours, more of them four *days*."""
CACHE_SECONDS: Final = 900
"""Replies are renewed every 15 minutes, says the documentation of the endpoint."""
HISTORY_LIMIT: Final = 10012
KEY_FAULTS: Final = (10002, 10005, 10010, 10011)


class CoinGecko:
    """The candles there are without a paid plan. Volumes are null: only a rolling 24-hour total exists."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def source(self) -> str:
        return COINGECKO.source

    @property
    def timeframes(self) -> Sequence[Timeframe]:
        return tuple(DAYS)

    def page_limit(self, timeframe: Timeframe) -> int:
        return offered(self.source, timeframe, DAYS) * 86_400 // timeframe.seconds

    def page(self, request: PageRequest) -> Page:
        """All there is of the last day or month; the endpoint cannot be asked for another time."""
        days = offered(self.source, request.timeframe, DAYS)
        coin, quote = coin_and_quote(request.pair)

        def read(reply: Reply) -> Page:
            check(request.pair, reply)
            rows = parse(request.pair, request.timeframe, reply.value)
            final = committed(reply, request.timeframe)
            covers_from, exhausted = reached(rows, request, newest=final)
            return Page(
                rows.candles,
                covers_from=covers_from,
                exhausted=exhausted,
                committed_to=final,
                as_of=reply.as_of,
                note=f"CoinGecko has {request.timeframe.value} candles of the last {days} days only."
                if days > 1
                else f"CoinGecko has {request.timeframe.value} candles of the last day only.",
                malformed=rows.malformed,
            )

        return self._transport.get(f"/coins/{coin}/ohlc", {"vs_currency": quote, "days": days}, read)


def coin_and_quote(pair: Pair) -> tuple[str, str]:
    """CoinGecko's words for a pair. Raises `UnknownPair`: a coin or currency that is not known is never guessed."""
    coin = COIN_IDS.get(pair.base)
    if coin is None:
        raise UnknownPair(
            COINGECKO.source,
            f"{pair.base} of {pair.symbol} is not a coin whose CoinGecko id is known here",
            hint="Known are: " + " ".join(COIN_IDS),
        )
    if pair.quote not in QUOTES:
        raise UnknownPair(
            COINGECKO.source,
            f"does not price in {pair.quote}",
            hint=f"Use {pair.base}-USD, which is stored as what it is: US dollars are not {pair.quote}.",
        )
    return coin, pair.quote.lower()


def parse(pair: Pair, timeframe: Timeframe, value: object) -> Rows:
    """Candles of an OHLC body: rows of *close* time in milliseconds, open, high, low, close.

    CoinGecko chooses the spacing by the number of days: raises `SourceError` if it is not the timeframe's.
    """
    if not isinstance(value, list) or not value:
        raise SourceUnavailable(COINGECKO.source, f"sent no candles of {pair.symbol} at all")
    symbol, word, step = pair.symbol, timeframe.value, timeframe.seconds

    def read(row: list[object], closed: int) -> Candle:
        prices = (number(row[1]), number(row[2]), number(row[3]), number(row[4]))
        return Candle(symbol, closed - step, word, *prices, None, None, COINGECKO.source)

    rows = collect(value, lambda row: row[0], read)
    apart = [later.timestamp - earlier.timestamp for earlier, later in pairwise(rows.candles)]
    if len(apart) > 2 and (usual := median_low(apart)) != step:
        raise SourceError(
            COINGECKO.source, f"sent candles {usual} s apart where {step} s ({word}) were asked for; none is stored"
        )
    return rows


def committed(reply: Reply, timeframe: Timeframe) -> int:
    """The newest open that is surely final: a cached reply may be 15 minutes old and its last candle still running."""
    if reply.as_of is None or "cf-cache-status" not in reply.headers:
        return LATEST
    return int(reply.as_of) - CACHE_SECONDS - timeframe.seconds


def check(pair: Pair, reply: Reply) -> None:
    """Raise what CoinGecko means by this reply: errors come in three shapes, and 401 is not always about a key."""
    code = _error_code(reply.value)
    if code == HISTORY_LIMIT:
        raise SourceRefused(
            COINGECKO.source,
            f"does not give this plan candles so old ({reply.said})",
            hint="The key is not the problem. Ask for a newer time, or another --source.",
        )
    if code in KEY_FAULTS or reply.status == 401:
        raise SourceRefused(
            COINGECKO.source,
            f"refuses the API key, or the lack of one ({reply.said})",
            hint="COINGECKO_API_KEY is for a demo key; a paid key also needs "
            "COINSWARM_COINGECKO_URL=https://pro-api.coingecko.com/api/v3",
        )
    if code == 429:
        raise RateLimited(COINGECKO.source, f"asks to wait ({reply.said})", retry_after=reply.retry_after)
    if reply.status in (400, 404, 422) and ("coin not found" in reply.said or "invalid vs_currency" in reply.said):
        raise UnknownPair(COINGECKO.source, f"does not have {pair.symbol} ({reply.said})")
    reply.require_json(COINGECKO.source)
    if isinstance(reply.value, dict):
        raise SourceUnavailable(COINGECKO.source, f"sent no candles ({reply.said})")


def _error_code(value: object) -> int | None:
    """`error_code` of `{"status": {…}}` or `{"error": {"status": {…}}}`."""
    if isinstance(value, dict):
        error = value.get("error")
        status = (error if isinstance(error, dict) else value).get("status")
        code = status.get("error_code") if isinstance(status, dict) else None
        return code if isinstance(code, int) else None
    return None
