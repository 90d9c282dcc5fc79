"""The nineteen checks, in the original's order, and those of `--baseline` and `--write-baseline`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from coinswarm.verify import canary, credentials, databases, fetching, queues, roles, schedule
from coinswarm.verify.check import Check

_REACHED: Final = ("token", "account")

CHECKS: Final = (
    Check("token", "V1", "API token", credentials.token),
    Check("account", "V2", "Account", credentials.account, ("token",)),
    Check("queue", "V3", "Queue exists", queues.queue, _REACHED),
    Check("dead-letter-queue", "V4", "Dead letter queue exists", queues.dead_letter_queue, ("queue",)),
    Check("consumer", "V5", "Consumer attached", queues.consumer, ("queue",)),
    Check("batch-size", "V6", "Consumer batch size", queues.batch_size, ("consumer",)),
    Check("concurrency", "V7", "Consumer concurrency", queues.concurrency, ("consumer",)),
    Check("database", "V8", "Database accessible", databases.database, _REACHED),
    Check("price-data", "V9", "Table price_data", databases.price_data, ("database",)),
    Check("queue-consumer", "V10", "Queue consumer deployed", roles.queue_consumer, ("consumer",)),
    Check("producer", "V11", "Producer deployed", roles.producer, ("queue",)),
    Check("importer", "V12", "Importer deployed", roles.importer, _REACHED),
    Check("backlog", "V13", "Queue depth", queues.backlog, ("queue",)),
    Check("cron", "V14", "Cron trigger", schedule.cron, _REACHED),
    Check("canary", "V15", "Consumer writes to price_data", canary.arrives, ("price-data", "consumer"), patient=True),
    Check("first-write-wins", "V16", "Existing data protected", canary.first_write_wins, ("canary",), patient=True),
    Check("fetch-queue", "V17", "Fetch uses the queue", fetching.uses_queue),
    Check("queue-binding", "V18", "Queue binding", fetching.queue_binding, ("producer",)),
    Check("batch-sending", "V19", "Batch sending", fetching.batch_sending, ("fetch-queue",)),
)


def with_baseline(*, compare: Path | None, write: Path | None) -> tuple[Check, ...]:
    """What to run besides; a baseline is only written over once the table was shown to agree with it."""
    more = []
    if compare is not None:
        path = compare
        more.append(
            Check(
                "baseline",
                "",
                "Rows of the baseline",
                lambda subject: databases.against_baseline(subject, path),
                ("price-data",),
                patient=True,
            )
        )
    if write is not None:
        target = write
        needs = ("price-data", "baseline") if compare is not None else ("price-data",)
        more.append(
            Check(
                "write-baseline",
                "",
                "Write the baseline",
                lambda subject: databases.write_baseline(subject, target),
                needs,
                patient=True,
            )
        )
    return tuple(more)
