"""`coinswarm queues …`: wrangler's commands over the local queues, and the dead-letter desk."""

from __future__ import annotations

import json as jsonlib
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coinswarm.commands import consumers, dead_letters
from coinswarm.commands.run import Remote, Run, Yes, command
from coinswarm.errors import UsageError

if TYPE_CHECKING:
    from coinswarm.queue.types import QueueInfo, QueueSettings, QueueStore

app = typer.Typer(
    help="Queues: list, create, look into, pause, purge, dead letters.", no_args_is_help=True, add_completion=False
)
app.add_typer(consumers.app, name="consumer")
app.add_typer(dead_letters.app, name="dlq")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The queue.")]
Delay = Annotated[
    int | None, typer.Option("--delivery-delay-secs", help="Seconds before a sent message may be delivered.")
]
Retention = Annotated[
    int | None,
    typer.Option("--message-retention-period-secs", help="Seconds after which an undelivered message is deleted."),
]
Force = Annotated[bool, typer.Option("--force", "--yes", "-y", help="Do not ask.")]


@command(app, "list")
def list_queues(run: Run, remote: Remote = False) -> None:
    """All queues with their backlogs."""
    from coinswarm import render

    with run.queues(remote=remote) as store:
        rows = [described(store, info) for info in store.queues()]
    run.report(
        rows,
        lambda: render.table(
            ("queue", "backlog", "in flight", "delayed", "bytes", "consumer", "dead-letter queue"),
            [
                (
                    row["queue_name"],
                    row["backlog"],
                    row["in_flight"],
                    row["delayed"],
                    row["bytes"],
                    ", ".join(c.get("script_name") or c["type"] for c in row["consumers"]),
                    ", ".join(c["dead_letter_queue"] or "–" for c in row["consumers"]),
                )
                for row in rows
            ],
        ),
        "coinswarm queues info NAME",
    )


@command(app, "info")
def info(run: Run, name: Name, remote: Remote = False) -> None:
    """One queue: how full it is, its settings and consumers."""
    from coinswarm import render

    with run.queues(remote=remote) as store:
        row = described(store, store.info(name))

    def show() -> None:
        settings, consumers = row["settings"], row["consumers"]
        oldest = row["oldest_message_timestamp_ms"]
        render.facts(
            [
                ("queue", row["queue_name"]),
                ("id", row["queue_id"]),
                ("backlog", f"{render.count(row['backlog'], 'message')}, {render.size(row['bytes'])}"),
                ("in flight", row["in_flight"]),
                ("delayed", row["delayed"]),
                ("oldest message", render.moment(oldest / 1000) if oldest else "–"),
                ("delivery", "paused" if settings["delivery_paused"] else "running"),
                ("delivery delay", f"{settings['delivery_delay']} s"),
                ("retention", f"{settings['message_retention_period']} s"),
            ]
        )
        for consumer in consumers:
            render.line(f"consumer {consumer.get('script_name', '')} ({consumer['type']})")
            chosen = {k: v for k, v in consumer["settings"].items() if v is not None}
            render.line("  " + ", ".join(f"{k} {v}" for k, v in chosen.items()))
            if consumer["dead_letter_queue"]:
                render.line(f"  dead-letter queue {consumer['dead_letter_queue']}")

    run.report(row, show, f"coinswarm queues peek {name}")


@command(app, "create")
def create(
    run: Run, name: Name, delay: Delay = None, retention: Retention = None, remote: Remote = False, yes: Yes = False
) -> None:
    """Create a queue."""
    from coinswarm import render
    from coinswarm.queue.types import QueueSettings

    settings = _changed(QueueSettings(), delay, retention)
    with run.queues(remote=remote, write=f"create the queue {name}", yes=yes) as store:
        row = described(store, store.create(name, settings))
    run.report(row, lambda: render.line(f"Created queue {name}."), f"coinswarm queues send {name} BODY")


@command(app, "update")
def update(
    run: Run, name: Name, delay: Delay = None, retention: Retention = None, remote: Remote = False, yes: Yes = False
) -> None:
    """Change a queue's delivery delay or retention; what is not named stays."""
    from coinswarm import render

    if delay is None and retention is None:
        raise UsageError(
            "nothing to update", hint="Give --delivery-delay-secs or --message-retention-period-secs, or both."
        )
    with run.queues(remote=remote, write=f"change the settings of {name}", yes=yes) as store:
        settings = _changed(store.info(name).settings, delay, retention)
        row = described(store, store.update(name, settings))
    run.report(row, lambda: render.line(f"Updated queue {name}."))


def _changed(settings: QueueSettings, delay: int | None, retention: int | None) -> QueueSettings:
    if delay is not None:
        settings = replace(settings, delivery_delay=delay)
    if retention is not None:
        settings = replace(settings, message_retention_period=retention)
    return settings


@command(app, "delete")
def delete(run: Run, name: Name, force: Force = False, remote: Remote = False) -> None:
    """Delete a queue; one that still holds messages only with --force."""
    from coinswarm import render

    with run.queues(remote=remote, write=f"delete the queue {name}", yes=force) as store:
        backlog = store.open(name).metrics().backlog
        if backlog and not force and not run.agreed(f"Delete {name} and its {render.count(backlog, 'message')}?"):
            raise UsageError(
                f"{name} still holds {render.count(backlog, 'message')}; nothing was deleted",
                hint=f"To delete them too: coinswarm queues delete {name} --force{_where(remote)}",
            )
        store.delete(name)
    run.report({"queue_name": name, "deleted_messages": backlog}, lambda: render.line(f"Deleted queue {name}."))


@command(app, "purge")
def purge(run: Run, name: Name, force: Force = False, remote: Remote = False) -> None:
    """Delete all waiting and delayed messages of a queue, for good."""
    from coinswarm import render

    with run.queues(remote=remote, write=f"purge {name}", yes=force) as store:
        queue = store.open(name)
        backlog = queue.metrics().backlog
        if not force and not run.agreed(f"Delete {render.count(backlog, 'message')} of {name} for good?"):
            raise UsageError(
                f"{name} was not purged: its messages would be deleted for good",
                hint=f"To go on: coinswarm queues purge {name} --force{_where(remote)}",
            )
        purged = queue.purge()
    run.report(
        {"queue_name": name, "purged": purged},
        lambda: render.line(f"Purged {render.count(purged, 'message')} from {name}."),
    )


@command(app, "pause-delivery")
def pause_delivery(run: Run, name: Name, remote: Remote = False, yes: Yes = False) -> None:
    """Stop delivering; messages are still accepted."""
    _pause(run, name, paused=True, remote=remote, yes=yes)


@command(app, "resume-delivery")
def resume_delivery(run: Run, name: Name, remote: Remote = False, yes: Yes = False) -> None:
    """Deliver again."""
    _pause(run, name, paused=False, remote=remote, yes=yes)


def _pause(run: Run, name: str, *, paused: bool, remote: bool, yes: bool) -> None:
    from coinswarm import render

    with run.queues(remote=remote, write=f"pause or resume {name}", yes=yes) as store:
        settings = replace(store.info(name).settings, delivery_paused=paused)
        row = described(store, store.update(name, settings))
    word = "Paused" if paused else "Resumed"
    then = f"coinswarm queues resume-delivery {name}" if paused else "coinswarm consume"
    run.report(row, lambda: render.line(f"{word} delivery from {name}."), then)


@command(app, "send")
def send(
    run: Run,
    name: Name,
    body: Annotated[str, typer.Argument(metavar="BODY", help="The message; - reads it from stdin.")],
    content_type: Annotated[
        str | None,
        typer.Option("--content-type", help="json, text or bytes; json if it is JSON and text otherwise, unless said."),
    ] = None,
    delay: Annotated[int | None, typer.Option("--delay-secs", help="Seconds before it may be delivered.")] = None,
    remote: Remote = False,
    yes: Yes = False,
) -> None:
    """Send one message."""
    from coinswarm import render
    from coinswarm.queue.types import OutgoingMessage

    data = sys.stdin.buffer.read() if body == "-" else body.encode("utf-8", "surrogateescape")
    kind = content_type or ("json" if _is_json(data) else "text")
    if kind not in ("json", "text", "bytes"):
        raise UsageError(f"unknown content type {kind!r}", hint="Choose json, text or bytes.")
    if kind == "json" and not _is_json(data):
        raise UsageError("the body is not JSON", hint="Send it with --content-type text.")
    with run.queues(remote=remote, write=f"send to {name}", yes=yes) as store:
        queue = store.open(name)
        (message_id,) = queue.send_batch([OutgoingMessage(data, kind, delay)])  # type: ignore[arg-type]
        backlog = queue.metrics().backlog
    run.report(
        {"id": message_id, "queue_name": name, "content_type": kind, "bytes": len(data), "backlog": backlog},
        lambda: render.line(f"Sent message {message_id} to {name}; {backlog:,} in its backlog."),
        "coinswarm consume",
    )


def _is_json(data: bytes) -> bool:
    try:
        jsonlib.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


@command(app, "peek")
def peek(
    run: Run,
    name: Name,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="How many.")] = 10,
    remote: Remote = False,
) -> None:
    """The next messages, without leasing them."""
    from coinswarm import render

    with run.queues(remote=remote) as store:
        messages = store.open(name).peek(limit)
    rows = [
        {
            "id": m.id,
            "attempts": m.attempts,
            "timestamp_ms": m.timestamp_ms,
            "content_type": m.content_type,
            "bytes": len(m.body),
            "body": m.body.decode("utf-8", "replace"),
        }
        for m in messages
    ]
    run.report(
        rows,
        lambda: render.table(
            ("id", "sent", "attempts", "bytes", "body"),
            [
                (r["id"], render.moment(m.timestamp_ms / 1000), m.attempts, len(m.body), str(r["body"])[:80])
                for r, m in zip(rows, messages, strict=True)
            ],
        ),
    )


def _where(remote: bool) -> str:
    return " --remote" if remote else ""


def described(store: QueueStore, info: QueueInfo) -> dict[str, Any]:
    """The document of `queues info --json`: how full it is beside what Cloudflare's API says of a queue."""
    from coinswarm.queue.wire import consumer_json, settings_json

    metrics = store.open(info.name).metrics()
    return {
        "queue_name": info.name,
        "queue_id": info.queue_id,
        "backlog": metrics.backlog,
        "in_flight": metrics.in_flight,
        "delayed": metrics.delayed,
        "bytes": metrics.bytes,
        "oldest_message_timestamp_ms": metrics.oldest_message_timestamp_ms,
        "settings": settings_json(info.settings),
        "consumers": [consumer_json(consumer, info.name) for consumer in info.consumers],
        "producers": list(info.producers),
    }
