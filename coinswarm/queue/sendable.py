"""What Cloudflare's HTTP push can carry, and how much of it at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec

from coinswarm.limits import QUEUES
from coinswarm.queue.types import OutgoingMessage

T = TypeVar("T")


def unsendable(message: OutgoingMessage) -> str | None:
    """Why the API cannot carry this body, None if it can. Only a Worker's binding sends `bytes` and `v8`."""
    if message.content_type not in ("json", "text"):
        return f"the API takes json and text, not {message.content_type}"
    try:
        if message.content_type == "text":
            message.body.decode()
        else:
            msgspec.json.decode(message.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"its body is not {message.content_type}: {error}"
    return None


def batches(items: Iterable[tuple[T, OutgoingMessage]]) -> Iterator[list[tuple[T, OutgoingMessage]]]:
    """Parts that each fit one request: 100 messages and 256 KB, metadata included."""
    part: list[tuple[T, OutgoingMessage]] = []
    size = 0
    for item in items:
        cost = len(item[1].body) + QUEUES.metadata_bytes
        if part and (len(part) == QUEUES.batch_messages or size + cost > QUEUES.batch_bytes):
            yield part
            part, size = [], 0
        part.append(item)
        size += cost
    if part:
        yield part
