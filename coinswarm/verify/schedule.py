"""V14: the producer has a cron trigger, and nobody else feeds the table by one; with `--remote`, as deployed, too."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from coinswarm.cron.schedule import Schedule
from coinswarm.cron.switch import switched_off
from coinswarm.dev.remote_schedules import configured, deployed
from coinswarm.errors import AccountForbidden, ConfigError, Unauthorized
from coinswarm.verify.check import Outcome, Status, failed, passed
from coinswarm.verify.subject import Subject

FIRES: Final = 3

Triggers = set[tuple[str, str]]
"""Worker and expression of each."""


def cron(subject: Subject) -> Outcome:
    """Every trigger is parsed, not matched as text: a commented-out line is none, and `30 * * * *` is once an hour."""
    crons = configured(subject.stack)
    if fault := _two_feed(subject, crons, crons):
        return fault
    producers = _producers(subject)
    if not producers:
        return Outcome(Status.SKIPPED, "not checked, because producer failed")
    own = [expression for worker, expression in sorted(crons) if worker in producers]
    if not own:
        others = sorted(_workers(crons))
        told = f"; that of {', '.join(others)} does not send to {subject.stack.queue()}" if others else ""
        return failed(f"Producer has no cron trigger{told}", _how_to_schedule(subject, producers))
    if subject.remote and (fault := _deployed_otherwise(subject, crons)):
        return fault
    now = subject.clock.now_ms()
    fires = {expression: Schedule.parse(expression).fires(now, FIRES) for _, expression in sorted(crons)}
    soonest = min(own, key=lambda expression: fires[expression][0])
    evidence = {expression: [_iso(fire) for fire in times] for expression, times in fires.items()}
    return passed(f"Producer has the cron trigger {soonest}: next {_times(fires[soonest])} UTC", next=evidence)


def _producers(subject: Subject) -> list[str]:
    """Workers that send to the pipeline's queue; those of another queue where none does, which V18 tells."""
    named = subject.stack.producers
    fitting = [producer for producer in named if producer.queue == subject.stack.queue()] or named
    return list(dict.fromkeys(producer.worker for producer in fitting))


def _how_to_schedule(subject: Subject, producers: list[str]) -> str:
    """A hint: what gives a producer its trigger, back where it was switched off."""
    off: dict[str, str] = {}
    with suppress(ConfigError):  # what cannot be switched is to be written by hand
        off = switched_off(subject.stack.files, subject.stack.env_name)
    for worker in producers:
        if worker in off:
            return f"{off[worker]} is switched off. Switch it on again: coinswarm cron enable {worker}{subject.given}"
    file = subject.stack.workers.get(producers[0], "the wrangler file")
    return f'Add one to {file}: [triggers] with crons = ["*/30 * * * *"]'


def _two_feed(subject: Subject, there: Triggers, files: Triggers) -> Outcome | None:
    """A failure where two Workers with a cron feed one table: through the pipeline's queue, or writing it themselves.

    The queue's consumer writes what others send. A cron of its own keeps house, unless it sends to the queue, too.
    """
    stack, queue, consumer = subject.stack, subject.stack.queue(), subject.stack.consumer()
    feeders = {producer.worker for producer in stack.producers if producer.queue == queue}
    feeders |= set(stack.database().workers) - {consumer.worker if consumer else ""}
    feeding = [worker for worker in stack.workers if worker in feeders & _workers(there)]
    if len(feeding) < 2:
        return None
    left_over = next((worker for worker in feeding if worker not in _workers(files)), feeding[-1])
    hint = subject.how_to_deploy(left_over)
    if left_over in _workers(files):
        hint = f"Switch off the one that is left over: coinswarm cron disable {left_over}{subject.given}"
    told = ", ".join(f"{worker} ({stack.workers[worker]})" for worker in feeding)
    where = "" if there is files else " on Cloudflare"
    text = f"{len(feeding)} Workers with cron triggers feed one table{where}: {told}"
    return failed(text, f"Everything is fetched twice. {hint}", workers=feeding)


def _workers(triggers: Triggers) -> set[str]:
    return {worker for worker, _ in triggers}


def _deployed_otherwise(subject: Subject, crons: Triggers) -> Outcome | None:
    """A failure where Cloudflare has other triggers than the files.

    A pulled queue is fed by `coinswarm fetch`, whose crons run elsewhere: none has to be there, and the token may lack
    the permission to look, which V1 tells.
    """
    recorded, _ = subject.consumer()
    pulled = recorded is not None and recorded.settings.type == "http_pull"
    try:
        with subject.api() as api:
            there = {(worker, one["cron"]) for worker in subject.stack.workers for one in deployed(api, worker)}
    except (Unauthorized, AccountForbidden):
        if pulled:
            return None
        raise
    if fault := _two_feed(subject, there, crons):
        return fault
    for worker, expression in sorted(there - crons):
        text = f"{worker} has the cron trigger {expression} on Cloudflare, and not in {subject.stack.workers[worker]}"
        return failed(text, subject.how_to_deploy(worker))
    for worker, expression in [] if pulled else sorted(crons - there):
        text = f"{worker} does not have the cron trigger {expression} on Cloudflare"
        return failed(text, subject.how_to_deploy(worker))
    return None


def _times(fires: list[int]) -> str:
    """Times of day, with the day where they lie on several."""
    moments = [datetime.fromtimestamp(ms / 1000, UTC) for ms in fires]
    form = "%H:%M" if moments[-1] - moments[0] < timedelta(days=1) else "%Y-%m-%d %H:%M"
    return ", ".join(moment.strftime(form) for moment in moments)


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
