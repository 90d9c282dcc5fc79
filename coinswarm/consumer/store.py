"""One batch of rows into D1: one transaction, then the truth about what was there already."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from coinswarm.candles import Row, Values
from coinswarm.consumer.rows import WIDTH, Conflict, compare, insert_statements, inserted, look_up_statements
from coinswarm.d1.schema import check_price_data
from coinswarm.d1.types import Database
from coinswarm.errors import SqlError
from coinswarm.failpoints import failpoint

_ABOUT_A_ROW: Final = re.compile(r"SQLITE_(CONSTRAINT|MISMATCH|TOOBIG)|constraint failed", re.IGNORECASE)
"""What D1 says when the values of a row are the reason; anything else would refuse every row."""

NOT_KEPT: Final = "the table took the row without an error and did not keep it: look at its triggers and constraints"


@dataclass(slots=True)
class Stored:
    """What became of the rows of one batch: `inserted` + `duplicate` + `len(refused)` is all of them."""

    inserted: int = 0
    duplicate: int = 0
    conflicts: list[Conflict] = field(default_factory=list)
    refused: list[tuple[Row, str]] = field(default_factory=list)
    """Rows that break a rule of the user's table, with D1's words."""
    rows_written: int = 0


def store(database: Database, values: Values) -> Stored:
    """Store rows, sorted and each key once, in one transaction. What is there already is left as it is.

    A row that D1 refuses does not keep the others out: the batch is then halved until it stands alone. Raises
    `SchemaMismatch` if the table is the reason, any other `CoinswarmError` as the database raises it; a part of the
    rows may be stored then, which storing them again does not change.
    """
    if not values:
        return Stored()
    try:
        return _store(database, values)
    except SqlError as error:
        check_price_data(database)
        if not _ABOUT_A_ROW.search(error.message):
            raise
        return _halve(database, values, error)


def _store(database: Database, values: Values) -> Stored:
    statements = insert_statements(values)
    results = database.batch(statements)
    count, short = inserted(results, statements)
    found, missing = compare(short, database.batch(look_up_statements(short))) if short else ([], [])
    billed = sum(result.meta.rows_written for result in results)
    failpoint("consumer.written")
    return Stored(
        inserted=count,
        duplicate=len(values) // WIDTH - count - len(missing),
        conflicts=found,
        refused=[(row, NOT_KEPT) for row in missing],
        rows_written=billed,
    )


def _halve(database: Database, values: Values, error: SqlError) -> Stored:
    count = len(values) // WIDTH
    if count == 1:
        return Stored(refused=[(tuple(values), error.message)])
    middle = count // 2 * WIDTH
    whole = Stored()
    for half in (values[:middle], values[middle:]):
        try:
            part = _store(database, half)
        except SqlError as again:
            if not _ABOUT_A_ROW.search(again.message):
                raise
            part = _halve(database, half, again)
        whole.inserted += part.inserted
        whole.duplicate += part.duplicate
        whole.conflicts += part.conflicts
        whole.refused += part.refused
        whole.rows_written += part.rows_written
    return whole
