"""Before a command reads a whole large table on Cloudflare: what that would be billed, and on a terminal a question."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from coinswarm.errors import UsageError

if TYPE_CHECKING:
    from coinswarm.commands.run import Run
    from coinswarm.cost.estimate import Reading
    from coinswarm.d1.types import Database


def warn_of_reading(database: Database, sql: str) -> None:
    """Say so if `sql` scans a large table; whoever asks before a remote statement asks after this."""
    from coinswarm.cost.estimate import whole_tables

    _warn(database, whole_tables(database, sql))


def confirm_reading(run: Run, database: Database, table: str, *, yes: bool) -> None:
    """Say so if all of `table` is large and, on a terminal, ask. Raises `UsageError` on a no."""
    from coinswarm.cost.estimate import whole_table

    found = whole_table(database, table)
    _warn(database, found)
    if found is not None and not yes and sys.stdin.isatty() and not run.agreed("Go on?"):
        raise UsageError("nothing was read", hint="Answer y, or give --yes.")


def _warn(database: Database, found: Reading | None) -> None:
    from coinswarm import render

    if found is not None:
        render.warn(found.warning(database.name))
