"""`coinswarm d1 …`: wrangler's commands over D1, local unless --remote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coinswarm.commands import past
from coinswarm.commands.run import Local, Remote, Run, Yes, command
from coinswarm.errors import UsageError

if TYPE_CHECKING:
    from coinswarm.d1.types import Database

app = typer.Typer(help="D1 databases: look into, query, migrate.", no_args_is_help=True, add_completion=False)
migrations = typer.Typer(help="Migrations, as wrangler keeps them.", no_args_is_help=True, add_completion=False)
app.add_typer(migrations, name="migrations")
app.add_typer(past.app, name="time-travel")
command(app, "backup")(past.backup)

Name = Annotated[
    str | None, typer.Argument(metavar="DATABASE", help="Name, binding or id; the pipeline's own unless said.")
]


@contextmanager
def _database(run: Run, name: str | None, *, local: bool, remote: bool) -> Iterator[Database]:
    from coinswarm import wiring

    _not_both(local, remote)
    run.on_cloudflare = remote
    with wiring.database(run.stack, name, run.clock, remote=remote) as opened:
        yield opened


def _not_both(local: bool, remote: bool) -> None:
    if local and remote:
        raise UsageError("--local and --remote exclude each other", hint="Give one of them.")


def _before_write(run: Run, database: Database, what: str, *, remote: bool, yes: bool) -> None:
    if remote:
        run.confirm_remote(f"{what} on the D1 database {database.name} ({database.id})", yes=yes)


@command(app, "list")
def list_databases(run: Run, local: Local = False, remote: Remote = False) -> None:
    """The databases of the stack, or of the Cloudflare account."""
    from coinswarm import render, wiring

    rows = wiring.list_databases(run.stack, run.clock, remote=remote and not local)
    columns = ("name", "uuid", "file_size", "path") if not remote else ("name", "uuid", "file_size", "created_at")
    run.report(rows, lambda: render.table(columns, [[row[column] for column in columns] for row in rows]))


@command(app, "info")
def info(run: Run, database: Name = None, local: Local = False, remote: Remote = False) -> None:
    """One database: where it is, how large, how many tables."""
    from coinswarm import render, wiring
    from coinswarm.d1.stats import info as describe

    with _database(run, database, local=local, remote=remote) as opened:
        document = describe(opened, wiring.path_of(opened))
    run.report(document, lambda: render.facts(document.items()), "coinswarm d1 stats")


@command(app, "stats")
def stats(run: Run, database: Name = None, local: Local = False, remote: Remote = False, yes: Yes = False) -> None:
    """What price_data holds: every series with its rows, first and last candle and gaps."""
    from coinswarm import render
    from coinswarm.commands.reading import confirm_reading
    from coinswarm.d1.stats import stats as read_stats

    with _database(run, database, local=local, remote=remote) as opened:
        if remote:
            confirm_reading(run, opened, "price_data", yes=yes)
        document = read_stats(opened)

    def show() -> None:
        render.line(f"{document['database']}: {document['rows']:,} rows, {render.size(document['size_bytes'])}")
        if document["series"]:
            render.table(
                ("symbol", "timeframe", "source", "rows", "first", "last", "gaps"),
                [
                    (
                        *(s["symbol"], s["timeframe"], s["source"], s["rows"]),
                        *(render.moment(s["first"]), render.moment(s["last"]), s["gaps"]),
                    )
                    for s in document["series"]
                ],
            )

    run.report(document, show, *([] if document["rows"] else ["coinswarm fetch", "coinswarm consume"]))


@command(app, "execute")
def execute(
    run: Run,
    database: Name = None,
    sql: Annotated[str | None, typer.Option("--command", metavar="SQL", help="One or more statements.")] = None,
    file: Annotated[Path | None, typer.Option("--file", metavar="FILE", help="A file of statements.")] = None,
    local: Local = False,
    remote: Remote = False,
    yes: Yes = False,
) -> None:
    """Run SQL as D1 would, in one transaction; exits 1 and changes nothing if a statement fails."""
    from coinswarm import render
    from coinswarm.commands.reading import warn_of_reading

    if remote and not local and sql is None and file is not None and _is_large(file):
        _import(run, database, file, yes=yes)
        return
    text = _sql_text(sql, file)
    with _database(run, database, local=local, remote=remote) as opened:
        if remote:
            warn_of_reading(opened, text)
        _before_write(run, opened, "run SQL", remote=remote, yes=yes)
        results = opened.execute(text)
    document = [{"results": result.objects, "success": True, "meta": result.meta.as_json()} for result in results]

    def show() -> None:
        for result in results:
            if result.columns:
                render.table(
                    result.columns, [[str(v) if isinstance(v, int) else v for v in row] for row in result.rows]
                )
            meta = result.meta
            render.line(
                f"{len(result.rows):,} rows · {meta.changes:,} changed · {meta.rows_read:,} read · "
                f"{meta.rows_written:,} written · {meta.duration:.1f} ms"
            )

    run.report(document, show)


def _sql_text(sql: str | None, file: Path | None) -> str:
    if (sql is None) == (file is None):
        raise UsageError("say what to execute", hint="Give either --command SQL or --file FILE.")
    if file is None:
        return sql or ""
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not UTF-8 text", hint="An SQLite file is not SQL: dump it first.") from None


def _is_large(file: Path) -> bool:
    from coinswarm.d1.transfer import IMPORT_FROM

    try:
        return file.stat().st_size >= IMPORT_FROM
    except OSError:
        return False  # reading it says why


def _import(run: Run, name: str | None, file: Path, *, yes: bool) -> None:
    from coinswarm import render, wiring

    with wiring.transfer(run.stack, name, run.clock) as remote:
        database = remote.database
        run.confirm_remote(f"import {file} into the D1 database {database.name} ({database.id})", yes=yes)
        done = remote.run_file(file, told=render.note)

    def show() -> None:
        meta = done.meta
        render.line(f"{done.queries:,} queries · {meta.rows_read:,} read · {meta.rows_written:,} written")
        if done.bookmark:
            render.line(f"The database is now at bookmark {done.bookmark}.")

    run.report([done.as_json()], show)


@command(app, "export")
def export(
    run: Run,
    target: Annotated[Path, typer.Option("--output", metavar="FILE", help="Where to; - is stdout.")],
    database: Name = None,
    table: Annotated[list[str] | None, typer.Option("--table", metavar="T", help="Only this; may be repeated.")] = None,
    no_schema: Annotated[bool, typer.Option("--no-schema", help="Only rows.")] = False,
    no_data: Annotated[bool, typer.Option("--no-data", help="Only tables, indexes, triggers and views.")] = False,
    local: Local = False,
    remote: Remote = False,
    yes: Yes = False,
) -> None:
    """The database as SQL text, which `d1 execute --file` takes; FILE is replaced once all of it is there."""
    from coinswarm import render, wiring
    from coinswarm.commands.reading import confirm_reading
    from coinswarm.d1.export import STDOUT, output

    _not_both(local, remote)
    if no_schema and no_data:
        raise UsageError("--no-schema and --no-data together leave nothing to export", hint="Give one of them.")
    if run.json and target == STDOUT:
        raise UsageError("--json and --output - both want stdout", hint="Give --output a file.")
    if remote and not no_data:
        with _database(run, database, local=local, remote=remote) as opened:
            confirm_reading(run, opened, ", ".join(table or ["all tables"]), yes=yes)
    with output(target) as file:
        name = wiring.export(
            run.stack,
            database,
            run.clock,
            file,
            remote=remote,
            told=render.note,
            tables=table or (),
            schema=not no_schema,
            data=not no_data,
        )
        size = file.seek(0, 2)
    document: dict[str, Any] = {"database": name, "path": str(target), "bytes": size}
    if table:
        document["tables"] = table
    text = f"Exported {name}: {render.size(size)}"
    if target == STDOUT:
        render.note(f"{text}.")
        return
    run.report(document, lambda: render.line(f"{text} in {target}."))


@command(migrations, "list")
def list_migrations(run: Run, database: Name = None, local: Local = False, remote: Remote = False) -> None:
    """Migrations that are not applied yet."""
    from coinswarm import render, wiring
    from coinswarm.d1 import migrate

    declared = run.stack.database(database)
    with _database(run, database, local=local, remote=remote) as opened:
        found = migrate.pending(opened, wiring.migrations_of(declared), table=declared.migrations_table)
    names = [migration.name for migration in found]
    if not names:
        run.report(names, lambda: render.line("No migrations to apply."))
        return
    run.report(names, lambda: render.table(("to be applied",), [[n] for n in names]), "coinswarm d1 migrations apply")


@command(migrations, "apply")
def apply_migrations(
    run: Run, database: Name = None, local: Local = False, remote: Remote = False, yes: Yes = False
) -> None:
    """Apply them in order, each in a transaction of its own."""
    from coinswarm import render, wiring
    from coinswarm.d1 import migrate

    declared = run.stack.database(database)
    found = wiring.migrations_of(declared)
    with _database(run, database, local=local, remote=remote) as opened:
        _before_write(run, opened, "apply migrations", remote=remote, yes=yes)
        names = migrate.apply(opened, found, table=declared.migrations_table)
    document: list[dict[str, Any]] = [{"name": name, "status": "applied"} for name in names]

    def show() -> None:
        if names:
            render.table(("migration", "status"), [(name, "applied") for name in names])
        else:
            render.line("No migrations to apply.")

    run.report(document, show, "coinswarm d1 stats")


@command(migrations, "create")
def create_migration(
    run: Run,
    words: Annotated[list[str], typer.Argument(metavar="[DATABASE] MESSAGE", help="What it does; names its file.")],
) -> None:
    """Write an empty migration with the next number."""
    from coinswarm import render, wiring
    from coinswarm.d1 import migrate

    if len(words) > 2:
        raise UsageError("too many words", hint='Quote the message: coinswarm d1 migrations create "add an index"')
    declared = run.stack.database(words[0] if len(words) == 2 else None)
    folder = declared.migrations_dir
    # A database without a folder lives on the bundled migrations, which a folder without them would put out of force.
    bundled = [] if folder.is_dir() or declared.migrations_dir_given else wiring.migrations_of(declared)
    path = migrate.create(folder, words[-1], run.clock, pattern=declared.migrations_glob, first=bundled)

    def show() -> None:
        for migration in bundled:
            render.line(f"Copied {migration.name}, which came with coinswarm until now.")
        render.line(f"Created {path}.")

    document = {"path": str(path), "copied": [str(folder / migration.name) for migration in bundled]}
    run.report(document, show, "coinswarm d1 migrations apply")
