"""`[[queues.producers]]` and `[[queues.consumers]]` of a wrangler file.

wrangler checks types alone; the ranges are those the API refuses (code 100127):
https://developers.cloudflare.com/queues/configuration/configure-queues/.
"""

from __future__ import annotations

from typing import Final

from coinswarm.config.checks import Section, Table
from coinswarm.config.masking import shown
from coinswarm.config.stack import Consumer, Producer
from coinswarm.limits import QUEUE_DEFAULTS, QUEUES

PRODUCER_KEYS: Final = ("binding", "queue", "delivery_delay", "remote")
CONSUMER_KEYS: Final = (
    "queue",
    "type",
    "max_batch_size",
    "max_batch_timeout",
    "max_retries",
    "dead_letter_queue",
    "max_concurrency",
    "visibility_timeout_ms",
    "retry_delay",
)


def queue_bindings(table: Table, worker: str, section: Section) -> tuple[list[Producer], list[Consumer]]:
    """What the `queues` section of `table` binds to `worker`."""
    queues = table.get("queues", {})
    if not isinstance(queues, dict):
        section.fault(f'The field "{section.prefix}queues" should be an object but got {shown(queues)}.')
        return [], []
    section.diagnostics.unexpected(section.where, f"{section.prefix}queues", queues, ("producers", "consumers"))
    producers = [_producer(e, f, worker, section) for f, e in section.tables(queues, "producers", of="queues.")]
    consumers = [_consumer(e, f, worker, section) for f, e in section.tables(queues, "consumers", of="queues.")]
    return [p for p in producers if p], [c for c in consumers if c]


def _producer(entry: Table, field: str, worker: str, section: Section) -> Producer | None:
    section.diagnostics.unexpected(section.where, field, entry, PRODUCER_KEYS)
    binding = section.required(entry, field, "binding", "bindings should")
    queue = section.optional(entry, field, "queue", "bindings should")
    if "delivery_delay" in entry:
        section.diagnostics.warn(
            section.where,
            f'The "delivery_delay" field in "{field}" is deprecated and has no effect; set the delay on the queue:'
            " coinswarm queues update NAME --delivery-delay-secs N",
        )
    if queue is not None:
        section.queue_name(queue, f"{field}.queue")
    if binding is None:
        return None
    # wrangler provisions a queue of this name where none is given.
    return Producer(binding, queue or f"{worker}-{binding.lower().replace('_', '-')}", worker, section.where)


def _consumer(entry: Table, field: str, worker: str, section: Section) -> Consumer | None:
    section.diagnostics.unexpected(section.where, field, entry, CONSUMER_KEYS)
    queue = section.required(entry, field, "queue", "should")
    dead_letters = section.optional(entry, field, "dead_letter_queue", "should") or None
    kind = entry.get("type", "worker")
    if kind != "worker":
        section.fault(
            f'"{field}.type" has an invalid value {shown(kind)}. Only "worker" consumers can be configured in your'
            " Wrangler configuration. Add an HTTP pull consumer with: coinswarm queues consumer http add QUEUE"
        )
    numbers = {
        "max_batch_size": section.number(
            entry, field, "max_batch_size", QUEUE_DEFAULTS.batch_size, (1, QUEUES.batch_messages)
        ),
        "max_batch_timeout": section.number(
            entry,
            field,
            "max_batch_timeout",
            QUEUE_DEFAULTS.batch_timeout_seconds,
            (0, QUEUES.batch_timeout_seconds),
            whole=False,
        ),
        "max_retries": section.number(entry, field, "max_retries", QUEUE_DEFAULTS.max_retries, (0, QUEUES.max_retries)),
        "max_concurrency": section.number(entry, field, "max_concurrency", None, (1, QUEUES.concurrency)),
        "retry_delay": section.number(
            entry, field, "retry_delay", QUEUE_DEFAULTS.retry_delay_seconds, (0, QUEUES.delay_seconds)
        ),
        "visibility_timeout_ms": section.number(
            entry,
            field,
            "visibility_timeout_ms",
            QUEUE_DEFAULTS.visibility_timeout_ms,
            (0, QUEUES.visibility_timeout_ms),
        ),
    }
    if queue is not None:
        section.queue_name(queue, f"{field}.queue")
    if dead_letters is not None:
        section.queue_name(dead_letters, f"{field}.dead_letter_queue")
        if dead_letters == queue:
            section.fault(f'{field}: Dead letter queue for queue "{queue}" cannot be itself')
    if queue is None:
        return None
    return Consumer(queue, worker, section.where, dead_letter_queue=dead_letters, **numbers)
