"""That the canary changed nothing but itself: by comparing the whole table here, within bounds on Cloudflare.

Every row read of a remote table is billed and takes time, so there a sample of rows is compared, and D1's own count of
changed rows, which includes those of triggers, is held against the rows that the canary has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

import msgspec

from coinswarm.candles import COLUMNS, Candle, Row
from coinswarm.consumer.rows import compare, key_of, look_up_statements
from coinswarm.d1.schema import TABLE
from coinswarm.d1.types import Database, QueryResult, SqlValue, Statement
from coinswarm.errors import SqlError
from coinswarm.verify import ledger
from coinswarm.verify.ledger import MARK_SOURCE
from coinswarm.verify.subject import Subject

_ADDED: Final = "rows were added"
SAMPLE: Final = 500
"""Rows of a remote table that are compared."""


@dataclass(frozen=True, slots=True)
class Proof:
    """`fault` says which other rows of the table have changed, `told` what was compared."""

    fault: str | None
    told: str
    aside: str | None = None
    """What was changed elsewhere in the database on account of the canary."""
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Before:
    """The table before the canary: all of it in a ledger, or a sample."""

    file: BinaryIO | None = None
    sample: list[Row] = field(default_factory=list)


class Counting:
    """A database that adds up how many rows D1 says were changed through it."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner
        self.changes = 0

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def id(self) -> str:
        return self._inner.id

    @property
    def parallel(self) -> bool:
        return self._inner.parallel

    def reset(self) -> None:
        self.changes = 0

    def batch(self, statements: Sequence[Statement]) -> list[QueryResult]:
        return self._counted(self._inner.batch(statements))

    def execute(self, sql: str, params: Sequence[SqlValue] = ()) -> list[QueryResult]:
        return self._counted(self._inner.execute(sql, params))

    def close(self) -> None:
        self._inner.close()

    def _counted(self, results: list[QueryResult]) -> list[QueryResult]:
        self.changes += sum(result.meta.changes for result in results)
        return results


def adding_triggers(database: Database, first: Candle, second: Candle) -> list[str]:
    """The triggers of the table, if rows that come and go as the canary's leave other rows in it.

    Tried in one transaction that counts the table, so that no other writer is taken for a trigger, and that always
    fails, so that nothing stays: what it found is in SQLite's complaint. Without triggers nothing is tried, nor read.
    """
    named = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?1", (TABLE,))
    triggers = [str(name) for (name,) in named[0].rows]
    if not triggers:
        return []
    counted, columns, values = f"{first.symbol}-", ", ".join(COLUMNS), ", ".join(f"?{n + 2}" for n in range(9))
    of_second = tuple(msgspec.structs.astuple(second))
    insert = f"INSERT INTO {TABLE} ({columns}) VALUES (?1, {values}) ON CONFLICT DO NOTHING"
    before = f"(SELECT CAST(substr(symbol, ?2) AS INTEGER) FROM {TABLE} WHERE symbol >= ?1 AND symbol < ?1 || ':')"
    more = f"(SELECT count(*) FROM {TABLE}) - 1 > {before}"
    script = [
        # The first row keeps in its symbol how many there were before it.
        Statement(
            f"INSERT INTO {TABLE} ({columns}) SELECT ?1 || count(*), {values} FROM {TABLE}",
            (counted, *msgspec.structs.astuple(first)[1:]),
        ),
        Statement(insert, of_second),
        Statement(insert, of_second),
        Statement(f"DELETE FROM {TABLE} WHERE symbol = ?1", (second.symbol,)),
        Statement(f"SELECT json_extract('1', iif({more}, '{_ADDED}', 'no path'))", (counted, len(counted) + 1)),
    ]
    try:
        database.batch(script)
    except SqlError as error:
        return triggers if _ADDED in error.message else []  # what else goes wrong, the canary shows
    return []


def begin(subject: Subject, database: Database, file: BinaryIO) -> Before:
    """What there is before; `file` is for the ledger."""
    if not subject.remote:
        ledger.write(database, file, now_ms=subject.clock.now_ms(), stop=subject.stop.is_set)
        return Before(file)
    found = database.execute(f"SELECT {', '.join(COLUMNS)} FROM {TABLE} LIMIT {SAMPLE}")[0].rows
    return Before(sample=sorted((row for row in found if key_of(row)[2] != MARK_SOURCE), key=key_of))


def end(subject: Subject, database: Counting, before: Before, *, inserted: int, by_us: bool) -> Proof:
    """What has changed since, other than the canary's `inserted` rows, which came and went. `by_us`: through `database`
    alone, so that its count tells all."""
    changes = database.changes if by_us else None
    aside = None
    if changes is not None and changes != 2 * inserted:
        aside = f"storing and deleting {inserted} rows changed {changes:,} rows of the database"
    if before.file is None:
        return _end_of_sample(database, before.sample, changes, aside)
    before.file.seek(0)
    found = ledger.compare(database, before.file, stop=subject.stop.is_set)
    evidence = {"rows_compared": found.rows, "rows_added_by_others": found.added, "changes": changes}
    if not found.same:
        first = found.examples[0]
        fault = f"{found.total:,} other rows changed meanwhile, first {' '.join(first.series)} {first.timestamp}"
        return Proof(fault, "", aside, evidence)
    return Proof(None, f"{found.rows:,} rows compared, all as they were", aside, evidence)


def _end_of_sample(database: Database, sample: list[Row], changes: int | None, aside: str | None) -> Proof:
    conflicts, gone = compare(sample, database.batch(look_up_statements(sample))) if sample else ([], [])
    evidence = {"rows_compared": len(sample), "whole_table": False, "changes": changes}
    if conflicts or gone:
        row = conflicts[0].offered if conflicts else gone[0]
        fault = f"{len(conflicts) + len(gone):,} other rows changed meanwhile, first {' '.join(map(str, key_of(row)))}"
        return Proof(fault, "", aside, evidence)
    counted = "D1 counted no change but the canary's, " if changes is not None else ""
    told = f"{counted}{len(sample):,} sample rows are as they were (--baseline compares all)"
    return Proof(None, told, aside, evidence)
