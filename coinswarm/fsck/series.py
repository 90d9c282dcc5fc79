"""What is wrong with whole series of `price_data`: their names, and one market stored under two."""

from __future__ import annotations

import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, Final, NamedTuple

from coinswarm.candles import SECONDS, Pair, is_clean
from coinswarm.d1.dump import literal, text_of
from coinswarm.errors import UsageError
from coinswarm.fetchers.coins import COIN_IDS
from coinswarm.fsck.findings import EXAMPLES, Finding, Move, Rule, shown
from coinswarm.fsck.prices import TABLE

_QUOTES: Final = ("USDT", "USDC", "BUSD", "FDUSD", "TUSD", "USD", "EUR", "GBP", "BTC", "ETH", "BNB", "SOL")
_COINS: Final = {coin_id.upper(): asset for asset, coin_id in COIN_IDS.items()}
_GLUED: Final = re.compile(rf"(.+?)-?({'|'.join(_QUOTES)})")
_COIN_SYMBOLS: Final = frozenset(f"{coin}{quote}" for coin in _COINS for quote in _QUOTES)
"""Of ids with a hyphen, too: PANCAKESWAP-TOKENUSDT looks like a pair."""
_FEWEST: Final = 2
"""So many equal candles, at the least, are no coincidence."""
_COMPARED: Final = ("open", "high", "low", "close", "volume_from")


class Series(NamedTuple):
    """Rows that have the same names."""

    symbol: Any
    timeframe: Any
    source: Any
    rows: int


def read(connection: sqlite3.Connection) -> list[Series]:
    names = "symbol, timeframe, source"
    return [Series(*row) for row in connection.execute(f"SELECT {names}, count(*) FROM {TABLE} GROUP BY {names}")]


def pair_of(symbol: str) -> Pair | None:
    """What a symbol means, whether it is written `BTC-USDT`, `BTCUSDT` or, by CoinGecko's id, `BITCOINUSDT`."""
    glued = _GLUED.fullmatch(symbol.upper())
    if glued is not None:
        base, quote = glued.groups()
        base = _COINS.get(base, base)
        try:
            return Pair.parse(f"{base}-{quote}")
        except UsageError:
            return None
    return Pair.parse(symbol) if _is_symbol(symbol) else None


def named(connection: sqlite3.Connection, series: Sequence[Series]) -> Iterator[Finding]:
    """Names that coinswarm would not write: symbols, timeframes, sources."""
    symbols = {one.symbol for one in series if isinstance(one.symbol, str) and not _is_symbol(one.symbol)}
    timeframes = {one.timeframe for one in series if isinstance(one.timeframe, str) and one.timeframe not in SECONDS}
    sources = {one.source for one in series if isinstance(one.source, str) and not is_clean(one.source)}
    for kind, what, column, wrong in (
        ("symbols", "symbols without a separator, with CoinGecko's name of a coin, or not a pair at all", 0, symbols),
        ("timeframes", "timeframes that are none", 1, timeframes),
        ("sources", "sources with nothing, spaces or control characters in their name", 2, sources),
    ):
        if not wrong:
            continue
        rows: dict[str, int] = defaultdict(int)
        for one in series:
            value = one[:3][column]
            if value in wrong:
                rows[value] += one.rows
        name = Series._fields[column]
        where = f"{name} IN ({', '.join(_literals(connection, name, wrong))})"
        rule = Rule(kind, what, TABLE, where, (name,), Move(TABLE, where))
        yield Finding(
            kind,
            what,
            sum(rows.values()),
            tuple(_example(name, value, count) for value, count in list(rows.items())[:EXAMPLES]),
            repairable=True,
            rule=rule,
        )


def relabelled(connection: sqlite3.Connection, series: Sequence[Series]) -> Finding | None:
    """Series of one coin under two symbols with equal candles, to the last digit: one of the names is wrong."""
    alike: dict[tuple[str, str], list[Series]] = defaultdict(list)
    for one in series:
        pair = pair_of(one.symbol) if isinstance(one.symbol, str) and isinstance(one.timeframe, str) else None
        if pair is not None:
            alike[pair.base, one.timeframe].append(one)
    found, equal_rows = [], 0
    for group in alike.values():
        for one, other in combinations(group, 2):
            if one.symbol != other.symbol:
                shared, equal = _equal(connection, *sorted((one, other), key=lambda s: s.rows))
                if equal >= _FEWEST and 2 * equal > shared:
                    equal_rows += equal
                    found.append({"series": _words(one), "equal_to": _words(other), "shared": shared, "equal": equal})
    if not found:
        return None
    return Finding(
        "relabelled",
        "candles that stand under two symbols with the same values, as USD relabelled to USDT does",
        equal_rows,
        tuple(found[:EXAMPLES]),
        advice="Which name is true only the source knows. Take the other out: coinswarm fsck --repair relabelled "
        "--symbol SYMBOL --archive DIR",
    )


def of_symbol(symbol: str) -> Rule:
    """All rows under a symbol that a person has found to be wrong."""
    where = f"symbol = {literal(symbol)}"
    return Rule("relabelled", f"rows under {symbol}", TABLE, where, ("symbol",), Move(TABLE, where))


def _equal(connection: sqlite3.Connection, few: Series, many: Series) -> tuple[int, int]:
    """How many times two series share, and at how many they are equal."""
    same = " AND ".join(f"a.{column} IS b.{column}" for column in _COMPARED)
    names = "{0}.symbol = ? AND {0}.timeframe = ? AND {0}.source = ?"
    shared, equal = connection.execute(
        f"SELECT count(*), count(CASE WHEN {same} THEN 1 END) FROM {TABLE} AS a CROSS JOIN {TABLE} AS b "
        f"ON {names.format('b')} AND b.timestamp = a.timestamp WHERE {names.format('a')}",
        (*many[:3], *few[:3]),
    ).fetchone()
    return int(shared), int(equal)


def _literals(connection: sqlite3.Connection, column: str, wrong: set[str]) -> Iterator[str]:
    """The names as they are stored: what is not UTF-8 was read with replacements, which nothing stored would equal."""
    yield from map(literal, sorted(wrong))
    if any("\ufffd" in value for value in wrong):
        raw = f"SELECT DISTINCT CAST({column} AS BLOB) FROM {TABLE} WHERE typeof({column}) = 'text'"
        for (stored,) in connection.execute(raw):
            if stored.decode("utf-8", "replace") in wrong and isinstance(text_of(stored), bytes):
                yield f"CAST({literal(stored)} AS TEXT)"


def _example(name: str, value: str, rows: int) -> dict[str, Any]:
    example = {name: shown(value), "rows": rows}
    meant = pair_of(value) if name == "symbol" else None
    return example if meant is None else example | {"perhaps": meant.symbol}


def _words(series: Series) -> str:
    return f"{series.symbol} {series.timeframe} {series.source}"


def _is_symbol(symbol: str) -> bool:
    """Whether it is written as `Pair` writes it, and the base is no id of CoinGecko's."""
    try:
        pair = Pair.parse(symbol)
    except UsageError:
        return False
    return pair.symbol == symbol and symbol not in _COIN_SYMBOLS and _COINS.get(pair.base, pair.base) == pair.base
