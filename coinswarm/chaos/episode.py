"""One episode: start the servers, carry out the steps, kill what is to be killed, and settle the accounts."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from coinswarm.chaos import jobs, servers
from coinswarm.chaos.account import Account, Expected, settle_accounts
from coinswarm.chaos.evidence import gather
from coinswarm.chaos.plan import IDLE, POISON, WALL, EpisodePlan, Step
from coinswarm.chaos.process import Child, ChildEnded, Trigger, listen
from coinswarm.chaos.report import EpisodeReport
from coinswarm.chaos.world import NOTES, World, mixed_row

TRIES: Final = 8
"""A fetch without a fault of ours may still give up on exchanges that answer wrongly too often."""
_EXPECTED_MIGRATIONS: Final = ("0001_price_data.sql", "0002_notes.sql")


def run_episode(plan: EpisodePlan, directory: Path) -> EpisodeReport:
    """Carry out `plan` with its files in `directory`. Call it from a process without threads."""
    return Episode(plan, directory).run()


class Episode:
    """A plan being carried out."""

    def __init__(self, plan: EpisodePlan, directory: Path) -> None:
        self.plan = plan
        self.world = World(plan, directory)
        self.report = EpisodeReport(plan.number, plan.mode)
        self.children: list[Child] = []
        self.server: Child | None = None
        self.armed = False
        """The server is to be killed in this step, and is not yet."""
        self.queued: set[int] = set()
        """Spans of which a producer said under faults that all is queued, and that nobody read meanwhile."""
        self.poison: Counter[bytes] = Counter()
        self.purged: int | None = 0
        self.problems: list[str] = []

    def run(self) -> EpisodeReport:
        began = time.monotonic()
        try:
            exchanges = self._start("exchanges", servers.exchanges(self.world))
            self.world.environment = exchanges.wait_for("environment")
            for number, step in enumerate(self.plan.steps):
                self._step(number, step)
            self._end(exchanges)
            if self.server is not None:
                self._end(self.server)
            self._settle()
        finally:
            for child in self.children:
                child.end()
        self.report.seconds = time.monotonic() - began
        return self.report

    def _start(self, name: str, work: Callable[[Trigger], dict[str, Any]], step: Step | None = None) -> Child:
        child = Child(name, work, step.kill if step is not None else None)
        self.children = [*(each for each in self.children if each.running), child]
        return child

    def _step(self, number: int, step: Step) -> None:
        where = f"step {number} ({step.job})"
        if step.jump:
            self.world.clock.jump(step.jump)
            self.report.faults["clock set " + ("forward" if step.jump > 0 else "back")] += 1
        if self.plan.mode != "local" and step.job != "migrate" and self._is_migrated():
            self._serve(step)
        if step.if_needed and step.span in self.queued:
            return
        for _ in range(TRIES):
            locks = [self._lock(kind) for kind in step.beside if kind.startswith("lock")]
            mine = replace(step, kill=None) if step.kill is not None and step.kill.server else step
            running = [self._start(where, jobs.work(self.world, mine), mine)]
            for job in (kind for kind in step.beside if not kind.startswith("lock")):
                other = Step(job, batch=step.batch)
                if job == "purge":
                    self._wait_for_a_lease(running)
                running.append(self._start(f"{where}, beside it {job}", jobs.work(self.world, other)))
            self.report.faults.update(_company(step))
            self._wait(running)
            self._wait(locks)
            if self.armed:
                self._kill_server()
            if not self._again(step, running[0]):
                break
        for child in running:
            self._judge(step, child, alone=len(running) == 1)

    def _wait_for_a_lease(self, running: list[Child]) -> None:
        """So that a purge happens while somebody reads: else it would be over before a consumer has begun."""
        while any(child.running for child in running) and not any(child.said("reached") for child in running):
            listen(running)

    def _is_migrated(self) -> bool:
        return self.world.database_file.exists()

    def _serve(self, step: Step) -> None:
        """A server runs, armed if it is the one to be killed in this step."""
        kill = step.kill if step.kill is not None and step.kill.server else None
        if self.server is not None and self.server.running:
            if kill is None:
                return
            self.server.end()
        self.armed = kill is not None
        self.server = Child("serve", servers.cloudflare(self.world), replace(kill, server=False) if kill else None)
        self.children.append(self.server)
        try:
            self.world.api_url = self.server.wait_for("url")
        except ChildEnded:
            if self.server.killed_at is None:
                raise
            self._count_server()
            self._serve(Step("consume"))
            return
        self.world.account = self.server.said("account")

    def _kill_server(self) -> None:
        """Its kill is in this step: if it did not come to its point, it is killed where it waits."""
        if self.server is not None:
            self.server.end()
            self._count_server()

    def _count_server(self) -> None:
        place = self.server.killed_at if self.server is not None else None
        self.report.kills[IDLE if place in (None, WALL) else f"serve: {place}"] += 1
        self.server, self.armed = None, False

    def _lock(self, kind: str) -> Child:
        path = self.world.queue_file if kind == "lock queue" else self.world.database_file
        child = self._start(kind, jobs.hold_lock(path))
        child.wait_for("ready")
        return child

    def _wait(self, running: list[Child]) -> None:
        """Until all have ended; a server that was killed under them is started again at once."""
        while any(child.running for child in running):
            served = [self.server] if self.server is not None and self.server.running else []
            listen([*running, *served])
            if self.armed and self.server is not None and not self.server.running:
                self._count_server()
                self._serve(Step("consume"))

    def _again(self, step: Step, child: Child) -> bool:
        """A faultless fetch goes on until it has everything: exchanges do fail."""
        self.report.jobs += 1
        if step.job == "poison":
            self.poison.update(self.world.poison(step.span, POISON))
        unlucky = step.faultless and step.job == "fetch" and child.said("error") == "FetchFailed"
        if unlucky:
            self.report.errors["FetchFailed"] += 1
        return unlucky

    def _judge(self, step: Step, child: Child, *, alone: bool) -> None:
        report = self.report
        for said in child.heard:
            if "fault" in said:
                report.faults[said["fault"]] += said["count"]
        if child.said("hangs"):
            self.problems.append(f"{child.name} hung")
        if child.killed_at is not None:
            report.kills[child.killed_at] += 1
            if step.job == "purge":
                self.purged = None
            return
        if bug := child.said("bug"):
            self.problems.append(f"{child.name} failed in an unforeseen way: {bug[-1500:]}")
        elif error := child.said("error"):
            cause = child.said("cause")
            report.errors[f"{error} ({cause})" if cause else error] += 1
            if "StorageFull" in (error, cause):
                report.faults["disk full"] += 1
            if step.faultless and alone:
                self.problems.append(f"{child.name} failed without a fault: {error}: {child.said('message')}")
        elif done := child.said("done"):
            if "purged" in done and self.purged is not None:
                self.purged += done["purged"]
            if done.get("whole") and "consume" not in step.beside:
                self.queued.add(step.span)

    def _end(self, server: Child) -> None:
        """Let a server end by itself, and take what it tells."""
        with suppress(ProcessLookupError):
            os.kill(server.pid, signal.SIGTERM)
        self._wait_plainly(server)
        done = server.said("done") or {}
        self.report.requests += done.get("requests", 0)
        for kind, count in done.get("faults", {}).items():
            self.report.faults[f"exchange: {kind}"] += count

    def _wait_plainly(self, child: Child) -> None:
        child.started = time.monotonic()
        while child.running:
            listen([child])

    def _settle(self) -> None:
        """In a child, too: this process opens no database."""
        child = self._start("account", self._account)
        self._wait_plainly(child)
        found = child.said("done")
        if found is None:
            self.problems.append(f"the accounts could not be settled: {child.said('bug') or child.heard}")
        self.report.account = Account(**(found or {}))
        self.report.account.violations += self.problems

    def _account(self, _trigger: Trigger) -> dict[str, Any]:
        return asdict(self.account())

    def account(self) -> Account:
        """What the market holds against the files as they are now."""
        world = self.world
        evidence = gather(world.database_file, world.queue_file, world.stack.queue(), world.letters)
        return settle_accounts(self._expected(), evidence)

    def _expected(self) -> Expected:
        numbers = sorted({step.span for step in self.plan.steps if step.job == "poison"})
        return Expected(
            market=[row for span in self.plan.spans for row in self.world.truth(span)],
            existing=self.world.existing,
            poison=dict(self.poison),
            sound=[mixed_row(n) for first in numbers for n in range(first, first + POISON)],
            purged=self.purged,
            copies=self.plan.mode == "rest",
            notes=NOTES,
            migrations=_EXPECTED_MIGRATIONS,
        )


def _company(step: Step) -> list[str]:
    """What `beside` a step is, as faults."""
    consumer = "another consumer" if step.job == "consume" else "consumer meanwhile"
    names = {"consume": consumer, "purge": "purge meanwhile"}
    found = [names.get(kind, "database is locked") for kind in step.beside]
    together = step.job == "consume" and {"consume", "purge"} <= set(step.beside)
    return [*found, "two consumers and a purge at once"] if together else found
