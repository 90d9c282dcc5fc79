"""Kraken, spot: `GET /0/public/OHLC`. https://docs.kraken.com/api/docs/rest-api/get-ohlc-data"""

from __future__ import annotations

from typing import Any, Final

from coinswarm.candles import Pair, Timeframe
from coinswarm.simulator.assets import kraken_name
from coinswarm.simulator.exchange import Ask, Endpoint, Exchange, Refused, Reply, decimal, whole_number
from coinswarm.simulator.market import EPOCH, MarketCandle

COMMITTED_ROWS: Final = 720
"""Whatever `since` says, there are never more closed candles than the newest 720, and the running one."""

_MINUTES: Final = (1, 5, 15, 30, 60, 240, 1_440, 10_080, 21_600)
_TRANSIENT: Final = (
    "EAPI:Rate limit exceeded",
    "EGeneral:Too many requests",
    "EService:Unavailable",
    "EService:Busy",
)


def ohlc(ask: Ask) -> Reply:
    pair = _pair(ask)
    try:
        minutes = whole_number(ask.query.get("interval", "1"))
        since = float(ask.query["since"]) if ask.query.get("since") else None
    except ValueError:
        raise Refused(_error("EGeneral:Invalid arguments")) from None
    if minutes not in _MINUTES:
        raise Refused(_error("EGeneral:Invalid arguments"))
    seconds = minutes * 60
    known = ask.newest(pair, seconds, ask.now, COMMITTED_ROWS + 1)
    closed = [candle for candle in known if candle.timestamp + seconds <= ask.now]
    running = known[len(closed) :]
    closed = closed[-COMMITTED_ROWS:]
    last = closed[-1].timestamp if closed else int(ask.now) // seconds * seconds - seconds
    wanted = [candle for candle in closed if since is None or candle.timestamp > since] + running
    digits = ask.market.decimals(pair)
    page = ask.delivered(wanted, pair, seconds, told=lambda candle: candle in closed)
    rows = [_row(ask, candle, digits) for candle in page]
    return Reply({"error": [], "result": {kraken_name(pair).key: rows, "last": ask.stamp(last)}})


def _row(ask: Ask, candle: MarketCandle, digits: int) -> list[Any]:
    opened, open_price, high, low, close, volume, quote_volume, trades = candle
    return [
        ask.stamp(opened),
        decimal(open_price, digits),
        decimal(high, digits),
        decimal(low, digits),
        decimal(close, digits),
        f"{quote_volume / volume:.{digits}f}" if volume else "0.0",
        decimal(volume),
        trades,
    ]


def server_time(ask: Ask) -> Reply:
    return Reply({"error": [], "result": {"unixtime": int(ask.now)}})


def asset_pairs(ask: Ask) -> Reply:
    result = {}
    for pair in ask.market.pairs:
        name = kraken_name(pair)
        result[name.key] = {
            "altname": name.altname,
            "wsname": name.wsname,
            "pair_decimals": ask.market.decimals(pair),
            "lot_decimals": 8,
        }
    return Reply({"error": [], "result": result})


def _pair(ask: Ask) -> Pair:
    asked = ask.query.get("pair")
    if not asked:
        raise Refused(_error("EGeneral:Invalid arguments"))
    found = next((pair for pair in ask.market.pairs if asked in kraken_name(pair)), None)
    if found is None:
        raise Refused(_error("EQuery:Unknown asset pair"))
    return found


def _error(text: str) -> Reply:
    """Errors come with HTTP 200 and without a result."""
    return Reply({"error": [text]})


def refuse(_ask: Ask, status: int) -> Reply:
    """Statuses other than 200 come from the edge before Kraken, which knows no JSON."""
    return Reply(f"<html><head><title>{status} | Cloudflare</title></head><body>error {status}</body></html>", status)


def soft_fault(ask: Ask) -> Reply:
    if ask.fault == "no-result":
        return Reply({"error": []})
    return refuse(ask, 429) if ask.fault == "quota" else _error(_TRANSIENT[ask.serial % len(_TRANSIENT)])


KRAKEN: Final = Exchange(
    "kraken",
    (
        Endpoint("/0/public/OHLC", ohlc, has_faults=True),
        Endpoint("/0/public/Time", server_time),
        Endpoint("/0/public/AssetPairs", asset_pairs),
    ),
    refuse,
    soft_fault,
    tuple(timeframe for timeframe in Timeframe if timeframe.seconds // 60 in _MINUTES),
    EPOCH,
)
