"""`coinswarm d1 time-travel …` and `d1 backup`: states of a database, kept and brought back. wrangler's words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coinswarm.commands.databases import Name, not_both
from coinswarm.commands.run import Local, Remote, Run, Yes, command
from coinswarm.errors import UsageError
from coinswarm.interrupt import Interrupted, graceful

if TYPE_CHECKING:
    from coinswarm.d1.past import Past
    from coinswarm.d1.snapshots import Kept

app = typer.Typer(help="Restore a database to a state of the past.", no_args_is_help=True, add_completion=False)

Timestamp = Annotated[
    str | None,
    typer.Option("--timestamp", metavar="T", help="A Unix (seconds) or RFC3339 timestamp (e.g. 2026-07-13T08:46:42Z)."),
]


@command(app, "info")
def info(
    run: Run, database: Name = None, timestamp: Timestamp = None, local: Local = False, remote: Remote = False
) -> None:
    """The bookmark of now, or of a moment; here, a restore point is taken if the database changed since the last."""
    from coinswarm import render, upkeep

    not_both(local, remote)
    run.on_cloudflare = remote
    with upkeep.past(run.stack, database, run.clock, remote=remote) as past:
        found = past.bookmark(_moment(run, past, timestamp))
        name, kept = past.name, past.kept()

    def show() -> None:
        if timestamp:
            render.line(f"Timestamp '{timestamp}' corresponds with bookmark '{found}'")
        else:
            render.line(f"The current bookmark is '{found}'")
        if kept is not None:
            render.line(_room(kept, past.days))

    document = {"bookmark": found, "database": name, "window_days": past.days}
    if kept is not None:
        document |= {"points": kept.points, "oldest_ms": kept.oldest_ms, "bytes": kept.bytes}
    run.report(document, show, f"coinswarm d1 time-travel restore {name} --bookmark={found}")


@command(app, "restore")
def restore(
    run: Run,
    database: Name = None,
    bookmark: Annotated[str | None, typer.Option("--bookmark", metavar="B", help="Bookmark to use.")] = None,
    timestamp: Timestamp = None,
    local: Local = False,
    remote: Remote = False,
    yes: Yes = False,
) -> None:
    """Put a database back to a bookmark or a moment. The bookmark it was at before is told: it undoes this."""
    from coinswarm import render, upkeep

    not_both(local, remote)
    if (bookmark is None) == (timestamp is None):
        raise UsageError(
            "say which state to restore",
            hint="Provide either a timestamp, or a bookmark: --timestamp T or --bookmark B.",
        )
    run.on_cloudflare = remote
    with upkeep.past(run.stack, database, run.clock, remote=remote) as past:
        target = bookmark or past.bookmark(_moment(run, past, timestamp))
        what = f"overwrite all data in database {past.name}"
        if remote:
            run.confirm_remote(f"{what}; in-flight queries and transactions will be cancelled", yes=yes)
        else:
            render.note(f"This will {what}.")
            if not yes and run.asks and not run.agreed("Go on?"):
                raise UsageError("nothing was changed", hint="Answer y, or give --yes.")
        done = past.restore(target)
        name = past.name

    def show() -> None:
        render.line(f"Database {name} restored back to bookmark {target}")

    document = {
        "database": name,
        "bookmark": done.bookmark,
        "previous_bookmark": done.previous_bookmark,
        "message": f"To undo this operation, you can restore to the previous bookmark: {done.previous_bookmark}",
    }
    run.report(document, show, f"coinswarm d1 time-travel restore {name} --bookmark={done.previous_bookmark}")


def backup(
    run: Run,
    target: Annotated[Path, typer.Option("--output", metavar="FILE", help="Where to.")],
    database: Name = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
) -> None:
    """Copy a local database as it is now to a SQLite file of its own, checked, while others go on writing."""
    from coinswarm import render, upkeep
    from coinswarm.d1.backup import backup as copy

    with graceful() as stop, render.progress("copying", quiet=run.json) as shown:
        name, path = upkeep.database_file(run.stack, database)
        try:
            size = copy(path, target, force=force, stop=stop, told=lambda done, total: shown(done, total, "pages"))
        except Interrupted:
            run.stopped(f"stopped; nothing was put at {target}")
            raise typer.Exit(stop.exit_code or 1) from None
    document = {"database": name, "path": str(target), "bytes": size}
    run.report(
        document,
        lambda: render.line(f"Copied {name} to {target}: {render.size(size)}, checked."),
        f"coinswarm fsck --database {target}",
    )


def _moment(run: Run, past: Past, timestamp: str | None) -> int | None:
    from coinswarm.d1.past import moment_ms

    return None if timestamp is None else moment_ms(timestamp, now_ms=run.clock.now_ms(), days=past.days)


def _room(kept: Kept, days: int) -> str:
    from coinswarm import render

    since = "" if kept.oldest_ms is None else f", the oldest of {render.moment(kept.oldest_ms / 1000)} UTC"
    points = render.count(kept.points, "restore point")
    return f"{points}{since}, {render.size(kept.bytes)} on disk; kept for {render.count(days, 'day')}."
