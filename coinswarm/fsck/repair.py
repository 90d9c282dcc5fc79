"""Repairs: what a finding names leaves its table once an archive on disk holds it; one transaction for all of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from coinswarm.clock import Clock
from coinswarm.d1.dump import text_of
from coinswarm.errors import StorageError
from coinswarm.fsck import archive
from coinswarm.fsck.archive import Archive
from coinswarm.fsck.findings import Change, Move, Rule
from coinswarm.fsck.snapshot import interruptible
from coinswarm.interrupt import Interrupted
from coinswarm.storage import attach, transaction, translated

_HINT: Final = (
    "Look at the triggers of the table, and at what refers to it: coinswarm d1 execute --command "
    "\"SELECT name, sql FROM sqlite_schema WHERE type IN ('trigger', 'table')\""
)


def repair(
    path: Path, rules: Sequence[Rule], folder: Path, clock: Clock, *, stop: Callable[[], bool] = lambda: False
) -> list[Archive]:
    """Carry out the repairs of these rules on the file at `path`; the archives written to `folder`, one a rule.

    A rule that nothing breaks any more leaves no archive. Raises `StorageError`, or `Interrupted` when `stop` says so:
    the file is then as it was, and there is no archive. What ends it amid its COMMIT leaves the archives: nobody can
    tell what reached the disk, and they put back what is missing.
    """
    written: list[Archive] = []
    committing = False
    with closing(attach(path, write=True)) as connection, translated(path), interruptible(connection, stop):
        connection.execute("PRAGMA foreign_keys=ON")  # as on D1: what refers to a row is not left dangling
        connection.text_factory = text_of
        try:
            with transaction(connection):
                for rule in rules:
                    if stop():
                        raise Interrupted
                    if rule.repair is not None and _count(connection, rule.repair):
                        written.append(_one(connection, rule, rule.repair, path, folder, clock))
                committing = True
        except BaseException:
            if not committing:
                _discard(written)
            raise
    return written


def _one(
    connection: sqlite3.Connection, rule: Rule, repair: Move | Change, path: Path, folder: Path, clock: Clock
) -> Archive:
    kept = archive.write(connection, repair, file=path, kind=rule.kind, folder=folder, clock=clock)
    try:
        _carry_out(connection, rule, repair, path, kept.rows)
    except BaseException:
        kept.path.unlink()
        raise
    return kept


def _carry_out(connection: sqlite3.Connection, rule: Rule, repair: Move | Change, path: Path, archived: int) -> None:
    """Raises `StorageError` unless exactly what is archived was taken out: nothing else is changed without a copy."""
    before = connection.total_changes
    if isinstance(repair, Change):
        moved, own = archived, 0
        statements = (*repair.statements, *repair.after)
    else:
        moved = own = connection.execute(f"DELETE FROM {repair.table} WHERE {repair.where}").rowcount
        statements = repair.after
    own += sum(max(0, connection.execute(statement).rowcount) for statement in statements)
    left = _count(connection, repair)
    if moved != archived or left:
        raise StorageError(
            f"{path}: the repair of {rule.kind} was undone: {archived:,} rows are archived, {moved:,} were taken out, "
            f"{left:,} are left",
            hint=_HINT,
        )
    if besides := connection.total_changes - before - own:
        raise StorageError(
            f"{path}: the repair of {rule.kind} was undone: a trigger or a foreign key changed {besides:,} more rows "
            "with it, which no archive holds",
            hint=f"{_HINT}\nTake off what follows a deletion, repair, and put it back.",
        )


def _count(connection: sqlite3.Connection, repair: Move | Change) -> int:
    (count,) = connection.execute(f"SELECT count(*) FROM {repair.table} WHERE {repair.where}").fetchone()
    return int(count)


def _discard(written: Iterable[Archive]) -> None:
    """Of a repair that was rolled back: what these hold is all still in its table."""
    for kept in written:
        kept.path.unlink(missing_ok=True)
