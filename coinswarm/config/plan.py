"""The plan: what the producer collects at every cron fire. `[plan]` of coinswarm.toml, or the built-in one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from coinswarm.candles import Pair, Timeframe

MISSED: Final = ("skip", "once", "all")
"""What may be done about fires that passed while nothing ran."""


class Series(NamedTuple):
    """One market at one source, in one timeframe."""

    source: str
    pair: Pair
    timeframe: Timeframe

    def __str__(self) -> str:
        return f"{self.source} {self.pair.symbol} {self.timeframe.value}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Which series to collect, and how many of the newest closed candles of each.

    The default is the seed system's load: 13 tokens at 3 sources, 5 candles of each, 195 points a run. The sources
    disagree on quotes (CoinGecko prices in dollars and in no dollar coin, Binance the other way round), so each has its
    own; 30m is the timeframe that all three have.
    """

    tokens: tuple[str, ...] = (
        "BTC", "ETH", "SOL", "BNB", "XRP", "ADA", "DOGE", "AVAX", "TRX", "LINK", "DOT", "ARB", "OP",
    )  # fmt: skip
    """Bases, such as BTC, or whole pairs, such as ETH-BTC, which every source then takes as they are."""
    sources: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({"binance": "USDT", "cryptocompare": "USD", "coingecko": "USD"})
    )
    """By source, the quote that completes a base."""
    timeframes: tuple[str, ...] = ("30m",)
    candles: int = 5
    missed: str = "skip"
    """What to do about fires that passed while nothing ran: `skip`, run `once` for all of them, or `all`."""

    @property
    def series(self) -> list[Series]:
        """Every series, source by source, in the order of the file."""
        from coinswarm.candles import Timeframe

        return [
            Series(source, pair, Timeframe(timeframe))
            for source in self.sources
            for pair in self.pairs(source)
            for timeframe in self.timeframes
        ]

    @property
    def points(self) -> int:
        """Candles a run brings when every source has all."""
        return len(self.series) * self.candles

    def pairs(self, source: str) -> list[Pair]:
        """The pairs to collect at `source`."""
        from coinswarm.candles import Pair

        quote = self.sources[source]
        return list(dict.fromkeys(Pair.parse(t if "-" in t else f"{t}-{quote}") for t in self.tokens))


def messages_per_run(plan: Plan, rows_per_message: int | None = None) -> int:
    """Messages that one run queues when every source has all: candles of all series fill them up together.

    `rows_per_message`: candles a message; what one statement of D1 can bind, ten, unless given.
    """
    from coinswarm.payload import ROWS_PER_MESSAGE

    return -(-plan.points // (rows_per_message or ROWS_PER_MESSAGE))
