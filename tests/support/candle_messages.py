"""Message bodies as a producer writes them, and what is done to them."""

from __future__ import annotations

import json
from typing import Any

FIRST_OPEN = 1_700_000_000 // 3600 * 3600


def row(hour: int = 0, **changes: Any) -> dict[str, Any]:
    """A sound, closed candle, `hour` hours after the first one."""
    return {
        "symbol": "BTC-USDC",
        "timestamp": FIRST_OPEN + hour * 3600,
        "timeframe": "1h",
        "open": 100.0,
        "high": 110.0,
        "low": 90.0,
        "close": 105.0,
        "volumeFrom": 1.5,
        "volumeTo": None,
        "source": "binance",
    } | changes


def body(*rows: dict[str, Any]) -> str:
    return json.dumps(rows)
