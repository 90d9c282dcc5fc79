"""The pipeline with both ends at Cloudflare: candles through a remote queue into remote D1, by one machine or more."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from coinswarm.candles import COLUMNS, Candle
from coinswarm.clock import SystemClock
from coinswarm.cloudflare import CloudflareApi
from coinswarm.config.masking import Secret
from coinswarm.consumer.report import ConsumeReport
from coinswarm.consumer.worker import Worker
from coinswarm.d1.remote import RemoteDatabase
from coinswarm.errors import SchemaMismatch, Unauthorized
from coinswarm.payload import pack
from coinswarm.queue.burial import exhumed
from coinswarm.queue.cloudflare import CloudflareQueueStore
from coinswarm.queue.types import ConsumerSettings, OutgoingMessage
from coinswarm.transport import RetryPolicy
from tests.support.cloudflare import TOKEN
from tests.support.local_cloudflare import DATABASE, LocalCloudflare, client_of, local_cloudflare

QUEUE, DEAD = "historical-data-queue", "historical-data-dlq"
MIGRATION = Path(__file__).parent.parent / "migrations" / "0001_price_data.sql"
CANDLES = [
    Candle(f"C{series}-USDC", 1_699_200_000 - hour * 3600, "1h", price, 2.0, 1e-8, price, None, hour / 7, "binance")
    for series in range(4)
    for hour in range(1_000)
    for price in [1e-8 + 1.1 / (hour + 1)]
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalCloudflare]:
    """A local Cloudflare with the pipeline's queue, its dead-letter queue and an empty database."""
    with local_cloudflare(tmp_path) as running:
        running.queues.create(QUEUE)
        consumer = ConsumerSettings(type="http_pull", dead_letter_queue=DEAD, batch_size=100)
        running.queues.add_consumer(QUEUE, consumer)
        yield running


@pytest.fixture
def api(server: LocalCloudflare) -> Iterator[CloudflareApi]:
    with client_of(server) as client:
        RemoteDatabase.open(client, DATABASE.name).execute(MIGRATION.read_text())
        yield client


def send(api: CloudflareApi, candles: list[Candle]) -> int:
    """Queue the candles over HTTP; how many messages they were."""
    queue = CloudflareQueueStore(api).open(QUEUE)
    messages = [OutgoingMessage(body) for body, _ in pack(candles)]
    for start in range(0, len(messages), 100):
        queue.send_batch(messages[start : start + 100])
    return len(messages)


def worker(api: CloudflareApi, **options: Any) -> Worker:
    database = RemoteDatabase.open(api, DATABASE.name, idempotent_batches=True)
    return Worker(CloudflareQueueStore(api).open(QUEUE), database, SystemClock(), **options)


def stored(api: CloudflareApi) -> set[tuple[Any, ...]]:
    return set(RemoteDatabase.open(api, DATABASE.name).execute(f"SELECT {', '.join(COLUMNS)} FROM price_data")[0].rows)


def rows(candles: list[Candle]) -> set[tuple[Any, ...]]:
    return {tuple(getattr(candle, name) for name in Candle.__struct_fields__) for candle in candles}


def test_every_candle_sent_is_in_d1_once_and_unaltered(api: CloudflareApi) -> None:
    assert send(api, CANDLES) == 400
    report = worker(api).drain()
    assert (report.messages, report.acked, report.batches) == (400, 400, 4)
    assert (report.rows.inserted, report.rows.duplicate) == (4_000, 0)
    assert stored(api) == rows(CANDLES)
    assert CloudflareQueueStore(api).open(QUEUE).metrics().backlog == 0


def test_what_is_there_already_is_left_as_it_is(api: CloudflareApi) -> None:
    for _ in range(2):
        send(api, CANDLES[:500])
        report = worker(api).drain()
    assert (report.rows.inserted, report.rows.duplicate, report.conflicts) == (0, 500, 0)


@pytest.mark.slow
def test_several_machines_drain_one_queue_and_no_candle_is_lost_or_stored_twice(
    server: LocalCloudflare, api: CloudflareApi
) -> None:
    send(api, CANDLES)
    reports: list[ConsumeReport] = []

    def machine() -> None:
        with client_of(server) as client:
            reports.append(worker(client, batch_size=20).drain())

    machines = [threading.Thread(target=machine) for _ in range(3)]
    for one in machines:
        one.start()
    for one in machines:
        one.join()
    assert [sum(r.acked for r in reports), sum(r.rows.inserted for r in reports)] == [400, 4_000]
    assert stored(api) == rows(CANDLES)


def test_poison_goes_to_the_dead_letter_queue_with_its_story_and_takes_no_candle_along(
    server: LocalCloudflare, api: CloudflareApi
) -> None:
    send(api, CANDLES[:100])
    poison = b'{"symbol":  "BTC-USDC"}'
    CloudflareQueueStore(api).open(QUEUE).send_batch([OutgoingMessage(poison), OutgoingMessage(b"text", "text")])
    report = worker(api).drain()
    assert (report.acked, report.dead_lettered, report.rows.inserted) == (10, 2, 100)
    letters = [exhumed(message, None) for message in server.queues.open(DEAD).peek(10)]
    assert sorted(letter.body or b"" for letter in letters) == sorted([poison, b"text"])
    assert {letter.source for letter in letters} == {QUEUE}


class Cut(httpx.BaseTransport):
    """Loses the reply of every third request to D1: the statements ran, the client does not know."""

    def __init__(self) -> None:
        self.inner = httpx.HTTPTransport()
        self.count = self.lost = 0
        self.spared: set[bytes] = set()
        """Bodies whose reply was lost once: so none runs out of attempts, in whatever order threads come."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self.inner.handle_request(request)
        if request.url.path.endswith("/raw"):
            self.count += 1
            if self.count % 3 == 0 and request.content not in self.spared:
                self.spared.add(request.content)
                self.lost += 1
                response.close()
                raise httpx.ReadError("connection reset by peer", request=request)
        return response

    def close(self) -> None:
        self.inner.close()


def test_replies_lost_on_the_way_cost_no_candle_and_no_delivery(server: LocalCloudflare, api: CloudflareApi) -> None:
    send(api, CANDLES)
    transport = Cut()
    with httpx.Client(transport=transport) as http:
        shaky = CloudflareApi(
            server.account.id,
            Secret(TOKEN),
            client=http,
            clock=SystemClock(),
            base_url=server.url,
            policy=RetryPolicy(first_wait=0.01),
        )
        report = worker(shaky, batch_size=20).drain()
    assert transport.lost >= 5
    assert (report.acked, report.retried) == (400, 0)
    assert report.rows.inserted + report.rows.duplicate == 4_000
    assert stored(api) == rows(CANDLES)


def test_a_database_without_the_table_stops_the_consumer_before_a_message_is_touched(
    server: LocalCloudflare,
) -> None:
    with client_of(server) as client:
        send(client, CANDLES[:10])
        with pytest.raises(SchemaMismatch, match="has no table price_data"):
            worker(client).drain()
        [message] = CloudflareQueueStore(client).open(QUEUE).lease(1)
    assert message.attempts == 1


def test_a_wrong_token_stops_the_consumer_with_what_to_do(server: LocalCloudflare) -> None:
    with httpx.Client() as http:
        stranger = CloudflareApi(
            server.account.id, Secret("wrong"), client=http, clock=SystemClock(), base_url=server.url
        )
        with pytest.raises(Unauthorized) as caught:
            worker(stranger)
    assert "CLOUDFLARE_API_TOKEN" in (caught.value.hint or "")
