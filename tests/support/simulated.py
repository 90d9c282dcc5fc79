"""The exchange simulator for tests: clock stopped, plain HTTP requests, shapes of bodies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from coinswarm.simulator import Simulator

NOW = 1_700_000_123
"""Tue, 14 Nov 2023 22:15:23 GMT: within a minute, an hour, a day and a week."""

RECORDED = Path(__file__).parent.parent.parent / "../shared/data/market"


PAGES = {
    "cryptocompare": "/data/v2/histohour?fsym=BTC&tsym=USD&limit=50",
    "binance": "/api/v3/klines?symbol=BTCUSDT&interval=1h&limit=50",
    "binanceus": "/api/v3/klines?symbol=BTCUSDT&interval=1h&limit=50",
    "coingecko": "/coins/bitcoin/ohlc?vs_currency=usd&days=1",
    "kraken": "/0/public/OHLC?pair=XBTUSD&interval=60",
    "coinbase": "/products/BTC-USD/candles?granularity=3600",
}
"""A page of candles of each source."""


def ask(simulator: Simulator, source: str, path: str, headers: dict[str, str] | None = None, **query: Any) -> Any:
    """The JSON body of a reply that must be HTTP 200."""
    reply = raw(simulator, source, path, headers, **query)
    assert reply.status_code == 200, reply.text
    return reply.json()


def raw(
    simulator: Simulator, source: str, path: str, headers: dict[str, str] | None = None, **query: Any
) -> httpx.Response:
    # No certificates are loaded: that takes longer than most requests here.
    with httpx.Client(timeout=10, trust_env=False, verify=False) as client:
        return client.get(simulator.url(source) + path, params=query or None, headers=headers)


def recorded(name: str) -> Any:
    """A recorded body or recording; skips where the recordings are absent."""
    path = RECORDED / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return json.loads(path.read_text())


def shape(value: Any) -> Any:
    """The structure of a JSON value: keys in order, types, and what all elements of a list have in common."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}, list(value)
    if isinstance(value, list):
        shapes = [shape(inner) for inner in value]
        if shapes and all(isinstance(inner, (int, float, str)) for inner in value):
            return shapes
        distinct = [each for index, each in enumerate(shapes) if each not in shapes[:index]]
        return ["each", *distinct]
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, (int, float)) else type(value).__name__
