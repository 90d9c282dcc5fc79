"""CryptoCompare's min-api (now CoinDesk Data): full history by hour and day, a week of minutes, with an API key.

The free tier ended on 2026-05-21. https://min-api.cryptocompare.com/documentation,
https://data.coindesk.com/blogs/changes-to-coindesk-data-indices-api-free-tier-access
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from coinswarm.candles import Candle, Pair, Timeframe
from coinswarm.errors import QuotaExhausted, RateLimited, SourceRefused, SourceUnavailable, UnknownPair
from coinswarm.fetchers.base import Page, PageRequest
from coinswarm.fetchers.wire import RateLimit, Rows, Site, Unreadable, collect, covered, number, offered

if TYPE_CHECKING:
    from coinswarm.transport import Reply, Transport


CRYPTOCOMPARE: Final = Site(
    "cryptocompare",
    "https://min-api.cryptocompare.com",
    # 20 a second and 300 a minute on the smallest plan.
    RateLimit(4.0, 20.0, "https://min-api.cryptocompare.com/documentation"),
    key_headers=lambda key, _: {"authorization": f"Apikey {key}"},
)


class Series(NamedTuple):
    """Which endpoint has a timeframe, the seconds of its unit, and how many units make one candle."""

    endpoint: str
    unit: int
    aggregate: int


def _series(timeframe: Timeframe) -> Series:
    units = {"histominute": 60, "histohour": 3600, "histoday": 86_400}
    endpoint, unit = next((e, u) for e, u in reversed(units.items()) if timeframe.seconds >= u)
    return Series(endpoint, unit, timeframe.seconds // unit)


SERIES: Final = {timeframe: _series(timeframe) for timeframe in Timeframe}
UNITS: Final = 2000
"""The most of limit × aggregate; beyond it rows are left out without a word."""
EARLIEST: Final = 1_279_324_800
"""2010-07-17: the first day of BTC-USD, the oldest series there is."""
MINUTES_KEPT: Final = 7 * 86_400
MINUTES_NOTE: Final = "CryptoCompare keeps minutes for seven days only."
DIRECT: Final = ("direct", "force_direct")
"""Traded as asked for; the second answers tryConversion=false. Anything else was calculated through a bridge."""


class CryptoCompare:
    """Candles of the CCCAGG aggregate, volumes of base and quote. Aggregated buckets count from the epoch."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def source(self) -> str:
        return CRYPTOCOMPARE.source

    @property
    def timeframes(self) -> Sequence[Timeframe]:
        return tuple(SERIES)

    def page_limit(self, timeframe: Timeframe) -> int:
        return UNITS // offered(self.source, timeframe, SERIES).aggregate

    def page(self, request: PageRequest) -> Page:
        """The newest candles up to `to_ts`.

        Before the first trade come zero rows without end; but series have holes of zero rows too, and those have no
        largest length. So below a page of nothing else the largest page is looked at, and below that one the days
        before it, for the last one with trades: the series is exhausted when there is none back to 2010.
        """
        most = self.page_limit(request.timeframe)
        count = min(request.limit, most)
        page = self._ask(request, count)
        if not _all_zero(page):
            return page
        if page.note is not None:  # the minutes of that time are gone: no day that had trades brings them back
            page.exhausted = True
            return page
        largest = page
        if count < most:
            largest = self._ask(request, most)
            page.requests += 1
        if _all_zero(largest):
            page.covers_from = largest.covers_from
            self._look_back(request.pair, page)
        return page

    def _look_back(self, pair: Pair, page: Page) -> None:
        """Let a page of zero rows speak for all days without trades before it, or say that there never were any.

        Days that cannot be read, or that are not those asked for, prove nothing: the page then speaks for itself.
        """
        day = Timeframe.D1
        until = day.floor(page.covers_from)  # the page begins within a day that may have had trades before
        while until >= EARLIEST:
            days = self._ask(PageRequest(pair, day, until, UNITS), UNITS)
            page.requests += 1
            traded = [c.timestamp for c in days.candles if c.timestamp <= until and not _is_zero(c)]
            if traded:
                page.covers_from = min(page.covers_from, traded[-1] + day.seconds)
            if traded or days.malformed or days.covers_from > until:
                return
            until = days.covers_from - day.seconds
        page.exhausted = True

    def _ask(self, request: PageRequest, count: int) -> Page:
        series = offered(self.source, request.timeframe, SERIES)
        until = _last_unit(request, series)
        params: dict[str, str | int] = {
            "fsym": request.pair.base,
            "tsym": request.pair.quote,
            "limit": max(1, count - 1),  # one row more than the limit comes back
            "toTs": until,
            "tryConversion": "false",
        }
        if series.aggregate > 1:
            params["aggregate"] = series.aggregate

        def read(reply: Reply) -> Page:
            page = Page([], covers_from=request.timeframe.floor(request.to_ts), as_of=reply.as_of)
            if series.unit == 60 and reply.as_of is not None and until < reply.as_of - MINUTES_KEPT:
                page.note = MINUTES_NOTE
                if _refuses_the_time(reply):
                    page.exhausted = True
                    return page
            check(request.pair, reply)
            rows = parse(request.pair, request.timeframe, reply.value)
            page.candles, page.malformed = rows.candles, rows.malformed
            page.covers_from = covered(rows, request)
            if series.aggregate > 1:
                page.committed_to = until - (series.aggregate - 1) * series.unit
            return page

        return self._transport.get(f"/data/v2/{series.endpoint}", params, read)


def parse(pair: Pair, timeframe: Timeframe, value: object) -> Rows:
    """Candles of a v2 body, or of a v1 body, whose `Data` is the list itself.

    Only rows traded directly in the pair are taken: a price calculated through BTC is not a trade. Raises `UnknownPair`
    if no row was, `SourceUnavailable` for a body without rows: an answer that is neither candles nor an error.
    """
    body = value if isinstance(value, dict) else {}
    data = body.get("Data")
    found = data.get("Data") if isinstance(data, dict) else data
    if not isinstance(found, list) or not found:
        raise SourceUnavailable(CRYPTOCOMPARE.source, "sent neither candles nor an error")
    whole = body.get("ConversionType")
    kinds = {_conversion(row, whole) for row in found}
    if not kinds.intersection(DIRECT):
        raise UnknownPair(
            CRYPTOCOMPARE.source,
            f"has no trades in {pair.symbol}, only prices calculated from others ({', '.join(sorted(kinds))})",
            hint="Choose a quote the coin trades in, for example USD or USDT.",
        )
    symbol, word, step = pair.symbol, timeframe.value, timeframe.seconds

    def read(row: Any, opened: int) -> Candle:
        if _conversion(row, whole) not in DIRECT:
            raise Unreadable(f"the candle at {opened} was calculated ({_conversion(row, whole)}), not traded")
        if opened % step:
            raise Unreadable(f"opened at {opened}, off the {word} grid, so parts of it may be missing")
        prices = (number(row["open"]), number(row["high"]), number(row["low"]), number(row["close"]))
        volumes = (number(row["volumefrom"]), number(row["volumeto"]))
        return Candle(symbol, opened, word, *prices, *volumes, CRYPTOCOMPARE.source)

    return collect(found, lambda row: row["time"], read)


def check(pair: Pair, reply: Reply) -> None:
    """Raise what CryptoCompare means by this reply: most errors come with HTTP 200 and a `Type`."""
    body = reply.value if isinstance(reply.value, dict) else {}
    if reply.status < 400 and body.get("Response") != "Error" and not body.get("Err"):
        reply.require_json(CRYPTOCOMPARE.source)
        return
    said = reply.said
    if reply.status == 401 or "api key" in said.lower() or "auth key" in said.lower():
        raise SourceRefused(
            CRYPTOCOMPARE.source,
            f"gives candles only to API keys with a subscription, since 2026-05-21 ({said})",
            hint="Set CRYPTOCOMPARE_API_KEY to such a key, or take a source without one: --source binance",
        )
    if body.get("Type") == 99 or "rate limit" in said.lower():
        raise _over_the_limit(body.get("RateLimit"), said, reply.retry_after)
    if body.get("Type") in (1, 2):
        raise UnknownPair(CRYPTOCOMPARE.source, f"has no market for {pair.symbol} ({said})")
    if reply.status >= 400:
        reply.require_json(CRYPTOCOMPARE.source)
    raise SourceUnavailable(CRYPTOCOMPARE.source, f"answered with an error ({said})")


def _over_the_limit(usage: object, said: str, retry_after: float | None) -> RateLimited | QuotaExhausted:
    """Which allowance is used up decides: seconds and minutes pass, hours, days and months are too long to wait."""
    made, allowed = (usage.get("calls_made"), usage.get("max_calls")) if isinstance(usage, dict) else (None, None)
    made, allowed = (part if isinstance(part, dict) else {} for part in (made, allowed))
    over = {span for span in allowed if isinstance(made.get(span), int) and made[span] >= allowed[span]}
    for span in ("month", "day", "hour"):
        if span in over:
            return QuotaExhausted(
                CRYPTOCOMPARE.source,
                f"{made[span]} of {allowed[span]} calls of this {span} are used up ({said})",
                hint=f"Run the same command again next {span}, or take another --source.",
            )
    if retry_after is None:
        retry_after = 60.0 if "minute" in over else 1.0 if "second" in over else None
    return RateLimited(CRYPTOCOMPARE.source, f"asks to wait ({said})", retry_after=retry_after)


def _last_unit(request: PageRequest, series: Series) -> int:
    """`toTs` for the bucket that holds `to_ts`: its last unit, or the bucket would be made of its first unit alone."""
    opened = request.timeframe.floor(request.to_ts, week_anchor=0)
    return opened + (series.aggregate - 1) * series.unit


def _refuses_the_time(reply: Reply) -> bool:
    """Whether this is a refused parameter and not an unknown market; for minutes older than kept, it is the time."""
    body = reply.value if isinstance(reply.value, dict) else {}
    return body.get("Response") == "Error" and body.get("Type") in (1, 2) and "does not exist" not in reply.said


def _conversion(row: object, whole: object) -> str:
    """How a row's price came about: v2 says so in each row, v1 once for the whole body, older bodies not at all."""
    kind = row.get("conversionType") if isinstance(row, dict) else None
    if kind is None and isinstance(whole, dict):
        kind = whole.get("type")
    return DIRECT[0] if kind is None else str(kind)


def _all_zero(page: Page) -> bool:
    return bool(page.candles) and not page.malformed and all(map(_is_zero, page.candles))


def _is_zero(candle: Candle) -> bool:
    return not (candle.open or candle.high or candle.low or candle.close)
