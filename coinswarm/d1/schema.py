"""Whether a database can hold candles: `price_data` with its ten columns and its four-part key."""

from __future__ import annotations

from typing import Final

from coinswarm.candles import COLUMNS
from coinswarm.d1.splitter import quoted
from coinswarm.d1.types import Database, Statement
from coinswarm.errors import SchemaMismatch

TABLE: Final = "price_data"
KEY: Final = ("symbol", "timestamp", "timeframe", "source")
"""The columns that name a candle; the conflict target of every insert, in whatever order the key has them."""


def check_price_data(database: Database) -> None:
    """Raises `SchemaMismatch` that names what is missing: the table, columns, the unique key, or that a column too many
    must be filled. Other columns and indexes (the original's `id`, `created_at`) are fine."""
    columns = database.execute(f"PRAGMA table_info({TABLE})")[0].objects
    if not columns:
        raise SchemaMismatch(f"the database {database.name} has no table {TABLE}")
    names = [str(column["name"]) for column in columns]
    present = {name.lower() for name in names}
    missing = [column for column in COLUMNS if column not in present]
    found = f"found: {', '.join(names)}"
    advice = f"Another program made this table: rename it, then create {TABLE} with: coinswarm d1 migrations apply"
    if missing:
        raise SchemaMismatch(f"{TABLE} lacks the columns {', '.join(missing)}; {found}", hint=advice)
    demanding = [
        str(column["name"])
        for column in columns
        if column["notnull"] and column["dflt_value"] is None and not column["pk"]
        if str(column["name"]).lower() not in COLUMNS
    ]
    if demanding:
        raise SchemaMismatch(f"{TABLE} demands values for {', '.join(demanding)}, which no candle has", hint=advice)
    if frozenset(KEY) not in _unique_keys(database):
        raise SchemaMismatch(
            f"{TABLE} lacks a unique key over {', '.join(KEY)}; {found}",
            hint=f"Without it candles are stored twice: CREATE UNIQUE INDEX {TABLE}_key ON {TABLE} ({', '.join(KEY)})",
        )


def _unique_keys(database: Database) -> set[frozenset[str]]:
    """The column sets of all unique indexes that cover every row."""
    indexes = database.execute(f"PRAGMA index_list({TABLE})")[0].objects
    unique = [str(index["name"]) for index in indexes if index["unique"] and not index["partial"]]
    if not unique:
        return set()
    described = database.batch([Statement(f"PRAGMA index_info({quoted(name)})") for name in unique])
    return {frozenset(str(row["name"]).lower() for row in result.objects) for result in described}
