"""V3 to V7 and V13: the queue, its dead-letter queue, its consumer, and how far behind that is."""

from __future__ import annotations

from typing import Final

from coinswarm.config import Consumer
from coinswarm.errors import QueueNotFound
from coinswarm.limits import QUEUES
from coinswarm.queue.types import ConsumerInfo
from coinswarm.verify.check import Outcome, Status, failed, passed, warned
from coinswarm.verify.subject import Subject

BATCH: Final = QUEUES.batch_messages
"""Messages a delivery: 1,000 candles, one request to D1."""
CONCURRENCY: Final = 5
LOW: Final = 1_000
"""Messages: a backlog below is a consumer that keeps up, by the original's measure."""


def queue(subject: Subject) -> Outcome:
    name = subject.stack.queue()
    with subject.queues() as store:
        try:
            info = store.info(name)
        except QueueNotFound:
            there = [known.name for known in store.queues()]
            return failed(f"{name} does not exist", subject.how_to_create(name), queues=there)
    return passed(f"{info.name} exists", queue_id=info.queue_id)


def dead_letter_queue(subject: Subject) -> Outcome:
    """A consumer that names a queue which does not exist loses what it gives up on."""
    recorded, declared = subject.consumer()
    if recorded is None and declared is None:
        return Outcome(Status.SKIPPED, "not checked, because consumer failed")
    name = recorded.settings.dead_letter_queue if recorded else declared.dead_letter_queue if declared else None
    if declared is not None and declared.dead_letter_queue != name and (subject.remote or recorded is None):
        hint = f"Deploy the Worker {declared.worker} again, or name the same queue in {declared.file}."
        return failed(f"the dead-letter queue is {name or 'none'}, not {declared.dead_letter_queue}", hint)
    if not subject.remote and declared is not None:
        name = declared.dead_letter_queue
    if name is None:
        hint = 'Name one: dead_letter_queue = "historical-data-dlq" below [[queues.consumers]] in the wrangler file.'
        return warned("no dead letter queue: what fails for good is deleted on Cloudflare", hint)
    with subject.queues() as store:
        try:
            store.info(name)
        except QueueNotFound:
            return failed(f"{name} (dead letter queue) does not exist", subject.how_to_create(name))
        waiting = store.open(name).metrics().backlog
    held = f", {waiting:,} in it" if waiting else ""
    return passed(f"{name} (dead letter queue) exists{held}", backlog=waiting)


def consumer(subject: Subject) -> Outcome:
    name = subject.stack.queue()
    info = subject.queue_info()
    declared = subject.stack.consumer()
    recorded = info.consumers[0] if info.consumers else None
    if recorded is None:
        hint = f"Add one: coinswarm queues consumer http add {name}{subject.flag}"
        if not subject.remote:
            hint = f'Put [[queues.consumers]] with queue = "{name}" into the wrangler file, then: coinswarm consume'
        return failed(f"no consumer is attached to {name}", hint)
    if info.settings.delivery_paused:
        hint = f"Resume it: coinswarm queues resume-delivery {name}{subject.flag}"
        return failed(f"delivery from {name} is paused: its consumer gets nothing", hint)
    who = recorded.settings.script_name if recorded.settings.type == "worker" else "http_pull"
    if declared is not None and recorded.settings.type == "worker" and who not in (None, declared.worker):
        hint = f"Remove it: coinswarm queues consumer remove {name} {who}{subject.flag}; then deploy {declared.worker}."
        return failed(f"the consumer of {name} is {who}, not {declared.worker}", hint)
    return passed(f"Consumer attached to {name}: {who or 'a Worker'}", consumer_id=recorded.consumer_id, type=who)


def batch_size(subject: Subject) -> Outcome:
    recorded, declared = subject.consumer()
    size = declared.max_batch_size if _configured_here(subject, recorded, declared) and declared else None
    if size is None and recorded is not None:
        size = recorded.settings.batch_size
    if declared is not None and declared.max_batch_size != size:
        hint = f"Deploy {declared.worker} again, or correct max_batch_size in {declared.file}."
        return warned(f"Consumer batch size: {size}, where {declared.max_batch_size} is configured", hint, found=size)
    if size != BATCH:
        hint = f"Set max_batch_size = {BATCH} in the wrangler file: {BATCH} messages are one request to D1."
        return warned(f"Consumer batch size: {size} (expected: {BATCH})", hint, found=size)
    return passed(f"Consumer batch size: {size}", found=size)


def concurrency(subject: Subject) -> Outcome:
    recorded, declared = subject.consumer()
    if _configured_here(subject, recorded, declared) and declared:
        found = declared.max_concurrency
    else:
        found = recorded.settings.max_concurrency if recorded else None
    if declared is not None and declared.max_concurrency != found:
        hint = f"Deploy {declared.worker} again, or correct max_concurrency in {declared.file}."
        wanted = declared.max_concurrency or "none"
        return warned(f"Consumer concurrency: {found or 'not set'}, where {wanted} is configured", hint, found=found)
    if found != CONCURRENCY:
        hint = f"Set max_concurrency = {CONCURRENCY} in the wrangler file; without it Cloudflare scales by itself."
        return warned(f"Consumer concurrency: {found or 'not set'} (expected: {CONCURRENCY})", hint, found=found)
    return passed(f"Consumer concurrency: {found}", found=found)


def _configured_here(subject: Subject, recorded: ConsumerInfo | None, declared: Consumer | None) -> bool:
    """Whether `coinswarm consume` is the consumer: it takes batches and their number from the configuration."""
    return declared is not None and (not subject.remote or (recorded is not None and _pulled(recorded)))


def _pulled(recorded: ConsumerInfo) -> bool:
    return recorded.settings.type == "http_pull"


def backlog(subject: Subject) -> Outcome:
    name = subject.stack.queue()
    with subject.queues() as store:
        retention = store.info(name).settings.message_retention_period
        found = store.open(name).metrics()
    oldest = found.oldest_message_timestamp_ms
    age = max(0, subject.clock.now_ms() - oldest) // 1000 if oldest else 0
    evidence = {"backlog": found.backlog, "in_flight": found.in_flight, "delayed": found.delayed, "oldest_seconds": age}
    if not found.backlog:
        return passed("Queue is empty (consumer is keeping up)", **evidence)
    shape = f"{found.backlog:,} waiting, {found.in_flight:,} in flight, oldest {_span(age)}"
    if subject.remote:
        shape = f"{found.backlog:,} messages, oldest {_span(age)}"
    hint = "Drain it: coinswarm consume" + (" --remote-queue --remote" if subject.remote else "")
    if age > retention / 2:
        hint += f"; messages are deleted after {_span(retention)}"
        return warned(f"Queue falls behind ({shape})", hint, **evidence)
    if found.backlog >= LOW:
        return warned(f"Queue depth is high ({shape})", hint, **evidence)
    return passed(f"Queue depth is low ({shape})", **evidence)


def _span(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds} s"
