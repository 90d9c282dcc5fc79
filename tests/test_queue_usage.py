"""What Cloudflare would have billed, by its pricing page: operations of 64,000 bytes, by queue and UTC day."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coinswarm.clock import ManualClock
from coinswarm.queue.delivery import SqliteQueue
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.queue.types import ConsumerSettings, DeadLetter, Departures, OutgoingMessage, QueueSettings, Settlement
from coinswarm.queue.usage import Usage
from tests.support.queues import ack, fill, retry, send, take

MIDNIGHT_MS = 1_700_006_400_000
"""2023-11-15T00:00:00Z."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(MIDNIGHT_MS)


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[SqliteQueueStore]:
    with SqliteQueueStore(tmp_path / "queues.sqlite", clock) as store:
        store.create("candles")
        yield store


@pytest.fixture
def queue(store: SqliteQueueStore) -> SqliteQueue:
    return store.open("candles")


def bill(store: SqliteQueueStore, queue: str = "candles") -> tuple[int, int, int]:
    """Writes, reads and deletes."""
    rows = store.usage(queue=queue)
    return sum(r.writes for r in rows), sum(r.reads for r in rows), sum(r.deletes for r in rows)


def test_an_ordinary_message_is_three_operations(store: SqliteQueueStore, queue: SqliteQueue) -> None:
    send(queue, "a")
    take(queue)
    (row,) = store.usage()
    assert (row.day, row.queue, row.writes, row.reads, row.deletes, row.operations) == (
        "2023-11-15",
        "candles",
        1,
        1,
        1,
        3,
    )
    assert (row.sent, row.delivered, row.acked) == (1, 1, 1)


@pytest.mark.parametrize(("size", "operations"), [(0, 1), (63_900, 1), (63_901, 2), (127_900, 2)])
def test_each_started_64_000_bytes_with_metadata_count(
    store: SqliteQueueStore, queue: SqliteQueue, size: int, operations: int
) -> None:
    queue.send_batch([OutgoingMessage(b"x" * size)])
    take_raw(queue)
    assert bill(store) == (operations, operations, operations)


def test_a_batch_is_billed_message_by_message(store: SqliteQueueStore, queue: SqliteQueue) -> None:
    queue.send_batch([OutgoingMessage(b"x"), OutgoingMessage(b"x" * 70_000)])
    take_raw(queue)
    assert bill(store) == (3, 3, 3)


def test_the_pricing_pages_message_that_fails_four_times(store: SqliteQueueStore, queue: SqliteQueue) -> None:
    store.ensure("candles", consumer=ConsumerSettings(dead_letter_queue="dlq"))
    send(queue, "a")
    for _ in range(4):
        retry(queue, queue.lease(1))
    assert bill(store) == (1, 4, 0)
    assert bill(store, "dlq") == (1, 0, 0)
    (row,) = store.usage(queue="candles")
    assert (row.retried, row.dead_lettered, row.delivered) == (3, 1, 4)
    take(store.open("dlq"))
    assert bill(store, "dlq") == (1, 1, 1)


def test_a_dropped_message_is_deleted(store: SqliteQueueStore, queue: SqliteQueue) -> None:
    store.ensure("candles", consumer=ConsumerSettings(max_retries=0))
    send(queue, "a")
    retry(queue, queue.lease(1))
    assert bill(store) == (1, 1, 1)
    assert store.usage()[0].dropped == 1


def test_an_expired_message_is_a_write_and_a_delete(
    store: SqliteQueueStore, queue: SqliteQueue, clock: ManualClock
) -> None:
    store.update("candles", QueueSettings(message_retention_period=60))
    queue.send_batch([OutgoingMessage(b"x"), OutgoingMessage(b"x" * 70_000)])
    clock.advance(60)
    assert queue.lease(10) == []
    assert bill(store) == (3, 0, 3)
    assert store.usage()[0].expired == 2


def test_a_purge_is_one_operation_however_much_it_deletes(store: SqliteQueueStore, queue: SqliteQueue) -> None:
    fill(queue, 120)
    queue.purge()
    (row,) = store.usage()
    assert (row.purges, row.deletes, row.operations) == (1, 0, 121)


def test_an_empty_lease_is_counted_but_free(store: SqliteQueueStore, queue: SqliteQueue) -> None:
    queue.lease(1)
    (row,) = store.usage()
    assert (row.empty_leases, row.operations) == (1, 0)


def test_peeks_metrics_and_releases_cost_nothing_more(store: SqliteQueueStore, queue: SqliteQueue) -> None:
    send(queue, "a")
    queue.peek()
    queue.metrics()
    (message,) = queue.lease(1)
    queue.settle(Settlement(releases=[message.lease_id]))
    assert bill(store) == (1, 1, 0)


def test_a_redrive_is_what_a_consumer_doing_it_would_cost(store: SqliteQueueStore, queue: SqliteQueue) -> None:
    store.ensure("candles", consumer=ConsumerSettings(dead_letter_queue="dlq"))
    send(queue, "a")
    bury(queue)
    store.dead_letters("dlq").redrive()
    assert bill(store, "dlq") == (1, 1, 1)
    assert bill(store) == (2, 1, 0)


def test_what_is_only_held_costs_nothing(store: SqliteQueueStore, queue: SqliteQueue) -> None:
    send(queue, "a")
    bury(queue)
    store.dead_letters("candles").redrive()
    assert bill(store) == (1, 1, 0)


def test_days_are_utc_and_can_be_chosen(store: SqliteQueueStore, queue: SqliteQueue, clock: ManualClock) -> None:
    clock.advance(86_399.999)
    send(queue, "a")
    clock.advance(0.001)
    ack(queue, queue.lease(1))
    assert [(row.day, row.writes, row.reads) for row in store.usage()] == [("2023-11-15", 1, 0), ("2023-11-16", 0, 1)]
    assert [row.day for row in store.usage(since="2023-11-16")] == ["2023-11-16"]
    assert [row.day for row in store.usage(until="2023-11-15")] == ["2023-11-15"]
    assert store.usage(queue="other") == []


def test_departures_are_what_left_unacked_by_lease_settlement_or_age_on_any_day(
    store: SqliteQueueStore, queue: SqliteQueue, clock: ManualClock
) -> None:
    assert queue.departures() == Departures()
    store.ensure("candles", QueueSettings(message_retention_period=60), ConsumerSettings(max_retries=0))
    send(queue, "times out and is dropped by the next lease")
    queue.lease(1)
    clock.advance(31)
    assert queue.lease(1) == []
    assert queue.departures() == Departures(dropped=1)
    store.ensure("candles", consumer=ConsumerSettings(max_retries=0, dead_letter_queue="dlq"))
    send(queue, "times out", "fails", "is poison", "is acked")
    _, fails, poison, sound = queue.lease(4)
    retry(queue, [fails])
    queue.settle(Settlement(acks=[sound.lease_id], dead_letters=[DeadLetter(poison.lease_id, "poison")]))
    clock.advance(31)
    assert queue.lease(1) == []
    clock.advance(86_400)
    send(queue, "a", "b")
    clock.advance(60)
    assert queue.lease(1) == []
    assert queue.departures() == Departures(expired=2, dropped=1, dead_lettered=3)
    assert store.open("dlq").departures() == Departures()


def test_departures_do_not_fall_when_the_queue_is_deleted_or_renamed(
    store: SqliteQueueStore, queue: SqliteQueue
) -> None:
    store.ensure("candles", consumer=ConsumerSettings(max_retries=0))
    send(queue, "a")
    retry(queue, queue.lease(1))
    store.update("candles", QueueSettings(), new_name="renamed")
    send(queue, "b")
    retry(queue, queue.lease(1))
    assert queue.departures() == Departures(dropped=2)
    renamed = store.open("renamed")
    store.delete("renamed")
    assert renamed.departures() == Departures(dropped=1)


def test_usage_outlives_its_queue_and_is_undone_with_the_work(store: SqliteQueueStore, queue: SqliteQueue) -> None:
    send(queue, "a")
    with pytest.raises(RuntimeError), queue.transaction():
        send(queue, "b")
        raise RuntimeError
    store.delete("candles")
    assert store.usage() == [Usage("2023-11-15", "candles", 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0)]


def take_raw(queue: SqliteQueue) -> None:
    ack(queue, queue.lease(100))


def bury(queue: SqliteQueue) -> None:
    queue.settle(Settlement(dead_letters=[DeadLetter(m.lease_id, "poison") for m in queue.lease(100)]))
