"""What the commands of the dead-letter desk share: which dead letters are meant, and where they are."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from coinswarm.commands.run import Run

if TYPE_CHECKING:
    from coinswarm.dead_letters import Desk
    from coinswarm.queue.letters import Selection

Name = Annotated[
    str | None, typer.Argument(metavar="QUEUE", help="The dead-letter queue; the pipeline's own unless said.")
]
MessageId = Annotated[str, typer.Argument(metavar="ID", help="The message.")]
Ids = Annotated[list[str] | None, typer.Option("--id", metavar="ID", help="Only this message; may be repeated.")]
Source = Annotated[str | None, typer.Option("--source", metavar="QUEUE", help="Only from this queue.")]
Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Only with this in the reason.")]
Symbol = Annotated[str | None, typer.Option("--symbol", metavar="PAIR", help="Only with a candle of it.")]
Since = Annotated[str | None, typer.Option("--since", metavar="T", help="Only dead-lettered at this time or later.")]
Until = Annotated[str | None, typer.Option("--until", metavar="T", help="Only dead-lettered at this time or earlier.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count, change nothing.")]
AssumeClosed = Annotated[
    bool,
    typer.Option(
        "--assume-closed", help="--remote: candles whose sending time Cloudflare does not tell were closed by then."
    ),
]


@contextmanager
def desk_of(run: Run, name: str | None, remote: bool, *, assume_closed: bool = False) -> Iterator[tuple[str, Desk]]:
    """The dead letters of a queue, local or on Cloudflare, with the queue's name."""
    from coinswarm import wiring

    run.on_cloudflare = run.on_cloudflare or remote
    chosen = name or wiring.dead_letter_place(run.stack)
    if not remote:
        with wiring.local_queues(run.stack, run.clock) as store:
            yield chosen, store.dead_letters(chosen)
        return
    from coinswarm.dead_letters import unfit
    from coinswarm.queue.cloudflare_dead_letters import CloudflareDeadLetters

    with wiring.remote_queues(run.stack, run.clock) as account:
        yield chosen, CloudflareDeadLetters(account, chosen, run.clock, unfit(assume_closed=assume_closed))


def selection_of(
    run: Run, source: str | None, reason: str | None, symbol: str | None, since: str | None, until: str | None
) -> Selection:
    """Raises `UsageError` for times that are none."""
    from coinswarm.commands.moments import moment
    from coinswarm.dead_letters import of_symbol
    from coinswarm.queue.letters import Selection

    now = run.clock.now_ms() // 1000
    first, last = moment("--since", since, now), moment("--until", until, now)
    return Selection(
        source=source,
        reason=reason,
        since_ms=None if first is None else first * 1000,
        until_ms=None if last is None else last * 1000 + 999,
        matches=None if symbol is None else of_symbol(symbol),
    )


def flags_of(**given: str | list[str] | None) -> str:
    """The selection again, for a command that follows this one."""
    words = []
    for name, value in given.items():
        for each in value if isinstance(value, list) else [value] if value else []:
            words += [f"--{name}", each]
    return (" " + shlex.join(words)) if words else ""


def warn_missing(ids: Iterable[str]) -> None:
    """Of the ids that were asked for, those with which nothing was done."""
    from coinswarm import render

    for message_id in ids:
        render.warn(f"{message_id} is no dead letter here, or a consumer is reading it")


def consume(remote: bool) -> str:
    """What to type once dead letters are back in their queue."""
    return "coinswarm consume --remote-queue --remote" if remote else "coinswarm consume"
