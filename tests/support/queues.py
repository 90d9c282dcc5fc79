"""Short words for tests about queues."""

from __future__ import annotations

from collections.abc import Iterable

from coinswarm.queue.types import Message, OutgoingMessage, Queue, Retry, Settled, Settlement


def send(queue: Queue, *bodies: str, delay: int | None = None, batch_delay: int | None = None) -> list[str]:
    """One batch of text messages; their ids."""
    messages = [OutgoingMessage(body.encode(), "text", delay) for body in bodies]
    return queue.send_batch(messages, delay_seconds=batch_delay)


def bodies(messages: Iterable[Message]) -> list[str]:
    return [message.body.decode() for message in messages]


def take(queue: Queue, count: int = 100) -> list[str]:
    """Lease and ack; the bodies."""
    messages = queue.lease(count)
    ack(queue, messages)
    return bodies(messages)


def ack(queue: Queue, messages: Iterable[Message]) -> Settled:
    return queue.settle(Settlement(acks=[message.lease_id for message in messages]))


def retry(queue: Queue, messages: Iterable[Message], delay: int | None = None, reason: str | None = None) -> Settled:
    return queue.settle(Settlement(retries=[Retry(message.lease_id, delay, reason) for message in messages]))


def fill(queue: Queue, count: int, body: bytes = b"{}") -> None:
    """`count` messages in batches of 100."""
    for start in range(0, count, 100):
        queue.send_batch([OutgoingMessage(body)] * min(100, count - start))
