"""The data plane of one queue on SQLite: send, lease, settle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from coinswarm.clock import Clock
from coinswarm.errors import QueuePaused, QueueStorageLimit
from coinswarm.limits import QUEUES
from coinswarm.queue import failures, registry, removal, rules, usage
from coinswarm.queue.failures import Failed
from coinswarm.queue.file import QueueFile
from coinswarm.queue.messages import SQL, lease_ids, message_ids, new_token, runs
from coinswarm.queue.registry import QueueState
from coinswarm.queue.settling import settle
from coinswarm.queue.types import Departures, Message, Metrics, OutgoingMessage, Settled, Settlement

_Row = tuple[Any, ...]
_SEQ, _LEASE, _ATTEMPTS, _VISIBLE_AT, _BYTES = range(5)


class SqliteQueue:
    """One queue of a `SqliteQueueStore`; implements `Queue`. What a method returned is on the disk.

    Every method may also raise a `StorageError`, and `QueueNotFound` when somebody deleted the queue.
    """

    def __init__(self, file: QueueFile, clock: Clock, number: int, name: str) -> None:
        self._file = file
        self._clock = clock
        self._number = number
        self._name = name

    @property
    def name(self) -> str:
        """The name under which it was opened; it stays open when it is renamed."""
        return self._name

    def send_batch(self, messages: Sequence[OutgoingMessage], *, delay_seconds: int | None = None) -> list[str]:
        sizes = rules.check_messages(messages)
        if delay_seconds is not None:
            rules.check_delay(delay_seconds)
        with self._file.operation():
            queue = self._state()
            now = self._clock.now_ms()
            self._check_room(queue, sum(sizes), now)
            (after,) = self._file.execute(SQL["take_numbers"], (len(messages),)).fetchone()
            first, last = after - len(messages), after - 1
            ids = message_ids(first, len(messages))
            self._file.executemany(
                SQL["insert_body"],
                [(first + i, ids[i], m.content_type, now, m.body) for i, m in enumerate(messages)],
            )
            delay = queue.delivery_delay if delay_seconds is None else delay_seconds
            self._file.execute(SQL["insert_messages"], (queue.number, now + delay * 1000, first, last))
            self._file.executemany(
                SQL["delay"],
                [
                    (now + m.delay_seconds * 1000, first + i)
                    for i, m in enumerate(messages)
                    if m.delay_seconds is not None
                ],
            )
            registry.adjust(self._file, queue.number, len(sizes), sum(sizes))
            usage.record(self._file, queue.name, now, writes=usage.billed(sizes), sent=len(sizes))
        return ids

    def lease(self, batch_size: int, *, visibility_timeout_ms: int | None = None) -> list[Message]:
        rules.check_batch_size(batch_size)
        if visibility_timeout_ms is not None:
            rules.check_visibility(visibility_timeout_ms)
        with self._file.operation(durable=False):
            queue = self._state()
            if queue.paused:
                raise QueuePaused(
                    f"delivery from queue {queue.name} is paused (queue_delivery_paused)",
                    hint=f"Resume it: coinswarm queues resume-delivery {queue.name}",
                )
            now = self._clock.now_ms()
            removal.expire(self._file, queue.number, queue.name, now)
            rows = self._deliverable(queue, now, batch_size)
            if not rows:
                usage.record(self._file, queue.name, now, empty_leases=1)
                return []
            token = new_token()
            timeout = queue.visibility_timeout_ms if visibility_timeout_ms is None else visibility_timeout_ms
            leased = runs(sorted([row[_SEQ] for row in rows]))
            self._file.executemany(SQL["lease"], [(token, now + timeout, *run) for run in leased])
            reads = usage.billed([row[_BYTES] for row in rows])
            usage.record(self._file, queue.name, now, reads=reads, delivered=len(rows))
        leases = lease_ids(token, [row[_SEQ] for row in rows])
        return [
            Message(message_id, body, content_type, sent_ms, attempts + 1, lease_id, before != 0)
            for (_, before, attempts, _, _, message_id, content_type, sent_ms, body), lease_id in zip(
                rows, leases, strict=True
            )
        ]

    def settle(self, settlement: Settlement) -> Settled:
        with self._file.operation():
            return settle(self._file, self._state(), settlement, self._clock.now_ms())

    def transaction(self) -> AbstractContextManager[None]:
        """One commit for all calls inside, on this and on every queue of the store. Keep it short: others wait.

        A call that is refused leaves the others alone; one that fails half-way, or an exception that leaves the block,
        undoes all of it.
        """
        return self._file.transaction()

    def wait_hint_ms(self) -> int | None:
        now = self._clock.now_ms()
        row = self._look("next_visible", now)
        return None if row is None else max(0, int(row[0]) - now)

    def metrics(self) -> Metrics:
        """`oldest_message_timestamp_ms` is when that message was sent which has been in this queue for the longest."""
        row = self._look("metrics", self._clock.now_ms())
        if row is None:
            raise registry.not_found(self._name)
        backlog, size, in_flight, delayed, oldest, overdue = row
        return Metrics(backlog, backlog - in_flight - delayed, in_flight, delayed, size, oldest or 0, overdue)

    def timed_out(self) -> int:
        """Messages whose lease is over and was not settled: their consumer died or hangs, the next delivery is due."""
        row = self._look("stale", self._clock.now_ms())
        return 0 if row is None else int(row[0])

    def departures(self) -> Departures:
        """As the usage counts them, under its present name and the one it was opened with; deleted, under the latter.

        What is too old counts once a lease has seen it off.
        """
        return usage.departures(self._file, self._number, self._name)

    def peek(self, limit: int = 10) -> list[Message]:
        """The next 1 to 100 messages, those that wait before those that are delayed. In flight ones are not shown."""
        rules.check_batch_size(limit)
        parameters = {"queue": self._number, "now": self._clock.now_ms(), "limit": limit}
        with self._file.reading():
            rows = self._file.execute(SQL["peek"], parameters).fetchall()
        return [
            Message(message_id, body, content_type, sent_ms, attempts, lease_id="")
            for message_id, body, content_type, sent_ms, attempts in rows
        ]

    def purge(self, stop: Callable[[], bool] = lambda: False) -> int:
        """Messages sent meanwhile survive; so do those in flight, until they are settled."""
        return removal.purge(self._file, self._number, self._name, self._clock.now_ms(), stop)

    def _state(self) -> QueueState:
        return registry.find(self._file, self._number, self._name)

    def _check_room(self, queue: QueueState, size: int, now: int) -> None:
        if queue.bytes + size <= QUEUES.backlog_bytes:
            return
        removal.expire(self._file, queue.number, queue.name, now)
        if self._state().bytes + size > QUEUES.backlog_bytes:
            raise QueueStorageLimit(
                f"queue {queue.name} holds {queue.bytes:,} bytes; its limit is {QUEUES.backlog_bytes:,}",
                hint=f"Drain it first: coinswarm consume. Or give it up: coinswarm queues purge {queue.name} --force",
            )

    def _deliverable(self, queue: QueueState, now: int, batch_size: int) -> list[_Row]:
        """Messages to lease. On the way it notes which deliveries timed out, and sees off what they used up."""
        deliveries = queue.deliveries
        while True:
            rows = self._file.execute(SQL["deliverable"], (self._number, now, batch_size)).fetchall()
            used_up = [row for row in rows if row[_ATTEMPTS] >= deliveries]
            timed_out = [(row[_SEQ], row[_VISIBLE_AT]) for row in used_up or rows if row[_LEASE]]
            if timed_out:
                failures.note_timeouts(self._file, timed_out)
            if not used_up:
                return rows
            gone = [Failed(row[_SEQ], row[_ATTEMPTS], row[_BYTES], settled=False) for row in used_up]
            failures.retries_used_up(self._file, queue, gone, now)

    def _look(self, statement: str, now: int) -> _Row | None:
        """The one row of a statement that only reads."""
        with self._file.reading():
            row: _Row | None = self._file.execute(SQL[statement], {"queue": self._number, "now": now}).fetchone()
        return row
