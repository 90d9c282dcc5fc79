"""Coinbase Exchange: any window of up to 300 candles, newest first, without rows for times without trades.

https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-candles
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from coinswarm.candles import Candle, Pair, Timeframe
from coinswarm.errors import SourceUnavailable, UnknownPair
from coinswarm.fetchers.base import Page, PageRequest
from coinswarm.fetchers.wire import RateLimit, Rows, Site, collect, number, offered

if TYPE_CHECKING:
    from coinswarm.transport import Reply, Transport

COINBASE: Final = Site(
    "coinbase",
    "https://api.exchange.coinbase.com",
    RateLimit(10.0, 15.0, "https://docs.cdp.coinbase.com/exchange/rest-api/rate-limits"),
)

TIMEFRAMES: Final = {
    timeframe: timeframe.seconds
    for timeframe in (Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.H6, Timeframe.D1)
}
PAGE_ROWS: Final = 300
"""The window may span 300 intervals; both its ends count, so 300 rows span 299."""
EARLIEST: Final = 1_420_070_400
"""2015-01-01: the exchange opened that month, and its oldest candles are of July."""
SHARED_BOOK: Final = "Coinbase trades USDC pairs in the order book of USD: this series repeats the one in USD."


class Coinbase:
    """Candles back to the first trade. Volumes are of the base; Coinbase does not send those of the quote."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def source(self) -> str:
        return COINBASE.source

    @property
    def timeframes(self) -> Sequence[Timeframe]:
        return tuple(TIMEFRAMES)

    def page_limit(self, timeframe: Timeframe) -> int:
        offered(self.source, timeframe, TIMEFRAMES)
        return PAGE_ROWS

    def page(self, request: PageRequest) -> Page:
        """The window of `limit` buckets that ends at `to_ts`.

        An empty window proves nothing: times without trades have no rows, and a reply can be empty by mistake. So the
        days up to it are looked through, 300 at a time, for the last one with trades before it; when there is none back
        to 2015 the series is exhausted. Then the window is asked for once more, for a day with trades may have had them
        in the window; if all of the day lies inside, an empty window is no answer.
        """
        step = offered(self.source, request.timeframe, TIMEFRAMES)
        newest = request.timeframe.floor(request.to_ts)
        start = newest - (min(request.limit, PAGE_ROWS) - 1) * step
        page = self._page(request, start, newest)
        if page.candles or page.malformed:
            return page
        traded = self._look_back(request.pair, start, newest + step, page)
        again = self._page(request, start, newest)
        page.requests += again.requests
        if again.candles or again.malformed:
            again.requests = page.requests
            return again
        if traded:
            raise SourceUnavailable(self.source, f"sends no candles of {request.pair.symbol} for days that had trades")
        return page

    def _page(self, request: PageRequest, start: int, newest: int) -> Page:
        rows, as_of = self._window(request.pair, request.timeframe, start, newest)
        return Page(
            rows.candles,
            covers_from=start,
            as_of=as_of,
            remark=SHARED_BOOK if request.pair.quote == "USDC" else None,
            malformed=rows.malformed,
        )

    def _look_back(self, pair: Pair, start: int, end: int, page: Page) -> bool:
        """Let an empty page speak for all days without trades before it, or say that there never were any.

        True if there were trades on a day between `start` and `end`, the times the page itself is about.
        """
        day = Timeframe.D1.seconds
        until = Timeframe.D1.floor(end - 1)
        while until >= EARLIEST:
            since = until - (PAGE_ROWS - 1) * day
            rows = self._days(pair, since, until, page)
            opens = [candle.timestamp for candle in rows.candles]
            if any(start <= opened <= end - day for opened in opens):
                return True
            before = [opened for opened in opens if opened < start]
            if before:
                page.covers_from = min(start, before[-1] + day)
            if before or rows.malformed:
                return False
            until = since - day
        page.exhausted = True
        return False

    def _days(self, pair: Pair, since: int, until: int, page: Page) -> Rows:
        """The days from `since` to `until`. That there are none decides over 300 of them, so it must be said twice."""
        rows = Rows()
        for _ in range(2):
            rows, _as_of = self._window(pair, Timeframe.D1, since, until)
            page.requests += 1
            if rows.candles or rows.malformed:
                break
        return rows

    def _window(self, pair: Pair, timeframe: Timeframe, start: int, end: int) -> tuple[Rows, float | None]:
        # Without either bound the other is ignored too, and the newest page comes instead.
        window: dict[str, str | int] = {"granularity": timeframe.seconds, "start": _iso(start), "end": _iso(end)}

        def read(reply: Reply) -> tuple[Rows, float | None]:
            check(pair, reply)
            return parse(pair, timeframe, reply.value), reply.as_of

        return self._transport.get(f"/products/{pair.symbol}/candles", window, read)


def parse(pair: Pair, timeframe: Timeframe, value: object) -> Rows:
    """Candles of a candles body: rows of time, *low*, high, *open*, close, volume, newest first.

    Raises `SourceUnavailable` for a body of another shape.
    """
    if not isinstance(value, list):
        raise SourceUnavailable(COINBASE.source, "sent no list of candles")
    symbol, word = pair.symbol, timeframe.value

    def read(row: list[object], opened: int) -> Candle:
        low, high, first, last = number(row[1]), number(row[2]), number(row[3]), number(row[4])
        return Candle(symbol, opened, word, first, high, low, last, number(row[5]), None, COINBASE.source)

    return collect(value, lambda row: row[0], read)


def check(pair: Pair, reply: Reply) -> None:
    """Raise what Coinbase means by this reply, unless it holds candles."""
    if reply.status == 404 and reply.is_json:
        raise UnknownPair(COINBASE.source, f"does not list {pair.symbol} ({reply.said})")
    reply.require_json(COINBASE.source)


def _iso(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
