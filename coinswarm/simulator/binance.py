"""Binance and Binance.US, spot: `GET /api/v3/klines`.

https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md and
https://github.com/binance-us/binance-us-api-docs/blob/master/rest-api.md. Not simulated: the intervals 1s, 3d, 1M and
the parameter `timeZone`.
"""

from __future__ import annotations

import re
from typing import Any, Final

from coinswarm.candles import Pair, Timeframe
from coinswarm.simulator.exchange import Ask, Endpoint, Exchange, Refused, Reply, decimal, whole_number
from coinswarm.simulator.market import EPOCH, MONDAY, MarketCandle

_INTERVALS: Final = {timeframe.value: timeframe.seconds for timeframe in Timeframe}
_LEGAL_SYMBOL: Final = re.compile(r"[A-Z0-9\-_.]{1,20}")
_WEIGHT_LIMIT: Final = {"binance": 6_000, "binanceus": 1_200}
_KLINES_WEIGHT: Final = {"binance": 2, "binanceus": 1}
_ROWS: Final = 1_000
_TAKERS: Final = 0.48
"""The share of the volume that takers bought."""
_EIGHT_DECIMALS: Final = " ".join(["%.8f"] * 8)
"""Four prices, two volumes and the takers' share of them, in one go: most of a page's time is spent here."""


def klines(ask: Ask) -> Reply:
    pair = _pair(ask)
    interval = _mandatory(ask, "interval")
    if interval not in _INTERVALS:
        raise Refused(_error(-1120, "Invalid interval."))
    seconds = _INTERVALS[interval]
    anchor = MONDAY if interval == "1w" else EPOCH
    limit = _integer(ask, "limit")
    if limit is not None and limit < 1:
        raise Refused(_error(-1130, "Data sent for parameter 'limit' is not valid."))
    limit = min(limit or 500, _ROWS)
    start, end = _moment(ask, "startTime"), _moment(ask, "endTime")
    until = ask.now if end is None else end
    if start is None:
        candles = ask.newest(pair, seconds, until, limit, anchor=anchor)
    else:
        candles = ask.oldest(pair, seconds, start, until, limit, anchor=anchor)
    unit = 1_000_000 if ask.headers.get("x-mbx-time-unit", "").upper() == "MICROSECOND" else 1_000
    unit = ask.stamp(1, unit)
    rows = [_row(candle, seconds, unit) for candle in ask.delivered(candles, pair, seconds, anchor=anchor)]
    return _weighed(ask, Reply(rows))


def _row(candle: MarketCandle, seconds: int, unit: int) -> list[Any]:
    opened, *told, trades = candle
    bought = (told[4] * _TAKERS, told[5] * _TAKERS)
    texts = (_EIGHT_DECIMALS % (*told, *bought)).split()
    if list(map(float, texts[:6])) != told:
        texts[:6] = map(decimal, told)
    closes = (opened + seconds) * unit - 1
    return [opened * unit, *texts[:5], closes, texts[5], trades, *texts[6:], "0"]


def server_time(ask: Ask) -> Reply:
    return Reply({"serverTime": int(ask.now * 1000)})


def exchange_info(ask: Ask) -> Reply:
    symbols = [
        {"symbol": pair.base + pair.quote, "status": "TRADING", "baseAsset": pair.base, "quoteAsset": pair.quote}
        for pair in ask.market.pairs
    ]
    return Reply({"timezone": "UTC", "serverTime": int(ask.now * 1000), "rateLimits": [], "symbols": symbols})


def _pair(ask: Ask) -> Pair:
    symbol = _mandatory(ask, "symbol")
    if not _LEGAL_SYMBOL.fullmatch(symbol):
        raise Refused(_illegal("symbol", "^[A-Z0-9-_.]{1,20}$"))
    found = next((pair for pair in ask.market.pairs if pair.base + pair.quote == symbol), None)
    if found is None:
        raise Refused(_error(-1121, "Invalid symbol."))
    return found


def _mandatory(ask: Ask, name: str) -> str:
    text = ask.query.get(name)
    if not text:
        raise Refused(_error(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."))
    return text


def _integer(ask: Ask, name: str) -> int | None:
    text = ask.query.get(name)
    if text is None:
        return None
    try:
        return whole_number(text)
    except ValueError:
        raise Refused(_illegal(name, "^[0-9]{1,20}$")) from None


def _moment(ask: Ask, name: str) -> float | None:
    """Seconds out of ms, or µs: both are taken."""
    stamp = _integer(ask, name)
    if stamp is None:
        return None
    return stamp / 1_000_000 if stamp >= 100_000_000_000_000 else stamp / 1_000


def _illegal(name: str, legal: str) -> Reply:
    return _error(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def _error(code: int, message: str, status: int = 400) -> Reply:
    return Reply({"code": code, "msg": message}, status)


def _weighed(ask: Ask, reply: Reply) -> Reply:
    """Every reply tells the weight used in the minute; here, since the server started, as if within its limit."""
    used = ask.serial * _KLINES_WEIGHT[ask.source] % _WEIGHT_LIMIT[ask.source]
    reply.headers |= {"x-mbx-used-weight": str(used), "x-mbx-used-weight-1m": str(used)}
    return reply


def refuse(ask: Ask, status: int) -> Reply:
    limit = _WEIGHT_LIMIT[ask.source]
    advice = "Please use WebSocket Streams for live updates to avoid"
    match status:
        case 429:
            message = f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE. {advice}"
            return _weighed(ask, _error(-1003, f"{message} polling the API.", status))
        case 418:
            until = int((ask.now + ask.retry_after) * 1000)
            message = f"Way too much request weight used; IP banned until {until}. {advice} bans."
            return _weighed(ask, _error(-1003, message, status))
        case 451:
            message = (
                "Service unavailable from a restricted location according to 'b. Eligibility' in "
                "https://www.binance.com/en/terms. Please contact customer service if you believe you received this "
                "message in error."
            )
            return _error(0, message, status)
        case 401:
            return _error(-2015, "Invalid API-key, IP, or permissions for action.", status)
        case 403:
            return Reply("<html><head><title>403 Forbidden</title></head><body>Forbidden</body></html>", status)
    return _error(-1000, "An unknown error occurred while processing the request.", status)


def soft_fault(ask: Ask) -> Reply:
    if ask.fault == "no-result":
        return Reply({})
    if ask.fault == "quota":
        return refuse(ask, 429)
    return _error(-1001, "Internal error; unable to process your request. Please try again.", 200)


def _exchange(source: str, *, at_root: bool) -> Exchange:
    endpoints = (
        Endpoint("/api/v3/klines", klines, has_faults=True),
        Endpoint("/api/v3/time", server_time),
        Endpoint("/api/v3/exchangeInfo", exchange_info),
    )
    return Exchange(source, endpoints, refuse, soft_fault, tuple(Timeframe), MONDAY, at_root)


BINANCE: Final = _exchange("binance", at_root=True)
BINANCEUS: Final = _exchange("binanceus", at_root=False)
