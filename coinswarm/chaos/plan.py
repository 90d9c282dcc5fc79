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
BEGINNING: Final = 1_640_995_200
"""2022-01-01: the first candle of the first span."""

STATEMENT, REQUEST, REPLY, WALL, END = "sqlite.statement", "http.request", "http.reply", "moment", "end of the job"
"""Points besides the failpoints: before the n-th statement, before the n-th request is sent, when its reply has come
and nobody has read it, after milliseconds, and when all is done but nothing is closed."""

POISON: Final = 4
"""Messages of a poison step."""
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


@dataclass(frozen=True, slots=True)
class Step:
    """One job, alone in the pipeline but for what is `beside` it, and the faults it meets."""

    job: str
    """migrate, import, fetch, poison, consume, redrive, purge."""
    kill: Kill | None = None
    span: int = 0
    """Which span to fetch, or with which number the poison begins."""
    batch: int = 100
    beside: str = ""
    """consume, purge, lock queue, lock d1: another process at the same time."""
    answers: tuple[tuple[int, str], ...] = ()
    """(n, fault): what the n-th call of D1, or of the API, meets."""
    disk: int = 0
    """Bytes by which files may still grow; 0 is no limit."""
    jump: int = 0
    """Seconds by which the clock is set forward or back before it."""
    last: bool = False
    """Part of the end, when nothing goes wrong any more."""

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

    def trace(self) -> Iterator[dict[str, Any]]:
        """Line by line what is planned: the same for the same seed."""
        head = asdict(self)
        steps = head.pop("steps")
        yield head
        for number, step in enumerate(steps):
            yield {"episode": self.number, "step": number} | {name: value for name, value in step.items() if value}


def digest(plans: Iterable[EpisodePlan]) -> str:
    """SHA-256 of the whole trace, by which two runs are known to have had the same plan."""
    whole = hashlib.sha256()
    for episode in plans:
        for line in episode.trace():
            whole.update(json.dumps(line, sort_keys=True).encode())
    return whole.hexdigest()
