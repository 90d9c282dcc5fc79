"""One batch of rows into D1: one transaction, then the truth about what was there already."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from coinswarm.consumer.rows import Conflict, Row, conflicts, insert_statements, inserted, look_up_statements
from coinswarm.d1.schema import check_price_data
from coinswarm.d1.types import Database
from coinswarm.errors import SqlError

_ABOUT_A_ROW: Final = re.compile(r"SQLITE_(CONSTRAINT|MISMATCH|TOOBIG)|constraint failed", re.IGNORECASE)
"""What D1 says when the values of a row are the reason; anything else would refuse every row."""


@dataclass(slots=True)
class Stored:
    """What became of the rows of one batch: `inserted` + `duplicate` + `len(refused)` is all of them."""

    inserted: int = 0
    duplicate: int = 0
    conflicts: list[Conflict] = field(default_factory=list)
    refused: list[tuple[Row, str]] = field(default_factory=list)
    """Rows that break a rule of the user's table, with D1's words."""
    rows_written: int = 0


def store(database: Database, rows: Sequence[Row]) -> Stored:
    """Store `rows`, sorted and each key once, in one transaction. What is there already is left as it is.

    A row that D1 refuses does not keep the others out: the batch is then halved until it stands alone. Raises
    `SchemaMismatch` if the table is the reason, any other `CoinswarmError` as the database raises it; a part of the
    rows may be stored then, which storing them again does not change.
    """
    if not rows:
        return Stored()
    try:
        return _store(database, rows)
    except SqlError as error:
        check_price_data(database)
        if not _ABOUT_A_ROW.search(error.message):
            raise
        return _halve(database, rows, error)


def _store(database: Database, rows: Sequence[Row]) -> Stored:
    results = database.batch(insert_statements(rows))
    count, short = inserted(results, rows)
    found = conflicts(short, database.batch(look_up_statements(short))) if short else []
    return Stored(count, len(rows) - count, found, rows_written=sum(result.meta.rows_written for result in results))


def _halve(database: Database, rows: Sequence[Row], error: SqlError) -> Stored:
    if len(rows) == 1:
        return Stored(refused=[(rows[0], error.message)])
    whole = Stored()
    for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
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
