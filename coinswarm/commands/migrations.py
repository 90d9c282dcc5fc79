"""`coinswarm d1 migrations …`: wrangler's commands over numbered SQL files."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from coinswarm.commands.databases import Name, before_write, opened_database
from coinswarm.commands.run import Local, Remote, Run, Yes, command
from coinswarm.errors import UsageError

app = typer.Typer(help="Migrations, as wrangler keeps them.", no_args_is_help=True, add_completion=False)


@command(app, "list")
def list_migrations(run: Run, database: Name = None, local: Local = False, remote: Remote = False) -> None:
    """Migrations that are not applied yet."""
    from coinswarm import render, wiring
    from coinswarm.d1 import migrate

    declared = run.stack.database(database)
    with opened_database(run, database, local=local, remote=remote) as opened:
        found = migrate.pending(opened, wiring.migrations_of(declared), table=declared.migrations_table)
    names = [migration.name for migration in found]
    if not names:
        run.report(names, lambda: render.line("No migrations to apply."))
        return
    run.report(names, lambda: render.table(("to be applied",), [[n] for n in names]), "coinswarm d1 migrations apply")


@command(app, "apply")
def apply_migrations(
    run: Run, database: Name = None, local: Local = False, remote: Remote = False, yes: Yes = False
) -> None:
    """Apply them in order, each in a transaction of its own."""
    from coinswarm import render, wiring
    from coinswarm.d1 import migrate

    declared = run.stack.database(database)
    found = wiring.migrations_of(declared)
    with opened_database(run, database, local=local, remote=remote) as opened:
        before_write(run, opened, "apply migrations", remote=remote, yes=yes)
        names = migrate.apply(opened, found, table=declared.migrations_table)
    document: list[dict[str, Any]] = [{"name": name, "status": "applied"} for name in names]

    def show() -> None:
        if names:
            render.table(("migration", "status"), [(name, "applied") for name in names])
        else:
            render.line("No migrations to apply.")

    run.report(document, show, "coinswarm d1 stats")


@command(app, "create")
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
        render.line(f"Created {path}: write its SQL into it, then apply it.")

    document = {"path": str(path), "copied": [str(folder / migration.name) for migration in bundled]}
    run.report(document, show, "coinswarm d1 migrations apply")
