"""What a statement on Cloudflare would read, before it does: a scan of a large table is billed row by row.

`EXPLAIN QUERY PLAN` tells which tables would be read from end to end; it runs none of it. Counting their rows would
read them, so how many there are is guessed from the database's size, which every answer brings along.
https://developers.cloudflare.com/d1/platform/pricing/ https://www.sqlite.org/eqp.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from coinswarm.cost.bill import rows_read_price
from coinswarm.d1.splitter import split, verb
from coinswarm.d1.types import Database, Statement
from coinswarm.errors import SqlError
from coinswarm.pricing import FREE

WARN_FROM_ROWS: Final = 1_000_000
"""A fifth of what the Free plan may read in a day."""
BYTES_PER_ROW: Final = 75
"""Of a row with its key; candles take 100 to 190, so that rows are rather guessed too many."""
_STATEMENTS: Final = 50
"""More than these are a script; each would be planned on its own."""
_READING: Final = frozenset({"SELECT", "WITH", "VALUES", "UPDATE", "DELETE", "INSERT", "REPLACE"})
_SCAN: Final = re.compile(r"SCAN (?!CONSTANT ROW|\d+ CONSTANT ROWS|\d+-ROW VALUES)(?P<name>\S+)")
_STOPS: Final = re.compile(r"\bLIMIT\b", re.IGNORECASE)
_READS_ON: Final = re.compile(r"\b(count|sum|avg|total|min|max|group_concat)\s*\(|\bGROUP\s+BY\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reading:
    """Whole tables that a statement would read."""

    rows: int
    """As if the database held nothing else, in small rows: rather too many."""
    tables: tuple[str, ...]
    """What is scanned, by the name or alias it has in the statement."""
    stored_bytes: int

    def warning(self, database: str) -> str:
        """For a person who is about to do it."""
        share = self.rows / FREE.rows_read_per_day
        price = rows_read_price(self.rows)
        return (
            f"this reads all of {', '.join(self.tables)} in {database}: up to some {self.rows:,} rows, "
            f"{share:.0%} of what the Free plan may read in a day, "
            f"up to ${price:.4f} on Paid beyond its allowance"
        )


def whole_tables(database: Database, sql: str) -> Reading | None:
    """What running `sql` would scan; None if that is little, or cannot be told: the run itself then says why.

    Asks the database once. Raises what asking raises, but for `SqlError`.
    """
    texts = [text for text in split(sql) if verb(text) in _READING]
    if not texts or len(texts) > _STATEMENTS:
        return None
    try:
        results = database.batch([Statement(f"EXPLAIN QUERY PLAN {text}") for text in texts])
    except SqlError:
        return None
    scans: list[str] = []
    for text, result in zip(texts, results, strict=True):
        lines = [str(row[-1]) for row in result.rows]
        if not _stops_early(text, lines):
            scans += [found["name"] for line in lines if (found := _SCAN.match(line))]
    stored = max(result.meta.size_after for result in results)
    return _reading(scans, stored)


def whole_table(database: Database, table: str, times: int = 1) -> Reading | None:
    """What a command that reads all of `table`, or of all tables together, reads `times` over."""
    stored = database.execute("SELECT 1")[0].meta.size_after
    return _reading([table] * times, stored)


def _stops_early(sql: str, lines: list[str]) -> bool:
    sorts = any("TEMP B-TREE" in line for line in lines)
    return bool(_STOPS.search(sql)) and not sorts and not _READS_ON.search(sql)


def _reading(scans: list[str], stored_bytes: int) -> Reading | None:
    rows = len(scans) * (stored_bytes // BYTES_PER_ROW)
    if rows < WARN_FROM_ROWS:
        return None
    return Reading(rows, tuple(dict.fromkeys(scans)), stored_bytes)
