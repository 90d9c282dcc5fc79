"""`coinswarm queues send` and `peek`: single messages."""

from __future__ import annotations

import json as jsonlib
import sys
from typing import Annotated

import typer

from coinswarm.commands.run import Remote, Run, Yes, command
from coinswarm.errors import CoinswarmError, UsageError

app = typer.Typer()

Name = Annotated[str, typer.Argument(metavar="NAME", help="The queue.")]


def then(run: Run, name: str) -> list[str]:
    """`consume` drains the pipeline's queue and no other."""
    try:
        pipeline = run.stack.queue()
    except CoinswarmError:  # several queues, or none: then it is nobody's
        return [f"coinswarm queues peek {name}"]
    return ["coinswarm consume" if name == pipeline else f"coinswarm queues peek {name}"]


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
        {"id": message_id or None, "queue_name": name, "content_type": kind, "bytes": len(data), "backlog": backlog},
        lambda: render.line(f"Sent message{' ' * bool(message_id)}{message_id} to {name}; {backlog:,} in its backlog."),
        *then(run, name),
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
            ("id", "sent", "deliveries", "size", "body"),
            [
                (
                    r["id"],
                    render.moment(m.timestamp_ms / 1000),
                    r["attempts"],
                    render.size(len(m.body)),
                    str(r["body"])[:80],
                )
                for r, m in zip(rows, messages, strict=True)
            ],
        ),
    )
