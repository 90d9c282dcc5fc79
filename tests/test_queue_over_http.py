"""The queue contract over HTTP: the local Cloudflare served on loopback, driven by the client for the real one.

What Cloudflare's API cannot say is left out by name, with the reason; `test_queue_cloudflare.py` specifies what happens
instead. `TestInRealTime` also runs on Cloudflare itself: `pytest -m cloudflare tests/test_queue_over_http.py` with
CLOUDFLARE_API_TOKEN, CLOUDFLARE_ACCOUNT_ID and COINSWARM_TEST_QUEUE, the name of a queue to play in, which has an
http_pull consumer and is purged before and after.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from coinswarm.clock import ManualClock, SystemClock
from coinswarm.cloudflare import CloudflareApi
from coinswarm.config.masking import Secret
from coinswarm.errors import HttpPullDisabled, QueueNotFound
from coinswarm.queue.burial import exhumed
from coinswarm.queue.cloudflare import CloudflareQueue, CloudflareQueueStore
from coinswarm.queue.types import (
    ConsumerInfo,
    ConsumerSettings,
    DeadLetter,
    Message,
    OutgoingMessage,
    Retry,
    Settlement,
)
from coinswarm.transport import http_client
from tests import test_queue_contract as contract
from tests.support.local_cloudflare import LocalCloudflare, client_of, local_cloudflare

WANTED = ("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_ACCOUNT_ID", "COINSWARM_TEST_QUEUE")
MISSING = [name for name in WANTED if not os.environ.get(name)]

queue = contract.queue
configured = contract.configured


class PulledStore(CloudflareQueueStore):
    """Gives every queue the http_pull consumer that pulling needs, where a test cares for none or for a Worker's."""

    def open(self, name: str) -> CloudflareQueue:
        if not self.info(name).consumers:
            super().add_consumer(name, ConsumerSettings(type="http_pull"))
        return super().open(name)

    def add_consumer(self, name: str, consumer: ConsumerSettings) -> ConsumerInfo:
        return super().add_consumer(name, pulled(consumer))

    def update_consumer(self, name: str, consumer_id: str, consumer: ConsumerSettings) -> ConsumerInfo:
        return super().update_consumer(name, consumer_id, pulled(consumer))


def pulled(consumer: ConsumerSettings) -> ConsumerSettings:
    return replace(consumer, type="http_pull") if consumer.type == "worker" else consumer


@pytest.fixture(scope="module")
def clock() -> ManualClock:
    """One for the whole module, as the server is: a test may only move it on."""
    return ManualClock()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, clock: ManualClock) -> Iterator[LocalCloudflare]:
    with local_cloudflare(tmp_path_factory.mktemp("cloudflare"), clock=clock) as running:
        yield running


@pytest.fixture
def queue_store(server: LocalCloudflare, clock: ManualClock) -> Iterator[CloudflareQueueStore]:
    with client_of(server, clock=clock) as api:
        yield PulledStore(api)
    for info in server.queues.queues():
        with suppress(QueueNotFound):
            server.queues.delete(info.name)


class TestDelivery(contract.TestDelivery):
    test_a_message_arrives_as_it_was_sent = None  # the API does not tell the id of what was sent
    test_ids_are_32_hexadecimal_digits_and_differ = None
    test_bodies_of_all_content_types_are_kept_to_the_byte = None  # it takes json that is JSON, and text
    test_an_empty_body_is_a_message = None


class TestSending(contract.TestSending):
    test_128_000_bytes_with_metadata_fit_a_message_and_one_more_does_not = None  # bodies that are no JSON
    test_256_000_bytes_with_metadata_fit_a_batch_and_one_more_does_not = None


class TestSettling(contract.TestSettling):
    test_a_whole_settlement_at_once = None  # nothing holds dead letters where there is no dead-letter queue
    test_a_lease_settles_once = None
    test_a_released_message_comes_first_and_its_delivery_is_not_counted = None  # it is counted


class TestGivingUp(contract.TestGivingUp):
    test_used_up_retries_lead_to_the_dead_letter_queue = None  # compares ids
    test_a_message_that_always_kills_its_consumer_leaves_too = None  # releases count as deliveries
    test_a_batch_is_filled_behind_messages_that_leave = None  # bodies that are no JSON
    test_a_dead_letter_goes_at_once = None  # wrapped up with its story


class TestRetention(contract.TestRetention):
    test_what_is_in_flight_expires_only_when_it_comes_back = None  # in flight is not told apart
    test_delayed_messages_expire_too = None  # asks for the wait before anything was pulled


class TestLooking(contract.TestLooking):
    test_metrics_tell_waiting_delayed_and_in_flight_apart = None
    test_the_wait_hint_says_when_to_look_again = None  # the API does not tell; the queue is polled
    test_peeking_changes_nothing = None  # compares ids
    test_purging_spares_what_is_in_flight = None  # the count is the whole backlog


class TestTransactions(contract.TestTransactions):
    pass


class TestControlPlane(contract.TestControlPlane):
    test_a_queue_has_at_most_one_consumer = None  # an http_pull consumer has no script
    test_a_consumer_is_replaced_and_removed_by_its_id = None  # compares a Worker's settings
    test_a_deleted_queue_is_gone_with_all_its_messages = None  # in other words


class TestOverHttp:
    def test_the_client_reads_plain_json_as_well_as_base64(self, tmp_path: Path) -> None:
        body = b'[{"open": 1e-8}]'
        for plain_json in (False, True):
            with (
                local_cloudflare(tmp_path / str(plain_json), plain_json=plain_json) as server,
                client_of(server) as api,
            ):
                store = PulledStore(api)
                store.create("candles")
                opened = store.open("candles")
                opened.send_batch([OutgoingMessage(body)])
                assert [m.body for m in opened.lease(1)] == [body]

    def test_a_dead_letter_keeps_its_body_and_leaves_the_queue(self, queue_store: CloudflareQueueStore) -> None:
        queue_store.create("candles")
        queue_store.add_consumer("candles", ConsumerSettings(dead_letter_queue="candles-dlq"))
        opened = queue_store.open("candles")
        opened.send_batch([OutgoingMessage(b'[{"low":  0.0}]'), OutgoingMessage(b"{}")])
        poison, sound = opened.lease(2)
        settled = opened.settle(Settlement([sound.lease_id], dead_letters=[DeadLetter(poison.lease_id, "low")]))
        assert (settled.acked, settled.dead_lettered, settled.stale) == (1, 1, ())
        assert opened.metrics().backlog == 0
        (dead,) = queue_store.open("candles-dlq").lease(10)
        letter = exhumed(dead, None)
        assert (letter.body, letter.reason, letter.source) == (b'[{"low":  0.0}]', "low", "candles")
        assert letter.timestamp_ms == poison.timestamp_ms

    def test_two_machines_get_batches_of_their_own(self, server: LocalCloudflare, clock: ManualClock) -> None:
        server.queues.create("candles")
        server.queues.add_consumer("candles", ConsumerSettings(type="http_pull"))
        with client_of(server, clock=clock) as one, client_of(server, clock=clock) as two:
            first, second = CloudflareQueueStore(one).open("candles"), CloudflareQueueStore(two).open("candles")
            first.send_batch([OutgoingMessage(str(n).encode()) for n in range(30)])
            leased = first.lease(20), second.lease(20)
            assert [len(batch) for batch in leased] == [20, 10]
            assert len({m.id for batch in leased for m in batch}) == 30
            assert second.settle(Settlement([m.lease_id for m in leased[1]])).acked == 10
            assert first.settle(Settlement([m.lease_id for m in leased[0]])).acked == 20
            assert first.metrics().backlog == 0
        server.queues.delete("candles")

    def test_a_queue_that_only_a_worker_reads_says_how_to_pull_it(self, server: LocalCloudflare) -> None:
        server.queues.create("candles")
        server.queues.add_consumer("candles", ConsumerSettings(script_name="historical"))
        with client_of(server) as api, pytest.raises(HttpPullDisabled) as caught:
            CloudflareQueueStore(api).open("candles").lease(1)
        assert "consumer remove candles historical --remote" in (caught.value.hint or "")
        server.queues.delete("candles")


@pytest.fixture(params=["over HTTP", *([] if MISSING else [pytest.param("Cloudflare", marks=pytest.mark.cloudflare)])])
def real_time(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CloudflareQueue]:
    """A queue whose clock is the wall's."""
    if request.param == "over HTTP":
        with local_cloudflare(tmp_path) as server, client_of(server) as api:
            store = PulledStore(api)
            store.create("candles")
            yield store.open("candles")
        return
    token, account, name = (os.environ[name] for name in WANTED)
    with http_client() as http:
        opened = CloudflareQueueStore(CloudflareApi(account, Secret(token), client=http, clock=SystemClock())).open(
            name
        )
        opened.purge()
        yield opened
        opened.purge()


def lease(queue: CloudflareQueue, count: int) -> list[Message]:
    """`count` messages; a queue that is spread over machines may need several pulls to give them."""
    messages = []
    for _ in range(20):
        messages += queue.lease(count - len(messages), visibility_timeout_ms=60_000)
        if len(messages) >= count:
            break
        queue._api.clock.sleep(0.5)
    return messages


@pytest.mark.cloudflare
@pytest.mark.skipif(bool(MISSING), reason=f"Queues itself is not asked: {', '.join(MISSING)} not set")
def test_cloudflare_itself_is_asked_too() -> None:
    """Its place in the list of skipped tests says that the suite did not run against production."""


class TestInRealTime:
    def test_messages_come_as_they_were_sent_are_retried_and_acked(self, real_time: CloudflareQueue) -> None:
        sent = {b'[{"open":1e-8,"n":1700000000}]': "json", b"{}": "json", "é".encode(): "text"}
        real_time.send_batch([OutgoingMessage(body, kind) for body, kind in sent.items()])  # type: ignore[arg-type]
        messages = lease(real_time, 3)
        assert {m.body: m.content_type for m in messages} == sent
        assert {len(m.id) for m in messages} == {32}
        again, *rest = messages
        settled = real_time.settle(Settlement([m.lease_id for m in rest], [Retry(again.lease_id, 0)]))
        assert (settled.acked, settled.retried, settled.stale) == (2, 1, ())
        [back] = lease(real_time, 1)
        assert (back.id, back.body) == (again.id, again.body)
        assert back.attempts > again.attempts
        assert real_time.settle(Settlement([back.lease_id])).acked == 1

    def test_an_acked_message_is_gone_and_its_lease_settles_nothing(self, real_time: CloudflareQueue) -> None:
        real_time.send_batch([OutgoingMessage(b"1")])
        [message] = lease(real_time, 1)
        assert real_time.settle(Settlement([message.lease_id])).acked == 1
        assert real_time.lease(1) == []
