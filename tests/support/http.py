"""Exchanges that answer what a test tells them to, and a raw server for what no mock can do."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import respx

from coinswarm import fetchers
from coinswarm.candles import Pair, Timeframe
from coinswarm.clock import ManualClock
from coinswarm.fetchers.base import Fetcher, PageRequest

NOW = 1_788_256_800
"""2026-09-01 10:00 UTC, a Tuesday: what every manual clock here shows first."""


def manual_clock() -> ManualClock:
    return ManualClock(NOW * 1000)


@contextmanager
def exchange(source: str, *, clock: ManualClock | None = None, **options: Any) -> Iterator[tuple[Fetcher, respx.Route]]:
    """A fetcher, and the one route that answers all its requests."""
    with respx.mock(assert_all_called=False) as router, httpx.Client(verify=False) as client:
        route = router.route()
        yield fetchers.build(source, client=client, clock=clock or manual_clock(), **options), route


def ask(pair: str, timeframe: str, to_ts: int, limit: int) -> PageRequest:
    return PageRequest(Pair.parse(pair), Timeframe(timeframe), to_ts, limit)


def body(value: Any, status: int = 200, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return httpx.Response(status, content=json.dumps(value), headers=named)


def asked(route: respx.Route) -> list[dict[str, str]]:
    """The parameters of every request so far."""
    return [dict(call.request.url.params) for call in route.calls]


@contextmanager
def raw_server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server on loopback that reads each request and then lets `answer` do as it likes with the connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(2)
                connection.recv(65_536)
                answer(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        thread.join()
        listener.close()
