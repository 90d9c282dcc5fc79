"""What goes wrong, when and where, as values. Pure; `drawing` makes them from a seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

HOUR: Final = 3_600
DAY: Final = 24 * HOUR
EXPIRY_SECONDS: Final = 6 * DAY
"""More than the retention period of a queue."""
FINAL_SECONDS: Final = 40 * HOUR
"""After that no lease and no delay is left, whatever the clock did before, and nothing has expired."""

LOCAL, SERVED, REST = MODES = ("local", "served", "rest")
"""Queue and D1 in their files; D1 over HTTP; queue and D1 over HTTP."""
IDLE: Final = "serve: idle"
"""Where a server is killed that did not come to its point."""
BEGINNING: Final = 1_640_995_200
"""2022-01-01: the first candle of the first span."""

STATEMENT, REQUEST, REPLY, WALL, END = "sqlite.statement", "http.request", "http.reply", "moment", "end of the job"
"""Points besides the failpoints: before the n-th statement, before the n-th request is sent, when its reply has come
and nobody has read it, after milliseconds, and when all is done but nothing is closed."""

POISON: Final = 4
"""Messages of a poison step."""
SPARE_BATCHES: Final = 3
STATEMENTS_A_BATCH: Final = 20
LOST_REPLIES: Final = ("lost", "timeout")
"""Answers that never arrive although the work was done."""
DATABASE_ANSWERS: Final = ("overloaded", "storage reset", *LOST_REPLIES)
HTTP_ANSWERS: Final = ("503", "429", "html", "refused", *LOST_REPLIES)


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL at the `hit`-th time the process stands at `point`, or `delay_ms` later while it goes on.

    A job that ends before gets it there, with everything still open: each planned kill happens.
    """

    point: str
    hit: int = 1
    delay_ms: float = 0.0
    server: bool = False
    """Not the job is killed but the server it talks to."""

    @property
    def passes(self) -> int:
        """About so many batches a consumer has read when it comes to its point; a delay is longer than it looks."""
        if self.delay_ms and not self.point.endswith(".closing"):
            return 20
        return self.hit // STATEMENTS_A_BATCH + 1 if self.point == STATEMENT else self.hit


@dataclass(frozen=True, slots=True)
class Step:
    """One job, alone in the pipeline but for what is `beside` it, and the faults it meets."""

    job: str
    """migrate, import, fetch, poison, consume, redrive, purge."""
    kill: Kill | None = None
    span: int = 0
    """Which span to fetch, or with which number the poison begins."""
    batch: int = 100
    beside: tuple[str, ...] = ()
    """consume, purge, lock queue, lock d1: a further process each, at the same time."""
    answers: tuple[tuple[int, str], ...] = ()
    """(n, fault): what the n-th call of D1 or of the API meets; for a producer, of the API that takes its messages."""
    disk: int = 0
    """Bytes by which files may still grow; 0 is no limit."""
    jump: int = 0
    """Seconds by which the clock is set forward or back before it."""
    if_needed: bool = False
    """Left out where a producer under faults said that the whole span was queued: then it shall be."""
    last: bool = False
    """Part of the end, when nothing goes wrong any more."""

    @property
    def most_batches(self) -> int | None:
        """Of a consumer that lives, or that dies only while it closes its files: it leaves the others something."""
        if self.kill is None or not (self.kill.server or self.kill.point.endswith(".closing")):
            return None
        return SPARE_BATCHES + self.kill.passes

    @property
    def faultless(self) -> bool:
        return self.kill is None and not (self.answers or self.disk or self.beside)


@dataclass(frozen=True, slots=True)
class FetchSpan:
    source: str
    symbol: str
    timeframe: str
    first: int
    last: int
    """Opens, unix seconds, inclusive."""


@dataclass(frozen=True, slots=True)
class EpisodePlan:
    """A pipeline from its first file to its last candle."""

    number: int
    seed: str
    mode: str
    """One of `MODES`."""
    seed_table: bool
    """price_data as the seed system made it, with an `id`."""
    spans: tuple[FetchSpan, ...]
    steps: tuple[Step, ...]
    max_retries: int = 3
    """0: whoever dies with a batch in hand sends it to the dead letters."""

    @property
    def kills(self) -> int:
        return sum(step.kill is not None for step in self.steps)

    def lines(self) -> Iterator[dict[str, Any]]:
        """One by one what is planned, first the episode: the same for the same seed."""
        head = asdict(self)
        steps = head.pop("steps")
        yield head
        for number, step in enumerate(steps):
            yield {"episode": self.number, "step": number} | {name: value for name, value in step.items() if value}


def digest(plans: Iterable[EpisodePlan]) -> str:
    """SHA-256 of all lines, by which two runs are known to have had the same plan."""
    whole = hashlib.sha256()
    for episode in plans:
        for line in episode.lines():
            whole.update(json.dumps(line, sort_keys=True).encode())
    return whole.hexdigest()
