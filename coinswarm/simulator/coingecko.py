"""CoinGecko, demo plan: `GET /coins/{id}/ohlc`, with and without `/api/v3` before it.

https://docs.coingecko.com/reference/coins-id-ohlc. Not simulated: keys, the paid `interval`, `/ohlc/range`,
`/market_chart`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from coinswarm.candles import Pair, Timeframe
from coinswarm.simulator.assets import ASSETS, VS_CURRENCIES
from coinswarm.simulator.exchange import Ask, Endpoint, Exchange, Refused, Reply
from coinswarm.simulator.market import EPOCH

SECONDS_BY_DAYS: Final = {
    "1": 1_800,
    **dict.fromkeys(("7", "14", "30"), 14_400),
    **dict.fromkeys(("90", "180", "365"), 4 * 86_400),
}
"""The length of a candle follows from how far back one asks."""

_IDS: Final = {asset.coingecko_id: symbol for symbol, asset in ASSETS.items()}


def ohlc(ask: Ask) -> Reply:
    """Close stamps, oldest first, no volumes; the last row is running, its stamp lies in the future."""
    currency, days = ask.query.get("vs_currency"), ask.query.get("days")
    if currency is None and days is None:
        raise Refused(Reply({"status": 500, "error": "Internal Server Error"}, 500))
    if currency is None:
        raise Refused(Reply({"error": "Missing parameter vs_currency"}, 422))
    if days is None:
        raise Refused(Reply({"error": "Missing parameter days"}, 422))
    pair = _pair(ask, currency)
    if "interval" in ask.query:
        message = "This request is limited to PRO API subscribers: `interval` is a parameter of paid plans."
        raise Refused(_coded(ask, 10005, message))
    if days == "max":
        message = (
            "Your request exceeds the allowed time range. Public API users are limited to querying historical data "
            "within the past 365 days. Upgrade to a paid plan to enjoy full historical data access: "
            "https://www.coingecko.com/en/api/pricing. "
        )
        raise Refused(_coded(ask, 10012, message))
    if days not in SECONDS_BY_DAYS:
        raise Refused(Reply({"error": "Invalid days parameter"}, 400))
    seconds = SECONDS_BY_DAYS[days]
    since = ask.now - int(days) * 86_400
    candles = ask.candles(pair, seconds, since, ask.now)
    rows = [
        [ask.stamp(c.timestamp + seconds, 1_000), c.open, c.high, c.low, c.close]
        for c in ask.delivered(candles, pair, seconds, told=lambda candle: candle.timestamp >= since)
    ]
    return Reply(rows, headers={"cache-control": "public, max-age=30"})


def coins_list(ask: Ask) -> Reply:
    traded = {pair.base for pair in ask.market.pairs}
    return Reply(
        [
            {"id": asset.coingecko_id, "symbol": symbol.lower(), "name": asset.coingecko_id.title()}
            for symbol, asset in ASSETS.items()
            if symbol in traded
        ]
    )


def _pair(ask: Ask, currency: str) -> Pair:
    base = _IDS.get(ask.path["id"])
    if base is None or not any(pair.base == base for pair in ask.market.pairs):
        raise Refused(Reply({"error": "coin not found"}, 404))
    pair = Pair(base, VS_CURRENCIES.get(currency.lower(), ""))
    if pair not in ask.market.pairs:
        raise Refused(Reply({"error": "invalid vs_currency"}, 400))
    return pair


def _coded(ask: Ask, code: int, message: str) -> Reply:
    """What is wrong with the plan or the key, all with HTTP 401."""
    moment = datetime.fromtimestamp(ask.now, UTC).isoformat(timespec="milliseconds")
    status = {"timestamp": moment, "error_code": code, "error_message": message}
    return Reply({"error": {"status": status}}, 401)


def _rate_limited(status: int) -> Reply:
    message = (
        "You've exceeded the Rate Limit. Please visit https://www.coingecko.com/en/api/pricing to subscribe to our API "
        "plans for higher rate limits."
    )
    return Reply({"status": {"error_code": 429, "error_message": message}}, status)


def refuse(ask: Ask, status: int) -> Reply:
    match status:
        case 418 | 429:
            return _rate_limited(status)
        case 401:
            return _coded(ask, 10002, "API Key Missing")
        case 500:
            return Reply({"status": 500, "error": "Internal Server Error"}, status)
    return Reply(f"<html><head><title>{status}</title></head><body>error code: 1020</body></html>", status)


def soft_fault(ask: Ask) -> Reply:
    return Reply({}) if ask.fault == "no-result" else _rate_limited(429 if ask.fault == "quota" else 200)


COINGECKO: Final = Exchange(
    "coingecko",
    tuple(
        endpoint
        for prefix in ("", "/api/v3")
        for endpoint in (
            Endpoint(f"{prefix}/coins/{{id}}/ohlc", ohlc, has_faults=True),
            Endpoint(f"{prefix}/coins/list", coins_list),
        )
    ),
    refuse,
    soft_fault,
    (Timeframe.M30, Timeframe.H4),
    EPOCH,
)
