"""The walk: what is looked at, in which order, and what is asked."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Final

from coinswarm import __version__
from coinswarm.doctor import repairs
from coinswarm.doctor.report import DoctorReport, Step
from coinswarm.errors import CoinswarmError
from coinswarm.fetchers.report import FetchReport
from coinswarm.verify.catalogue import CHECKS
from coinswarm.verify.check import Outcome, Result, Status, failed, passed, warned
from coinswarm.verify.runner import verify
from coinswarm.verify.subject import Subject

WATCH_SECONDS: Final = 60
"""How long the depth is watched where another consumer has to empty the queue."""
_LOOK_SECONDS: Final = 2.0
_BY_ID: Final = {check.id: check for check in CHECKS}


def examine(
    subject: Subject,
    *,
    agree: Callable[[str], bool],
    on_step: Callable[[Step], None] = lambda _step: None,
    on_depth: Callable[[int], None] = lambda _depth: None,
) -> DoctorReport:
    """Walk through the steps. Nothing is created or sent unless `agree` says yes to the question about it. `on_depth`
    hears how deep the queue is before it is emptied, and of every change."""
    return _Walk(subject, agree, on_step, on_depth).walk()


class _Walk:
    def __init__(
        self,
        subject: Subject,
        agree: Callable[[str], bool],
        on_step: Callable[[Step], None],
        on_depth: Callable[[int], None],
    ) -> None:
        self.subject = subject
        self.agree = agree
        self.on_step = on_step
        self.on_depth = on_depth
        self.told: int | None = None
        """The depth that was told last."""
        self.report = DoctorReport()
        self.found: dict[str, Result] = {}
        self.fetched: FetchReport | None = None
        self.depth = 0

    def walk(self) -> DoctorReport:
        subject, stack = self.subject, self.subject.stack
        flag = " on Cloudflare" if subject.remote else ""
        queue, declared = stack.queue(), stack.consumer()
        dead = declared.dead_letter_queue if declared else None
        self._add(1, "Tools", _tools(self.subject))
        self._add(2, "Credentials", self._look("token", "account"))
        self._add(3, "Queue", *self._mend("queue", f"Create it{flag}?", lambda: repairs.create_queue(subject, queue)))
        if dead is None:
            self._add(4, "Dead letters", self._look("dead-letter-queue"))
        else:
            create = lambda: repairs.create_queue(subject, dead)  # noqa: E731
            self._add(4, "Dead letters", *self._mend("dead-letter-queue", f"Create it{flag}?", create))
        self._add(5, "Consumer", *self._consumer())
        migrate, question = (lambda: repairs.migrate(subject)), f"Apply the migrations{flag}?"
        if subject.remote:  # a database on Cloudflare has to be there; here the first migration makes it
            self._add(6, "Database", self._look("database"))
        else:
            self._add(6, "Database", *self._mend("database", question, migrate))
        self._add(7, "Table", *self._mend("price-data", question, migrate))
        self._add(8, "Rows", self._rows())
        self._add(9, "Import", *self._import())
        self._add(10, "Queued", self._queued())
        self._add(11, "Depth", *self._drain())
        self._add(12, "Summary", self._summary())
        self.report.next_steps = self._next_steps()
        self._add(13, "Next steps", passed(f"{len(self.report.next_steps)} below"))
        return self.report

    def _tell(self, depth: int) -> None:
        if depth != self.told:
            self.on_depth(depth)
        self.told = depth

    def _command(self, words: str) -> str:
        """A command for a hint, with what keeps it where this is."""
        queue = " --remote-queue" if self.subject.remote and words.startswith("consume") else ""
        return f"coinswarm {words}{queue}{self.subject.flag}"

    def _add(self, number: int, title: str, outcome: Outcome, did: str | None = None) -> None:
        step = Step(number, title, outcome.status, outcome.message, outcome.hint, did)
        self.report.steps.append(step)
        self.on_step(step)

    def _check(self, check_id: str) -> Result:
        """Run one check of `verify`, after those it needs as they were found."""
        check = _BY_ID[check_id]
        bad = [need for need in check.needs if self._is_bad(need)]
        if bad:
            outcome = Outcome(Status.SKIPPED, f"not looked at, because {bad[0]} failed")
            found = Result(check.id, check.number, check.title, outcome)
        else:
            found = verify(self.subject, [check]).results[0]
        self.found[check_id] = found
        return found

    def _is_bad(self, check_id: str) -> bool:
        return check_id in self.found and self.found[check_id].status in (Status.FAILED, Status.SKIPPED)

    def _look(self, *check_ids: str) -> Outcome:
        """What several checks say together: the first that is not in order, else all."""
        outcomes = [self._check(check_id).outcome for check_id in check_ids]
        for status in (Status.FAILED, Status.WARNING, Status.SKIPPED):
            for outcome in outcomes:
                if outcome.status is status:
                    return outcome
        return passed("; ".join(outcome.message for outcome in outcomes))

    def _mend(self, check_id: str, question: str, repair: Callable[[], str]) -> tuple[Outcome, str | None]:
        """Look; where it is missing ask, repair and look again. A repair that fails is told and the walk goes on."""
        outcome = self._check(check_id).outcome
        if outcome.status is not Status.FAILED or not self.agree(f"{outcome.message}. {question}"):
            return outcome, None
        try:
            did = repair()
        except CoinswarmError as error:
            return failed(error.message, error.hint or outcome.hint or self._command(f"verify --only {check_id}")), None
        return self._check(check_id).outcome, did

    def _consumer(self) -> tuple[Outcome, str | None]:
        """With its settings, once it is there."""
        name = self.subject.stack.queue()
        outcome, did = self._mend("consumer", f"Attach one to {name}?", lambda: repairs.attach_consumer(self.subject))
        if outcome.status is not Status.PASSED:
            return outcome, did
        settings = self._look("batch-size", "concurrency")
        if settings.status is not Status.PASSED:
            return settings, did
        return passed(f"{outcome.message}; {settings.message}"), did

    def _rows(self) -> Outcome:
        found = self.found["price-data"]
        if found.status is not Status.PASSED:
            return Outcome(Status.SKIPPED, "not counted, because price-data failed")
        rows = found.outcome.evidence.get("rows")
        if rows is None:
            return passed("not counted: every row read on Cloudflare is billed (coinswarm d1 stats --remote does)")
        return passed(f"Current rows: {rows:,}")

    def _import(self) -> tuple[Outcome, str | None]:
        wanted = self.subject.stack.fetch
        if self._is_bad("queue"):
            return Outcome(Status.SKIPPED, "not tried, because queue failed"), None
        what = f"{wanted.limit:,} candles of {wanted.pair} {wanted.timeframe} from {wanted.source}"
        where = self.subject.stack.queue() + (" on Cloudflare" if self.subject.remote else "")
        if not self.agree(f"Import up to {what} into {where}?"):
            return Outcome(Status.SKIPPED, "no import was asked for"), None
        try:
            self.fetched = repairs.fetch(self.subject)
        except CoinswarmError as error:
            return failed(error.message, error.hint or f"Try another source: coinswarm fetch {wanted.pair} -h"), None
        return passed(f"{wanted.source} responded successfully"), f"queued {self.fetched.queued:,} candles"

    def _queued(self) -> Outcome:
        if self.fetched is None:
            return Outcome(Status.SKIPPED, "nothing was imported")
        if not self.fetched.queued:
            return warned("the import queued no candle", f"See why: {self._command('fetch --dry-run --json')}")
        return passed(f"Data queued successfully: {self.fetched.message}")

    def _drain(self) -> tuple[Outcome, str | None]:
        """Where coinswarm is the consumer it may empty the queue now; another one is only watched."""
        found = self._check("backlog")
        self.depth = int(found.outcome.evidence.get("backlog", 0))
        if found.status not in (Status.PASSED, Status.WARNING) or not self.depth:
            return found.outcome, None
        if self._is_bad("consumer") or self._is_bad("price-data"):
            return warned(found.outcome.message, f"Mend what failed above, then: {self._command('consume')}"), None
        if self._by_worker():
            return self._watch(), None
        question = f"{self.depth:,} messages wait. Store them in {self.subject.stack.database().name} now?"
        if not self.agree(question):
            return found.outcome, None
        return self._consume()

    def _by_worker(self) -> bool:
        recorded, _ = self.subject.consumer()
        return self.subject.remote and recorded is not None and recorded.settings.type == "worker"

    def _consume(self) -> tuple[Outcome, str | None]:
        try:
            self._tell(self.depth)
            report, self.depth = repairs.consume(self.subject, self._tell)
        except CoinswarmError as error:
            return failed(error.message, error.hint or f"See: {self._command('consume --json')}"), None
        did = f"stored {report.rows.inserted:,} new rows; {report.rows.duplicate:,} were there"
        if report.dead_lettered:
            told = "1 message was" if report.dead_lettered == 1 else f"{report.dead_lettered:,} messages were"
            return warned(f"{told} dead-lettered", self._command("queues dlq list")), did
        if self.depth:
            return warned(f"Queue has {self.depth:,} messages", self._command("consume")), did
        return passed("Queue is empty (consumer is keeping up!)"), did

    def _watch(self) -> Outcome:
        clock = self.subject.clock
        before, until = self.depth, clock.monotonic() + WATCH_SECONDS
        with self.subject.queues() as store:
            queue = store.open(self.subject.stack.queue())
            while self.depth and clock.monotonic() < until:
                self._tell(self.depth)
                clock.sleep(_LOOK_SECONDS)
                self.depth = queue.metrics().backlog
            self._tell(self.depth)
        if not self.depth:
            return passed(f"Queue is empty (consumer is keeping up!); {before:,} messages were taken")
        if self.depth < before:
            return passed(f"Queue has {self.depth:,} messages, {before - self.depth:,} less than a minute ago")
        return warned(f"Queue has {self.depth:,} messages and no fewer after a minute", "See: wrangler tail")

    def _summary(self) -> Outcome:
        steps = self.report.steps
        counts = {status: sum(step.status is status for step in steps) for status in Status}
        text = f"{counts[Status.PASSED]} in order, {counts[Status.WARNING]} to look at, {counts[Status.FAILED]} failed"
        text += f", {counts[Status.SKIPPED]} not looked at" if counts[Status.SKIPPED] else ""
        if counts[Status.FAILED]:
            return failed(text, f"Follow the arrows above, then run {self._command('doctor')} again.")
        return warned(text, "Follow the arrows above.") if counts[Status.WARNING] else passed(text)

    def _next_steps(self) -> list[str]:
        """From what was seen; the most pressing first."""
        stack = self.subject.stack
        steps = []
        if not self.report.healthy:
            return ["coinswarm doctor", "coinswarm verify"]
        dead = self.found["dead-letter-queue"].outcome.evidence.get("backlog")
        if dead:
            steps.append("coinswarm queues dlq list")
        if self.depth:
            steps.append("coinswarm consume")
        if self.fetched is None and not self.found["price-data"].outcome.evidence.get("rows"):
            steps.append(f"coinswarm fetch {stack.fetch.pair} --source {stack.fetch.source}")
        if self.fetched is not None and self.fetched.next_trigger:
            steps.append(self.fetched.next_trigger)
        steps += ["coinswarm d1 stats", "coinswarm verify"]
        return steps


def _tools(subject: Subject) -> Outcome:
    stack = subject.stack
    files = ", ".join(path.name for path in stack.files) or "the built-in stack"
    wrangler = "wrangler found" if shutil.which("wrangler") else "wrangler not needed"
    return passed(f"coinswarm {__version__}, {files}, {wrangler}", files=[str(path) for path in stack.files])
