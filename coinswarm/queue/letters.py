"""Dead letters as values: what is known of one, which ones are meant, and what a redrive did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from coinswarm.queue.types import ContentType


@dataclass(frozen=True, slots=True)
class DeadLetterRecord:
    """A dead letter: the message as it was sent, and its story in the queue it came from. Times are ms since 1970.

    The local queue knows all of it. Cloudflare tells nothing of what it moved itself: that is None there.
    """

    id: str
    held: bool
    """It is kept apart for its source, which had no dead-letter queue when it was dead-lettered."""
    source: str | None
    """The queue it failed in; a redrive sends it back there."""
    reason: str | None
    attempts: int | None
    """Deliveries in the source queue."""
    first_failed_ms: int | None
    last_failed_ms: int | None
    dead_lettered_ms: int
    redrives: int | None
    timestamp_ms: int | None
    """When it was sent first."""
    content_type: ContentType
    size_bytes: int
    body: bytes | None
    """None where nobody asked for it."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Dead letters from one source with one reason."""

    source: str
    reason: str
    count: int
    oldest_ms: int
    """When the first of them was dead-lettered."""
    newest_ms: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters are meant; what is None lets all through."""

    source: str | None = None
    """A queue's whole name."""
    reason: str | None = None
    """A part of the reason, in any case."""
    since_ms: int | None = None
    """Dead-lettered at this time or later."""
    until_ms: int | None = None
    """Dead-lettered at this time or earlier."""
    matches: Callable[[DeadLetterRecord], bool] | None = None
    """What a look into the body says: this package cannot read it."""

    def parameters(self) -> dict[str, Any]:
        """For the statements; `matches` is left to the caller."""
        return {
            "source": self.source,
            "reason": self.reason,
            "since": self.since_ms,
            "until": self.until_ms,
            "with_body": self.matches is not None,
        }

    def takes(self, record: DeadLetterRecord) -> bool:
        """Whether `record`, which has its body, is meant."""
        return (
            self.source in (None, record.source)
            and (self.reason is None or self.reason.lower() in (record.reason or "").lower())
            and (self.since_ms is None or record.dead_lettered_ms >= self.since_ms)
            and (self.until_ms is None or record.dead_lettered_ms <= self.until_ms)
            and (self.matches is None or self.matches(record))
        )


ALL: Final = Selection()


@dataclass(slots=True)
class Redriven:
    """What a redrive did, or would do."""

    count: int = 0
    orphans: dict[str, int] = field(default_factory=dict)
    """Dead letters left where they are because their source queue is gone, by its name."""
    missing: list[str] = field(default_factory=list)
    """Ids asked for that are no dead letters here, that a consumer is reading now, or that are not meant."""
    kept: dict[str, int] = field(default_factory=dict)
    """Dead letters left where they are because sending them back might do harm, by what it is."""
    doubled: list[str] = field(default_factory=list)
    """Ids that were sent back and could not be taken out of the dead-letter queue: they are in both."""
    hidden: int = 0
    """Dead letters that the store did not let us look at."""
    interrupted: bool = False
    """It was asked to stop before it was done."""


@dataclass(slots=True)
class Purged:
    """What a purge did, or would do."""

    count: int = 0
    missing: list[str] = field(default_factory=list)
    """Ids asked for that are no dead letters here, that a consumer is reading now, or that are not meant."""
    interrupted: bool = False
    """It was asked to stop before it was done."""
