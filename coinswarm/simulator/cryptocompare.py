"""CryptoCompare's legacy API: `GET /data/v2/histo{minute,hour,day}`, and the flat shape of `/data/histo…` before it.

https://min-api.cryptocompare.com/documentation. No key is asked for, unlike today's: order the fault `401` to see that.
Not simulated: `allData`, `aggregatePredictableTimePeriods=false`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from coinswarm.candles import Pair, Timeframe
from coinswarm.simulator.exchange import Ask, Endpoint, Exchange, Refused, Reply, number, whole_number
from coinswarm.simulator.market import EPOCH, VOLUME_DECIMALS, MarketCandle, floor

POINTS: Final = 2_000
"""Most points of the unit in one reply: `limit` × `aggregate` is cut to it without a word."""
MINUTES_KEPT_SECONDS: Final = 7 * 86_400
"""Minutes, alone or aggregated, are kept for a week."""

_UNITS: Final = {"minute": (60, 1_440), "hour": (3_600, 168), "day": (86_400, 30)}
_SUCCESS: Final = 100
_RATE_LIMIT: Final = 99
_BAD_MARKET: Final = 2
_DIRECT: Final = {"conversionType": "direct", "conversionSymbol": ""}
_FORCED: Final = {"conversionType": "force_direct", "conversionSymbol": ""}
_BRIDGE: Final = "BTC"


def histo(unit: str, *, nested: bool) -> Callable[[Ask], Reply]:
    """The answer to `/data/v2/histo<unit>` (`nested`) or `/data/histo<unit>`."""
    seconds, default_limit = _UNITS[unit]

    def answer(ask: Ask) -> Reply:
        pair = Pair(_required(ask, "fsym", nested), _required(ask, "tsym", nested))
        aggregate = max(1, _integer(ask, "aggregate", 1, nested))
        points = min(max(1, _integer(ask, "limit", default_limit, nested)), POINTS // aggregate)
        until = min(_integer(ask, "toTs", int(ask.now), nested), int(ask.now))
        kept_from = ask.now - MINUTES_KEPT_SECONDS if unit == "minute" else 0
        if until < kept_from:
            message = f"Minute data for {pair.symbol} is only available for the last 7 days."
            raise Refused(_error(message, 1, nested))
        last = floor(until, seconds * aggregate)
        first = last - points * seconds * aggregate
        traded, conversion = _traded(ask, pair, seconds * aggregate, first, last, nested)
        rows = [
            traded[opened] if opened in traded and opened >= kept_from else _nothing(opened)
            for opened in range(first, last + 1, seconds * aggregate)
        ]
        if rows[-1].open and last + seconds * aggregate > ask.now:
            rows[-1] = _live(rows[-1], ask.serial)
        elif rows[-1].open:
            # The last bucket is made of the units up to `toTs` and no further.
            rows[-1] = ask.part_of(rows[-1], pair, seconds * aggregate, floor(until, seconds) + seconds)
        if pair in ask.market.pairs:
            rows = list(ask.delivered(rows, pair, seconds * aggregate, told=lambda c: c.timestamp >= kept_from))
        shape = _nested if nested else _flat
        return shape(ask, rows, conversion, aggregated=aggregate > 1, to=floor(until, seconds))

    return answer


def _traded(
    ask: Ask, pair: Pair, seconds: int, first: int, last: int, nested: bool
) -> tuple[dict[int, MarketCandle], Mapping[str, str]]:
    """The candles by open, and how the prices came about: a pair that never traded is made up from two that did."""
    forced = ask.query.get("tryConversion") == "false"
    if pair in ask.market.pairs:
        return {c.timestamp: c for c in ask.candles(pair, seconds, first, last)}, _FORCED if forced else _DIRECT
    legs = Pair(pair.base, _BRIDGE), Pair(pair.quote, _BRIDGE)
    if forced or not all(leg in ask.market.pairs for leg in legs):
        exchange = ask.query.get("e", "CCCAGG")
        where = "cccagg_or_exchange" if exchange == "CCCAGG" else exchange
        raise Refused(_error(f"{where} market does not exist for this coin pair ({pair.symbol})", _BAD_MARKET, nested))
    under = {c.timestamp: c for c in ask.candles(legs[1], seconds, first, last)}
    made_up = {
        over.timestamp: _divide(over, under[over.timestamp])
        for over in ask.candles(legs[0], seconds, first, last)
        if over.timestamp in under
    }
    return made_up, {"conversionType": "divide", "conversionSymbol": _BRIDGE}


def _divide(over: MarketCandle, under: MarketCandle) -> MarketCandle:
    opened, high, low, close = (
        round(a / b, VOLUME_DECIMALS)
        for a, b in (
            (over.open, under.open),
            (over.high, under.low),
            (over.low, under.high),
            (over.close, under.close),
        )
    )
    quote_volume = round(over.quote_volume / under.close, VOLUME_DECIMALS)
    return MarketCandle(over.timestamp, opened, high, low, close, over.volume, quote_volume, over.trades)


def _nothing(opened: int) -> MarketCandle:
    """Before the listing, in a halt, and for minutes no longer kept: a row of zeros, never a missing row."""
    return MarketCandle(opened, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0)


def _live(running: MarketCandle, serial: int) -> MarketCandle:
    """The running row: its close comes from another feed and may lie above the high, or nothing is in it yet."""
    match serial % 3:
        case 0:
            return running._replace(close=round(running.high * 1.0005, VOLUME_DECIMALS))
        case 1:
            price = running.open
            return MarketCandle(running.timestamp, price, price, price, price, 0.0, 0.0, 0)
    return running


def _nested(ask: Ask, rows: list[MarketCandle], conversion: Mapping[str, str], *, aggregated: bool, to: int) -> Reply:
    data = {
        "Aggregated": aggregated,
        "TimeFrom": ask.stamp(rows[0].timestamp) if rows else to,
        "TimeTo": ask.stamp(to),
        "Data": [
            {
                "time": ask.stamp(row.timestamp),
                "high": number(row.high),
                "low": number(row.low),
                "open": number(row.open),
                "volumefrom": number(row.volume),
                "volumeto": number(row.quote_volume),
                "close": number(row.close),
                **conversion,
            }
            for row in rows
        ],
    }
    return Reply(
        {
            "Response": "Success",
            "Message": "",
            "HasWarning": False,
            "Type": _SUCCESS,
            "RateLimit": {},
            "Data": data,
        }
    )


def _flat(ask: Ask, rows: list[MarketCandle], conversion: Mapping[str, str], *, aggregated: bool, to: int) -> Reply:
    data = [
        {
            "time": ask.stamp(row.timestamp),
            "close": number(row.close),
            "high": number(row.high),
            "low": number(row.low),
            "open": number(row.open),
            "volumefrom": number(row.volume),
            "volumeto": number(row.quote_volume),
        }
        for row in rows
    ]
    return Reply(
        {
            "Response": "Success",
            "Type": _SUCCESS,
            "Aggregated": aggregated,
            "Data": data,
            "TimeTo": ask.stamp(to),
            "TimeFrom": ask.stamp(rows[0].timestamp) if rows else to,
            "FirstValueInArray": True,
            "ConversionType": {
                "type": conversion["conversionType"],
                "conversionSymbol": conversion["conversionSymbol"],
            },
        }
    )


def _required(ask: Ask, name: str, nested: bool) -> str:
    value = ask.query.get(name)
    if not value:
        raise Refused(_error(f"{name} is a required param.", _BAD_MARKET, nested, ParamWithError=name))
    return value


def _integer(ask: Ask, name: str, default: int, nested: bool) -> int:
    text = ask.query.get(name)
    if text is None:
        return default
    try:
        return whole_number(text)
    except ValueError:
        raise Refused(_error(f"{name} param is not an integer.", _BAD_MARKET, nested, ParamWithError=name)) from None


def _error(message: str, kind: int, nested: bool, **more: Any) -> Reply:
    """Errors come with HTTP 200."""
    if not nested:
        return Reply({"Response": "Error", "Message": message, "Type": kind, "Aggregated": False, "Data": []})
    body = {"Response": "Error", "Message": message, "HasWarning": False, "Type": kind, "RateLimit": {}, "Data": {}}
    return Reply({**body, **(more or {"Cooldown": 0})})


def _over_limit(period: str) -> Reply:
    """More calls in `period` than allowed: a second's overrun is over soon, a day's is not."""
    most = {"second": 20, "minute": 300, "hour": 3_000, "day": 7_500, "month": 50_000}
    made = {"second": 1, "minute": 3, "hour": 4, "day": 73, "month": 1_162}
    made[period] = most[period] + 1
    return Reply(
        {
            "Response": "Error",
            "Message": "You are over your rate limit please upgrade your account!",
            "HasWarning": False,
            "Type": _RATE_LIMIT,
            "RateLimit": {"calls_made": {**made, "total_calls": 52_622}, "max_calls": most},
            "Data": {},
        }
    )


def refuse(_ask: Ask, status: int) -> Reply:
    if status == 401:
        message = "API key required, please refer to the documentation at https://developers.coindesk.com/"
        return Reply({"Err": {"message": message}}, status)
    if status in (418, 429):
        limited = _over_limit("second")
        limited.status = status
        return limited
    return Reply(f"<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>", status)


def soft_fault(ask: Ask) -> Reply:
    if ask.fault == "no-result":
        return Reply({"Response": "Success", "Message": "", "HasWarning": False, "Type": _SUCCESS, "RateLimit": {}})
    return _over_limit("day" if ask.fault == "quota" else "second")


CRYPTOCOMPARE: Final = Exchange(
    "cryptocompare",
    tuple(
        Endpoint(f"/data/{'v2/' if nested else ''}histo{unit}", histo(unit, nested=nested), has_faults=True)
        for nested in (True, False)
        for unit in _UNITS
    ),
    refuse,
    soft_fault,
    tuple(Timeframe),
    EPOCH,
)
