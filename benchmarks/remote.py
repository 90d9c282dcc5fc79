"""Remote D1 and queues over a slow network: how near the drain comes to what latency allows, and what the rate costs.

    python -m benchmarks.remote [--rows 500000] [--only PART]

The local Cloudflare runs in a process of its own; every request to it takes 100 ms longer. Ratios are taken within one
run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import results
from benchmarks.pipeline import hold_still, market
from coinswarm.candles import COLUMNS
from coinswarm.clock import SystemClock
from coinswarm.cloudflare import CloudflareApi
from coinswarm.config.masking import Secret
from coinswarm.consumer.rows import insert_statements
from coinswarm.consumer.worker import Worker
from coinswarm.d1 import wire
from coinswarm.d1.catalogue import BoundDatabase, Catalogue
from coinswarm.d1.local import LocalDatabase
from coinswarm.d1.remote import RemoteDatabase
from coinswarm.d1.types import Statement
from coinswarm.payload import pack
from coinswarm.queue.cloudflare import CloudflareQueueStore
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.queue.types import ConsumerSettings, OutgoingMessage
from coinswarm.server.account import LOCAL_ACCOUNT_ID, Account
from coinswarm.server.app import create_app
from coinswarm.server.listening import Server
from coinswarm.server.schedules import Schedules
from coinswarm.transport import http_client

TOKEN = "benchmark"
LATENCY = 0.1
CONCURRENCY = 5
ROWS_PER_REQUEST = 1_000
BOUND = BoundDatabase("benchmark", "0b0b0b0b-0000-4000-8000-000000000001", "DB")
QUEUE = "candles"
MIGRATION = Path(__file__).parent.parent / "migrations" / "0001_price_data.sql"


class Network:
    """Before the application: each request waits, and those beyond `limit` in any `seconds` get 429."""

    def __init__(self, app: Any, latency: float, limit: int | None, seconds: float) -> None:
        self.app, self.latency, self.limit, self.seconds = app, latency, limit, seconds
        self.arrivals: deque[float] = deque()
        self.served = self.refused = self.most = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The wait counts from the head of the request: its body travels meanwhile, as over a real network."""
        due = time.monotonic() + self.latency
        arrived = [await receive()]
        while arrived[-1].get("more_body"):
            arrived.append(await receive())
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        if scope["path"] == "/bare":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"{}"})
            return
        now = time.monotonic()
        while self.arrivals and self.arrivals[0] <= now - self.seconds:
            self.arrivals.popleft()
        if self.limit is not None and len(self.arrivals) >= self.limit:
            self.refused += 1
            body = b'{"result":null,"success":false,"errors":[{"code":971,"message":"throttled"}],"messages":[]}'
            await send({"type": "http.response.start", "status": 429, "headers": [(b"retry-after", b"1")]})
            await send({"type": "http.response.body", "body": body})
            return
        self.arrivals.append(now)
        self.served += 1
        self.most = max(self.most, len(self.arrivals))
        await self.app(scope, lambda: _next(arrived, receive), send)


async def _next(arrived: list[Any], receive: Any) -> Any:
    """What has arrived, and after that what only the connection can tell: that the client has left."""
    return arrived.pop(0) if arrived else await receive()


def serve(folder: Path, latency: float, limit: int | None, seconds: float, pipe: Connection) -> None:
    """The server's process: says its URL, answers until it is told to stop, says what it counted."""
    clock = SystemClock()
    with (
        SqliteQueueStore(folder / "queues.sqlite", clock) as queues,
        closing(
            Catalogue(
                folder,
                configured=[BOUND],
                opener=lambda info, path: LocalDatabase(path, name=info.name, id=info.uuid, clock=clock),
                clock=clock,
            )
        ) as catalogue,
        closing(Account(catalogue, queues, Schedules(folder / "schedules.json", {}, clock), folder, clock)) as account,
    ):
        network = Network(create_app(account, token=TOKEN), latency, limit, seconds)
        with Server(network) as server:
            pipe.send(server.url + "/client/v4")
            pipe.recv()
        pipe.send(
            {
                "served": network.served,
                "refused": network.refused,
                "most_in_a_window": network.most,
                "processor_ms": round(time.process_time() * 1000),
            }
        )


@contextmanager
def cloudflare(
    *, latency: float = LATENCY, limit: int | None = None, seconds: float = 300.0, **options: Any
) -> Iterator[tuple[CloudflareApi, Path, Callable[[], dict[str, int]]]]:
    """A client of a fresh server with an empty `price_data`, a folder, and what ends the server and counts."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    with tempfile.TemporaryDirectory(prefix="coinswarm-benchmark-") as name, http_client() as http:
        folder = Path(name)
        process = spawn.Process(target=serve, args=(folder / "server", latency, limit, seconds, theirs))
        process.start()
        url = ours.recv()

        def stop() -> dict[str, int]:
            if process.is_alive():
                ours.send("stop")
                counted.update(ours.recv())
                process.join()
            return counted

        counted: dict[str, int] = {}
        api = CloudflareApi(LOCAL_ACCOUNT_ID, Secret(TOKEN), client=http, clock=SystemClock(), base_url=url, **options)
        try:
            RemoteDatabase(api, BOUND.uuid, BOUND.name).execute(MIGRATION.read_text())
            yield api, folder, stop
        finally:
            stop()


def bare(url: str, body: bytes, requests: int) -> float:
    """Requests a second that the same server answers to the same bytes when it does nothing with them."""
    target = url.removesuffix("/client/v4") + "/bare"
    with http_client() as http, ThreadPoolExecutor(CONCURRENCY) as pool:
        list(pool.map(lambda _: http.post(target, content=body), range(CONCURRENCY)))
        begun = time.perf_counter()
        list(pool.map(lambda _: http.post(target, content=body), range(requests)))
        return requests / (time.perf_counter() - begun)


def drain(rows: int) -> dict[str, Any]:
    """From the local queue into remote D1, five requests in flight, no limit on the rate."""
    with cloudflare(requests=1_000_000) as (api, folder, stop):
        clock = SystemClock()
        with SqliteQueueStore(folder / "queue.sqlite", clock) as store:
            store.create(QUEUE)
            queue = store.open(QUEUE)
            messages = [OutgoingMessage(body) for body, _ in pack(market(rows))]
            for start in range(0, len(messages), 100):
                queue.send_batch(messages[start : start + 100])
            hold_still()
            database = RemoteDatabase(api, BOUND.uuid, BOUND.name, idempotent_batches=True)
            database.batch([Statement("SELECT 1")])
            body = wire.encode_request(as_statements([msgspec.structs.astuple(c) for c in market(ROWS_PER_REQUEST)]))
            possible = bare(api.base_url, body, rows // ROWS_PER_REQUEST) * ROWS_PER_REQUEST
            begun, client = time.perf_counter(), time.process_time()
            report = Worker(queue, database, clock, concurrency=CONCURRENCY).drain()
            seconds, client = time.perf_counter() - begun, time.process_time() - client
        counted = stop()
    if report.rows.inserted != rows:
        raise AssertionError(f"{report.rows.inserted} of {rows} rows were stored")
    allowed = CONCURRENCY * ROWS_PER_REQUEST / LATENCY
    return {
        "rows": rows,
        "requests": counted["served"],
        "rows_per_second": round(rows / seconds),
        "allowed_by_latency": round(allowed),
        "share": round(rows / seconds / allowed, 3),
        "a_server_that_does_nothing": round(possible),
        "share_of_that": round(rows / seconds / possible, 3),
        "our_processor_ms_a_request": round(client * 1000 / counted["served"], 1),
        "the_servers_processor_ms_a_request": round(counted["processor_ms"] / counted["served"], 1),
    }


def limited(limit: int = 60, seconds: float = 2.0, windows: int = 3) -> dict[str, Any]:
    """The same drain under a rate limit in a shortened window: how many requests go out, and how many are refused."""
    rows = limit * windows * ROWS_PER_REQUEST
    with cloudflare(latency=0.02, limit=limit, seconds=seconds, requests=limit, window_seconds=seconds + 0.01) as (
        api,
        folder,
        stop,
    ):
        clock = SystemClock()
        with SqliteQueueStore(folder / "queue.sqlite", clock) as store:
            store.create(QUEUE)
            queue = store.open(QUEUE)
            messages = [OutgoingMessage(body) for body, _ in pack(market(rows))]
            for start in range(0, len(messages), 100):
                queue.send_batch(messages[start : start + 100])
            database = RemoteDatabase(api, BOUND.uuid, BOUND.name, idempotent_batches=True)
            begun = time.perf_counter()
            report = Worker(queue, database, clock, concurrency=CONCURRENCY).drain()
            elapsed = time.perf_counter() - begun
        counted = stop()
    return {
        "limit": limit,
        "window_seconds": seconds,
        "most_in_a_window": counted["most_in_a_window"],
        "refused_with_429": counted["refused"],
        "requests": counted["served"],
        "requests_per_window": round(counted["served"] / elapsed * seconds, 1),
        "rows_stored": report.rows.inserted,
    }


def queue_round_trip(messages: int = 3_000) -> dict[str, Any]:
    """A remote queue end to end, one machine: send, pull and ack in batches of 100 over the slow network."""
    with cloudflare() as (api, _, _stop):
        store = CloudflareQueueStore(api)
        store.create(QUEUE)
        store.add_consumer(QUEUE, ConsumerSettings(type="http_pull", batch_size=100))
        queue = store.open(QUEUE)
        bodies = [OutgoingMessage(body) for body, _ in pack(market(messages * 10))]
        begun = time.perf_counter()
        for start in range(0, messages, 100):
            queue.send_batch(bodies[start : start + 100])
        sent = time.perf_counter()
        database = RemoteDatabase(api, BOUND.uuid, BOUND.name, idempotent_batches=True)
        report = Worker(queue, database, SystemClock(), concurrency=CONCURRENCY).drain()
        drained = time.perf_counter()
    if report.acked != messages:
        raise AssertionError(f"{report.acked} of {messages} messages were acked")
    return {
        "messages": messages,
        "sent_per_second": round(messages / (sent - begun)),
        "drained_rows_per_second": round(messages * 10 / (drained - sent)),
    }


NAMES = ", ".join(COLUMNS)
CONFLICT = "ON CONFLICT (symbol, timestamp, timeframe, source) DO NOTHING"


def as_statements(rows: list[tuple[Any, ...]]) -> list[Statement]:
    """What the consumer sends: a hundred statements of ten rows, each value a parameter."""
    return insert_statements([value for row in rows for value in row])


def as_json_arrays(rows: list[tuple[Any, ...]]) -> list[Statement]:
    """One statement and one parameter: rows as JSON arrays."""
    values = ", ".join(f"value ->> {n}" for n in range(len(COLUMNS)))
    sql = f"INSERT INTO price_data ({NAMES}) SELECT {values} FROM json_each(?1) WHERE 1 {CONFLICT}"
    return [Statement(sql, [msgspec.json.encode(rows).decode()])]


def as_json_objects(rows: list[tuple[Any, ...]]) -> list[Statement]:
    """One statement and one parameter: rows as JSON objects."""
    values = ", ".join(f"value ->> '$.{name}'" for name in COLUMNS)
    sql = f"INSERT INTO price_data ({NAMES}) SELECT {values} FROM json_each(?1) WHERE 1 {CONFLICT}"
    objects = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    return [Statement(sql, [msgspec.json.encode(objects).decode()])]


def shapes(batches: int = 60) -> dict[str, Any]:
    """The forms a batch of a thousand rows can have: bytes of the request, and time without latency, one at a time."""
    found: dict[str, Any] = {}
    everything = sorted(msgspec.structs.astuple(c) for c in market(batches * ROWS_PER_REQUEST))
    parts = [everything[n : n + ROWS_PER_REQUEST] for n in range(0, len(everything), ROWS_PER_REQUEST)]
    forms = {
        "100 statements": as_statements,
        "json_each of arrays": as_json_arrays,
        "json_each of objects": as_json_objects,
    }
    for name, form in forms.items():
        with cloudflare(latency=0.0, requests=1_000_000) as (api, _, _stop):
            database = RemoteDatabase(api, BOUND.uuid, BOUND.name)
            database.batch([Statement("SELECT 1")])
            in_database, begun, client = 0.0, time.perf_counter(), time.process_time()
            for part in parts:
                in_database += sum(result.meta.duration for result in database.batch(form(part)))
            seconds, client = time.perf_counter() - begun, time.process_time() - client
            stored = database.execute("SELECT count(*) FROM price_data")[0].rows[0][0]
        if stored != len(everything):
            raise AssertionError(f"{name}: {stored} of {len(everything)} rows were stored")
        found[name] = {
            "request_bytes": len(wire.encode_request(form(parts[0]))),
            "ms_in_database": round(in_database / batches, 2),
            "ms_of_our_processor": round(client * 1000 / batches, 2),
            "ms_in_all": round(seconds * 1000 / batches, 2),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500_000, help="rows of the drain")
    parser.add_argument("--only", metavar="PART", help="one part, not kept: drain, rate limit, remote queue, forms")
    chosen = parser.parse_args()
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "drain": lambda: drain(chosen.rows),
        "rate limit": limited,
        "remote queue": queue_round_trip,
        "forms": shapes,
    }
    found = {name: part() for name, part in parts.items() if chosen.only in (None, name)}
    print(json.dumps(found, indent=2))
    if chosen.only is None:
        print(f"kept in {results.save('remote', found)}")


if __name__ == "__main__":
    main()
