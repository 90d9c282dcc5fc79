"""`coinswarm d1 …`: wrangler's commands over D1, local unless --remote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from coinswarm.commands.run import Run, command
from coinswarm.errors import UsageError

app = typer.Typer(help="D1 databases: look into, query, migrate.", no_args_is_help=True)
migrations = typer.Typer(help="Migrations, as wrangler keeps them.", no_args_is_help=True)
app.add_typer(migrations, name="migrations")

Name = Annotated[
    str | None, typer.Argument(metavar="DATABASE", help="Name, binding or id; the stack's only database unless said.")
]
Local = Annotated[bool, typer.Option("--local", help="The local database (the default).")]
Remote = Annotated[bool, typer.Option("--remote", help="Cloudflare's own D1.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a remote write.")]


@command(app, "list")
def list_databases(run: Run) -> None:
    """The databases of the stack."""
    from coinswarm import render, wiring

    rows = wiring.list_databases(run.stack)
    run.report(
        rows,
        lambda: render.table(
            ("binding", "name", "id", "size", "file"),
            [(r["binding"], r["name"], r["uuid"], render.size(r["file_size"]), r["path"]) for r in rows],
        ),
    )


@command(app, "info")
def info(run: Run, database: Name = None, local: Local = False, remote: Remote = False) -> None:
    """One database: where it is, how large, how many tables."""
    from coinswarm import render, wiring

    with wiring.database(run, database, local=local, remote=remote) as opened:
        document = wiring.database_info(opened)
    run.report(document, lambda: render.facts(document.items()), "coinswarm d1 stats")


@command(app, "stats")
def stats(run: Run, database: Name = None, local: Local = False, remote: Remote = False) -> None:
    """What price_data holds: every series with its rows, first and last candle and gaps."""
    from coinswarm import render, wiring
    from coinswarm.d1.stats import stats as read_stats

    with wiring.database(run, database, local=local, remote=remote) as opened:
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
    from coinswarm import render, wiring

    text = _sql_text(sql, file)
    with wiring.database(run, database, local=local, remote=remote) as opened:
        wiring.confirm_remote_write(run, opened, text, yes=yes)
        results = opened.execute(text)
    document = [{"results": result.objects, "success": True, "meta": result.meta.as_json()} for result in results]

    def show() -> None:
        for result in results:
            if result.columns:
                render.table(result.columns, result.rows)
            meta = result.meta
            render.line(
                f"{len(result.rows):,} rows · {meta.changes:,} changed · {meta.rows_read:,} read · "
                f"{meta.rows_written:,} written · {meta.duration:.1f} ms"
            )

    run.report(document, show)


def _sql_text(sql: str | None, file: Path | None) -> str:
    if (sql is None) == (file is None):
        raise UsageError("say what to execute", hint="Give either --command SQL or --file FILE.")
    if sql is not None:
        return sql
    assert file is not None
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not UTF-8 text", hint="An SQLite file is not SQL: dump it first.") from None


@command(migrations, "list")
def list_migrations(run: Run, database: Name = None, local: Local = False, remote: Remote = False) -> None:
    """Migrations that are not applied yet."""
    from coinswarm import render, wiring
    from coinswarm.d1 import migrate

    with wiring.database(run, database, local=local, remote=remote) as opened:
        pending = migrate.pending(
            opened, wiring.migrations(run.stack, opened), table=wiring.migrations_table(run.stack, opened)
        )
    names = [m.name for m in pending]
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

    with wiring.database(run, database, local=local, remote=remote) as opened:
        wiring.confirm_remote_write(run, opened, "migrations", yes=yes)
        names = wiring.apply_migrations(run.stack, opened)
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
    message: Annotated[str, typer.Argument(metavar="MESSAGE", help="What it does; becomes its file name.")],
    database: Annotated[str | None, typer.Option("--database", help="Name, binding or id.")] = None,
) -> None:
    """Write an empty migration with the next number."""
    from coinswarm import render, wiring

    path = wiring.create_migration(run.stack, database, message, run.clock)
    run.report({"path": str(path)}, lambda: render.line(f"Created {path}."), "coinswarm d1 migrations apply")
