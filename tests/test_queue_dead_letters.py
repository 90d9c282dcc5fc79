"""Dead letters: why they are there, where they came from, and the way back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coinswarm.clock import ManualClock
from coinswarm.errors import DeadLetterNotFound, QueueNotFound
from coinswarm.queue.dead_letters import DeadLetters, Purged, Selection
from coinswarm.queue.delivery import SqliteQueue
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.queue.types import ConsumerSettings, DeadLetter, QueueSettings, Settled, Settlement
from tests.support.queues import ack, bodies, fill, retry, send, take

TIMEOUT = 30


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[SqliteQueueStore]:
    with SqliteQueueStore(tmp_path / "queues.sqlite", clock) as store:
        store.ensure("candles", consumer=ConsumerSettings(dead_letter_queue="dlq", max_retries=2))
        yield store


@pytest.fixture
def queue(store: SqliteQueueStore) -> SqliteQueue:
    return store.open("candles")


@pytest.fixture
def dead(store: SqliteQueueStore) -> DeadLetters:
    return store.dead_letters("dlq")


@pytest.fixture
def bare(store: SqliteQueueStore) -> SqliteQueue:
    """A queue without a dead-letter queue."""
    store.create("bare")
    return store.open("bare")


def bury(queue: SqliteQueue, reason: str = "poison", count: int = 100) -> Settled:
    letters = [DeadLetter(message.lease_id, reason) for message in queue.lease(count)]
    return queue.settle(Settlement(dead_letters=letters))


class TestReasons:
    def test_a_dead_letter_keeps_its_story(self, queue: SqliteQueue, dead: DeadLetters, clock: ManualClock) -> None:
        sent = clock.now_ms()
        (message_id,) = send(queue, "body")
        for reason in ("HTTP 503", "HTTP 504", "database is locked"):
            clock.advance(10)
            retry(queue, queue.lease(1), reason=reason)
        (record,) = dead.records()
        assert (record.id, record.source, record.held) == (message_id, "candles", False)
        assert (record.reason, record.attempts) == ("database is locked", 3)
        assert (record.timestamp_ms, record.first_failed_ms) == (sent, sent + 10_000)
        assert (record.last_failed_ms, record.dead_lettered_ms) == (sent + 30_000, sent + 30_000)
        assert (record.content_type, record.size_bytes, record.redrives, record.body) == ("text", 4, 0, None)
        assert dead.show(message_id).body == b"body"

    def test_one_that_was_asked_for_says_what_it_was_told(self, queue: SqliteQueue, dead: DeadLetters) -> None:
        send(queue, "a")
        bury(queue, "the body is not JSON")
        (record,) = dead.records()
        assert (record.reason, record.attempts) == ("the body is not JSON", 1)

    def test_an_earlier_reason_is_kept_when_the_last_retry_gives_none(
        self, queue: SqliteQueue, dead: DeadLetters
    ) -> None:
        send(queue, "a")
        for reason in ("HTTP 503", None, None):
            retry(queue, queue.lease(1), reason=reason)
        assert [r.reason for r in dead.records()] == ["HTTP 503"]

    def test_without_any_reason_the_deliveries_are_counted(self, queue: SqliteQueue, dead: DeadLetters) -> None:
        send(queue, "a")
        for _ in range(3):
            retry(queue, queue.lease(1))
        assert [r.reason for r in dead.records()] == ["retries used up after 3 deliveries"]

    def test_expired_visibility_timeouts_are_counted(
        self, queue: SqliteQueue, dead: DeadLetters, clock: ManualClock
    ) -> None:
        sent = clock.now_ms()
        send(queue, "killer")
        for _ in range(3):
            queue.lease(1)
            clock.advance(TIMEOUT + 1)
        assert queue.lease(1) == []
        (record,) = dead.records()
        assert (record.reason, record.attempts) == ("visibility timeout expired 3 times", 3)
        assert (record.first_failed_ms, record.last_failed_ms) == (sent + 30_000, sent + 92_000)
        assert record.dead_lettered_ms == sent + 93_000

    def test_a_timeout_after_a_failure_tells_both(
        self, queue: SqliteQueue, dead: DeadLetters, clock: ManualClock
    ) -> None:
        send(queue, "a")
        for _ in range(2):
            retry(queue, queue.lease(1), reason="HTTP 503")
        queue.lease(1)
        clock.advance(TIMEOUT)
        queue.lease(1)
        assert [r.reason for r in dead.records()] == ["visibility timeout expired 1 time; before that: HTTP 503"]

    def test_a_timeout_counts_once_when_others_leave_in_the_same_lease(
        self, queue: SqliteQueue, dead: DeadLetters, clock: ManualClock
    ) -> None:
        send(queue, "first")
        for delivery in range(5):
            queue.lease(10)
            clock.advance(TIMEOUT)
            if delivery == 1:
                send(queue, "second")
        assert queue.lease(10) == []
        assert [r.reason for r in dead.records()] == ["visibility timeout expired 3 times"] * 2

    def test_an_acked_message_leaves_no_failure_behind(self, store: SqliteQueueStore, queue: SqliteQueue) -> None:
        send(queue, "a")
        retry(queue, queue.lease(1), reason="x")
        ack(queue, queue.lease(1))
        assert store._file.execute("SELECT count(*) FROM failures").fetchone() == (0,)


class TestReading:
    def test_causes_count_by_source_and_reason(self, store: SqliteQueueStore, queue: SqliteQueue) -> None:
        store.ensure("other", consumer=ConsumerSettings(dead_letter_queue="dlq"))
        fill(queue, 5)
        bury(queue, "poison", 3)
        bury(queue, "schema", 2)
        fill(store.open("other"), 4)
        bury(store.open("other"), "poison")
        dead = store.dead_letters("dlq")
        assert [(c.source, c.reason, c.count) for c in dead.causes()] == [
            ("other", "poison", 4),
            ("candles", "poison", 3),
            ("candles", "schema", 2),
        ]
        assert dead.count() == 9

    def test_records_can_be_filtered_and_paged(self, store: SqliteQueueStore, queue: SqliteQueue) -> None:
        store.ensure("other", consumer=ConsumerSettings(dead_letter_queue="dlq"))
        first = send(queue, "a", "b", "c")
        bury(queue, "Not JSON")
        second = send(store.open("other"), "d")
        bury(store.open("other"), "schema")
        dead = store.dead_letters("dlq")
        assert [r.id for r in dead.records()] == first + second
        assert [r.id for r in dead.records(Selection(source="other"))] == second
        assert [r.id for r in dead.records(Selection(reason="json"))] == first
        assert dead.records(Selection(reason="json", source="other")) == []
        page = dead.records(limit=2)
        assert [r.id for r in page] == first[:2]
        assert [r.id for r in dead.records(limit=2, after=page[-1].id)] == [first[2], *second]

    def test_a_message_sent_to_the_dead_letter_queue_is_no_dead_letter(
        self, store: SqliteQueueStore, dead: DeadLetters
    ) -> None:
        send(store.open("dlq"), "ordinary")
        assert (dead.count(), dead.records()) == (0, [])

    @pytest.mark.parametrize("message_id", ["", "nonsense", "0" * 32, "0" * 31 + "1"])
    def test_one_that_is_not_there_is_named(self, queue: SqliteQueue, dead: DeadLetters, message_id: str) -> None:
        send(queue, "a")
        bury(queue)
        with pytest.raises(DeadLetterNotFound, match=f"queue dlq has no dead letter {message_id}"):
            dead.show(message_id)

    def test_a_queue_that_is_not_there_is_named(self, store: SqliteQueueStore) -> None:
        with pytest.raises(QueueNotFound, match="no queue 'nowhere'"):
            store.dead_letters("nowhere")

    def test_a_renamed_source_keeps_its_dead_letters(
        self, store: SqliteQueueStore, queue: SqliteQueue, dead: DeadLetters
    ) -> None:
        send(queue, "a")
        bury(queue)
        store.update("candles", QueueSettings(), new_name="prices")
        assert [r.source for r in dead.records()] == ["prices"]
        assert dead.redrive().count == 1
        assert take(store.open("prices")) == ["a"]


class TestHolding:
    def test_without_a_dead_letter_queue_a_dead_letter_is_held_and_counted(
        self, store: SqliteQueueStore, bare: SqliteQueue
    ) -> None:
        send(bare, "a", "b")
        assert bury(bare, "poison", 1) == Settled(dead_lettered=1)
        held = store.dead_letters("bare")
        assert [(r.reason, r.held, r.source) for r in held.records()] == [("poison", True, "bare")]
        assert held.count() == 1
        assert bare.metrics().backlog == 1
        assert take(bare) == ["b"]
        assert bare.wait_hint_ms() is None

    def test_it_is_no_queue_of_its_own(self, store: SqliteQueueStore, bare: SqliteQueue) -> None:
        send(bare, "a")
        bury(bare)
        assert [info.name for info in store.queues()] == ["bare", "candles", "dlq"]

    def test_it_never_expires_and_is_not_purged(
        self, store: SqliteQueueStore, bare: SqliteQueue, clock: ManualClock
    ) -> None:
        (message_id,) = send(bare, "a")
        bury(bare)
        clock.advance(3_650 * 86_400)
        assert bare.purge() == 0
        assert bare.metrics().backlog == 0
        assert store.dead_letters("bare").show(message_id).body == b"a"

    def test_it_can_be_sent_back(self, store: SqliteQueueStore, bare: SqliteQueue, clock: ManualClock) -> None:
        send(bare, "a", "b")
        bury(bare)
        clock.advance(3_650 * 86_400)
        held = store.dead_letters("bare")
        assert held.redrive().count == 2
        assert held.count() == 0
        assert [(m.body, m.attempts) for m in bare.lease(10)] == [(b"a", 1), (b"b", 1)]

    def test_it_can_be_purged(self, store: SqliteQueueStore, bare: SqliteQueue) -> None:
        send(bare, "a", "b", "c")
        bury(bare, count=2)
        assert store.dead_letters("bare").purge().count == 2
        assert store.dead_letters("bare").count() == 0
        assert take(bare) == ["c"]

    def test_it_stays_when_a_dead_letter_queue_is_configured_later(
        self, store: SqliteQueueStore, bare: SqliteQueue
    ) -> None:
        send(bare, "a")
        bury(bare)
        store.ensure("bare", consumer=ConsumerSettings(dead_letter_queue="dlq"))
        send(bare, "b")
        bury(bare)
        assert store.dead_letters("bare").count() == 1
        assert store.dead_letters("dlq").count() == 1

    def test_it_goes_with_its_queue(self, store: SqliteQueueStore, bare: SqliteQueue) -> None:
        send(bare, "a")
        bury(bare)
        store.delete("bare")
        for table in ("messages", "bodies", "dead_letters"):
            assert store._file.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
        store.create("bare")
        assert store.dead_letters("bare").count() == 0


class TestRedriving:
    def test_all_go_back_as_if_never_delivered_and_keep_their_origin(
        self, store: SqliteQueueStore, queue: SqliteQueue, dead: DeadLetters, clock: ManualClock
    ) -> None:
        sent = clock.now_ms()
        ids = send(queue, "a", "b")
        clock.advance(5)
        bury(queue, "poison")
        done = dead.redrive()
        assert (done.count, done.orphans, done.missing) == (2, {}, [])
        assert dead.count() == 0
        assert store.open("dlq").metrics().backlog == 0
        back = queue.lease(10)
        assert [(m.id, m.body, m.attempts, m.timestamp_ms) for m in back] == [
            (ids[0], b"a", 1, sent),
            (ids[1], b"b", 1, sent),
        ]
        clock.advance(5)
        queue.settle(Settlement(dead_letters=[DeadLetter(m.lease_id, "poison again") for m in back]))
        record = dead.show(ids[0])
        assert (record.redrives, record.reason) == (1, "poison again")
        assert (record.first_failed_ms, record.last_failed_ms) == (sent + 5_000, sent + 10_000)

    def test_some_go_back_by_id(self, queue: SqliteQueue, dead: DeadLetters) -> None:
        ids = send(queue, "a", "b", "c")
        bury(queue)
        done = dead.redrive([ids[2], ids[0], ids[2], "nonsense", "1" * 16 + ids[1][16:]])
        assert (done.count, done.missing) == (2, ["nonsense", "1" * 16 + ids[1][16:]])
        assert sorted(take(queue)) == ["a", "c"]
        assert dead.count() == 1

    def test_what_has_outlived_its_retention_period_is_not_lost_on_the_way_back(
        self, store: SqliteQueueStore, queue: SqliteQueue, dead: DeadLetters, clock: ManualClock
    ) -> None:
        store.update("dlq", QueueSettings(message_retention_period=1_209_600))
        send(queue, "old")
        bury(queue)
        clock.advance(10 * 86_400)
        dead.redrive()
        assert take(queue) == ["old"]

    def test_many_go_in_steps_and_an_interruption_is_continued(
        self, store: SqliteQueueStore, queue: SqliteQueue, dead: DeadLetters
    ) -> None:
        fill(queue, 350)
        while bury(queue).dead_lettered:
            pass

        def interrupt(count: int) -> None:
            if count == 200:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            dead.redrive(progress=interrupt)
        in_source, in_dead_letters = queue.metrics().backlog, store.open("dlq").metrics().backlog
        assert in_source + in_dead_letters == 350
        assert in_source in (100, 200)
        seen: list[int] = []
        assert dead.redrive(progress=seen.append).count == in_dead_letters
        assert seen[-1] == in_dead_letters
        assert queue.metrics().backlog == 350

    def test_what_is_dead_lettered_anew_meanwhile_is_not_taken_twice(
        self, queue: SqliteQueue, dead: DeadLetters
    ) -> None:
        fill(queue, 250)
        while bury(queue).dead_lettered:
            pass
        assert dead.redrive(progress=lambda _count: bury(queue) and None).count == 250
        assert dead.count() > 0

    def test_those_whose_source_is_gone_stay_and_are_counted(
        self, store: SqliteQueueStore, queue: SqliteQueue, dead: DeadLetters
    ) -> None:
        store.ensure("other", consumer=ConsumerSettings(dead_letter_queue="dlq"))
        send(queue, "a")
        bury(queue)
        fill(store.open("other"), 150)
        while bury(store.open("other")).dead_lettered:
            pass
        store.delete("other")
        done = dead.redrive()
        assert (done.count, done.orphans) == (1, {"other": 150})
        assert dead.count() == 150

    def test_what_a_consumer_is_reading_stays_with_it(
        self, store: SqliteQueueStore, queue: SqliteQueue, dead: DeadLetters
    ) -> None:
        ids = send(queue, "a", "b")
        bury(queue)
        reading = store.open("dlq").lease(1)
        assert dead.redrive([ids[0]]).missing == [ids[0]]
        assert dead.redrive().count == 1
        assert dead.purge().count == 0
        assert ack(store.open("dlq"), reading).acked == 1
        assert dead.count() == 0


class TestPurging:
    def test_only_dead_letters_go(self, store: SqliteQueueStore, queue: SqliteQueue, dead: DeadLetters) -> None:
        fill(queue, 230)
        while bury(queue).dead_lettered:
            pass
        send(store.open("dlq"), "ordinary")
        assert dead.purge().count == 230
        metrics = store.open("dlq").metrics()
        assert (metrics.backlog, metrics.bytes) == (1, 8)
        assert bodies(store.open("dlq").peek()) == ["ordinary"]
        assert store._file.execute("SELECT count(*) FROM dead_letters").fetchone() == (0,)

    def test_some_go_by_id(self, queue: SqliteQueue, dead: DeadLetters) -> None:
        ids = send(queue, "a", "b")
        bury(queue)
        assert dead.purge([ids[0], "nonsense"]) == Purged(1, missing=["nonsense"])
        assert [r.id for r in dead.records()] == [ids[1]]
