"""The server on loopback: messages through five connections beside a bare echo, 200 requests in flight, a large import.

    python -m benchmarks.server [--batches 100] [--seconds 60] [--import-mb 1000]

The server and the echo run in one process, the clients in another; what a ratio compares is from the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import multiprocessing
import resource
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks import results
from coinswarm.clock import SystemClock
from coinswarm.config import load
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.queue.types import ConsumerSettings
from coinswarm.server.app import create_app
from coinswarm.server.listening import Server
from coinswarm.server.opening import open_account

CONNECTIONS = 5
MESSAGES = 100
IN_FLIGHT = 200
CANDLE = {
    "symbol": "BTC-USDC",
    "timestamp": 1_700_000_000,
    "timeframe": "1h",
    "open": 43_210.12,
    "high": 43_250.55,
    "low": 43_180.01,
    "close": 43_222.22,
    "volumeFrom": 12.345678,
    "volumeTo": 533_211.12,
    "source": "binance",
}
BATCH = json.dumps({"messages": [{"body": [CANDLE] * 10}] * MESSAGES}).encode()


async def _echo(request: Request) -> Response:
    return Response(await request.body())


def serve(folder: str, pipe: Connection) -> None:
    """The server's process: ports and paths go out, then its memory whenever asked."""
    clock = SystemClock()
    stack = load(cwd=Path(folder), environ={}, persist_to=Path(folder) / "state")
    with (
        SqliteQueueStore(Path(folder) / "queues.sqlite", clock) as queues,
        open_account(stack, queues, clock) as account,
        Server(create_app(account, token="benchmark")) as server,
        Server(Starlette(routes=[Route("/echo", _echo, methods=["POST"])])) as echo,
    ):
        info = queues.create("candles")
        queues.add_consumer("candles", ConsumerSettings("http_pull"))
        base = f"/client/v4/accounts/{account.id}"
        database = f"{base}/d1/database/{stack.databases[0].name}"
        pipe.send((server.port, echo.port, f"{base}/queues/{info.queue_id}/messages", database))
        while pipe.recv() == "memory":
            pipe.send((_resident_kib(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))


def _resident_kib() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


def connection(port: int) -> Callable[[str, bytes], bytes]:
    """One kept-alive connection, as cheap as a client can be: the figures are to be the server's."""
    opened = socket.create_connection(("127.0.0.1", port))
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reader = opened.makefile("rb")

    def post(path: str, body: bytes) -> bytes:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer benchmark\r\n"
        opened.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        status, length = reader.readline(), 0
        while (line := reader.readline()) != b"\r\n":
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        reply = reader.read(length)
        if b" 200 " not in status:
            raise RuntimeError(f"{status!r} {reply[:300]!r}")
        return reply

    return post


def per_second(port: int, work: Callable[[Callable[[str, bytes], bytes]], int]) -> float:
    """Messages per second of `work` on five connections at once."""
    done: list[int] = []
    posts = [connection(port) for _ in range(CONNECTIONS)]
    threads = [threading.Thread(target=lambda post=post: done.append(work(post))) for post in posts]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(done) != CONNECTIONS:
        raise RuntimeError("a client failed")
    return sum(done) / (time.perf_counter() - started)


def sending(path: str, batches: int) -> Callable[[Callable[[str, bytes], bytes]], int]:
    def work(post: Callable[[str, bytes], bytes]) -> int:
        for _ in range(batches):
            post(path, BATCH)
        return batches * MESSAGES

    return work


def draining(path: str) -> Callable[[Callable[[str, bytes], bytes]], int]:
    def work(post: Callable[[str, bytes], bytes]) -> int:
        count = 0
        while messages := json.loads(post(f"{path}/pull", b'{"batch_size": 100}'))["result"]["messages"]:
            acks = [{"lease_id": message["lease_id"]} for message in messages]
            post(f"{path}/ack", json.dumps({"acks": acks}).encode())
            count += len(messages)
        return count

    return work


async def flood(port: int, path: str, seconds: float) -> tuple[int, int]:
    """Queries with 200 in flight all the time: how many were answered, and how many not with 200."""
    body = b'{"sql": "SELECT ?1 AS x", "params": ["y"]}'
    request = (
        f"POST {path}/query HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer benchmark\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    end = time.monotonic() + seconds
    answered = failed = 0

    async def client() -> None:
        nonlocal answered, failed
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < end:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            answered += 1
            failed += b" 200 " not in head.split(b"\r\n")[0]
        writer.close()

    await asyncio.gather(*(client() for _ in range(IN_FLIGHT)))
    return answered, failed


def write_sql(path: Path, megabytes: int) -> str:
    """A file of single inserts; its MD5."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("wb") as file:
        piece, number = b"CREATE TABLE big (v);\n", 0
        while file.tell() < megabytes * 1_000_000:
            file.write(piece)
            digest.update(piece)
            piece = b"".join(
                b"INSERT INTO big VALUES ('%012d%s');\n" % (each, b"x" * 1950) for each in range(number, number + 500)
            )
            number += 500
    return digest.hexdigest()


def import_file(port: int, path: str, file: Path, etag: str) -> float:
    """Seconds that an import takes, by the protocol that wrangler speaks."""
    url = f"http://127.0.0.1:{port}{path}/import"
    started = time.perf_counter()
    with httpx.Client(headers={"Authorization": "Bearer benchmark"}, timeout=600, trust_env=False) as client:

        def say(**body: str) -> dict[str, Any]:
            return dict(client.post(url, json=body).json()["result"])

        begun = say(action="init", etag=etag)
        with file.open("rb") as opened:
            client.put(begun["upload_url"], content=iter(lambda: opened.read(1 << 20), b"")).raise_for_status()
        answer = say(action="ingest", etag=etag, filename=begun["filename"])
        while answer["status"] == "active":
            answer = say(action="poll", current_bookmark=answer["at_bookmark"])
    if answer["status"] != "complete":
        raise RuntimeError(answer["error"])
    return time.perf_counter() - started


@contextmanager
def running() -> Iterator[tuple[Connection, Path]]:
    """The server's process, from when it is up."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with tempfile.TemporaryDirectory(prefix="coinswarm-benchmark-") as folder:
        process = context.Process(target=serve, args=(folder, theirs))
        process.start()
        try:
            yield ours, Path(folder)
        finally:
            ours.send("stop")
            process.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=100, help="batches of 100 messages on each of 5 connections")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long 200 requests are in flight")
    parser.add_argument("--import-mb", type=int, default=1000, help="size of the imported file")
    asked = parser.parse_args()
    with running() as (pipe, folder):
        port, echo_port, messages, database = pipe.recv()

        def memory() -> tuple[int, int]:
            pipe.send("memory")
            resident, peak = pipe.recv()
            return resident // 1000, peak // 1000

        echo = per_second(echo_port, sending("/echo", asked.batches))
        sent = per_second(port, sending(f"{messages}/batch", asked.batches))
        taken = per_second(port, draining(messages))
        print(f"batches of {MESSAGES} messages, {len(BATCH):,} bytes, {CONNECTIONS} connections")
        print(f"  bare echo of the same bytes  {echo:10,.0f} messages/s")
        print(f"  messages/batch               {sent:10,.0f} messages/s   {sent / echo:.2f} of the echo")
        print(f"  pull and ack                 {taken:10,.0f} messages/s")
        asyncio.run(flood(port, database, min(5.0, asked.seconds)))
        before, _ = memory()
        answered, failed = asyncio.run(flood(port, database, asked.seconds))
        after, _ = memory()
        print(f"{IN_FLIGHT} queries in flight for {asked.seconds:.0f} s")
        print(f"  {answered / asked.seconds:,.0f} requests/s, {failed} failed, memory {before} MB, then {after} MB")
        etag = write_sql(folder / "in.sql", asked.import_mb)
        seconds = import_file(port, database, folder / "in.sql", etag)
        _, peak = memory()
        print(f"d1 import of {asked.import_mb} MB")
        print(f"  {seconds:.1f} s, {asked.import_mb / seconds:.0f} MB/s, peak memory of the server {peak} MB")
    results.save(
        "server",
        {
            "messages_per_second": {"echo": echo, "batch": sent, "pull_and_ack": taken, "batch_to_echo": sent / echo},
            "in_flight": {
                "requests": IN_FLIGHT,
                "seconds": asked.seconds,
                "requests_per_second": answered / asked.seconds,
                "failed": failed,
                "memory_mb": {"before": before, "after": after},
            },
            "import": {"megabytes": asked.import_mb, "seconds": seconds, "peak_memory_mb": peak},
        },
    )


if __name__ == "__main__":
    main()
