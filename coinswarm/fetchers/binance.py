"""Binance and Binance.US: two exchanges with two order books that speak one wire format.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints#klinecandlestick-data
https://docs.binance.us/#get-candlestick-data
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from coinswarm.candles import Candle, Pair, Timeframe
from coinswarm.errors import RateLimited, SourceError, SourceRefused, SourceUnavailable, UnknownPair
from coinswarm.fetchers.base import Page, PageRequest
from coinswarm.fetchers.wire import RateLimit, Rows, Site, collect, covered, number, offered

if TYPE_CHECKING:
    from coinswarm.transport import Reply, Transport

BINANCE: Final = Site(
    "binance",
    # Market data alone, without a key, and not closed to countries as api.binance.com is.
    "https://data-api.binance.vision",
    # 6,000 weight a minute and address: 600 at once and 90 a second stay below it in any minute.
    RateLimit(
        90.0, 600.0, "https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits#ip-limits", cost=2.0
    ),
)
BINANCE_US: Final = Site(
    "binanceus",
    "https://api.binance.us",
    # 1,200 weight a minute and address.
    RateLimit(17.0, 180.0, "https://docs.binance.us/#rate-limits", cost=1.0),
)

# The same words as ours, by chance; Binance's are case sensitive (1M is a month).
INTERVALS: Final = {timeframe: timeframe.value for timeframe in Timeframe}
PAGE_ROWS: Final = 1000

INVALID_SYMBOL: Final = -1121
ILLEGAL_CHARACTERS: Final = -1100
TOO_MANY_REQUESTS: Final = -1003
TRANSIENT: Final = frozenset({-1000, -1001, -1006, -1007, -1008, -1016})
"""Unknown, disconnected, unexpected response, time-out, overloaded, shutting down: Binance's own troubles."""


class Binance:
    """Candles of one of the two exchanges, back to the first trade. Weeks open on Monday."""

    def __init__(self, transport: Transport, site: Site = BINANCE) -> None:
        self._transport = transport
        self._site = site

    @property
    def source(self) -> str:
        return self._site.source

    @property
    def timeframes(self) -> Sequence[Timeframe]:
        return tuple(INTERVALS)

    def page_limit(self, timeframe: Timeframe) -> int:
        offered(self.source, timeframe, INTERVALS)
        return PAGE_ROWS

    def page(self, request: PageRequest) -> Page:
        """The newest candles up to `to_ts`, which is inclusive and tests the open.

        `endTime` alone means "the newest up to there"; `startTime` alone would mean "the oldest from there". A hole in
        trading is stepped over and a short page proves nothing, so an empty array is the only sign of the end; it is
        believed when it comes again, after the question for the very first candle found none either.
        """
        page = self._ask(request)
        if not page.exhausted:
            return page
        never_traded = self._ask(request, startTime=0, limit=1).exhausted
        page = self._ask(request)
        page.requests = 3
        if page.exhausted and not never_traded:
            raise SourceUnavailable(self.source, f"sends empty pages of {request.pair.symbol}, but has older candles")
        return page

    def _ask(self, request: PageRequest, **more: int) -> Page:
        params: dict[str, str | int] = {
            "symbol": request.pair.base + request.pair.quote,
            "interval": offered(self.source, request.timeframe, INTERVALS),
            "endTime": request.to_ts * 1000,
            "limit": min(request.limit, PAGE_ROWS),
            **more,
        }

        def read(reply: Reply) -> Page:
            check(self.source, request.pair, reply)
            rows = parse(self.source, request.pair, request.timeframe, reply.value)
            return Page(
                rows.candles,
                covers_from=covered(rows, request),
                exhausted=not rows.candles and not rows.malformed,
                as_of=reply.as_of,
                malformed=rows.malformed,
            )

        return self._transport.get("/api/v3/klines", params, read)


def parse(source: str, pair: Pair, timeframe: Timeframe, value: object) -> Rows:
    """Candles of a klines body: rows of open time, open, high, low, close, base volume, close time, quote volume, ….

    Times are milliseconds, microseconds in dumps since 2025. Raises `SourceUnavailable` for a body of another shape.
    """
    if not isinstance(value, list):
        raise SourceUnavailable(source, "sent no list of candles")
    symbol, word = pair.symbol, timeframe.value

    def read(row: list[object], opened: int) -> Candle:
        prices = (number(row[1]), number(row[2]), number(row[3]), number(row[4]))
        return Candle(symbol, opened, word, *prices, number(row[5]), number(row[7]), source)

    return collect(value, lambda row: row[0], read)


def check(source: str, pair: Pair, reply: Reply) -> None:
    """Raise what Binance means by this reply, unless it holds candles.

    The code of a geo-block is 0, so the status decides, and a code only tells refusals apart.
    https://developers.binance.com/docs/binance-spot-api-docs/errors
    """
    code = reply.value.get("code") if isinstance(reply.value, dict) else None
    if reply.status == 451:
        raise SourceRefused(source, f"does not serve this country (HTTP 451: {reply.said})", hint=_elsewhere(source))
    if reply.status == 418:
        raise RateLimited(
            source, f"has banned this address for a while (HTTP 418: {reply.said})", retry_after=reply.retry_after
        )
    if code == INVALID_SYMBOL or (code == ILLEGAL_CHARACTERS and "symbol" in reply.said):
        raise UnknownPair(source, f"does not list {pair.symbol} ({reply.said})", hint=_other_quotes(source, pair))
    if code == TOO_MANY_REQUESTS:
        raise RateLimited(source, f"asks to wait ({reply.said})", retry_after=reply.retry_after)
    if code in TRANSIENT:
        raise SourceUnavailable(source, f"has a fault of its own (code {code}: {reply.said})")
    reply.require_json(source)
    if code is not None:
        raise SourceError(source, f"refused the request (code {code}: {reply.said})")


def _elsewhere(source: str) -> str:
    if source == BINANCE_US.source:
        return "Choose another source, for example --source kraken."
    return (
        f"{BINANCE.url} serves market data without a country check: unset COINSWARM_BINANCE_URL if it names another "
        "host. Or take --source binanceus, another exchange with its own prices, stored under its own name."
    )


def _other_quotes(source: str, pair: Pair) -> str | None:
    if source == BINANCE.source and pair.quote == "USD":
        return f"Binance lists no pairs in USD. Try {pair.base}-USDT or {pair.base}-USDC, or --source kraken."
    return None
