"""Cloudflare's prices and how operations are counted, as data.

Sources, read on `READ`: https://developers.cloudflare.com/queues/platform/pricing/,
https://developers.cloudflare.com/d1/platform/pricing/, https://developers.cloudflare.com/workers/platform/pricing/,
https://developers.cloudflare.com/workers/platform/limits/, https://developers.cloudflare.com/d1/platform/limits/.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from coinswarm.limits import D1, QUEUES

READ: Final = "2026-11-23"
"""The day these prices and allowances were read."""

QUEUE_OPERATION_BYTES: Final = 64_000
"""Each started 64 KB of a message written, read or deleted is one operation."""
GB: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class PaidPlan:
    """The Workers Paid plan: allowances a month and the price of what exceeds them, in US dollars."""

    base: float = 5.00
    requests_included: int = 10_000_000
    per_million_requests: float = 0.30
    cpu_ms_included: int = 30_000_000
    per_million_cpu_ms: float = 0.02
    queue_operations_included: int = 1_000_000
    per_million_queue_operations: float = 0.40
    rows_read_included: int = 25_000_000_000
    per_million_rows_read: float = 0.001
    rows_written_included: int = 50_000_000
    per_million_rows_written: float = 1.00
    storage_gb_included: float = 5.0
    per_gb_month: float = 0.75
    database_bytes: int = D1.database_bytes
    """Of one database; it cannot be raised."""
    subrequests: int = 10_000
    """Calls that one invocation may make."""
    crons: int = 250
    """Cron triggers of an account."""


@dataclass(frozen=True, slots=True)
class FreePlan:
    """The Workers Free plan: hard allowances a day, from 00:00 UTC on."""

    requests_per_day: int = 100_000
    queue_operations_per_day: int = 10_000
    rows_read_per_day: int = 5_000_000
    rows_written_per_day: int = 100_000
    storage_gb: float = 5.0
    """Of all databases together."""
    database_bytes: int = 500_000_000
    cpu_ms: int = 10
    """Of one invocation."""
    subrequests: int = 50
    crons: int = 5


PAID: Final = PaidPlan()
FREE: Final = FreePlan()


def operations(body_bytes: int) -> int:
    """Billed operations for writing, reading or deleting one message whose body has `body_bytes` bytes."""
    return max(1, -(-(body_bytes + QUEUES.metadata_bytes) // QUEUE_OPERATION_BYTES))
