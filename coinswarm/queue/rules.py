"""What Cloudflare refuses: names, settings and messages out of bounds, each with its own error.

Ranges: https://developers.cloudflare.com/queues/platform/limits/ and
https://developers.cloudflare.com/queues/configuration/configure-queues/.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, get_args

from coinswarm.errors import (
    BatchCountOutOfBounds,
    BatchTooLarge,
    DelayOutOfBounds,
    InvalidConsumerSettings,
    InvalidMessage,
    InvalidQueueName,
    InvalidQueueSettings,
    MessageTooLarge,
    QueueError,
)
from coinswarm.limits import QUEUES
from coinswarm.queue.types import ConsumerSettings, ContentType, OutgoingMessage, QueueSettings

CONTENT_TYPES: Final[frozenset[str]] = frozenset(get_args(ContentType))
CONSUMER_TYPES: Final = ("worker", "http_pull")
BODY_BYTES: Final = QUEUES.message_bytes - QUEUES.metadata_bytes
_NAME: Final = re.compile(QUEUES.name_pattern.removesuffix("$") + r"\Z")


def check_name(name: str) -> None:
    """Raises `InvalidQueueName` with the API's own text."""
    if not _NAME.match(name):
        raise InvalidQueueName(f"Invalid queue name: invalid queue name: {name}. Must match {QUEUES.name_pattern}")


def check_queue(settings: QueueSettings) -> None:
    """Raises `InvalidQueueSettings`."""
    _within(InvalidQueueSettings, "delivery_delay", settings.delivery_delay, 0, QUEUES.delay_seconds)
    _within(
        InvalidQueueSettings,
        "message_retention_period",
        settings.message_retention_period,
        QUEUES.retention_seconds_min,
        QUEUES.retention_seconds_max,
    )


def check_consumer(queue: str, settings: ConsumerSettings) -> None:
    """Raises `InvalidConsumerSettings`, or `InvalidQueueName` for the dead-letter queue's name."""
    if settings.type not in CONSUMER_TYPES:
        raise InvalidConsumerSettings(f"Invalid consumer type: {settings.type}. Must be worker or http_pull.")
    within = [
        ("batch_size", settings.batch_size, 1, QUEUES.batch_messages),
        ("max_retries", settings.max_retries, 0, QUEUES.max_retries),
        ("max_wait_time_ms", settings.max_wait_time_ms, 0, QUEUES.batch_timeout_seconds * 1000),
        ("retry_delay", settings.retry_delay, 0, QUEUES.delay_seconds),
        ("visibility_timeout_ms", settings.visibility_timeout_ms, 1, QUEUES.visibility_timeout_ms),
    ]
    if settings.max_concurrency is not None:
        within.append(("max_concurrency", settings.max_concurrency, 1, QUEUES.concurrency))
    for name, value, least, most in within:
        _within(InvalidConsumerSettings, name, value, least, most)
    if settings.dead_letter_queue is not None:
        check_name(settings.dead_letter_queue)
        if settings.dead_letter_queue == queue:
            raise InvalidConsumerSettings(f'Dead letter queue for queue "{queue}" cannot be itself')


def check_delay(seconds: int) -> None:
    """Raises `DelayOutOfBounds`."""
    _within(DelayOutOfBounds, "delay", seconds, 0, QUEUES.delay_seconds)


def check_visibility(milliseconds: int) -> None:
    """Raises `InvalidConsumerSettings`."""
    _within(InvalidConsumerSettings, "visibility_timeout_ms", milliseconds, 1, QUEUES.visibility_timeout_ms)


def check_batch_size(count: int) -> None:
    """Raises `BatchCountOutOfBounds`: a batch, sent, leased or peeked at, holds 1 to 100 messages."""
    _within(BatchCountOutOfBounds, "the number of messages in a batch", count, 1, QUEUES.batch_messages)


def check_messages(messages: Sequence[OutgoingMessage]) -> list[int]:
    """The bytes of each body. Raises the error that fits the first rule broken."""
    check_batch_size(len(messages))
    if {type(message.body) for message in messages} != {bytes}:
        raise InvalidMessage("a message body must be bytes")
    if unknown := {message.content_type for message in messages} - CONTENT_TYPES:
        names = ", ".join(sorted(CONTENT_TYPES))
        raise InvalidMessage(f"unknown content type {unknown.pop()!r}: must be one of {names}")
    sizes = [len(message.body) for message in messages]
    if max(sizes) > BODY_BYTES:
        raise MessageTooLarge(
            f"message {sizes.index(max(sizes))} has a body of {max(sizes):,} bytes; with its metadata of about "
            f"{QUEUES.metadata_bytes} bytes it is larger than the {QUEUES.message_bytes:,} bytes of a message"
        )
    total = sum(sizes) + len(sizes) * QUEUES.metadata_bytes
    if total > QUEUES.batch_bytes:
        raise BatchTooLarge(
            f"the batch has {total:,} bytes; the limit is {QUEUES.batch_bytes:,}",
            hint="Send fewer messages at once.",
        )
    for message in messages:
        if message.delay_seconds is not None:
            check_delay(message.delay_seconds)
    return sizes


def _within(error: type[QueueError], name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise error(f"Invalid {name}: {value}. Must be between {least} and {most}.")
