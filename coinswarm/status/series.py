"""How old the newest candle of each series is, found by the table's key: a few rows are read for each series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from coinswarm.candles import SECONDS
from coinswarm.d1.schema import TABLE
from coinswarm.d1.types import Database

# Steps from each symbol to the next, from each timeframe of it to the next, and so on: with the key (symbol, timeframe,
# source, timestamp) every step is one look into the index, where GROUP BY would read, and bill, the whole table. On a
# table with another key it is still right, and then reads more.
NEWEST: Final = f"""
WITH RECURSIVE
symbols(symbol) AS (
    SELECT min(symbol) FROM {TABLE}
    UNION ALL
    SELECT (SELECT min(symbol) FROM {TABLE} WHERE symbol > s.symbol) FROM symbols AS s WHERE s.symbol IS NOT NULL
),
frames(symbol, timeframe) AS (
    SELECT symbol, (SELECT min(timeframe) FROM {TABLE} WHERE symbol = s.symbol)
    FROM symbols AS s WHERE symbol IS NOT NULL
    UNION ALL
    SELECT symbol, (SELECT min(timeframe) FROM {TABLE} WHERE symbol = f.symbol AND timeframe > f.timeframe)
    FROM frames AS f WHERE timeframe IS NOT NULL
),
series(symbol, timeframe, source) AS (
    SELECT symbol, timeframe,
        (SELECT min(source) FROM {TABLE} WHERE symbol = f.symbol AND timeframe = f.timeframe)
    FROM frames AS f WHERE timeframe IS NOT NULL
    UNION ALL
    SELECT symbol, timeframe,
        (SELECT min(source) FROM {TABLE}
         WHERE symbol = s.symbol AND timeframe = s.timeframe AND source > s.source)
    FROM series AS s WHERE source IS NOT NULL
)
SELECT symbol, timeframe, source,
    (SELECT max(timestamp) FROM {TABLE}
     WHERE symbol = s.symbol AND timeframe = s.timeframe AND source = s.source) AS newest
FROM series AS s WHERE source IS NOT NULL
ORDER BY symbol, timeframe, source
"""


@dataclass(frozen=True, slots=True)
class SeriesAge:
    """One series and its newest candle."""

    symbol: str
    timeframe: str
    source: str
    newest: int
    """Its open, unix seconds."""
    seconds: int | None
    """Since it closed; None for a timeframe that coinswarm does not know. Below one timeframe nothing is missing."""

    @property
    def name(self) -> str:
        return f"{self.symbol}/{self.timeframe}/{self.source}"

    @property
    def timeframes(self) -> float | None:
        """The same in timeframes: the whole part counts the candles that have closed since."""
        return None if self.seconds is None else self.seconds / SECONDS[self.timeframe]

    def as_json(self) -> dict[str, Any]:
        behind = self.timeframes
        return {
            "symbol": self.symbol,
            "timeframe": self.timeframe,
            "source": self.source,
            "newest": self.newest,
            "seconds_behind": self.seconds,
            "timeframes_behind": None if behind is None else round(behind, 1),
        }


def newest_candles(database: Database, now_ms: int) -> list[SeriesAge]:
    """Every series of `price_data`. Raises `SqlError` where there is no such table."""
    found = []
    for symbol, timeframe, source, newest in database.execute(NEWEST)[0].rows:
        step = SECONDS.get(str(timeframe))
        opened = int(newest or 0)
        seconds = None if step is None else max(0, now_ms // 1000 - opened - step)
        found.append(SeriesAge(str(symbol), str(timeframe), str(source), opened, seconds))
    return found
