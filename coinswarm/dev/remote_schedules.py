"""The cron triggers that are deployed to Cloudflare, for the Workers that the configuration names."""

from __future__ import annotations

from typing import Any

from coinswarm.clock import Clock
from coinswarm.cloudflare import segment
from coinswarm.cloudflare_account import cloudflare
from coinswarm.config import Stack
from coinswarm.cron.schedule import Schedule
from coinswarm.dev.schedule import FIRES_SHOWN


def described(stack: Stack, clock: Clock) -> list[dict[str, Any]]:
    """Every deployed trigger with its next fires. https://developers.cloudflare.com/api/resources/workers/"""
    named = [cron.worker for cron in stack.crons]
    named += [producer.worker for producer in stack.producers] + [consumer.worker for consumer in stack.consumers]
    found = []
    with cloudflare(stack, clock) as api:
        for worker in dict.fromkeys(named):
            reply = api.call("GET", f"{api.account}/workers/scripts/{segment(worker)}/schedules")
            for one in reply.result["schedules"]:
                schedule = Schedule.parse(one["cron"])
                found.append(
                    {
                        "cron": schedule.expression,
                        "worker": worker,
                        "next": [fire // 1000 for fire in schedule.fires(clock.now_ms(), FIRES_SHOWN)],
                        "modified_on": one.get("modified_on"),
                    }
                )
    return found
