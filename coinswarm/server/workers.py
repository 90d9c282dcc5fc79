"""The little of Workers that belongs to a stack: the cron triggers of a script, and that it is deployed."""

from __future__ import annotations

import uuid
from typing import Any, Final

import msgspec

from coinswarm.cron.schedule import Schedule as CronSchedule
from coinswarm.errors import ConfigError, InvalidWorkersRequest, WorkerNotFound
from coinswarm.queue.wire import timestamp
from coinswarm.server.account import Account
from coinswarm.server.calls import Answer, Call, Route
from coinswarm.server.schedules import MOST, Schedule


def schedules(account: Account, call: Call) -> Answer:
    return Answer(_listed(account.schedules.of(call.ids["script"])))


def replace_schedules(account: Account, call: Call) -> Answer:
    """A list of `{"cron": …}`, or as newer documentation has it an object with that list as `schedules`."""
    try:
        found = msgspec.json.decode(call.body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        found = None
    if isinstance(found, dict):
        found = found.get("schedules")
    if not isinstance(found, list) or len(found) > MOST:
        raise InvalidWorkersRequest(f"The body has to be a list of at most {MOST} schedules")
    return Answer(_listed(account.schedules.replace(call.ids["script"], [_cron(item) for item in found])))


def deployments(account: Account, call: Call) -> Answer:
    """A Worker that plays a part here is deployed since it was given that part. Raises `WorkerNotFound`.

    https://developers.cloudflare.com/api/resources/workers/subresources/scripts/subresources/deployments/
    """
    script = call.ids["script"]
    since = _known_since(account, script)
    if not since:
        raise WorkerNotFound
    version = str(uuid.uuid5(uuid.NAMESPACE_URL, f"coinswarm:worker:{script}:{max(since)}"))
    record = {
        "id": version,
        "source": "api",
        "strategy": "percentage",
        "author_email": "user@coinswarm.local",
        "created_on": timestamp(max(since)),
        "versions": [{"percentage": 100, "version_id": version}],
    }
    return Answer({"deployments": [record]})


def _known_since(account: Account, script: str) -> list[int]:
    """When each of the parts that a Worker plays was given to it (ms): cron, consumer, producer."""
    since = [schedule.modified_on_ms for schedule in account.schedules.of(script)]
    for queue in account.queues.queues():
        since += [consumer.created_on_ms for consumer in queue.consumers if consumer.settings.script_name == script]
        since += [queue.created_on_ms] if script in queue.producers else []
    return since


def _cron(item: object) -> str:
    cron = item.get("cron") if isinstance(item, dict) else None
    if not isinstance(cron, str):
        raise InvalidWorkersRequest("A schedule needs a `cron` of five fields, as `*/30 * * * *`")
    try:
        CronSchedule.parse(cron)
    except ConfigError as error:
        raise InvalidWorkersRequest(f"{error.message}. {error.hint or ''}".rstrip()) from None
    return " ".join(cron.split())


def _listed(found: tuple[Schedule, ...]) -> dict[str, Any]:
    return {
        "schedules": [
            {"cron": s.cron, "created_on": timestamp(s.created_on_ms), "modified_on": timestamp(s.modified_on_ms)}
            for s in found
        ]
    }


ROUTES: Final = (
    Route("GET", "/accounts/{account}/workers/scripts/{script}/schedules", schedules),
    Route("PUT", "/accounts/{account}/workers/scripts/{script}/schedules", replace_schedules),
    Route("GET", "/accounts/{account}/workers/scripts/{script}/deployments", deployments),
)
