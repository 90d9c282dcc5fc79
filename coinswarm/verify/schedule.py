"""V14: the cron trigger is one, can be read, and when it fires next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from coinswarm.cloudflare import segment
from coinswarm.config import Cron
from coinswarm.cron.schedule import Schedule
from coinswarm.errors import CloudflareError
from coinswarm.verify.check import Outcome, failed, passed
from coinswarm.verify.subject import Subject

FIRES: Final = 3


def cron(subject: Subject) -> Outcome:
    """Every trigger is parsed, not matched as text: a commented-out line is none, and `30 * * * *` is once an hour."""
    crons = subject.stack.crons
    if not crons:
        hint = 'Add one to the wrangler file: [triggers] with crons = ["*/30 * * * *"]'
        return failed("Producer has no cron trigger", hint)
    feeding = _feeding(subject)
    if len(feeding) > 1:
        told = ", ".join(f"{worker} ({file})" for worker, file in feeding.items())
        name = list(feeding)[-1]
        hint = f"Everything is fetched twice. Switch off the one that is left over: coinswarm cron disable {name}"
        return failed(f"{len(feeding)} Workers with cron triggers feed one table: {told}", hint, workers=list(feeding))
    now = subject.clock.now_ms()
    fires = {one.expression: Schedule.parse(one.expression).fires(now, FIRES) for one in crons}
    if subject.remote and (missing := _not_there(subject, crons)):
        hint = f"Deploy {missing[0].worker} again: wrangler deploy"
        return failed(f"{missing[0].worker} does not have the cron trigger {missing[0].expression}", hint)
    soonest = min(fires, key=lambda expression: fires[expression][0])
    evidence = {expression: [_iso(fire) for fire in times] for expression, times in fires.items()}
    return passed(f"Producer has the cron trigger {soonest}: next {_times(fires[soonest])} UTC", next=evidence)


def _feeding(subject: Subject) -> dict[str, str]:
    """Workers with a cron that send to the pipeline's queue, or write to its database themselves; with their files."""
    queue, database = subject.stack.queue(), subject.stack.database()
    into = {p.worker for p in subject.stack.producers if p.queue == queue} | set(database.workers)
    return {cron.worker: cron.file for cron in subject.stack.crons if cron.worker in into}


def _not_there(subject: Subject, crons: tuple[Cron, ...]) -> list[Cron]:
    """Those that Cloudflare does not know. A pulled queue is fed by `coinswarm fetch`, and its crons run elsewhere."""
    recorded, _ = subject.consumer()
    if recorded is not None and recorded.settings.type == "http_pull":
        return []
    missing = []
    with subject.api() as api:
        for one in crons:
            try:
                found = api.call("GET", f"{api.account}/workers/scripts/{segment(one.worker)}/schedules").result
            except CloudflareError as error:
                if error.http_status != 404:
                    raise
                found = None
            listed = found.get("schedules", []) if isinstance(found, dict) else found or []
            if " ".join(one.expression.split()) not in [" ".join(str(item.get("cron")).split()) for item in listed]:
                missing.append(one)
    return missing


def _times(fires: list[int]) -> str:
    """Times of day, with the day where they lie on several."""
    moments = [datetime.fromtimestamp(ms / 1000, UTC) for ms in fires]
    form = "%H:%M" if moments[-1] - moments[0] < timedelta(days=1) else "%Y-%m-%d %H:%M"
    return ", ".join(moment.strftime(form) for moment in moments)


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
