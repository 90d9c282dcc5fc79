"""The cron triggers that are deployed to Cloudflare, for the Workers that the configuration names."""

from __future__ import annotations

from typing import Any

from coinswarm.clock import Clock
from coinswarm.cloudflare import CloudflareApi, segment
from coinswarm.cloudflare_account import cloudflare
from coinswarm.config import Stack
from coinswarm.cron.schedule import Schedule
from coinswarm.dev.schedule import FIRES_SHOWN
from coinswarm.errors import CloudflareError, NotRouted


def deployed(api: CloudflareApi, worker: str) -> list[dict[str, Any]]:
    """The cron triggers that a Worker has there, `cron` in each; none where it is not deployed.

    https://developers.cloudflare.com/api/resources/workers/subresources/scripts/subresources/schedules/
    """
    try:
        found = api.call("GET", f"{api.account}/workers/scripts/{segment(worker)}/schedules").result
    except CloudflareError as error:
        if error.http_status != 404 or isinstance(error, NotRouted):
            raise
        return []
    listed = found.get("schedules") if isinstance(found, dict) else found
    return [{**one, "cron": Schedule.parse(str(one["cron"])).expression} for one in listed or ()]


def configured(stack: Stack) -> set[tuple[str, str]]:
    """Worker and expression of every trigger in the files."""
    return {(cron.worker, Schedule.parse(cron.expression).expression) for cron in stack.crons}


def described(stack: Stack, clock: Clock) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every trigger that is deployed, with its next fires, and every Worker that a file is of, with or without any."""
    known, crons, workers = configured(stack), [], []
    with cloudflare(stack, clock) as api:
        for worker, file in stack.workers.items():
            found = deployed(api, worker)
            for one in found:
                fires = Schedule.parse(one["cron"]).fires(clock.now_ms(), FIRES_SHOWN)
                crons.append(
                    {
                        "cron": one["cron"],
                        "worker": worker,
                        "next": [fire // 1000 for fire in fires],
                        "modified_on": one.get("modified_on"),
                        "configured": (worker, one["cron"]) in known,
                    }
                )
            there = [one["cron"] for one in found]
            missing = [cron for name, cron in sorted(known) if name == worker and cron not in there]
            workers.append({"worker": worker, "file": file, "crons": there, "not_deployed": missing})
    return crons, workers
