"""What the log hears of a batch: one line for the batch, one more for every reason that a message was not stored."""

from __future__ import annotations

from collections import Counter

from coinswarm.consumer.verdict import Verdict
from coinswarm.log import Log
from coinswarm.queue.types import Settled


def tell_batch(log: Log, queue: str, verdict: Verdict, settled: Settled, *, seconds: float) -> None:
    """`seconds`: from when the batch began to be stored until it was settled."""
    messages = settled.acked + settled.retried + settled.dead_lettered + settled.dropped + settled.released
    messages += len(settled.stale)
    done = {"queue": queue, "messages": messages, "acked": settled.acked, "seconds": round(seconds, 4)}
    if verdict.stored is not None:
        rows = verdict.stored
        log.event(
            "batch.written",
            **done,
            inserted=rows.inserted,
            duplicate=rows.duplicate + verdict.contents.duplicate,
            rejected=verdict.rejected,
            conflicts=len(rows.conflicts) + len(verdict.contents.conflicts) or None,
            rows_written=rows.rows_written,
            stale=len(settled.stale) or None,
        )
    elif messages:
        reason = verdict.retry_reason or "given back unread"
        log.event("batch.failed", **done, reason=reason, released=settled.released or None)
    if settled.retried:
        log.event("messages.retried", queue=queue, messages=settled.retried, reason=verdict.retry_reason)
    letters = Counter(letter.reason for letter in verdict.settlement.dead_letters)
    for reason, count in letters.items():
        log.event("messages.dead_lettered", queue=queue, messages=count, reason=reason)
    given_up = settled.dead_lettered + settled.dropped - letters.total()
    if given_up > 0:
        kind = "messages.dropped" if settled.dropped else "messages.dead_lettered"
        log.event(kind, queue=queue, messages=given_up, reason=verdict.retry_reason)
