"""What a database holds, counted by SQL inside it: memory does not grow with the rows."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any, Final

from coinswarm.candles import SECONDS
from coinswarm.d1.schema import TABLE, check_price_data
from coinswarm.d1.types import Database, Statement

_SERIES: Final = f"""
SELECT symbol, timeframe, source, count(*) AS rows, min(timestamp) AS first, max(timestamp) AS last
FROM {TABLE} GROUP BY symbol, timeframe, source ORDER BY symbol, timeframe, source
"""
# A candle without another one within a step behind it ends a run; all runs but the last are followed by a gap.
_RUNS: Final = f"""
SELECT count(*) FROM {TABLE} AS this
WHERE symbol = ?1 AND timeframe = ?2 AND source = ?3 AND NOT EXISTS (
    SELECT 1 FROM {TABLE} AS next
    WHERE next.symbol = ?1 AND next.timeframe = ?2 AND next.source = ?3
    AND next.timestamp > this.timestamp AND next.timestamp <= this.timestamp + ?4
)
"""
_SERIES_A_CALL: Final = 20
"""Kept small: D1 gives one call 30 seconds."""


def stats(database: Database) -> dict[str, Any]:
    """The document of `d1 stats --json`. Times are unix seconds; `gaps` counts holes, not missing candles.

    `gaps` is null for a timeframe that coinswarm does not know. Raises `SchemaMismatch` where there is no `price_data`.
    """
    check_price_data(database)
    result = database.execute(_SERIES)[0]
    series: list[dict[str, Any]] = [
        {**row, "gaps": 0 if row["timeframe"] in SECONDS else None} for row in result.objects
    ]
    # A series with as many rows as places between its ends has no gap: most are done without looking again.
    holey = iter([s for s in series if s["timeframe"] in SECONDS and s["rows"] != _places(s)])
    while some := list(islice(holey, _SERIES_A_CALL)):
        runs = database.batch([Statement(_RUNS, [*_key(s), SECONDS[s["timeframe"]]]) for s in some])
        for one, run in zip(some, runs, strict=True):
            one["gaps"] = int(run.rows[0][0] or 0) - 1
    by_source: Counter[str] = Counter()
    for one in series:
        by_source[one["source"]] += one["rows"]
    return {
        "database": database.name,
        "size_bytes": result.meta.size_after,
        "rows": by_source.total(),
        "series": series,
        "by_source": dict(sorted(by_source.items())),
    }


def info(database: Database, path: Path | None = None) -> dict[str, Any]:
    """What `d1 info --json` says: uuid, name, size in bytes, tables of the user's making, and the local file if any."""
    result = database.execute(
        "SELECT count(*) FROM sqlite_master WHERE type = 'table'"
        " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\'"
    )[0]
    document: dict[str, Any] = {
        "uuid": database.id,
        "name": database.name,
        "file_size": result.meta.size_after,
        "num_tables": result.rows[0][0],
    }
    return document if path is None else document | {"path": str(path)}


def _places(series: dict[str, Any]) -> int:
    step = SECONDS[series["timeframe"]]
    return int(series["last"] - series["first"]) // step + 1


def _key(series: dict[str, Any]) -> tuple[str, str, str]:
    return series["symbol"], series["timeframe"], series["source"]
