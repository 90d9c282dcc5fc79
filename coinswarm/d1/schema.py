"""Whether a database can hold candles, and hold them as they are: `price_data` with its columns and its key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from coinswarm.candles import COLUMNS
from coinswarm.d1.splitter import quoted, tokens
from coinswarm.d1.types import Database, SqlValue, Statement
from coinswarm.errors import SchemaMismatch, SqlError

TABLE: Final = "price_data"
KEY: Final = ("symbol", "timestamp", "timeframe", "source")
"""The columns that name a candle; the conflict target of every insert, in whatever order the key has them."""
_USUAL_KEY: Final = f"sqlite_autoindex_{TABLE}_1"
"""What SQLite calls the index of a key written in CREATE TABLE: asked for with the rest, to spare another request."""
_ADVICE: Final = f"Another program made this table: rename it, then create {TABLE} with: coinswarm d1 migrations apply"
_RECORDED: Final = "SELECT name FROM d1_migrations WHERE name LIKE '%price_data%' ORDER BY id LIMIT 1"
_TEXTS: Final = frozenset({"symbol", "timeframe", "source"})
_AFFINITIES: Final = (
    ("INTEGER", ("INT",)),
    ("TEXT", ("CHAR", "CLOB", "TEXT")),
    ("BLOB", ("BLOB",)),
    ("REAL", ("REAL", "FLOA", "DOUB")),
)
_LOSING: Final = (("ON", "CONFLICT", "REPLACE"), ("ON", "CONFLICT", "IGNORE"))

_Object = Mapping[str, SqlValue]


def check_price_data(database: Database) -> list[str]:
    """Raises `SchemaMismatch` where candles cannot be stored as they are; its hint says what to do in this database.

    Returns the triggers that run when a candle is stored. What they change is counted with it, so that the numbers of
    inserted and present rows may be wrong; the rows are not.
    """
    try:
        made = _check(database)
    except SchemaMismatch as mismatch:
        if mismatch.hint in (_ADVICE, SchemaMismatch.default_hint) and (name := _recorded(database)):
            first = "Rename the table" if mismatch.hint == _ADVICE else "The table was dropped"
            forget = f"DELETE FROM d1_migrations WHERE name = '{name}'"
            mismatch.hint = (
                f"{first}; the migration that makes it counts as applied, so take its record out, too: "
                f'coinswarm d1 execute --command "{forget}". Then: coinswarm d1 migrations apply'
            )
        raise
    return [str(item["name"]) for item in made if item["type"] == "trigger" and fires_on("INSERT", str(item["sql"]))]


def fires_on(event: str, trigger: str) -> bool:
    """Whether a trigger, by its SQL, runs at INSERT, UPDATE or DELETE."""
    return _at(event, [piece.upper() for _, piece, _ in tokens(trigger)])


def _recorded(database: Database) -> str | None:
    try:
        rows = database.execute(_RECORDED)[0].rows
    except SqlError:
        return None
    return str(rows[0][0]).replace("'", "''") if rows else None


def _check(database: Database) -> Sequence[_Object]:
    """The table, indexes and triggers, as SQL. Raises `SchemaMismatch` that names what is missing (the table, columns,
    the unique key), that a column too many must be filled, or what would alter or lose candles: types, collations, ON
    CONFLICT clauses, triggers. Other columns and indexes (the original's `id`, `created_at`) are fine."""
    columns, indexes, usual, made = (
        result.objects
        for result in database.batch(
            [
                Statement(f"PRAGMA table_info({TABLE})"),
                Statement(f"PRAGMA index_list({TABLE})"),
                Statement(f"PRAGMA index_xinfo({_USUAL_KEY})"),
                Statement(
                    "SELECT type, name, sql FROM sqlite_master WHERE tbl_name = ? COLLATE NOCASE AND sql IS NOT NULL",
                    (TABLE,),
                ),
            ]
        )
    )
    if not columns:
        raise SchemaMismatch(f"the database {database.name} has no table {TABLE}")
    _check_columns(columns)
    found = ", ".join(str(column["name"]) for column in columns)
    _check_key(_unique_keys(database, indexes, usual), found)
    _check_affinities(columns)
    _check_collations(made)
    _check_conflict_clauses(made)
    _check_triggers(made)
    return made


def _check_columns(columns: Iterable[_Object]) -> None:
    names = [str(column["name"]) for column in columns]
    present = {name.lower() for name in names}
    missing = [column for column in COLUMNS if column not in present]
    if missing:
        message = f"{TABLE} lacks the columns {', '.join(missing)}; found: {', '.join(names)}"
        raise SchemaMismatch(message, hint=_ADVICE)
    demanding = [
        str(column["name"])
        for column in columns
        if column["notnull"] and column["dflt_value"] is None and not column["pk"]
        if str(column["name"]).lower() not in COLUMNS
    ]
    if demanding:
        raise SchemaMismatch(f"{TABLE} demands values for {', '.join(demanding)}, which no candle has", hint=_ADVICE)


def _check_key(unique: Iterable[Mapping[str, str]], found: str) -> None:
    keys = [key for key in unique if key.keys() == set(KEY)]
    if not keys:
        raise SchemaMismatch(
            f"{TABLE} lacks a unique key over {', '.join(KEY)}; found: {found}",
            hint=f"Without it candles are stored twice: CREATE UNIQUE INDEX {TABLE}_key ON {TABLE} ({', '.join(KEY)})",
        )
    for key in keys:
        for column, collation in key.items():
            if collation.upper() != "BINARY":
                raise SchemaMismatch(
                    f"the unique key of {TABLE} compares {column} by the collation {collation}, not BINARY: "
                    "candles of different series would count as one",
                    hint=_ADVICE,
                )


def _check_affinities(columns: Iterable[_Object]) -> None:
    """A column without a type keeps values as they are given."""
    for column in columns:
        name, declared = str(column["name"]), str(column["type"])
        if not declared or name.lower() not in COLUMNS:
            continue
        affinity = _affinity(declared)
        text = name.lower() in _TEXTS
        if (affinity != "TEXT") if text else (affinity in ("TEXT", "BLOB")):
            raise SchemaMismatch(
                f"the column {name} of {TABLE} has the type {declared}, which SQLite keeps as {affinity}: "
                f"it must hold {'text' if text else 'numbers'}",
                hint=_ADVICE,
            )


def _affinity(declared: str) -> str:
    """https://www.sqlite.org/datatype3.html#determination_of_column_affinity, for a type that is not empty"""
    upper = declared.upper()
    return next((affinity for affinity, parts in _AFFINITIES if any(part in upper for part in parts)), "NUMERIC")


def _check_collations(made: Iterable[_Object]) -> None:
    """A column that takes `btc` for `BTC` finds the wrong rows, even where the unique key itself tells them apart."""
    for item in made:
        if item["type"] != "table":
            continue
        for definition in _definitions(_pieces(item)):
            name = definition[0].strip("\"'`[]").lower()
            if name not in KEY or "COLLATE" not in definition:
                continue
            collation = definition[definition.index("COLLATE") + 1].strip("\"'`[]")
            if collation != "BINARY":
                raise SchemaMismatch(
                    f"the column {name} of {TABLE} compares by the collation {collation}, not BINARY: "
                    "candles of different series would be taken for one another",
                    hint=_ADVICE,
                )


def _definitions(pieces: list[str]) -> Iterator[list[str]]:
    """The columns and constraints between the outer brackets of a CREATE TABLE, token by token."""
    depth, current = 0, list[str]()
    for piece in pieces:
        depth += (piece == "(") - (piece == ")")
        if depth == 1 and piece in ("(", ","):
            yield from [current] if current else []
            current = []
        elif depth:
            current.append(piece)
    yield from [current] if current else []


def _check_conflict_clauses(made: Iterable[_Object]) -> None:
    for item in made:
        if item["type"] == "trigger":
            continue
        pieces = _pieces(item)
        for clause in _LOSING:
            if _contains(pieces, clause):
                raise SchemaMismatch(
                    f"the {item['type']!s} {item['name']!s} is made with {' '.join(clause)}: "
                    "candles would be replaced or left out without a word",
                    hint=_ADVICE,
                )


def _check_triggers(made: Iterable[_Object]) -> None:
    for item in made:
        if item["type"] != "trigger":
            continue
        pieces = _pieces(item)
        if _at("INSERT", pieces) and _contains(pieces, ("RAISE", "(", "IGNORE")):
            name = str(item["name"])
            raise SchemaMismatch(
                f"the trigger {name} on {TABLE} leaves out candles with RAISE(IGNORE), and counts would be wrong",
                hint=f"Let it refuse them with RAISE(ABORT, …), or remove it: DROP TRIGGER {quoted(name)}",
            )


def _at(event: str, pieces: list[str]) -> bool:
    return event in pieces[: pieces.index("ON")]


def _pieces(item: _Object) -> list[str]:
    """The SQL of a schema object, token by token; what is quoted keeps its quotes and so is no keyword."""
    return [piece.upper() for _, piece, _ in tokens(str(item["sql"]))]


def _contains(pieces: list[str], phrase: tuple[str, ...]) -> bool:
    return any(tuple(pieces[at : at + len(phrase)]) == phrase for at in range(len(pieces)))


def _unique_keys(database: Database, indexes: Iterable[_Object], usual: Sequence[_Object]) -> list[dict[str, str]]:
    """The columns, each with its collation, of all unique indexes that cover every row."""
    unique = [str(index["name"]) for index in indexes if index["unique"] and not index["partial"]]
    others = [Statement(f"PRAGMA index_xinfo({quoted(name)})") for name in unique if name != _USUAL_KEY]
    described = [usual] if _USUAL_KEY in unique else []
    described += [result.objects for result in database.batch(others)] if others else []
    return [{str(row["name"]).lower(): str(row["coll"]) for row in index if row["key"]} for index in described]
