"""A queue in a dict that behaves as the protocol says, for tests that are about somebody else than the queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from coinswarm.clock import ManualClock
from coinswarm.errors import BatchCountOutOfBounds, BatchTooLarge, CoinswarmError, MessageTooLarge, QueuePaused
from coinswarm.limits import QUEUES
from coinswarm.queue.types import Departures, Message, Metrics, OutgoingMessage, Settled, Settlement


@dataclass
class Stored:
    id: str
    body: bytes
    timestamp_ms: int
    visible_at_ms: float
    attempts: int = 0
    lease_id: str | None = None
    reason: str | None = None


class MemoryQueue:
    """First in, first out; `max_retries` deliveries more than the first, then `dead`."""

    name = "memory"

    def __init__(self, clock: ManualClock, *, max_retries: int = 3, visibility_timeout_ms: int = 30_000) -> None:
        self.clock = clock
        self.max_retries = max_retries
        self.visibility_timeout_ms = visibility_timeout_ms
        self.messages: dict[str, Stored] = {}
        self.dead: list[Stored] = []
        self.acked: list[Stored] = []
        self.sent_batches: list[list[bytes]] = []
        self.settlements: list[Settlement] = []
        self.paused = False
        self.fail_send_after: tuple[int, CoinswarmError] | None = None
        self.fail_settle: CoinswarmError | None = None
        self._leases = 0
        self._ids = 0

    def send_batch(self, messages: Sequence[OutgoingMessage], *, delay_seconds: int | None = None) -> list[str]:
        if self.fail_send_after is not None and len(self.sent_batches) >= self.fail_send_after[0]:
            raise self.fail_send_after[1]
        if not 1 <= len(messages) <= QUEUES.batch_messages:
            raise BatchCountOutOfBounds
        if any(len(m.body) + QUEUES.metadata_bytes > QUEUES.message_bytes for m in messages):
            raise MessageTooLarge
        if sum(len(m.body) + QUEUES.metadata_bytes for m in messages) > QUEUES.batch_bytes:
            raise BatchTooLarge
        self.sent_batches.append([m.body for m in messages])
        ids = []
        for message in messages:
            self._ids += 1
            key = f"{self._ids:032x}"
            now = self.clock.now_ms()
            delay = message.delay_seconds if message.delay_seconds is not None else delay_seconds or 0
            self.messages[key] = Stored(key, message.body, now, now + delay * 1000)
            ids.append(key)
        return ids

    def lease(self, batch_size: int, *, visibility_timeout_ms: int | None = None) -> list[Message]:
        if self.paused:
            raise QueuePaused
        now = self.clock.now_ms()
        leased = []
        for stored in list(self.messages.values()):
            if len(leased) == batch_size:
                break
            if stored.visible_at_ms > now:
                continue
            self._leases += 1
            stored.lease_id = f"lease-{self._leases}"
            stored.attempts += 1
            stored.visible_at_ms = now + (visibility_timeout_ms or self.visibility_timeout_ms)
            leased.append(
                Message(stored.id, stored.body, "json", stored.timestamp_ms, stored.attempts, stored.lease_id)
            )
        return leased

    def settle(self, settlement: Settlement) -> Settled:
        if self.fail_settle is not None:
            raise self.fail_settle
        self.settlements.append(settlement)
        by_lease = {m.lease_id: m for m in self.messages.values() if m.lease_id}
        acked = retried = dead = released = 0
        stale: list[str] = []
        for lease_id in settlement.acks:
            if stored := self._take(by_lease, lease_id, stale):
                self.acked.append(self.messages.pop(stored.id))
                acked += 1
        for retry in settlement.retries:
            if stored := self._take(by_lease, retry.lease_id, stale):
                stored.reason = retry.reason
                if stored.attempts > self.max_retries:
                    self.dead.append(self.messages.pop(stored.id))
                    dead += 1
                else:
                    stored.visible_at_ms = self.clock.now_ms() + (retry.delay_seconds or 0) * 1000
                    retried += 1
        for letter in settlement.dead_letters:
            if stored := self._take(by_lease, letter.lease_id, stale):
                stored.reason = letter.reason
                self.dead.append(self.messages.pop(stored.id))
                dead += 1
        for lease_id in settlement.releases:
            if stored := self._take(by_lease, lease_id, stale):
                stored.attempts -= 1
                stored.visible_at_ms = self.clock.now_ms()
                released += 1
        return Settled(acked, retried, dead, 0, released, tuple(stale))

    def _take(self, by_lease: dict[str | None, Stored], lease_id: str, stale: list[str]) -> Stored | None:
        stored = by_lease.get(lease_id)
        if stored is None:
            stale.append(lease_id)
        else:
            stored.lease_id = None
        return stored

    @contextmanager
    def transaction(self) -> Iterator[None]:
        yield

    def wait_hint_ms(self) -> int | None:
        if not self.messages:
            return None
        first = min(stored.visible_at_ms for stored in self.messages.values())
        return max(0, int(first - self.clock.now_ms()))

    def metrics(self) -> Metrics:
        now = self.clock.now_ms()
        hidden = [m for m in self.messages.values() if m.visible_at_ms > now]
        in_flight = sum(m.lease_id is not None for m in hidden)
        return Metrics(
            backlog=len(self.messages),
            waiting=len(self.messages) - len(hidden),
            in_flight=in_flight,
            delayed=len(hidden) - in_flight,
            bytes=sum(len(m.body) for m in self.messages.values()),
            oldest_message_timestamp_ms=min((m.timestamp_ms for m in self.messages.values()), default=0),
        )

    def departures(self) -> Departures:
        return Departures(dead_lettered=len(self.dead))

    def peek(self, limit: int = 10) -> list[Message]:
        return [
            Message(m.id, m.body, "json", m.timestamp_ms, m.attempts, "") for m in list(self.messages.values())[:limit]
        ]

    def purge(self, stop: Callable[[], bool] = lambda: False) -> int:
        waiting = [key for key, m in self.messages.items() if m.lease_id is None]
        for key in waiting:
            del self.messages[key]
        return len(waiting)
