"""`coinswarm queues consumer …`: who reads a queue, with wrangler's flags."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from coinswarm.commands.run import Remote, Run, Yes, command
from coinswarm.errors import ConsumerNotFound
from coinswarm.limits import QUEUE_DEFAULTS

app = typer.Typer(help="The consumer of a queue: list, add, remove.", no_args_is_help=True)
worker = typer.Typer(help="Worker consumers.", no_args_is_help=True)
http = typer.Typer(help="HTTP pull consumers.", no_args_is_help=True)
app.add_typer(worker, name="worker")
app.add_typer(http, name="http")

Queue = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue.")]
Script = Annotated[str, typer.Argument(metavar="SCRIPT", help="The Worker's name.")]
BatchSize = Annotated[int, typer.Option("--batch-size", help="Most messages in a batch, 1 to 100.")]
BatchTimeout = Annotated[int, typer.Option("--batch-timeout", help="Seconds to wait for a full batch, 0 to 60.")]
Retries = Annotated[int, typer.Option("--message-retries", help="Retries of a message, 0 to 100.")]
DeadLetters = Annotated[
    str | None, typer.Option("--dead-letter-queue", help="Where messages go whose retries are used up.")
]
Concurrency = Annotated[int | None, typer.Option("--max-concurrency", help="Most batches in flight, 1 to 250.")]
RetryDelay = Annotated[int, typer.Option("--retry-delay-secs", help="Seconds before a retried message comes back.")]
Visibility = Annotated[
    int, typer.Option("--visibility-timeout-secs", help="Seconds after which an unsettled message comes back.")
]


@command(app, "list")
@command(worker, "list")
@command(http, "list")
def list_consumers(run: Run, queue: Queue, remote: Remote = False) -> None:
    """The consumer of a queue."""
    from coinswarm import render
    from coinswarm.queue.wire import consumer_json

    with run.queues(remote=remote) as store:
        consumers = [consumer_json(consumer, queue) for consumer in store.info(queue).consumers]

    def show() -> None:
        if not consumers:
            render.line(f"{queue} has no consumer.")
            return
        render.table(
            ("consumer", "type", "script", "dead-letter queue", "settings"),
            [
                (
                    c["consumer_id"],
                    c["type"],
                    c.get("script_name", "–"),
                    c["dead_letter_queue"] or "–",
                    ", ".join(f"{k} {v}" for k, v in c["settings"].items() if v is not None),
                )
                for c in consumers
            ],
        )

    run.report(consumers, show)


@command(app, "add")
@command(worker, "add")
def add_worker(
    run: Run,
    queue: Queue,
    script: Script,
    batch_size: BatchSize = QUEUE_DEFAULTS.batch_size,
    batch_timeout: BatchTimeout = QUEUE_DEFAULTS.batch_timeout_seconds,
    retries: Retries = QUEUE_DEFAULTS.max_retries,
    dead_letter_queue: DeadLetters = None,
    max_concurrency: Concurrency = None,
    retry_delay: RetryDelay = QUEUE_DEFAULTS.retry_delay_seconds,
    remote: Remote = False,
    yes: Yes = False,
) -> None:
    """Attach a Worker to a queue."""
    _add(
        run,
        queue,
        remote,
        yes,
        type="worker",
        script_name=script,
        batch_size=batch_size,
        max_wait_time_ms=batch_timeout * 1000,
        max_retries=retries,
        dead_letter_queue=dead_letter_queue,
        max_concurrency=max_concurrency,
        retry_delay=retry_delay,
    )


@command(http, "add")
def add_http(
    run: Run,
    queue: Queue,
    batch_size: BatchSize = QUEUE_DEFAULTS.pull_batch_size,
    retries: Retries = QUEUE_DEFAULTS.max_retries,
    dead_letter_queue: DeadLetters = None,
    visibility_timeout: Visibility = QUEUE_DEFAULTS.visibility_timeout_ms // 1000,
    retry_delay: RetryDelay = QUEUE_DEFAULTS.retry_delay_seconds,
    remote: Remote = False,
    yes: Yes = False,
) -> None:
    """Let a queue be pulled over HTTP."""
    _add(
        run,
        queue,
        remote,
        yes,
        type="http_pull",
        batch_size=batch_size,
        max_retries=retries,
        dead_letter_queue=dead_letter_queue,
        visibility_timeout_ms=visibility_timeout * 1000,
        retry_delay=retry_delay,
    )


def _add(run: Run, queue: str, remote: bool, yes: bool, **settings: Any) -> None:
    from coinswarm import render
    from coinswarm.queue.types import ConsumerSettings
    from coinswarm.queue.wire import consumer_json

    with run.queues(remote=remote, write=f"add a consumer to {queue}", yes=yes) as store:
        added = store.add_consumer(queue, ConsumerSettings(**settings))
    run.report(
        consumer_json(added, queue),
        lambda: render.line(f"Added the {added.settings.type} consumer {added.consumer_id} to {queue}."),
        f"coinswarm queues info {queue}",
    )


@command(app, "remove")
@command(worker, "remove")
def remove_worker(run: Run, queue: Queue, script: Script, remote: Remote = False, yes: Yes = False) -> None:
    """Detach a Worker from a queue; the messages stay."""
    _remove(run, queue, "worker", script, remote=remote, yes=yes)


@command(http, "remove")
def remove_http(run: Run, queue: Queue, remote: Remote = False, yes: Yes = False) -> None:
    """Detach the HTTP pull consumer; the messages stay."""
    _remove(run, queue, "http_pull", None, remote=remote, yes=yes)


def _remove(run: Run, queue: str, kind: str, script: str | None, *, remote: bool, yes: bool) -> None:
    from coinswarm import render
    from coinswarm.config.stack import BUILT_IN
    from coinswarm.queue.wire import consumer_json

    with run.queues(remote=remote, write=f"remove a consumer from {queue}", yes=yes) as store:
        for consumer in store.info(queue).consumers:
            if (consumer.settings.type, consumer.settings.script_name) == (kind, script):
                store.remove_consumer(queue, consumer.consumer_id)
                break
        else:
            raise ConsumerNotFound(
                f"{queue} has no {kind} consumer{f' {script}' if script else ''}",
                hint=f"See: coinswarm queues consumer list {queue}",
            )

    def show() -> None:
        render.line(f"Removed the consumer from {queue}.")
        if not remote and any(declared.queue == queue for declared in run.stack.consumers):
            files = ", ".join(path.name for path in run.stack.files) or BUILT_IN
            render.warn(f"the next command adds it again: {files} declares it; take it out there")

    run.report(consumer_json(consumer, queue), show)
