"""`coinswarm queues …`: wrangler's commands over the local queues, and the dead-letter desk."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coinswarm.commands import consumers, dead_letters, queue_messages
from coinswarm.commands.queue_messages import then
from coinswarm.commands.run import Remote, Run, Yes, command
from coinswarm.errors import UsageError
from coinswarm.limits import QUEUES

if TYPE_CHECKING:
    from coinswarm.queue.types import QueueInfo, QueueSettings, QueueStore

app = typer.Typer(
    help="Queues: list, create, look into, pause, purge, dead letters.", no_args_is_help=True, add_completion=False
)
app.add_typer(consumers.app, name="consumer")
app.add_typer(dead_letters.app, name="dlq")
app.add_typer(queue_messages.app)

NEAR_THE_END = 0.1
"""Of the retention period: less than this left, and `info` warns."""

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

    def show() -> None:
        render.table(
            ("queue", "backlog", "in flight", "delayed", "size", "consumer"),
            [
                (
                    row["queue_name"],
                    row["backlog"],
                    row["in_flight"],
                    row["delayed"],
                    render.size(row["bytes"]),
                    ", ".join(c.get("script_name") or c["type"] for c in row["consumers"]) or "–",
                )
                for row in rows
            ],
        )
        for row in rows:
            if row["overdue"]:
                render.warn(overdue(row["queue_name"], row["overdue"]))

    run.report(rows, show, *(f"coinswarm queues info {row['queue_name']}" for row in rows[:1]))


@command(app, "info")
def info(run: Run, name: Name, remote: Remote = False) -> None:
    """One queue: how full it is, its settings and consumers."""
    from coinswarm import render

    with run.queues(remote=remote) as store:
        gone = store.open(name).departures()
        row = described(store, store.info(name))
    row |= {"expired": gone.expired, "dropped": gone.dropped, "dead_lettered": gone.dead_lettered}
    now = run.clock.now_ms()

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
                *([("timed out", _timed_out(row["timed_out"]))] if row["timed_out"] else []),
                ("oldest message", render.moment(oldest / 1000) if oldest else "–"),
                ("delivery", "paused" if settings["delivery_paused"] else "running"),
                ("delivery delay", f"{settings['delivery_delay']} s"),
                ("retention", f"{settings['message_retention_period']} s"),
            ]
            + ([] if remote else [("left without an ack", _departed(row))])
        )
        if row["overdue"]:
            render.warn(overdue(name, row["overdue"]))
        if warning := _near_the_end(oldest, settings["message_retention_period"], now):
            render.warn(warning)
        for consumer in consumers:
            render.line(f"consumer {consumer.get('script_name', '')} ({consumer['type']})")
            chosen = {k: v for k, v in consumer["settings"].items() if v is not None}
            render.line("  " + ", ".join(f"{k} {v}" for k, v in chosen.items()))
            if consumer["dead_letter_queue"]:
                render.line(f"  dead-letter queue {consumer['dead_letter_queue']}")

    run.report(row, show, f"coinswarm queues peek {name}")


def _departed(row: dict[str, Any]) -> str:
    return f"{row['dead_lettered']:,} dead-lettered, {row['expired']:,} expired, {row['dropped']:,} dropped"


def _near_the_end(oldest_ms: int, retention_seconds: int, now_ms: int) -> str | None:
    """What to say when the oldest message has less than a tenth of its time left (measured from its sending)."""
    left = oldest_ms / 1000 + retention_seconds - now_ms / 1000
    if not oldest_ms or left > retention_seconds * NEAR_THE_END:
        return None
    when = f"in {left / 3600:.1f} hours" if left > 0 else "any moment"
    return f"the oldest message expires {when} and is then deleted: consume it, or give the queue a longer retention"


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
        row = described(store, store.change(name, lambda settings: _changed(settings, delay, retention)))
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

    declared = not remote and name in run.stack.queue_names
    if declared and not force:
        raise UsageError(
            f"{name} is declared in {declared_in(run)}, so the next command would create it again; nothing was deleted",
            hint=f"Take it out there. To empty it: coinswarm queues purge {name} --force\n"
            f"To delete it nevertheless: coinswarm queues delete {name} --force",
        )
    with run.queues(remote=remote, write=f"delete the queue {name}", yes=force) as store:
        backlog = store.open(name).metrics().backlog
        if backlog and not force and not run.agreed(f"Delete {name} and its {render.count(backlog, 'message')}?"):
            raise UsageError(
                f"{name} still holds {render.count(backlog, 'message')}; nothing was deleted",
                hint=f"To delete them too: coinswarm queues delete {name} --force{_where(remote)}",
            )
        store.delete(name)

    def show() -> None:
        render.line(f"Deleted queue {name}.")
        if declared:
            render.warn(f"the next command creates it again, empty: {declared_in(run)} declares it")

    run.report({"queue_name": name, "deleted_messages": backlog}, show)


def declared_in(run: Run) -> str:
    """The files that declare what there is, as people know them."""
    from coinswarm.config.stack import BUILT_IN

    return ", ".join(path.name for path in run.stack.files) or BUILT_IN


@command(app, "purge")
def purge(run: Run, name: Name, force: Force = False, remote: Remote = False) -> None:
    """Delete all waiting and delayed messages of a queue, for good."""
    from coinswarm import render
    from coinswarm.interrupt import graceful

    with run.queues(remote=remote, write=f"purge {name}", yes=force) as store:
        queue = store.open(name)
        backlog = queue.metrics().backlog
        if not force and not run.agreed(f"Delete {render.count(backlog, 'message')} of {name} for good?"):
            raise UsageError(
                f"{name} was not purged: its messages would be deleted for good",
                hint=f"To go on: coinswarm queues purge {name} --force{_where(remote)}",
            )
        with graceful() as interrupt:
            purged = queue.purge(interrupt)
        stopped = interrupt.exit_code is not None
        left = queue.metrics().backlog if stopped else 0
    document: dict[str, Any] = {"queue_name": name, "purged": purged}
    document |= {"interrupted": True} if stopped else {}

    def show() -> None:
        render.line(f"Purged {render.count(purged, 'message')} from {name}.")
        if stopped:
            rest = "Cloudflare goes on by itself" if remote else f"{render.count(left, 'message')} left"
            render.warn(f"stopped when asked to, between two steps: {rest}")

    run.report(document, show, *([f"coinswarm queues purge {name} --force"] if left else []))
    if interrupt.exit_code is not None:
        raise typer.Exit(interrupt.exit_code)


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
        row = described(store, store.change(name, lambda settings: replace(settings, delivery_paused=paused)))
    word = "Paused" if paused else "Resumed"
    steps = [f"coinswarm queues resume-delivery {name}"] if paused else then(run, name)
    run.report(row, lambda: render.line(f"{word} delivery from {name}."), *steps)


def _where(remote: bool) -> str:
    return " --remote" if remote else ""


def _timed_out(count: int) -> str:
    return f"{count:,}: their consumer died or hangs; coinswarm consume delivers them again"


def overdue(queue: str, count: int) -> str:
    """What to say of messages that are too old and still there: the last moment to keep them."""
    noun = "message is" if count == 1 else "messages are"
    return (
        f"{count:,} {noun} older than the retention of {queue} and not counted: the next consumer deletes what nobody "
        f"saves; coinswarm queues update {queue} --message-retention-period-secs {QUEUES.retention_seconds_max} does"
    )


def described(store: QueueStore, info: QueueInfo) -> dict[str, Any]:
    """The document of `queues info --json`: how full it is beside what Cloudflare's API says of a queue."""
    from coinswarm.queue.wire import consumer_json, settings_json

    queue = store.open(info.name)
    metrics = queue.metrics()
    timed_out = getattr(queue, "timed_out", None)  # Cloudflare does not tell
    return {
        "queue_name": info.name,
        "queue_id": info.queue_id,
        "backlog": metrics.backlog,
        "in_flight": metrics.in_flight,
        "delayed": metrics.delayed,
        "overdue": metrics.overdue,
        "timed_out": timed_out() if timed_out else None,
        "bytes": metrics.bytes,
        "oldest_message_timestamp_ms": metrics.oldest_message_timestamp_ms,
        "settings": settings_json(info.settings),
        "consumers": [consumer_json(consumer, info.name) for consumer in info.consumers],
        "producers": list(info.producers),
    }
