"""`coinswarm queues dlq …`: why messages were dead-lettered, and another chance for them.

Local queues only: Cloudflare's dead-letter queues are ordinary queues without a reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coinswarm.commands.run import Run, command
from coinswarm.errors import UsageError

if TYPE_CHECKING:
    from coinswarm.queue.dead_letters import DeadLetterRecord, DeadLetters

app = typer.Typer(help="Dead letters: list, show, redrive, purge.", no_args_is_help=True)

Name = Annotated[
    str | None, typer.Argument(metavar="QUEUE", help="The dead-letter queue; the pipeline's own unless said.")
]
MessageId = Annotated[str, typer.Argument(metavar="ID", help="The message.")]
Ids = Annotated[list[str] | None, typer.Option("--id", metavar="ID", help="Only this message; may be repeated.")]


@contextmanager
def _dead_letters(run: Run, name: str | None) -> Iterator[tuple[str, DeadLetters]]:
    from coinswarm import wiring

    with wiring.local_queues(run.stack, run.clock) as store:
        chosen = name or wiring.dead_letter_place(run.stack)
        yield chosen, store.dead_letters(chosen)


@command(app, "list")
def list_dead_letters(
    run: Run,
    name: Name = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many.")] = 100,
    source: Annotated[str | None, typer.Option("--source", metavar="QUEUE", help="Only from this queue.")] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Only with this in the reason.")
    ] = None,
    after: Annotated[str | None, typer.Option("--after", metavar="ID", help="Continue behind this message.")] = None,
) -> None:
    """What was dead-lettered, from where and why."""
    from coinswarm import render

    with _dead_letters(run, name) as (queue, letters):
        found = letters.records(limit=limit, after=after, source=source, reason=reason)
        causes = letters.causes()

    def show() -> None:
        if not found:
            render.line(f"No dead letters in {queue}.")
            return
        render.table(("messages", "from", "reason"), [(c.count, c.source, c.reason) for c in causes], title="Causes")
        render.table(
            ("id", "from", "attempts", "dead-lettered", "size", "reason"),
            [
                (r.id, r.source, r.attempts, render.moment(r.dead_lettered_ms / 1000), r.size_bytes, r.reason)
                for r in found
            ],
        )

    steps = (
        [f"coinswarm queues dlq show {found[0].id} {queue}", f"coinswarm queues dlq redrive {queue}"] if found else []
    )
    run.report([_document(record) for record in found], show, *steps)


@command(app, "show")
def show_dead_letter(run: Run, message_id: MessageId, name: Name = None) -> None:
    """One dead letter with its story and its body."""
    from coinswarm import render

    with _dead_letters(run, name) as (queue, letters):
        record = letters.show(message_id)
    document = _document(record) | {"body": (record.body or b"").decode("utf-8", "replace")}

    def show() -> None:
        render.facts(
            [
                ("id", record.id),
                ("from", record.source),
                ("reason", record.reason),
                ("attempts", record.attempts),
                ("sent", render.moment(record.timestamp_ms / 1000)),
                ("first failed", render.moment(record.first_failed_ms / 1000)),
                ("last failed", render.moment(record.last_failed_ms / 1000)),
                ("redrives", record.redrives),
            ]
        )
        render.line(document["body"])

    run.report(document, show, f"coinswarm queues dlq redrive {queue} --id {record.id}")


@command(app, "redrive")
def redrive(run: Run, name: Name = None, ids: Ids = None) -> None:
    """Send dead letters back to the queues they came from, with fresh attempts."""
    from coinswarm import render

    with _dead_letters(run, name) as (_, letters):
        done = letters.redrive(ids or None)
    document = {"redriven": done.count, "orphans": done.orphans, "missing": done.missing}

    def show() -> None:
        render.line(f"Sent {render.count(done.count, 'message')} back.")
        for queue, count in done.orphans.items():
            render.warn(f"{count:,} stay: their queue {queue} is gone (create it again to redrive them)")
        for missing in done.missing:
            render.warn(f"{missing} is no dead letter here, or a consumer is reading it")

    run.report(document, show, "coinswarm consume")


@command(app, "purge")
def purge(
    run: Run,
    name: Name = None,
    ids: Ids = None,
    force: Annotated[bool, typer.Option("--force", "--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete dead letters for good."""
    from coinswarm import render

    with _dead_letters(run, name) as (queue, letters):
        count = len(ids) if ids else letters.count()
        if not force and not run.agreed(f"Delete {count:,} dead letters of {queue} for good?"):
            raise UsageError(
                "no dead letter was deleted: they would be gone for good",
                hint=f"To go on: coinswarm queues dlq purge {queue} --force",
            )
        purged = letters.purge(ids or None)
    run.report({"queue_name": queue, "purged": purged}, lambda: render.line(f"Deleted {purged:,} dead letters."))


def _document(record: DeadLetterRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__ if name != "body"}
