"""Cloudflare's limits as data, each with its documentation page and the day it was read.

1 KB is 1,000 bytes throughout, as in Cloudflare's documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """https://developers.cloudflare.com/queues/platform/limits/ (read 2026-11-23)."""

    message_bytes: int = 128_000
    """One message, including about `metadata_bytes` of metadata."""
    metadata_bytes: int = 100
    batch_messages: int = 100
    """Messages in one sendBatch, one REST batch, one consumer batch or one pull."""
    batch_bytes: int = 256_000
    max_retries: int = 100
    batch_timeout_seconds: int = 60
    delay_seconds: int = 86_400
    visibility_timeout_ms: int = 12 * 3_600_000
    retention_seconds_min: int = 60
    retention_seconds_max: int = 1_209_600
    backlog_bytes: int = 25_000_000_000
    concurrency: int = 250
    name_pattern: str = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"


@dataclass(frozen=True, slots=True)
class QueueDefaults:
    """https://developers.cloudflare.com/queues/configuration/configure-queues/ (read 2026-11-23)."""

    batch_size: int = 10
    batch_timeout_seconds: int = 5
    max_retries: int = 3
    retention_seconds: int = 345_600
    delivery_delay_seconds: int = 0
    retry_delay_seconds: int = 0
    pull_batch_size: int = 5
    visibility_timeout_ms: int = 30_000


@dataclass(frozen=True, slots=True)
class D1Limits:
    """https://developers.cloudflare.com/d1/platform/limits/ (read 2026-11-23)."""

    bound_parameters: int = 100
    statement_bytes: int = 100_000
    value_bytes: int = 2_000_000
    """One string, blob or row."""
    columns: int = 100
    query_seconds: int = 30
    isolate_bytes: int = 128_000_000
    """Memory. https://developers.cloudflare.com/workers/platform/limits/#memory (read 2026-11-23)."""
    like_pattern_bytes: int = 50
    function_arguments: int = 32
    database_bytes: int = 10_000_000_000
    import_bytes: int = 5_000_000_000
    # From workerd's `setupSecurity`, not on the documentation page:
    compound_select_terms: int = 5
    expression_depth: int = 100


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """https://developers.cloudflare.com/fundamentals/api/reference/limits/ (read 2026-11-23)."""

    requests: int = 1_200
    window_seconds: int = 300


QUEUES: Final = QueueLimits()
QUEUE_DEFAULTS: Final = QueueDefaults()
D1: Final = D1Limits()
API: Final = ApiLimits()
