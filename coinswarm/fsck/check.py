"""The checks of a whole file, in one read-only transaction: memory stays flat, others may go on writing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from coinswarm.candles import COLUMNS
from coinswarm.clock import Clock
from coinswarm.d1.schema import fires_on
from coinswarm.fsck import prices, queues, series, snapshot
from coinswarm.fsck.findings import EXAMPLES, Checked, Finding, Move, Rule, shown

_KEY: Final = ", ".join(prices.KEY)


def check_database(path: Path, clock: Clock, *, stop: Callable[[], bool] = lambda: False) -> Checked:
    """What is wrong with the D1 or other SQLite file at `path`.

    Raises `StorageError` for a file that cannot be read at all, `Interrupted` when `stop` says so.
    """
    return _check(path, "d1", clock, stop)


def check_queue_file(path: Path, clock: Clock, *, stop: Callable[[], bool] = lambda: False) -> Checked:
    """What is wrong with a file of queues. Raises as `check_database` does, and `StorageTooNew`."""
    return _check(path, "queues", clock, stop)


def _check(path: Path, kind: str, clock: Clock, stop: Callable[[], bool]) -> Checked:
    started = clock.monotonic()
    with snapshot.looking_at(path, stop) as connection:
        checked = Checked(path, "d1" if kind == "d1" else "queues", path.stat().st_size)
        damage = snapshot.integrity(connection)
        checked.findings += [damage] if damage else []
        try:
            if kind == "d1":
                _prices(connection, checked, clock.now_ms() // 1000)
            else:
                _queues(connection, checked, clock.now_ms())
        except sqlite3.DatabaseError as error:
            if damage is None or isinstance(error, sqlite3.OperationalError):
                raise
    checked.seconds = clock.monotonic() - started
    return checked


def _prices(connection: sqlite3.Connection, checked: Checked, now_s: int) -> None:
    columns = snapshot.tables(connection).get(prices.TABLE)
    if columns is None:
        names = ", ".join(sorted(snapshot.tables(connection))) or "none"
        checked.findings.append(
            Finding(
                "schema",
                f"there is no table {prices.TABLE}",
                1,
                ({"tables": names},),
                advice="Create it with: coinswarm d1 migrations apply",
            )
        )
        return
    missing = [column for column in COLUMNS if column not in columns]
    if missing:
        checked.findings.append(
            Finding(
                "schema",
                f"{prices.TABLE} lacks columns that a candle has",
                len(missing),
                ({"missing": ", ".join(missing), "found": ", ".join(columns)},),
                advice=f"Rename it, then make {prices.TABLE} as the bundled migration 0001_price_data.sql does.",
            )
        )
    (checked.rows,) = connection.execute(f"SELECT count(*) FROM {prices.TABLE}").fetchone()
    keyed = set(prices.KEY) <= set(columns)
    has_key = keyed and _has_key(connection)
    if keyed and not has_key:
        checked.findings += _duplicates(connection)
    checked.findings += _triggers(connection)
    row_rules = list(prices.rules(columns, now_s=now_s, has_key=has_key))
    checked.findings += snapshot.counted(connection, row_rules, suspicious=prices.suspicious(columns, now_s=now_s))
    if keyed:
        found = series.read(connection)
        checked.findings += series.named(connection, found)
        twice = series.relabelled(connection, found) if not set(COLUMNS) - set(columns) and has_key else None
        checked.findings += [twice] if twice else []


def _has_key(connection: sqlite3.Connection) -> bool:
    """Whether a unique index, the primary key included, has the four columns of a candle's key and no other."""
    indexes = connection.execute(
        f"SELECT name FROM pragma_index_list('{prices.TABLE}') WHERE \"unique\" AND NOT partial"
    )
    return any(
        {str(row[0]).lower() for row in connection.execute("SELECT name FROM pragma_index_info(?)", (name,))}
        == set(prices.KEY)
        for (name,) in indexes.fetchall()
    )


def _triggers(connection: sqlite3.Connection) -> Iterator[Finding]:
    """What they change is counted with the candle that set them off, in every report that counts by rows changed."""
    made = connection.execute(
        f"SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND lower(tbl_name) = '{prices.TABLE}'"
    ).fetchall()
    storing = [name for name, sql in made if fires_on("INSERT", sql)]
    if storing:
        yield _warning(
            "triggers",
            "triggers that run when a candle is stored: consume may count present rows as inserted",
            [{"trigger": shown(name)} for name in storing],
            "The rows themselves are right. For exact counts compare coinswarm d1 stats before and after.",
        )
    following = [{"trigger": shown(name)} for name, sql in made if fires_on("DELETE", sql)]
    following += [{"table": shown(name), "on_delete": action} for name, action in _references(connection)]
    if following:
        yield _warning(
            "on-delete",
            "triggers and foreign keys that change other rows when a candle is deleted",
            following,
            "A repair that would set one off is undone: no archive would hold those rows. Take it off before a repair.",
        )


def _references(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Tables whose rows go or change with a candle that they refer to, and how."""
    return connection.execute(
        "SELECT DISTINCT made.name, key.on_delete "
        "FROM sqlite_schema AS made, pragma_foreign_key_list(made.name) AS key "
        f"WHERE made.type = 'table' AND lower(key.\"table\") = '{prices.TABLE}' "
        "AND key.on_delete NOT IN ('NO ACTION', 'RESTRICT')"
    ).fetchall()


def _warning(kind: str, what: str, examples: list[dict[str, Any]], advice: str) -> Finding:
    return Finding(kind, what, len(examples), tuple(examples[:EXAMPLES]), advice=advice, severity="warning")


def _duplicates(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Only a table without the unique key can have them, so this is looked for there alone."""
    yield Finding(
        "schema",
        f"{prices.TABLE} has no unique key over {', '.join(prices.KEY)}: candles can be stored twice",
        1,
        advice=f"Once nothing is there twice: CREATE UNIQUE INDEX price_data_key ON {prices.TABLE} ({_KEY})",
    )
    where = f"rowid NOT IN (SELECT min(rowid) FROM {prices.TABLE} GROUP BY {_KEY})"
    rule = Rule(
        "duplicates",
        "candles that are stored again under the same key; the first stays",
        prices.TABLE,
        where,
        prices.KEY,
        Move(prices.TABLE, where),
    )
    yield from snapshot.counted(connection, [rule])


def _queues(connection: sqlite3.Connection, checked: Checked, now_ms: int) -> None:
    older = queues.version(connection, checked.path)
    checked.findings += [older] if older else []
    tables = snapshot.tables(connection)
    if "messages" not in tables:
        return
    (checked.rows,) = connection.execute("SELECT count(*) FROM messages").fetchone()
    for rule in queues.rules(tables, now_ms):
        checked.findings += snapshot.counted(connection, [rule])
    broken = queues.unreadable(connection, tables)
    checked.findings += [broken] if broken else []
