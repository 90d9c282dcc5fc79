"""What every queue store must do, whatever it is built on. A further store joins by adding itself to `STORES`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from coinswarm.clock import ManualClock
from coinswarm.errors import (
    BatchCountOutOfBounds,
    BatchTooLarge,
    ConsumerExists,
    ConsumerNotFound,
    DelayOutOfBounds,
    InvalidConsumerSettings,
    InvalidMessage,
    InvalidQueueName,
    InvalidQueueSettings,
    MessageTooLarge,
    QueueExists,
    QueueNotFound,
    QueuePaused,
)
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.queue.types import (
    ConsumerSettings,
    DeadLetter,
    OutgoingMessage,
    Queue,
    QueueSettings,
    QueueStore,
    Retry,
    Settled,
    Settlement,
)
from tests.support.queues import ack, bodies, fill, retry, send, take

TIMEOUT = 30
"""Seconds of Cloudflare's default visibility timeout."""


@contextmanager
def sqlite_store(folder: Path, clock: ManualClock) -> Iterator[QueueStore]:
    with closing(SqliteQueueStore(folder / "queues.sqlite", clock)) as store:
        yield store


STORES = {"sqlite": sqlite_store}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=STORES)
def queue_store(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[QueueStore]:
    with STORES[request.param](tmp_path, clock) as store:
        yield store


@pytest.fixture
def queue(queue_store: QueueStore) -> Queue:
    queue_store.create("candles")
    return queue_store.open("candles")


@pytest.fixture
def configured(queue_store: QueueStore) -> Callable[..., Queue]:
    """A queue `candles` with a consumer of these settings."""

    def make(**settings: object) -> Queue:
        queue_store.create("candles")
        queue_store.add_consumer("candles", ConsumerSettings(**settings))  # type: ignore[arg-type]
        return queue_store.open("candles")

    return make


class TestDelivery:
    def test_a_message_arrives_as_it_was_sent(self, queue: Queue, clock: ManualClock) -> None:
        sent_at = clock.now_ms()
        (message_id,) = queue.send_batch([OutgoingMessage(b'{"a":1}')])
        clock.advance(2)
        (message,) = queue.lease(10)
        assert (message.id, message.body, message.content_type) == (message_id, b'{"a":1}', "json")
        assert (message.timestamp_ms, message.attempts) == (sent_at, 1)

    @pytest.mark.parametrize("content_type", ["json", "text", "bytes", "v8"])
    def test_bodies_of_all_content_types_are_kept_to_the_byte(self, queue: Queue, content_type: str) -> None:
        body = bytes(range(256)) + b"\0'\"--"
        queue.send_batch([OutgoingMessage(body, content_type)])  # type: ignore[arg-type]
        (message,) = queue.lease(1)
        assert (message.body, message.content_type) == (body, content_type)

    def test_an_empty_body_is_a_message(self, queue: Queue) -> None:
        queue.send_batch([OutgoingMessage(b"", "bytes")])
        assert [message.body for message in queue.lease(1)] == [b""]

    def test_ids_are_32_hexadecimal_digits_and_differ(self, queue: Queue) -> None:
        ids = send(queue, "a", "b") + send(queue, "a", "b")
        assert len(set(ids)) == 4
        assert all(len(i) == 32 and set(i) <= set("0123456789abcdef") for i in ids)

    def test_first_in_first_out_over_batches(self, queue: Queue) -> None:
        names = [f"m{i}" for i in range(250)]
        for start in range(0, 250, 50):
            send(queue, *names[start : start + 50])
        assert [body for size in (7, 100, 43, 100) for body in take(queue, size)] == names

    def test_nothing_to_deliver_is_an_empty_list(self, queue: Queue) -> None:
        assert queue.lease(10) == []

    def test_leased_messages_are_nobody_elses_until_the_timeout(self, queue: Queue, clock: ManualClock) -> None:
        send(queue, "a", "b", "c")
        first, second = queue.lease(2), queue.lease(2)
        assert (bodies(first), bodies(second), queue.lease(2)) == (["a", "b"], ["c"], [])
        clock.advance(TIMEOUT - 0.001)
        assert queue.lease(2) == []
        clock.advance(0.001)
        assert [(m.body, m.attempts) for m in queue.lease(3)] == [(b"a", 2), (b"b", 2), (b"c", 2)]

    def test_the_message_id_stays_and_the_lease_id_changes(self, queue: Queue, clock: ManualClock) -> None:
        send(queue, "a")
        (first,) = queue.lease(1)
        clock.advance(TIMEOUT)
        (second,) = queue.lease(1)
        assert first.id == second.id
        assert first.lease_id != second.lease_id

    def test_the_consumers_visibility_timeout_is_the_default(
        self, configured: Callable[..., Queue], clock: ManualClock
    ) -> None:
        queue = configured(visibility_timeout_ms=5_000)
        send(queue, "a")
        queue.lease(1)
        clock.advance(5)
        assert len(queue.lease(1)) == 1

    def test_a_leases_own_visibility_timeout_beats_it(self, queue: Queue, clock: ManualClock) -> None:
        send(queue, "a")
        queue.lease(1, visibility_timeout_ms=100_000)
        clock.advance(99)
        assert queue.lease(1) == []
        clock.advance(1)
        assert len(queue.lease(1)) == 1

    @pytest.mark.parametrize("size", [0, 101, -1])
    def test_a_batch_holds_1_to_100(self, queue: Queue, size: int) -> None:
        with pytest.raises(BatchCountOutOfBounds, match="between 1 and 100"):
            queue.lease(size)

    @pytest.mark.parametrize("timeout", [0, 12 * 3_600_000 + 1])
    def test_a_visibility_timeout_ends_within_12_hours(self, queue: Queue, timeout: int) -> None:
        with pytest.raises(InvalidConsumerSettings, match="visibility_timeout_ms"):
            queue.lease(1, visibility_timeout_ms=timeout)

    def test_queues_do_not_mix(self, queue_store: QueueStore, queue: Queue) -> None:
        queue_store.create("other")
        other = queue_store.open("other")
        for i in range(5):
            send(queue, f"a{i}")
            send(other, f"b{i}")
        leased = queue.lease(100)
        assert bodies(leased) == [f"a{i}" for i in range(5)]
        assert ack(other, leased).stale == tuple(m.lease_id for m in leased)
        assert ack(queue, leased).acked == 5
        assert take(other) == [f"b{i}" for i in range(5)]


class TestSending:
    @pytest.mark.parametrize(
        ("of_queue", "of_batch", "of_message", "expected"),
        [
            (0, None, None, 0),
            (60, None, None, 60),
            (60, 20, None, 20),
            (60, 20, 5, 5),
            (60, None, 5, 5),
            (60, 0, None, 0),
            (60, 20, 0, 0),
            (0, None, 86_400, 86_400),
        ],
    )
    def test_the_messages_delay_beats_the_batchs_which_beats_the_queues(
        self,
        queue_store: QueueStore,
        clock: ManualClock,
        of_queue: int,
        of_batch: int | None,
        of_message: int | None,
        expected: int,
    ) -> None:
        queue_store.create("candles", QueueSettings(delivery_delay=of_queue))
        queue = queue_store.open("candles")
        send(queue, "a", delay=of_message, batch_delay=of_batch)
        if expected:
            clock.advance(expected - 0.001)
            assert queue.lease(1) == []
            clock.advance(0.001)
        assert take(queue) == ["a"]

    def test_messages_of_one_batch_may_have_their_own_delays(self, queue: Queue, clock: ManualClock) -> None:
        queue.send_batch(
            [OutgoingMessage(b"late", "text", 9), OutgoingMessage(b"now", "text", 0), OutgoingMessage(b"soon", "text")],
            delay_seconds=4,
        )
        assert take(queue) == ["now"]
        clock.advance(4)
        assert take(queue) == ["soon"]
        clock.advance(5)
        assert take(queue) == ["late"]

    @pytest.mark.parametrize("count", [0, 101])
    def test_a_batch_out_of_bounds_is_refused(self, queue: Queue, count: int) -> None:
        with pytest.raises(BatchCountOutOfBounds):
            queue.send_batch([OutgoingMessage(b"{}")] * count)

    def test_128_000_bytes_with_metadata_fit_a_message_and_one_more_does_not(self, queue: Queue) -> None:
        queue.send_batch([OutgoingMessage(b"x" * 127_900)])
        with pytest.raises(MessageTooLarge, match=r"message 1 has a body of 127,901 bytes"):
            queue.send_batch([OutgoingMessage(b"{}"), OutgoingMessage(b"x" * 127_901)])
        assert queue.metrics().backlog == 1

    def test_256_000_bytes_with_metadata_fit_a_batch_and_one_more_does_not(self, queue: Queue) -> None:
        queue.send_batch([OutgoingMessage(b"x" * 2_460)] * 100)
        with pytest.raises(BatchTooLarge, match=r"256,001 bytes"):
            queue.send_batch([OutgoingMessage(b"x" * 2_460)] * 99 + [OutgoingMessage(b"x" * 2_461)])
        assert queue.metrics().backlog == 100

    @pytest.mark.parametrize("delay", [-1, 86_401])
    def test_a_delay_out_of_bounds_is_refused(self, queue: Queue, delay: int) -> None:
        with pytest.raises(DelayOutOfBounds, match="between 0 and 86400"):
            send(queue, "a", "b", delay=delay)
        with pytest.raises(DelayOutOfBounds):
            send(queue, "a", batch_delay=delay)
        assert queue.metrics().backlog == 0

    def test_an_unknown_content_type_is_refused(self, queue: Queue) -> None:
        with pytest.raises(InvalidMessage, match="'yaml'"):
            queue.send_batch([OutgoingMessage(b"", "yaml")])  # type: ignore[arg-type]

    def test_a_body_that_is_not_bytes_is_refused(self, queue: Queue) -> None:
        with pytest.raises(InvalidMessage, match="must be bytes"):
            queue.send_batch([OutgoingMessage("text")])  # type: ignore[arg-type]


class TestSettling:
    def test_an_acked_message_is_gone(self, queue: Queue, clock: ManualClock) -> None:
        send(queue, "a")
        assert ack(queue, queue.lease(1)) == Settled(acked=1)
        clock.advance(86_400)
        assert queue.lease(1) == []

    def test_a_whole_settlement_at_once(self, queue: Queue) -> None:
        send(queue, "a", "r", "x", "d", "z")
        a, r, x, d, _ = queue.lease(100)
        settled = queue.settle(
            Settlement(
                acks=[a.lease_id],
                retries=[Retry(r.lease_id, 10)],
                dead_letters=[DeadLetter(d.lease_id, "poison")],
                releases=[x.lease_id],
            )
        )
        assert settled == Settled(acked=1, retried=1, dead_lettered=1, released=1)
        metrics = queue.metrics()
        assert (metrics.waiting, metrics.delayed, metrics.in_flight) == (1, 1, 1)

    def test_an_empty_settlement_does_nothing(self, queue: Queue) -> None:
        send(queue, "a")
        assert queue.settle(Settlement()) == Settled()

    def test_acks_with_gaps_and_in_any_order(self, queue: Queue, clock: ManualClock) -> None:
        send(queue, *"abcdefgh")
        leased = queue.lease(100)
        assert ack(queue, [leased[i] for i in (6, 0, 3, 2)]).acked == 4
        clock.advance(TIMEOUT)
        assert take(queue) == ["b", "e", "f", "h"]

    def test_several_batches_settle_together(self, queue: Queue) -> None:
        send(queue, *"abcdef")
        leased = queue.lease(2) + queue.lease(2) + queue.lease(2)
        assert ack(queue, leased) == Settled(acked=6)
        assert queue.metrics().backlog == 0

    def test_a_late_ack_counts_while_nobody_else_has_the_message(self, queue: Queue, clock: ManualClock) -> None:
        send(queue, "a")
        late = queue.lease(1)
        clock.advance(TIMEOUT + 1)
        assert ack(queue, late) == Settled(acked=1)
        assert queue.lease(1) == []

    def test_a_late_worker_cannot_settle_somebody_elses_delivery(self, queue: Queue, clock: ManualClock) -> None:
        send(queue, "a")
        (late,) = queue.lease(1)
        clock.advance(TIMEOUT)
        (current,) = queue.lease(1)
        for settlement in (
            Settlement(acks=[late.lease_id]),
            Settlement(retries=[Retry(late.lease_id)]),
            Settlement(dead_letters=[DeadLetter(late.lease_id, "x")]),
            Settlement(releases=[late.lease_id]),
        ):
            assert queue.settle(settlement) == Settled(stale=(late.lease_id,))
        assert ack(queue, [current]) == Settled(acked=1)

    def test_the_good_leases_of_a_settlement_hold_beside_stale_ones(self, queue: Queue, clock: ManualClock) -> None:
        send(queue, *"abcde")
        leased = queue.lease(5)
        ack(queue, [leased[1], leased[3]])
        assert ack(queue, leased) == Settled(acked=3, stale=(leased[1].lease_id, leased[3].lease_id))

    def test_a_lease_settles_once(self, queue: Queue) -> None:
        send(queue, "a", "b", "c", "d")
        a, b, c, d = (message.lease_id for message in queue.lease(4))
        settled = queue.settle(
            Settlement(
                acks=[a, a],
                dead_letters=[DeadLetter(a, "x"), DeadLetter(b, "x"), DeadLetter(b, "x")],
                retries=[Retry(b), Retry(c), Retry(c)],
                releases=[c, d, d],
            )
        )
        assert replace(settled, stale=()) == Settled(acked=1, dead_lettered=1, retried=1, released=1)
        assert sorted(settled.stale) == sorted([a, a, b, b, c, c, d])

    @pytest.mark.parametrize(
        "lease_id", ["", "nonsense", "0" * 17, "0" * 32, "f" * 32, " " * 32, "f" * 31, "' OR 1=1 --", "é" * 17]
    )
    def test_what_is_no_lease_id_is_stale(self, queue: Queue, lease_id: str) -> None:
        send(queue, "a")
        queue.lease(1)
        settled = queue.settle(
            Settlement([lease_id], [Retry(lease_id)], [DeadLetter(lease_id, "x")], [lease_id]),
        )
        assert settled == Settled(stale=(lease_id,) * 4)
        assert queue.metrics().backlog == 1

    def test_a_retry_comes_at_once_or_after_its_delay(self, queue: Queue, clock: ManualClock) -> None:
        send(queue, "a", "b")
        a, b = queue.lease(2)
        retry(queue, [a])
        retry(queue, [b], delay=20)
        assert [(m.body, m.attempts) for m in queue.lease(2)] == [(b"a", 2)]
        clock.advance(20)
        assert [(m.body, m.attempts) for m in queue.lease(2)] == [(b"b", 2)]

    def test_the_consumers_retry_delay_is_the_default_and_0_cancels_it(
        self, configured: Callable[..., Queue], clock: ManualClock
    ) -> None:
        queue = configured(retry_delay=50)
        send(queue, "a", "b")
        a, b = queue.lease(2)
        retry(queue, [a])
        retry(queue, [b], delay=0)
        assert bodies(queue.lease(2)) == ["b"]
        clock.advance(50)
        assert "a" in bodies(queue.lease(2))

    @pytest.mark.parametrize("delay", [-1, 86_401])
    def test_a_retry_delay_out_of_bounds_undoes_the_settlement(self, queue: Queue, delay: int) -> None:
        send(queue, "a", "b")
        a, b = queue.lease(2)
        with pytest.raises(DelayOutOfBounds):
            queue.settle(Settlement(acks=[a.lease_id], retries=[Retry(b.lease_id, delay)]))
        assert ack(queue, [a, b]).acked == 2

    def test_a_released_message_comes_first_and_its_delivery_is_not_counted(self, queue: Queue) -> None:
        send(queue, "a", "b", "c")
        leased = queue.lease(2)
        assert queue.settle(Settlement(releases=[m.lease_id for m in leased])).released == 2
        assert [(m.body, m.attempts) for m in queue.lease(3)] == [(b"a", 1), (b"b", 1), (b"c", 1)]


class TestGivingUp:
    def test_a_message_is_delivered_once_and_max_retries_times_more(self, configured: Callable[..., Queue]) -> None:
        queue = configured(max_retries=2)
        send(queue, "a")
        for attempt in (1, 2):
            (message,) = queue.lease(1)
            assert message.attempts == attempt
            assert retry(queue, [message]).retried == 1
        (message,) = queue.lease(1)
        assert message.attempts == 3
        assert retry(queue, [message]) == Settled(dropped=1)
        assert queue.metrics().backlog == 0

    def test_without_a_consumer_cloudflares_three_retries_hold(self, queue: Queue) -> None:
        send(queue, "a")
        for _ in range(3):
            assert retry(queue, queue.lease(1)).retried == 1
        assert retry(queue, queue.lease(1)).dropped == 1

    def test_no_retries_means_one_delivery(self, configured: Callable[..., Queue]) -> None:
        queue = configured(max_retries=0)
        send(queue, "a")
        assert retry(queue, queue.lease(1)).dropped == 1

    def test_used_up_retries_lead_to_the_dead_letter_queue(
        self, queue_store: QueueStore, configured: Callable[..., Queue], clock: ManualClock
    ) -> None:
        queue = configured(max_retries=1, dead_letter_queue="candles-dlq")
        sent_at = clock.now_ms()
        ids = send(queue, "a")
        clock.advance(5)
        retry(queue, queue.lease(1))
        assert retry(queue, queue.lease(1)) == Settled(dead_lettered=1)
        assert queue.metrics().backlog == 0
        (dead,) = queue_store.open("candles-dlq").lease(10)
        assert (dead.id, dead.body, dead.timestamp_ms, dead.attempts) == (ids[0], b"a", sent_at, 1)

    def test_a_message_that_always_kills_its_consumer_leaves_too(
        self, queue_store: QueueStore, configured: Callable[..., Queue], clock: ManualClock
    ) -> None:
        queue = configured(max_retries=2, dead_letter_queue="candles-dlq")
        send(queue, "killer", "b")
        for _ in range(3):
            leases = {m.body: m.lease_id for m in queue.lease(2)}
            queue.settle(Settlement(releases=[leases[b"b"]]))
            clock.advance(TIMEOUT)
        assert bodies(queue.lease(2)) == ["b"]
        assert bodies(queue_store.open("candles-dlq").lease(2)) == ["killer"]

    def test_a_batch_is_filled_behind_messages_that_leave(
        self, configured: Callable[..., Queue], clock: ManualClock
    ) -> None:
        queue = configured(max_retries=0)
        fill(queue, 250, b"dead")
        while queue.lease(100):
            pass
        send(queue, "alive")
        clock.advance(TIMEOUT)
        assert bodies(queue.lease(100)) == ["alive"]
        assert queue.metrics().backlog == 1

    def test_a_dead_letter_goes_at_once(self, queue_store: QueueStore, configured: Callable[..., Queue]) -> None:
        queue = configured(dead_letter_queue="candles-dlq")
        send(queue, "poison")
        (message,) = queue.lease(1)
        assert queue.settle(Settlement(dead_letters=[DeadLetter(message.lease_id, "not JSON")])).dead_lettered == 1
        assert bodies(queue_store.open("candles-dlq").lease(1)) == ["poison"]

    def test_a_dead_letter_queue_is_an_ordinary_queue_with_its_own_retries(
        self, queue_store: QueueStore, configured: Callable[..., Queue]
    ) -> None:
        queue = configured(max_retries=0, dead_letter_queue="candles-dlq")
        queue_store.add_consumer("candles-dlq", ConsumerSettings(max_retries=0, dead_letter_queue="last"))
        send(queue, "a")
        retry(queue, queue.lease(1))
        dead_letters = queue_store.open("candles-dlq")
        assert retry(dead_letters, dead_letters.lease(1)).dead_lettered == 1
        assert take(queue_store.open("last")) == ["a"]

    def test_a_dead_letter_queue_deleted_meanwhile_loses_nothing(
        self, queue_store: QueueStore, configured: Callable[..., Queue]
    ) -> None:
        queue = configured(max_retries=0, dead_letter_queue="candles-dlq")
        queue_store.delete("candles-dlq")
        send(queue, "a")
        retry(queue, queue.lease(1))
        assert take(queue_store.open("candles-dlq")) == ["a"]

    def test_fewer_retries_configured_later_hold_for_messages_already_there(
        self, queue_store: QueueStore, configured: Callable[..., Queue]
    ) -> None:
        queue = configured(max_retries=5)
        send(queue, "a")
        for _ in range(3):
            retry(queue, queue.lease(1))
        (consumer,) = queue_store.info("candles").consumers
        queue_store.update_consumer("candles", consumer.consumer_id, ConsumerSettings(max_retries=1))
        assert queue.lease(1) == []
        assert queue.metrics().backlog == 0


class TestRetention:
    def test_a_message_expires_after_the_retention_period(self, queue_store: QueueStore, clock: ManualClock) -> None:
        queue_store.create("candles", QueueSettings(message_retention_period=60))
        queue = queue_store.open("candles")
        send(queue, "old")
        clock.advance(30)
        send(queue, "young")
        clock.advance(30)
        assert queue.metrics().backlog == 1
        assert bodies(queue.lease(10)) == ["young"]

    def test_what_is_in_flight_expires_only_when_it_comes_back(
        self, queue_store: QueueStore, clock: ManualClock
    ) -> None:
        queue_store.create("candles", QueueSettings(message_retention_period=60))
        queue = queue_store.open("candles")
        send(queue, "a", "b", "waits")
        a, _ = queue.lease(2, visibility_timeout_ms=120_000)
        clock.advance(90)
        metrics = queue.metrics()
        assert (metrics.in_flight, metrics.backlog) == (2, 2)
        assert ack(queue, [a]).acked == 1
        clock.advance(30)
        assert queue.metrics().backlog == 0

    def test_delayed_messages_expire_too(self, queue_store: QueueStore, clock: ManualClock) -> None:
        queue_store.create("candles", QueueSettings(message_retention_period=60))
        queue = queue_store.open("candles")
        send(queue, "a", delay=3_600)
        clock.advance(60)
        assert queue.wait_hint_ms() is None

    def test_a_message_stays_in_the_dead_letter_queue_for_that_queues_own_retention_period(
        self, queue_store: QueueStore, configured: Callable[..., Queue], clock: ManualClock
    ) -> None:
        queue = configured(max_retries=0, dead_letter_queue="candles-dlq")
        send(queue, "a")
        clock.advance(4 * 86_400 - 1)
        retry(queue, queue.lease(1))
        clock.advance(4 * 86_400 - 1)
        assert take(queue_store.open("candles-dlq")) == ["a"]


class TestLooking:
    def test_metrics_tell_waiting_delayed_and_in_flight_apart(self, queue: Queue, clock: ManualClock) -> None:
        empty = queue.metrics()
        assert (empty.backlog, empty.bytes, empty.oldest_message_timestamp_ms) == (0, 0, 0)
        first_sent = clock.now_ms()
        send(queue, "aa", "bbb")
        clock.advance(1)
        send(queue, "c")
        send(queue, "dddd", delay=60)
        queue.lease(1)
        metrics = queue.metrics()
        assert (metrics.backlog, metrics.waiting, metrics.in_flight, metrics.delayed) == (4, 2, 1, 1)
        assert (metrics.bytes, metrics.oldest_message_timestamp_ms) == (10, first_sent)
        clock.advance(60)
        metrics = queue.metrics()
        assert (metrics.backlog, metrics.waiting, metrics.in_flight, metrics.delayed) == (4, 4, 0, 0)

    def test_the_wait_hint_says_when_to_look_again(self, queue: Queue, clock: ManualClock) -> None:
        assert queue.wait_hint_ms() is None
        send(queue, "a", delay=7)
        assert queue.wait_hint_ms() == 7_000
        clock.advance(7)
        assert queue.wait_hint_ms() == 0
        leased = queue.lease(1)
        assert queue.wait_hint_ms() == TIMEOUT * 1000
        clock.advance(10)
        assert queue.wait_hint_ms() == (TIMEOUT - 10) * 1000
        ack(queue, leased)
        assert queue.wait_hint_ms() is None

    def test_peeking_changes_nothing(self, queue: Queue) -> None:
        send(queue, "late", delay=60)
        ids = send(queue, "in flight", "a", "b")
        queue.lease(1)
        before = queue.metrics()
        seen = queue.peek(10)
        assert bodies(seen) == ["a", "b", "late"]
        assert (seen[0].id, seen[0].attempts, seen[0].lease_id) == (ids[1], 0, "")
        assert bodies(queue.peek(1)) == ["a"]
        assert queue.metrics() == before

    def test_purging_spares_what_is_in_flight(self, queue: Queue) -> None:
        send(queue, "a", "b", "c")
        send(queue, "d", delay=60)
        leased = queue.lease(1)
        assert queue.purge() == 3
        assert queue.metrics().backlog == 1
        assert ack(queue, leased) == Settled(acked=1)
        assert queue.purge() == 0

    def test_a_paused_queue_takes_and_settles_but_does_not_deliver(self, queue_store: QueueStore, queue: Queue) -> None:
        send(queue, "a")
        leased = queue.lease(1)
        queue_store.update("candles", QueueSettings(delivery_paused=True))
        send(queue, "b")
        assert ack(queue, leased).acked == 1
        with pytest.raises(QueuePaused, match="candles is paused"):
            queue.lease(1)
        assert bodies(queue.peek()) == ["b"]
        queue_store.update("candles", QueueSettings())
        assert take(queue) == ["b"]


class TestTransactions:
    def test_calls_in_a_transaction_count_together(self, queue: Queue) -> None:
        send(queue, "a", "b")
        with queue.transaction():
            ack(queue, queue.lease(1))
            send(queue, "c")
            leased = queue.lease(10)
        assert bodies(leased) == ["b", "c"]
        assert ack(queue, leased).acked == 2


class TestControlPlane:
    def test_a_new_queue_has_cloudflares_settings(self, queue_store: QueueStore, clock: ManualClock) -> None:
        info = queue_store.create("candles")
        assert info.settings == QueueSettings(0, False, 345_600)
        assert (info.name, info.created_on_ms, info.consumers, info.producers) == ("candles", clock.now_ms(), (), ())
        assert len(info.queue_id) == 32
        assert queue_store.info("candles") == info
        assert queue_store.queues() == [info]

    @pytest.mark.parametrize("name", ["a", "9", "a-b", "a" * 63])
    def test_names_that_are_allowed(self, queue_store: QueueStore, name: str) -> None:
        assert queue_store.create(name).name == name

    @pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a-", "a" * 64, "a b", "é", "a\n"])
    def test_names_that_are_not(self, queue_store: QueueStore, name: str) -> None:
        with pytest.raises(InvalidQueueName) as caught:
            queue_store.create(name)
        assert caught.value.message == (
            f"Invalid queue name: invalid queue name: {name}. Must match ^[a-z0-9]([a-z0-9-]{{0,61}}[a-z0-9])?$"
        )
        assert caught.value.code == 11003

    def test_a_taken_name_is_refused_in_cloudflares_words(self, queue_store: QueueStore) -> None:
        queue_store.create("candles")
        with pytest.raises(QueueExists, match=r"Queue name 'candles' is already taken\. Please use a different name"):
            queue_store.create("candles")

    @pytest.mark.parametrize(
        "settings",
        [
            QueueSettings(delivery_delay=-1),
            QueueSettings(delivery_delay=86_401),
            QueueSettings(message_retention_period=59),
            QueueSettings(message_retention_period=1_209_601),
        ],
    )
    def test_queue_settings_out_of_bounds_are_refused(self, queue_store: QueueStore, settings: QueueSettings) -> None:
        with pytest.raises(InvalidQueueSettings, match="Must be between"):
            queue_store.create("candles", settings)
        queue_store.create("candles")
        with pytest.raises(InvalidQueueSettings):
            queue_store.update("candles", settings)

    @pytest.mark.parametrize(
        "change",
        [
            {"batch_size": 0},
            {"batch_size": 101},
            {"max_retries": -1},
            {"max_retries": 101},
            {"max_wait_time_ms": 60_001},
            {"max_concurrency": 0},
            {"max_concurrency": 251},
            {"retry_delay": 86_401},
            {"visibility_timeout_ms": 0},
            {"visibility_timeout_ms": 43_200_001},
            {"type": "pigeon"},
            {"dead_letter_queue": "candles"},
        ],
    )
    def test_consumer_settings_out_of_bounds_are_refused(
        self, queue_store: QueueStore, change: dict[str, object]
    ) -> None:
        queue_store.create("candles")
        with pytest.raises(InvalidConsumerSettings):
            queue_store.add_consumer("candles", ConsumerSettings(**change))  # type: ignore[arg-type]
        assert queue_store.info("candles").consumers == ()

    def test_a_queue_has_at_most_one_consumer(self, queue_store: QueueStore) -> None:
        queue_store.create("candles")
        settings = ConsumerSettings(
            "http_pull", "importer", None, 50, 7, 9_000, 5, retry_delay=3, visibility_timeout_ms=1_000
        )
        added = queue_store.add_consumer("candles", settings)
        assert added.settings == settings
        assert queue_store.info("candles").consumers == (added,)
        with pytest.raises(ConsumerExists, match="already has a consumer"):
            queue_store.add_consumer("candles", ConsumerSettings())

    def test_a_consumer_is_replaced_and_removed_by_its_id(self, queue_store: QueueStore) -> None:
        queue_store.create("candles")
        added = queue_store.add_consumer("candles", ConsumerSettings())
        changed = queue_store.update_consumer("candles", added.consumer_id, ConsumerSettings(batch_size=7))
        assert changed == replace(added, settings=ConsumerSettings(batch_size=7))
        for name in ("update_consumer", "remove_consumer"):
            arguments = (ConsumerSettings(),) if name == "update_consumer" else ()
            with pytest.raises(ConsumerNotFound, match="candles has no consumer other"):
                getattr(queue_store, name)("candles", "other", *arguments)
        queue_store.remove_consumer("candles", added.consumer_id)
        assert queue_store.info("candles").consumers == ()

    def test_a_missing_dead_letter_queue_is_created(self, queue_store: QueueStore) -> None:
        queue_store.create("candles")
        queue_store.add_consumer("candles", ConsumerSettings(dead_letter_queue="candles-dlq"))
        assert [info.name for info in queue_store.queues()] == ["candles", "candles-dlq"]
        with pytest.raises(InvalidQueueName):
            queue_store.create("other")
            queue_store.add_consumer("other", ConsumerSettings(dead_letter_queue="Not A Name"))

    def test_a_renamed_queue_keeps_its_messages_and_its_users(
        self, queue_store: QueueStore, configured: Callable[..., Queue]
    ) -> None:
        queue = configured(max_retries=0, dead_letter_queue="candles-dlq")
        send(queue, "a")
        queue_store.update("candles-dlq", QueueSettings(), new_name="graveyard")
        info = queue_store.update("candles", QueueSettings(delivery_delay=3), new_name="prices")
        assert (info.name, info.settings.delivery_delay) == ("prices", 3)
        assert info.consumers[0].settings.dead_letter_queue == "graveyard"
        assert retry(queue, queue.lease(1)).dead_lettered == 1
        assert take(queue_store.open("graveyard")) == ["a"]

    def test_a_rename_to_a_taken_a_bad_or_its_dead_letter_queues_name_is_refused(
        self, queue_store: QueueStore, configured: Callable[..., Queue]
    ) -> None:
        configured(dead_letter_queue="candles-dlq")
        with pytest.raises(QueueExists):
            queue_store.update("candles", QueueSettings(), new_name="candles-dlq")
        with pytest.raises(InvalidQueueName):
            queue_store.update("candles", QueueSettings(), new_name="Candles")
        queue_store.delete("candles-dlq")
        with pytest.raises(InvalidConsumerSettings, match="cannot be itself"):
            queue_store.update("candles", QueueSettings(), new_name="candles-dlq")
        assert [info.name for info in queue_store.queues()] == ["candles"]

    def test_a_deleted_queue_is_gone_with_all_its_messages(self, queue_store: QueueStore, queue: Queue) -> None:
        send(queue, "a", "b")
        leased = queue.lease(1)
        queue_store.delete("candles")
        for act in (
            lambda: queue.lease(1),
            lambda: send(queue, "c"),
            lambda: ack(queue, leased),
            queue.metrics,
            queue.purge,
            lambda: queue_store.open("candles"),
            lambda: queue_store.info("candles"),
            lambda: queue_store.delete("candles"),
            lambda: queue_store.update("candles", QueueSettings()),
            lambda: queue_store.add_consumer("candles", ConsumerSettings()),
        ):
            with pytest.raises(QueueNotFound, match="no queue 'candles'"):
                act()

    def test_a_new_queue_of_the_same_name_is_another_queue(self, queue_store: QueueStore, queue: Queue) -> None:
        send(queue, "a")
        queue_store.delete("candles")
        queue_store.create("candles")
        assert queue_store.open("candles").metrics().backlog == 0
        with pytest.raises(QueueNotFound):
            queue.lease(1)
