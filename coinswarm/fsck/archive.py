"""What a repair takes out, kept as SQL text that puts it back: readable, and any SQLite shell can run it."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from coinswarm import new_file
from coinswarm.clock import Clock
from coinswarm.d1.dump import literal
from coinswarm.d1.ingest import statements
from coinswarm.d1.splitter import quoted, verb
from coinswarm.errors import StorageError, UsageError
from coinswarm.fsck.findings import Change, Move
from coinswarm.storage import attach, transaction, translated

_FIRST_LINE: Final = b"-- coinswarm fsck archive: "
_PUTS_BACK: Final = ("INSERT", "UPDATE")


@dataclass(frozen=True, slots=True)
class Archive:
    """One archive file: of which file, kind and table, and how many rows it holds."""

    path: Path
    file: Path
    kind: str
    table: str
    rows: int


def write(
    connection: sqlite3.Connection, repair: Move | Change, *, file: Path, kind: str, folder: Path, clock: Clock
) -> Archive:
    """Write the rows that `repair` is about, in the caller's transaction; on disk when this returns, or not at all.

    The connection hands out text as `dump.text_of` does. Raises `StorageError` where the archive cannot be written.
    """
    (rows,) = connection.execute(f"SELECT count(*) FROM {repair.table} WHERE {repair.where}").fetchone()
    now = datetime.fromtimestamp(clock.now_ms() / 1000, UTC)
    stamp = f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    path = folder / f"{file.stem[:40]}-{kind}-{stamp}.sql"
    part = path.with_suffix(".part")
    header = {"file": str(file.resolve()), "kind": kind, "table": repair.table, "rows": rows, "at": now.isoformat()}
    try:
        with translated(path):
            _make(folder)
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                out.write(_FIRST_LINE + json.dumps(header).encode() + b"\n")
                for statement in _undoing(connection, repair):
                    out.write(statement.encode() + b"\n")
                out.flush()
                os.fsync(out.fileno())
            part.replace(path)
            new_file.sync(folder)  # the name of a new file is on disk only when its folder is
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return Archive(path, file, kind, repair.table, rows)


def read_header(path: Path) -> Archive:
    """What an archive says of itself. Raises `UsageError` for a file that is none."""
    try:
        with path.open("rb") as file:
            line = file.readline(100_000)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    try:
        header: dict[str, Any] = json.loads(line.removeprefix(_FIRST_LINE)) if line.startswith(_FIRST_LINE) else {}
        return Archive(path, Path(header["file"]), str(header["kind"]), str(header["table"]), int(header["rows"]))
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"{path} is not an archive of coinswarm fsck", hint="Give one of its .sql files.") from None


def restore(path: Path, file: Path) -> int:
    """Put the rows of an archive back into `file`, in one transaction; how many rows changed by it.

    A row that is there again already is left as it is, and so is one that has taken its place.
    Raises `UsageError` for what is no whole archive, `StorageError`; nothing is changed then.
    """
    header = read_header(path)
    with closing(attach(file, write=True)) as connection, path.open("rb") as source, translated(file):
        changed = Counter[str]()
        found = Counter[str]()
        with transaction(connection):
            for statement in statements(source):
                word = verb(statement)
                if word not in _PUTS_BACK:
                    raise UsageError(f"{path} holds more than rows to put back: {statement[:60]}")
                found[word] += 1
                changed[word] += connection.execute(statement).rowcount
            if max(found.values(), default=0) < header.rows:
                raise UsageError(
                    f"{path} is cut short: it should hold {header.rows:,} rows; nothing was put back",
                    hint="Take another copy of the archive.",
                )
        return changed["INSERT"] if found["INSERT"] else changed["UPDATE"]


def _undoing(connection: sqlite3.Connection, repair: Move | Change) -> Iterator[str]:
    if isinstance(repair, Change):
        yield from _former_values(connection, repair)
    else:
        yield from _rows(connection, repair)
    yield from (f"{statement};" for statement in repair.after)


def _former_values(connection: sqlite3.Connection, change: Change) -> Iterator[str]:
    columns = ", ".join((change.key, *change.columns))
    for key, *values in connection.execute(f"SELECT {columns} FROM {change.table} WHERE {change.where}"):
        sets = ", ".join(f"{c} = {literal(v)}" for c, v in zip(change.columns, values, strict=True))
        yield f"UPDATE {change.table} SET {sets} WHERE {change.key} = {literal(key)};"


def _rows(connection: sqlite3.Connection, move: Move) -> Iterator[str]:
    names = [str(row[0]) for row in connection.execute("SELECT name FROM pragma_table_info(?)", (move.table,))]
    columns = ", ".join(map(quoted, names))
    for row in connection.execute(f"SELECT {columns} FROM {move.table} WHERE {move.where}"):
        values = ", ".join(map(literal, row))
        yield f"INSERT INTO {move.table} ({columns}) VALUES ({values}) ON CONFLICT DO NOTHING;"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StorageError(
            f"the archive folder {folder} cannot be made: {error.strerror}; nothing was changed",
            hint="Choose another folder with --archive DIR.",
        ) from None
