"""`[plan]` of coinswarm.toml → a `Plan`; every fault is told with its key."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

from coinswarm.config.diagnostics import Diagnostics
from coinswarm.config.masking import shown
from coinswarm.config.plan import MISSED, Plan
from coinswarm.config.stack import SOURCES
from coinswarm.errors import UsageError

PLAN_KEYS: Final = ("tokens", "sources", "timeframes", "candles", "missed")
MOST_CANDLES: Final = 2000


def read_plan(table: Any, where: str, diagnostics: Diagnostics) -> Plan:
    """`[plan]`; what it leaves out is the default's. Faults go to `diagnostics`."""
    if not isinstance(table, dict):
        diagnostics.fault(where, f'The field "plan" should be an object but got {shown(table)}.')
        return Plan()
    diagnostics.unexpected(where, "plan", table, PLAN_KEYS)
    found: dict[str, Any] = {}
    for key in (key for key in PLAN_KEYS if key in table):
        value, problem = _READERS[key](table[key])
        if problem is None:
            found[key] = value
        else:
            diagnostics.fault(where, f"plan.{key} {problem}, got {shown(table[key])}")
    plan = Plan(**found)
    for token, source in _impossible(plan):
        diagnostics.fault(where, f"plan.sources.{source}: {token} cannot be priced in itself; write it as a whole pair")
    return plan


def _impossible(plan: Plan) -> list[tuple[str, str]]:
    return [(token, source) for source, quote in plan.sources.items() for token in plan.tokens if token == quote]


def _tokens(value: Any) -> tuple[Any, str | None]:
    words = _words(value)
    if words is None:
        return None, "must be a list of tokens such as BTC, or of pairs such as ETH-BTC"
    from coinswarm.candles import Pair

    words = [word.strip().upper().replace("/", "-") for word in words]
    for word in words:
        try:
            Pair.parse(word if "-" in word else f"{word}-{_other_than(word)}")
        except UsageError:
            return None, f"has {shown(word)}, which is neither a token such as BTC nor a pair such as ETH-BTC"
    return _unlike(words, tuple(words))


def _sources(value: Any) -> tuple[Any, str | None]:
    if not isinstance(value, dict) or not value:
        return None, 'must be a table of sources and their quotes, such as { binance = "USDT", kraken = "USD" }'
    from coinswarm.candles import Pair

    quotes = {}
    for source, quote in value.items():
        if source not in SOURCES:
            return None, f"has {shown(source)}; the sources are {', '.join(SOURCES)}"
        try:
            if not isinstance(quote, str):
                raise UsageError
            quotes[source] = Pair.parse(f"{_other_than(quote)}-{quote}").quote
        except UsageError:
            return None, f"must give {source} a quote such as USD or USDT"
    return MappingProxyType(quotes), None


def _timeframes(value: Any) -> tuple[Any, str | None]:
    from coinswarm.candles import Timeframe

    words = _words(value)
    known = [timeframe.value for timeframe in Timeframe]
    if words is None or not set(words) <= set(known):
        return None, f"must be a list of {', '.join(known)}"
    return _unlike(words, tuple(words))


def _candles(value: Any) -> tuple[Any, str | None]:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_CANDLES:
        return None, f"must be a whole number from 1 to {MOST_CANDLES}"
    return value, None


def _missed(value: Any) -> tuple[Any, str | None]:
    return (value, None) if value in MISSED else (None, f"must be one of {', '.join(MISSED)}")


def _other_than(asset: object) -> str:
    """An asset that completes a pair, for `Pair.parse` to check the other half."""
    return "BTC" if asset != "BTC" else "USD"


def _words(value: Any) -> list[str] | None:
    return value if isinstance(value, list) and value and all(isinstance(word, str) for word in value) else None


def _unlike(words: list[str], value: Any) -> tuple[Any, str | None]:
    """Refuse what is listed twice: it would be fetched and paid twice."""
    twice = sorted({word for word in words if words.count(word) > 1})
    return (None, f"lists {', '.join(twice)} twice") if twice else (value, None)


_READERS: Final = {
    "tokens": _tokens,
    "sources": _sources,
    "timeframes": _timeframes,
    "candles": _candles,
    "missed": _missed,
}
