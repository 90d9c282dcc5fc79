"""Kraken: the newest 720 candles of a pair, and no more, whatever is asked for.

https://docs.kraken.com/api/docs/rest-api/get-ohlc-data
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from coinswarm.candles import Candle, Pair, Timeframe
from coinswarm.errors import RateLimited, SourceError, SourceUnavailable, UnknownPair
from coinswarm.fetchers.base import Page, PageRequest
from coinswarm.fetchers.wire import RateLimit, Rows, Site, collect, number, offered, reached

if TYPE_CHECKING:
    from coinswarm.transport import Reply, Transport

KRAKEN: Final = Site(
    "kraken",
    "https://api.kraken.com",
    RateLimit(1.0, 1.0, "https://docs.kraken.com/api/docs/guides/spot-rest-ratelimits"),
)

MINUTES: Final = {
    Timeframe.M1: 1,
    Timeframe.M5: 5,
    Timeframe.M15: 15,
    Timeframe.M30: 30,
    Timeframe.H1: 60,
    Timeframe.H4: 240,
    Timeframe.D1: 1440,
    Timeframe.W1: 10080,  # opens on Thursday, as the epoch did; no other source's weeks need agree
}
PAGE_ROWS: Final = 720
NAMES: Final = {"BTC": "XBT", "DOGE": "XDG"}
"""Assets that Kraken calls otherwise. https://support.kraken.com/articles/360001206766"""
LOCKOUT_SECONDS: Final = 900.0
"""How long a temporary lockout lasts. https://docs.kraken.com/api/docs/guides/spot-errors"""
NOTE: Final = "Kraken keeps only the newest 720 candles of each timeframe; older ones are in its downloadable archive."


class Kraken:
    """The newest 720 candles. Volumes are of the base; Kraken does not send those of the quote."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def source(self) -> str:
        return KRAKEN.source

    @property
    def timeframes(self) -> Sequence[Timeframe]:
        return tuple(MINUTES)

    def page_limit(self, timeframe: Timeframe) -> int:
        offered(self.source, timeframe, MINUTES)
        return PAGE_ROWS

    def page(self, request: PageRequest) -> Page:
        """All Kraken has; what is newer than `to_ts` or beyond the limit is for the caller to leave out.

        `since` is not sent: it cannot reach further back, and is exclusive besides.
        """
        params: dict[str, str | int] = {
            "pair": "".join(NAMES.get(asset, asset) for asset in request.pair),
            "interval": offered(self.source, request.timeframe, MINUTES),
        }

        def read(reply: Reply) -> Page:
            check(request.pair, reply)
            rows, committed = parse(request.pair, request.timeframe, reply.value)
            covers_from, exhausted = reached(rows, request, newest=committed)
            return Page(
                rows.candles,
                covers_from=covers_from,
                exhausted=exhausted,
                committed_to=committed,
                as_of=reply.as_of,
                note=NOTE,
                malformed=rows.malformed,
            )

        return self._transport.get("/0/public/OHLC", params, read)


def parse(pair: Pair, timeframe: Timeframe, value: object) -> tuple[Rows, int]:
    """Candles of an OHLC body, and the open of the last one that Kraken has committed.

    Rows are time, open, high, low, close, vwap, volume, count; they stand under Kraken's own name of the pair, which is
    seldom the one asked for (XBTUSD → XXBTZUSD). The newest row is always still running. Raises `SourceUnavailable`.
    """
    result = value.get("result") if isinstance(value, dict) else None
    keys = [key for key in result if key != "last"] if isinstance(result, dict) else []
    if not isinstance(result, dict) or len(keys) != 1 or not isinstance(result[keys[0]], list):
        raise SourceUnavailable(KRAKEN.source, "sent neither candles nor an error")
    symbol, word = pair.symbol, timeframe.value

    def read(row: list[object], opened: int) -> Candle:
        prices = (number(row[1]), number(row[2]), number(row[3]), number(row[4]))
        return Candle(symbol, opened, word, *prices, number(row[6]), None, KRAKEN.source)

    rows = collect(result[keys[0]], lambda row: row[0], read)
    if rows.oldest is None:
        raise SourceUnavailable(KRAKEN.source, f"sent no candles of {symbol} at all")
    last = result.get("last")
    newest = rows.candles[-1].timestamp if rows.candles else rows.oldest
    return rows, last if isinstance(last, int) else newest - timeframe.seconds


def check(pair: Pair, reply: Reply) -> None:
    """Raise what Kraken means by this reply: its errors come with HTTP 200, and `W…` are warnings only."""
    said = reply.value.get("error") if isinstance(reply.value, dict) else None
    errors = [str(text) for text in said if not str(text).startswith("W")] if isinstance(said, list) else []
    if not errors:
        reply.require_json(KRAKEN.source)
        return
    text = ", ".join(errors)
    if any("Unknown asset pair" in error for error in errors):
        raise UnknownPair(
            KRAKEN.source, f"does not list {pair.symbol} ({text})", hint="Kraken has most assets in USD and EUR."
        )
    if any("lockout" in error for error in errors):
        raise RateLimited(KRAKEN.source, f"has locked this address out ({text})", retry_after=LOCKOUT_SECONDS)
    if any("Rate limit" in error or "Too many requests" in error for error in errors):
        raise RateLimited(KRAKEN.source, f"asks to wait ({text})", retry_after=reply.retry_after)
    if any(error.startswith("EService:") or "Internal error" in error for error in errors):
        raise SourceUnavailable(KRAKEN.source, f"cannot answer now ({text})")
    raise SourceError(KRAKEN.source, f"refused the request ({text})")
