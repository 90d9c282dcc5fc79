"""`coinswarm d1 …`: wrangler's commands over D1, local unless --remote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coinswarm.commands import migrations, past
from coinswarm.commands.databases import Name, before_write, not_both, opened_database
from coinswarm.commands.run import Local, Remote, Run, Yes, command
from coinswarm.errors import UsageError

if TYPE_CHECKING:
    from coinswarm.d1.types import Database

app = typer.Typer(help="D1 databases: look into, query, migrate.", no_args_is_help=True, add_completion=False)
app.add_typer(migrations.app, name="migrations")
app.add_typer(past.app, name="time-travel")
command(app, "backup")(past.backup)


@command(app, "list")
def list_databases(run: Run, local: Local = False, remote: Remote = False) -> None:
    """The databases of the stack, or of the Cloudflare account."""
    from coinswarm import render, wiring

    rows = wiring.list_databases(run.stack, run.clock, remote=remote and not local)
    columns = ("name", "uuid", "file_size", "path") if not remote else ("name", "uuid", "file_size", "created_at")
    run.report(rows, lambda: render.table(columns, [[_cell(row, column) for column in columns] for row in rows]))


def _cell(row: dict[str, Any], column: str) -> object:
    """A size as people read it; the API's list has none."""
    from coinswarm import render

    value = row[column]
    return value if column != "file_size" else "" if value is None else render.size(value)


@command(app, "info")
def info(run: Run, database: Name = None, local: Local = False, remote: Remote = False) -> None:
    """One database: where it is, how large, how many tables."""
    from coinswarm import render, wiring
    from coinswarm.d1.stats import info as describe

    with opened_database(run, database, local=local, remote=remote) as opened:
        document = describe(opened, wiring.path_of(opened))
    run.report(document, lambda: render.facts((k, _cell(document, k)) for k in document), "coinswarm d1 stats")


@command(app, "stats")
def stats(run: Run, database: Name = None, local: Local = False, remote: Remote = False, yes: Yes = False) -> None:
    """What price_data holds: every series with its rows, first and last candle and gaps."""
    from coinswarm import render
    from coinswarm.commands.reading import confirm_reading
    from coinswarm.d1.stats import stats as read_stats

    with opened_database(run, database, local=local, remote=remote) as opened:
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
    from coinswarm.d1.wire import as_received

    not_both(local, remote)
    if sql is None and file is not None and _is_large(file):
        if remote:
            _import(run, database, file, yes=yes)
        else:
            _import_here(run, database, file)
        return
    text = _sql_text(sql, file)
    with opened_database(run, database, local=local, remote=remote) as opened:
        if remote:
            warn_of_reading(opened, text)
        if remote and not _only_reads(run, opened, text):
            before_write(run, opened, "run SQL", remote=remote, yes=yes)
        results = opened.execute(text)
    if not remote:
        for result in results:
            result.rows = as_received(result.rows)
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


def _only_reads(run: Run, database: Database, text: str) -> bool:
    """Asked only where somebody would be: it takes a request."""
    from coinswarm.d1.reading import only_reads

    return run.asks and only_reads(database, text)


def _import_here(run: Run, name: str | None, file: Path) -> None:
    """A file too large for the memory, statement by statement in one transaction."""
    from coinswarm import render, upkeep

    done = upkeep.import_file(run.stack, name, file, run.clock)
    meta = done.result.meta

    def show() -> None:
        render.line(
            f"{done.queries:,} queries · {meta.changes:,} changed · {meta.rows_read:,} read · "
            f"{meta.rows_written:,} written · {meta.duration / 1000:.1f} s"
        )

    shown = {"Total queries executed": done.queries, "Rows read": meta.rows_read, "Rows written": meta.rows_written}
    run.report([{"results": [shown], "success": True, "meta": meta.as_json()}], show, "coinswarm d1 stats")


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

    not_both(local, remote)
    if no_schema and no_data:
        raise UsageError("--no-schema and --no-data together leave nothing to export", hint="Give one of them.")
    if run.json and target == STDOUT:
        raise UsageError("--json and --output - both want stdout", hint="Give --output a file.")
    if remote and not no_data:
        with opened_database(run, database, local=local, remote=remote) as opened:
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
