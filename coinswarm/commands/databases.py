"""What the commands over D1 databases share: which one is meant, opened, and asked about before a remote write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from coinswarm.commands.run import Run
from coinswarm.errors import UsageError

if TYPE_CHECKING:
    from coinswarm.d1.types import Database

Name = Annotated[
    str | None, typer.Argument(metavar="DATABASE", help="Name, binding or id; the pipeline's own unless said.")
]


@contextmanager
def opened_database(run: Run, name: str | None, *, local: bool, remote: bool) -> Iterator[Database]:
    from coinswarm import wiring

    not_both(local, remote)
    run.on_cloudflare = remote
    with wiring.database(run.stack, name, run.clock, remote=remote) as opened:
        yield opened


def not_both(local: bool, remote: bool) -> None:
    if local and remote:
        raise UsageError("--local and --remote exclude each other", hint="Give one of them.")


def before_write(run: Run, database: Database, what: str, *, remote: bool, yes: bool) -> None:
    if remote:
        run.confirm_remote(f"{what} on the D1 database {database.name} ({database.id})", yes=yes)
