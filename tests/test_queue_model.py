"""The SQLite queue against a model of a few lines: whatever is called in whatever order, both tell the same story."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinswarm.clock import ManualClock
from coinswarm.errors import QueuePaused
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.queue.types import (
    ConsumerSettings,
    DeadLetter,
    OutgoingMessage,
    QueueSettings,
    Retry,
    Settled,
    Settlement,
)


@dataclass
class Entry:
    order: int
    id: str
    body: bytes
    sent_ms: int
    stored_ms: int
    visible_at: int
    attempts: int = 0
    lease: str | None = None
    source: str | None = None


@dataclass
class Model:
    """One queue as a list."""

    name: str
    deliveries: int
    retention_ms: int
    timeout_ms: int
    retry_delay: int
    dead_letters: Model | None = None
    paused: bool = False
    entries: list[Entry] = field(default_factory=list)

    def in_flight(self, entry: Entry, now: int) -> bool:
        return entry.lease is not None and entry.visible_at > now

    def young(self, now: int) -> list[Entry]:
        """What is not too old, and what is but in flight: the rest is there until a lease sees it off."""
        return [e for e in self.entries if e.stored_ms > now - self.retention_ms or self.in_flight(e, now)]

    def ready(self, now: int, limit: int) -> list[Entry]:
        visible = [e for e in self.entries if e.visible_at <= now]
        return sorted(visible, key=lambda e: (e.visible_at, e.order))[:limit]

    def lease(self, now: int, limit: int) -> list[Entry]:
        self.entries = self.young(now)
        while used_up := [e for e in self.ready(now, limit) if e.attempts >= self.deliveries]:
            for entry in used_up:
                self.give_up(entry, now)
        return self.ready(now, limit)

    def give_up(self, entry: Entry, now: int) -> bool:
        self.entries.remove(entry)
        if self.dead_letters is None:
            return False
        entry.source, entry.lease, entry.attempts = self.name, None, 0
        entry.visible_at = entry.stored_ms = now
        self.dead_letters.entries.append(entry)
        return True

    def settle(self, settlement: Settlement, now: int) -> Settled:
        acked = retried = dead = dropped = released = 0
        stale: list[str] = []

        def held(lease_id: str) -> list[Entry]:
            found = [e for e in self.entries if e.lease == lease_id]
            if not found:
                stale.append(lease_id)
            return found

        for lease_id in settlement.acks:
            for entry in held(lease_id):
                self.entries.remove(entry)
                acked += 1
        for letter in settlement.dead_letters:
            for entry in held(letter.lease_id):
                dead += self.give_up(entry, now)
        for again in settlement.retries:
            for entry in held(again.lease_id):
                if entry.attempts < self.deliveries:
                    delay = self.retry_delay if again.delay_seconds is None else again.delay_seconds
                    entry.lease, entry.visible_at = None, now + delay * 1000
                    retried += 1
                elif self.give_up(entry, now):
                    dead += 1
                else:
                    dropped += 1
        for lease_id in settlement.releases:
            for entry in held(lease_id):
                entry.lease, entry.visible_at = None, min(entry.stored_ms, now)
                entry.attempts -= 1
                released += 1
        return Settled(acked, retried, dead, dropped, released, tuple(sorted(stale)))


class Twins:
    """Store and model side by side: what is done to one is done to the other, and compared.

    Leases are remembered for ever, so that late and stale ones come up all the time.
    """

    def __init__(self, path: Path) -> None:
        self.clock = ManualClock()
        self.path = path
        self.store = SqliteQueueStore(self.path, self.clock)
        self.store.create("candles", QueueSettings(delivery_delay=2, message_retention_period=300))
        self.store.create("dead", QueueSettings(message_retention_period=100))
        self.store.add_consumer("candles", ConsumerSettings(dead_letter_queue="dead", max_retries=1, retry_delay=3))
        self.store.add_consumer("dead", ConsumerSettings(max_retries=0, visibility_timeout_ms=10_000))
        self.dead = Model("dead", 1, 100_000, 10_000, 0)
        self.candles = Model("candles", 2, 300_000, 30_000, 3, self.dead)
        self.models = {"candles": self.candles, "dead": self.dead}
        self.sent = 0
        self.known: dict[str, list[str]] = {"candles": [], "dead": []}

    def send(self, delays: list[int | None], batch_delay: int | None) -> None:
        messages = [OutgoingMessage(b"%d" % (self.sent + i), "text", d) for i, d in enumerate(delays)]
        ids = self.store.open("candles").send_batch(messages, delay_seconds=batch_delay)
        now = self.clock.now_ms()
        for message, message_id in zip(messages, ids, strict=True):
            delay = next(d for d in (message.delay_seconds, batch_delay, 2) if d is not None)
            self.candles.entries.append(Entry(self.sent, message_id, message.body, now, now, now + delay * 1000))
            self.sent += 1

    def lease(self, name: str, limit: int) -> None:
        model, queue, now = self.models[name], self.store.open(name), self.clock.now_ms()
        if model.paused:
            with pytest.raises(QueuePaused):
                queue.lease(limit)
            return
        expected = model.lease(now, limit)
        leased = queue.lease(limit)
        assert [(m.id, m.body, m.timestamp_ms, m.attempts) for m in leased] == [
            (e.id, e.body, e.sent_ms, e.attempts + 1) for e in expected
        ]
        for entry, message in zip(expected, leased, strict=True):
            entry.attempts += 1
            entry.lease, entry.visible_at = message.lease_id, now + model.timeout_ms
        self.known[name] += [message.lease_id for message in leased]

    def settle(
        self,
        name: str,
        acks: list[int],
        retries: list[tuple[int, int | None]],
        dead_letters: list[int],
        releases: list[int],
    ) -> None:
        if not self.known[name]:
            return
        settlement = Settlement(
            [self.pick(name, i) for i in acks],
            [Retry(self.pick(name, i), delay, "again") for i, delay in retries],
            [DeadLetter(self.pick(name, i), "poison") for i in dead_letters if name == "candles"],
            [self.pick(name, i) for i in releases],
        )
        settled = self.store.open(name).settle(settlement)
        expected = self.models[name].settle(settlement, self.clock.now_ms())
        assert (*_counts(settled), tuple(sorted(settled.stale))) == (*_counts(expected), expected.stale)

    def pick(self, name: str, age: int) -> str:
        """One of the queue's last leases; ages beyond the first wrap around."""
        return self.known[name][-1 - age % len(self.known[name])]

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def pause(self, paused: bool) -> None:
        self.candles.paused = paused
        (self.store.pause if paused else self.store.resume)("candles")

    def purge(self, name: str) -> None:
        model, now = self.models[name], self.clock.now_ms()
        before = len(model.entries)
        model.entries = [e for e in model.entries if model.in_flight(e, now)]
        assert self.store.open(name).purge() == before - len(model.entries)

    def redrive(self) -> None:
        now = self.clock.now_ms()
        idle = [e for e in self.dead.entries if not self.dead.in_flight(e, now)]
        for entry in idle:
            self.dead.entries.remove(entry)
            entry.attempts, entry.lease = 0, None
            entry.visible_at = entry.stored_ms = now
            self.candles.entries.append(entry)
        assert self.store.dead_letters("dead").redrive().count == len(idle)

    def reopen(self) -> None:
        self.store.close()
        self.store = SqliteQueueStore(self.path, self.clock)

    def compare(self) -> None:
        self.the_metrics_agree()
        self.the_next_messages_agree()
        self.every_dead_letter_has_its_record()

    def the_metrics_agree(self) -> None:
        now = self.clock.now_ms()
        for name, model in self.models.items():
            young = model.young(now)
            metrics = self.store.open(name).metrics()
            in_flight = sum(model.in_flight(e, now) for e in young)
            delayed = sum(e.lease is None and e.visible_at > now for e in young)
            oldest = min(young, key=lambda e: (e.stored_ms, e.order), default=None)
            assert (metrics.backlog, metrics.bytes) == (len(young), sum(len(e.body) for e in young))
            assert (metrics.in_flight, metrics.delayed) == (in_flight, delayed)
            assert metrics.waiting == len(young) - in_flight - delayed
            assert metrics.overdue == len(model.entries) - len(young)
            assert metrics.oldest_message_timestamp_ms == (oldest.sent_ms if oldest else 0)

    def the_next_messages_agree(self) -> None:
        now = self.clock.now_ms()
        for name, model in self.models.items():
            queue, young = self.store.open(name), model.young(now)
            shown = sorted((e for e in young if not model.in_flight(e, now)), key=lambda e: (e.visible_at, e.order))
            assert [(m.id, m.attempts) for m in queue.peek(100)] == [(e.id, e.attempts) for e in shown[:100]]
            nearest = min((e.visible_at for e in young), default=None)
            assert queue.wait_hint_ms() == (None if nearest is None else max(0, nearest - now))

    def every_dead_letter_has_its_record(self) -> None:
        records = self.store.dead_letters("dead").records(limit=1000)
        assert {(r.id, r.source) for r in records} == {(e.id, e.source) for e in self.dead.entries}


def _counts(settled: Settled) -> tuple[int, ...]:
    return settled.acked, settled.retried, settled.dead_lettered, settled.dropped, settled.released


def _step(name: str, *arguments: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[str, tuple[object, ...]]]:
    return st.tuples(st.just(name), st.tuples(*arguments))


SEND = _step(
    "send",
    st.lists(st.sampled_from([None, None, None, 0, 1, 40, 400]), min_size=1, max_size=5),
    st.sampled_from([0, 0, 0, None, 5]),
)
LEASE = _step("lease", st.sampled_from(["candles", "candles", "candles", "dead"]), st.integers(1, 6))
RECENT = st.integers(0, 9)
"""How many leases ago: mostly current ones, often late or settled ones."""
SETTLE = _step(
    "settle",
    st.sampled_from(["candles", "candles", "candles", "dead"]),
    st.lists(RECENT, max_size=1),
    st.lists(st.tuples(RECENT, st.sampled_from([None, 0, 7])), max_size=5),
    st.lists(RECENT, max_size=1),
    st.lists(RECENT, max_size=2),
)
WAIT = _step("wait", st.sampled_from([0.001, 1, 2, 7, 9.999, 10, 30, 30, 90, 250]))
RARE = st.one_of(
    _step("pause", st.sampled_from([True, False, False])),
    _step("purge", st.sampled_from(["candles", "dead"])),
    _step("redrive"),
    _step("reopen"),
)
STEPS = st.sampled_from([SEND] * 5 + [LEASE] * 7 + [SETTLE] * 6 + [WAIT] * 4 + [RARE] * 2).flatmap(lambda step: step)
"""Not `one_of`, which takes a strategy once however often it is named."""


@settings(max_examples=50, deadline=None)
@given(st.lists(STEPS, min_size=20, max_size=60))
def test_the_queue_and_its_model_tell_the_same_story(steps: list[tuple[str, tuple[object, ...]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        twins = Twins(Path(folder) / "queues.sqlite")
        try:
            for name, arguments in steps:
                getattr(twins, name)(*arguments)
                twins.compare()
        finally:
            twins.store.close()
