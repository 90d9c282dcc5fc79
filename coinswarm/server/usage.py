"""How much each database was used, an hour at a time: what `wrangler d1 info` asks GraphQL for."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from coinswarm.clock import Clock
from coinswarm.d1.types import QueryResult

_HOUR_MS: Final = 3_600_000
_HOURS_KEPT: Final = 31 * 24


@dataclass(slots=True)
class HourOfUse:
    """Queries and billed rows of one database in one hour."""

    read_queries: int = 0
    write_queries: int = 0
    rows_read: int = 0
    rows_written: int = 0

    def as_json(self) -> dict[str, int]:
        return {
            "readQueries": self.read_queries,
            "writeQueries": self.write_queries,
            "rowsRead": self.rows_read,
            "rowsWritten": self.rows_written,
        }


class Usage:
    """What went through this server since it started."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._hours: dict[tuple[str, int], HourOfUse] = defaultdict(HourOfUse)

    def count(self, database_id: str, results: Iterable[QueryResult]) -> None:
        """Add what was just run."""
        hour = self._clock.now_ms() // _HOUR_MS
        with self._lock:
            if (database_id, hour) not in self._hours:
                self._hours = defaultdict(
                    HourOfUse, {key: used for key, used in self._hours.items() if key[1] > hour - _HOURS_KEPT}
                )
            used = self._hours[database_id, hour]
            for result in results:
                used.rows_read += result.meta.rows_read
                used.rows_written += result.meta.rows_written
                if result.meta.changed_db or result.meta.rows_written:
                    used.write_queries += 1
                else:
                    used.read_queries += 1

    def hours(self, database_id: str | None, from_ms: int, to_ms: int) -> Iterator[tuple[str, int, HourOfUse]]:
        """Database, start of the hour (ms) and what was used in it; without a database, of all."""
        with self._lock:
            known = sorted(self._hours.items(), key=lambda item: item[0][1])
        for (used_id, hour), used in known:
            if database_id in (None, used_id) and from_ms // _HOUR_MS <= hour <= to_ms // _HOUR_MS:
                yield used_id, hour * _HOUR_MS, used
