"""What a queue is, for everyone who uses one: the words of Cloudflare Queues as values and two protocols.

A body is opaque here: nothing in this package knows what a candle is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from coinswarm.limits import QUEUE_DEFAULTS

ContentType = Literal["json", "text", "bytes", "v8"]


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message to send. `delay_seconds` beats the batch's delay, which beats the queue's; 0 cancels them."""

    body: bytes
    content_type: ContentType = "json"
    delay_seconds: int | None = None


@dataclass(slots=True)
class Message:
    """One delivery of a message. `lease_id` settles this delivery and no other."""

    id: str
    """32 hexadecimal digits, the same over all deliveries."""
    body: bytes
    content_type: ContentType
    timestamp_ms: int
    """When it was sent; kept when it moves to a dead-letter queue."""
    attempts: int
    """Deliveries so far, this one included: the first is 1."""
    lease_id: str
    timed_out: bool = False
    """The delivery before was not settled in time: its consumer died or hangs. False where a queue does not tell."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Deliver again. `delay_seconds` None means the consumer's `retry_delay`."""

    lease_id: str
    delay_seconds: int | None = None
    reason: str | None = None
    """Kept, so that a dead-lettered message can say why."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Move to the dead-letter queue at once: trying again cannot help."""

    lease_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a batch. Leases not named stay as they are and come back after their visibility timeout."""

    acks: Sequence[str] = ()
    retries: Sequence[Retry] = ()
    dead_letters: Sequence[DeadLetter] = ()
    releases: Sequence[str] = ()
    """Given back unread, as on shutdown: visible again at once, and the delivery is not counted."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What a settlement did, in messages."""

    acked: int = 0
    retried: int = 0
    dead_lettered: int = 0
    """Moved to the dead-letter queue, whether asked for or because the retries were used up."""
    dropped: int = 0
    """Deleted because the retries were used up and the queue has no dead-letter queue."""
    released: int = 0
    stale: tuple[str, ...] = ()
    """Lease ids that settle nothing any more: the message was delivered to somebody else, or is gone."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """How full a queue is."""

    backlog: int
    """Messages stored: waiting, delayed and in flight."""
    waiting: int
    in_flight: int
    delayed: int
    bytes: int
    """Bodies of the whole backlog."""
    oldest_message_timestamp_ms: int
    """0 when the queue is empty."""
    overdue: int = 0
    """Older than the retention period: not counted above, never delivered, deleted by the next lease."""


@dataclass(frozen=True, slots=True)
class Departures:
    """Messages that ever left a queue without an ack, by whoever's hand: totals, to be compared with earlier ones.

    Many leave where no settlement tells of it: by age, or in a `lease` that finds their deliveries used up.
    """

    expired: int = 0
    """Deleted because the retention period was over."""
    dropped: int = 0
    """Deleted because the retries were used up and the queue has no dead-letter queue."""
    dead_lettered: int = 0
    """Moved to the dead-letter queue, or held; those that a settlement reported count here too."""


@dataclass(frozen=True, slots=True)
class QueueSettings:
    delivery_delay: int = QUEUE_DEFAULTS.delivery_delay_seconds
    """Seconds before a sent message may be delivered."""
    delivery_paused: bool = False
    message_retention_period: int = QUEUE_DEFAULTS.retention_seconds
    """Seconds after which an undelivered message is deleted."""


@dataclass(frozen=True, slots=True)
class ConsumerSettings:
    """One consumer; a queue has at most one. Durations as Cloudflare's API has them."""

    type: Literal["worker", "http_pull"] = "worker"
    script_name: str | None = None
    dead_letter_queue: str | None = None
    batch_size: int = QUEUE_DEFAULTS.batch_size
    max_retries: int = QUEUE_DEFAULTS.max_retries
    max_wait_time_ms: int = QUEUE_DEFAULTS.batch_timeout_seconds * 1000
    max_concurrency: int | None = None
    """None: Cloudflare scales by itself."""
    retry_delay: int = QUEUE_DEFAULTS.retry_delay_seconds
    visibility_timeout_ms: int = QUEUE_DEFAULTS.visibility_timeout_ms


@dataclass(frozen=True, slots=True)
class ConsumerInfo:
    consumer_id: str
    created_on_ms: int
    settings: ConsumerSettings


@dataclass(frozen=True, slots=True)
class QueueInfo:
    queue_id: str
    """32 hexadecimal digits."""
    name: str
    created_on_ms: int
    modified_on_ms: int
    settings: QueueSettings = field(default_factory=QueueSettings)
    consumers: tuple[ConsumerInfo, ...] = ()
    producers: tuple[str, ...] = ()
    """Names of the Workers that bind it as a producer."""


class Queue(Protocol):
    """One queue: send, lease, settle. At least once, best-effort first in, first out.

    All methods may be called from several threads and, for stores on disk, from several processes.
    """

    @property
    def name(self) -> str: ...

    def send_batch(self, messages: Sequence[OutgoingMessage], *, delay_seconds: int | None = None) -> list[str]:
        """Store 1 to 100 messages, all or none, and return their ids. What returned is durable.

        Raises `MessageTooLarge`, `BatchTooLarge`, `BatchCountOutOfBounds`, `DelayOutOfBounds`, `QueueStorageLimit`.
        """
        ...

    def lease(self, batch_size: int, *, visibility_timeout_ms: int | None = None) -> list[Message]:
        """Up to `batch_size` (1 to 100) deliverable messages, hidden from others until the visibility timeout is over.

        An empty list means nothing can be delivered now. Raises `QueuePaused`.
        """
        ...

    def settle(self, settlement: Settlement) -> Settled:
        """Ack, retry, dead-letter and release in one transaction. Stale leases are reported, not raised."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Sends, leases and settlements inside the block become durable together when it ends, or none of them does.

        For speed: one commit instead of many, for example `settle` of a finished batch with the `lease` of the next. A
        store that cannot group calls (REST) makes each durable by itself.
        """
        ...

    def wait_hint_ms(self) -> int | None:
        """Milliseconds until something can be delivered: 0 now, None when the queue is empty.

        A message in flight counts with the end of its visibility timeout; a settlement may make it sooner.
        """
        ...

    def metrics(self) -> Metrics: ...

    def departures(self) -> Departures:
        """What left this queue unacked so far. Zeros where the store cannot tell (Cloudflare)."""
        ...

    def peek(self, limit: int = 10) -> list[Message]:
        """The next messages without leasing them (`lease_id` is empty)."""
        ...

    def purge(self, stop: Callable[[], bool] = lambda: False) -> int:
        """Delete all messages that wait or are delayed, not those in flight; how many, also when `stop` ended it."""
        ...


class QueueStore(Protocol):
    """All queues of an account: Cloudflare's control plane."""

    def queues(self) -> list[QueueInfo]: ...

    def info(self, name: str) -> QueueInfo:
        """Raises `QueueNotFound`."""
        ...

    def create(self, name: str, settings: QueueSettings | None = None) -> QueueInfo:
        """Raises `InvalidQueueName`, `QueueExists`, `InvalidQueueSettings`."""
        ...

    def update(self, name: str, settings: QueueSettings, *, new_name: str | None = None) -> QueueInfo: ...

    def change(
        self, name: str, changed: Callable[[QueueSettings], QueueSettings], *, new_name: str | None = None
    ) -> QueueInfo:
        """As `update`, with what `changed` makes of the settings there are."""
        ...

    def delete(self, name: str) -> None:
        """Delete the queue, its messages and its consumer."""
        ...

    def add_consumer(self, name: str, consumer: ConsumerSettings) -> ConsumerInfo:
        """Raises `ConsumerExists`, `InvalidConsumerSettings`. A dead-letter queue that does not exist is created."""
        ...

    def update_consumer(self, name: str, consumer_id: str, consumer: ConsumerSettings) -> ConsumerInfo: ...

    def remove_consumer(self, name: str, consumer_id: str) -> None: ...

    def open(self, name: str) -> Queue:
        """The data plane of one queue. Raises `QueueNotFound`."""
        ...
