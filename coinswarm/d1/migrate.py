"""Migrations as wrangler keeps them: numbered SQL files, recorded by name in `d1_migrations`.

Everything goes through the `Database` protocol, so that it serves the local and the remote D1, and what one of wrangler
and coinswarm has applied the other one sees. https://developers.cloudflare.com/d1/reference/migrations/
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Final

from coinswarm.clock import Clock
from coinswarm.d1.splitter import quoted, split
from coinswarm.d1.types import Database
from coinswarm.errors import SqlError, UsageError
from coinswarm.failpoints import failpoint

TABLE: Final = "d1_migrations"
PATTERN: Final = "*.sql"

_CREATE_TABLE: Final = """CREATE TABLE IF NOT EXISTS {table}(
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT UNIQUE,
    applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
);"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. `name` is its path below the migrations folder, with forward slashes and `.sql`."""

    name: str
    path: Path

    def sql(self) -> str:
        """Its text, line ends as they are. Raises `UsageError` if it cannot be read."""
        try:
            return self.path.read_bytes().decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"migration {self.path} cannot be read as UTF-8 text: {error}") from error


def migrations_in(folder: Path, pattern: str = PATTERN) -> list[Migration]:
    """The migrations of a folder in the order they are applied: by number, the numbered ones first, then by name.

    `pattern` is a glob below the folder (`**/*.sql` takes subfolders). Raises `UsageError` if there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(
            f"there is no migrations folder {folder}",
            hint="Set migrations_dir in the wrangler file, or begin one with: coinswarm d1 migrations create MESSAGE",
        )
    found = (Migration(path.relative_to(folder).as_posix(), path) for path in folder.glob(pattern) if path.is_file())
    return sorted(found, key=lambda migration: _order(migration.name))


def bundled_migrations() -> Path:
    """The folder of the migrations that come with coinswarm, in a wheel and in a working copy alike."""
    package = Path(str(resources.files("coinswarm")))
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def applied(database: Database, *, table: str = TABLE) -> list[str]:
    """Names of the migrations that have been applied, in that order. Creates the record where there is none."""
    database.execute(_CREATE_TABLE.format(table=quoted(table)))
    result = database.execute(f"SELECT * FROM {quoted(table)} ORDER BY id")[0]
    return [str(row["name"]) for row in result.objects]


def pending(database: Database, migrations: Sequence[Migration], *, table: str = TABLE) -> list[Migration]:
    """Those that have not been applied yet, in order."""
    done = set(applied(database, table=table))
    return [migration for migration in migrations if migration.name not in done]


def apply(
    database: Database,
    migrations: Sequence[Migration],
    *,
    table: str = TABLE,
    on_applied: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """Apply what is pending, each file and its record in one transaction; the names of those that were applied.

    Raises `SqlError` naming the file that failed, or `UsageError` for one that cannot be run: nothing of it was
    applied, those before it stay, none after it ran.
    """
    names: list[str] = []
    for migration in pending(database, migrations, table=table):
        sql = _with_record(migration, table)
        failpoint("migration.applying")
        try:
            database.execute(sql)
        except SqlError as error:
            raise SqlError(
                f"migration {migration.name} failed: {error.message}",
                hint=f"Nothing of it was applied ({len(names)} before it were). Correct it and run the command again.",
            ) from error
        failpoint("migration.applied")
        names.append(migration.name)
        on_applied(migration.name)
    return names


def create(
    folder: Path, message: str, clock: Clock, *, pattern: str = PATTERN, first: Sequence[Migration] = ()
) -> Path:
    """Write an empty migration with the next number, `0002_<message>.sql`, and return its path.

    A folder that is made for it begins with copies of `first`. Raises `UsageError` for a message that cannot be part of
    a file name, or if the file cannot be written.
    """
    if not message.strip() or not message.isprintable() or "/" in message or "\\" in message:
        raise UsageError(
            f"{message!r} cannot be part of a file name",
            hint="Say in a few words what it does, without slashes, line breaks and other control characters.",
        )
    begun = migrations_in(folder, pattern) if folder.is_dir() else first
    number = f"{max((_number(m.path.name) or 0 for m in begun), default=0) + 1:04d}"
    path = folder / f"{number}_{message.replace(' ', '_')}.sql"
    now = datetime.fromtimestamp(clock.now_ms() / 1000, UTC).isoformat(timespec="milliseconds")
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True)
            for migration in first:
                (folder / migration.name).write_bytes(migration.path.read_bytes())
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(f"-- Migration number: {number} \t {now.replace('+00:00', 'Z')}\n")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _with_record(migration: Migration, table: str) -> str:
    """The file's text with the statement behind it that records the file, to be run in one transaction."""
    text = migration.sql()
    name = migration.name.replace("'", "''")
    record = f"INSERT INTO {quoted(table)} (name)\nvalues ('{name}');"
    sql = f"{text}{'' if sqlite3.complete_statement(text) else chr(10) + ';'}\n{record}"
    if split(sql)[-1] != record:
        raise UsageError(
            f"migration {migration.name} is not finished: a string, a comment or a trigger is still open at its end"
        )
    return sql


def _number(segment: str) -> int | None:
    match = re.match(r"\d+", segment)
    return int(match[0]) if match else None


def _order(name: str) -> list[tuple[bool, int, str]]:
    """wrangler's: segment by segment, by leading number, numbered before unnumbered, then by the text."""
    return [((number := _number(segment)) is None, number or 0, segment) for segment in name.split("/")]
