"""What the log says of the last minutes: how fast the consumer is, what ran, how much went wrong."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from coinswarm.log.describe import counted
from coinswarm.log.read import Event, events, runs

RATE_SECONDS: Final = 60
"""How far back "now" goes."""
RUNS_SHOWN: Final = 6


@dataclass(frozen=True, slots=True)
class Rate:
    """What the consumer did within the last minute, by the second of it that it has worked."""

    messages: float
    rows: float


@dataclass(frozen=True, slots=True)
class RunSeen:
    """A run as the log tells of it."""

    kind: str
    run: str
    started: str
    outcome: str
    """done, failed, interrupted; `running`, or `vanished` where the process ended without a word."""
    seconds: float | None
    about: str
    message: str | None

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Failures:
    """How many of what was tried failed."""

    what: str
    tried: int
    failed: int

    @property
    def percent(self) -> float:
        return 100 * self.failed / self.tried if self.tried else 0.0


def at_ms(event: Event) -> int:
    return round(datetime.fromisoformat(event["time"]).timestamp() * 1000)


def rate_now(folder: Path, now_ms: int) -> Rate:
    """Zero where no batch was settled within the last minute."""
    batches = [
        event
        for event in events(folder, since_ms=now_ms - RATE_SECONDS * 1000)
        if event["event"] in ("batch.written", "batch.failed")
    ]
    if not batches:
        return Rate(0.0, 0.0)
    began = min(at_ms(event) / 1000 - event.get("seconds", 0.0) for event in batches)
    span = min(RATE_SECONDS, max(1.0, now_ms / 1000 - began))
    rows = sum(event.get("inserted", 0) + event.get("duplicate", 0) for event in batches)
    return Rate(sum(event.get("acked", 0) for event in batches) / span, rows / span)


def failures(folder: Path, now_ms: int, minutes: float) -> list[Failures]:
    """Attempts of HTTP requests, and deliveries of messages, within the last minutes."""
    requests, messages = [0, 0], [0, 0]
    for event in events(folder, since_ms=now_ms - round(minutes * 60_000)):
        name = event["event"]
        if name == "http.request":
            requests[0] += 1
            requests[1] += "error" in event
        elif name in ("batch.written", "batch.failed"):
            messages[0] += event.get("messages", 0)
        elif name in ("messages.retried", "messages.dead_lettered", "messages.dropped", "messages.expired"):
            messages[1] += event.get("messages", 0)
    return [Failures("requests", *requests), Failures("messages", *messages)]


def last_runs(folder: Path, count: int = RUNS_SHOWN) -> list[RunSeen]:
    """The newest runs first; the fetches that a cron run is made of are one run."""
    found = _paired(runs(folder))
    crons = {one.run for one in found if one.kind == "cron"}
    return [one for one in found if one.kind != "fetch" or one.run not in crons][::-1][:count]


def _paired(found: Iterable[Event]) -> list[RunSeen]:
    open_runs: dict[tuple[str, str], Event] = {}
    seen: dict[tuple[str, str, str], RunSeen] = {}
    for event in found:
        key = (event.get("run", ""), event.get("kind", ""))
        if event["event"] == "run.started":
            open_runs[key] = event
            alive = "running" if _is_alive(event.get("pid")) else "vanished"
            seen[*key, event["time"]] = _run(event, event["time"], alive)
        elif event["event"] == "run.finished":
            started = open_runs.pop(key, event)["time"]
            seen[*key, started] = _run(event, started, str(event.get("outcome", "done")))
    return list(seen.values())


def _run(event: Event, started: str, outcome: str) -> RunSeen:
    return RunSeen(
        kind=str(event.get("kind", "")),
        run=str(event.get("run", "")),
        started=started,
        outcome=outcome,
        seconds=event.get("seconds"),
        about=_about(event),
        message=event.get("message"),
    )


def _about(event: Event) -> str:
    """The figures that matter to a person."""
    series = " ".join(str(event[key]) for key in ("source", "symbol", "timeframe") if key in event)
    if "inserted" in event:
        figures = f"{counted(event['inserted'], 'row')}, {counted(event.get('messages', 0), 'message')}"
    elif "candles" in event:
        figures = f"{event['candles']:,} candles"
    else:
        figures = ""
    return ", ".join(filter(None, (series, figures)))


def _is_alive(pid: object) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
