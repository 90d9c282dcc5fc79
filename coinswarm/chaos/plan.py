"""What goes wrong, when and where: drawn from a seed before anything runs. Pure."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

KILLS_AN_EPISODE: Final = 25
HOUR: Final = 3_600
DAY: Final = 24 * HOUR
EXPIRY_SECONDS: Final = 6 * DAY
"""More than the retention period of a queue."""
FINAL_SECONDS: Final = 40 * HOUR
"""After that no lease and no delay is left, whatever the clock did before, and nothing has expired."""

SERIES: Final = (
    ("binance", "BTC-USDC", "1m"),
    ("binance", "ETH-USDC", "15m"),
    ("binanceus", "BTC-USD", "5m"),
    ("cryptocompare", "BTC-USDC", "1h"),
    ("coinbase", "BTC-USD", "1m"),
)
"""Source, pair and timeframe: sources that serve any span of the past."""
SECONDS: Final = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600}
BEGINNING: Final = 1_640_995_200
"""2022-01-01: the first candle of the first span."""

STATEMENT, REQUEST, REPLY, WALL, END = "sqlite.statement", "http.request", "http.reply", "moment", "end of the job"
"""Points besides the failpoints: before the n-th statement, before the n-th request is sent, when its reply has come
and nobody has read it, after milliseconds, and when all is done but nothing is closed."""

_QUEUE = ("queue.committing", "queue.committed")
_D1 = ("d1.committing", "d1.committed")
_CONSUMER = ("consumer.leased", "consumer.written", "consumer.settled")
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
    """local; served: D1 over HTTP; rest: queue and D1 over HTTP."""
    seed_table: bool
    """price_data as the seed system made it, with an `id`."""
    spans: tuple[FetchSpan, ...]
    steps: tuple[Step, ...]

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


def plan(seed: int, kills: int, candles: int) -> list[EpisodePlan]:
    """`kills` and at least `candles`, spread over as many episodes as that takes."""
    count = max(1, round(kills / KILLS_AN_EPISODE))
    shares = [kills * (i + 1) // count - kills * i // count for i in range(count)]
    return [_Episode(seed, number, share, -(-candles // count)).plan() for number, share in enumerate(shares)]


def digest(plans: list[EpisodePlan]) -> str:
    """SHA-256 of the whole trace, by which two runs are known to have had the same plan."""
    whole = hashlib.sha256()
    for episode in plans:
        for line in episode.trace():
            whole.update(json.dumps(line, sort_keys=True).encode())
    return whole.hexdigest()


class _Episode:
    def __init__(self, seed: int, number: int, kills: int, candles: int) -> None:
        self.number = number
        self.seed = f"{seed}/{number}"
        self.chance = chance = random.Random(self.seed)
        self.kills = kills
        self.mode = chance.choice(("local", "local", "served", "rest"))
        self.spans = _spans(candles, chance)
        self.purges = chance.random() < 0.3
        self.expires = chance.random() < 0.15
        self.poison = 0
        self.clock = 0

    def plan(self) -> EpisodePlan:
        seed_table = self.chance.random() < 0.2
        early = min(4, self.kills // 4)
        steps = [self._early(index) for index in range(early)]
        steps.sort(key=lambda step: step.job != "migrate")
        at = next((i for i, step in enumerate(steps) if step.job != "migrate"), len(steps))
        steps.insert(at, Step("migrate"))
        steps += [Step("import"), *self._body(self.kills - early), *self._end()]
        return EpisodePlan(self.number, self.seed, self.mode, seed_table, self.spans, tuple(steps))

    def _early(self, index: int) -> Step:
        """Kills while the files are made."""
        if index % 2 == 0:
            makings = ("queue.upgrading", "migration.applying", "migration.applied", *_D1, "d1.closing", STATEMENT)
            return Step("migrate", self._kill(makings, most=40, hits=2, delay=0.3))
        return self._import()

    def _import(self) -> Step:
        points = ("import.committing", "import.checkpoint", "import.checkpoint", STATEMENT)
        return Step("import", self._kill(points, most=300))

    def _body(self, kills: int) -> list[Step]:
        """Spans are fetched one after the other; what happens in between is spread evenly over them."""
        slots: list[list[Step]] = [[] for _ in self.spans]
        for _ in range(kills):
            where = self.chance.randrange(len(slots))
            slots[where] += self._incident(where)
        if self.expires:
            slots[self.chance.randrange(len(slots))].append(Step("consume", jump=EXPIRY_SECONDS, batch=5))
        steps: list[Step] = []
        for index, incidents in enumerate(slots):
            own = [step for step in incidents if step.job == "fetch"]
            others = [step for step in incidents if step.job != "fetch"]
            steps += [*own, Step("fetch", span=index), *others]
            if self.chance.random() < 0.5:
                steps.append(self._hardship())
        return steps

    def _incident(self, span: int) -> list[Step]:
        """One kill, with what makes it possible before it."""
        kinds = {"fetch": 25, "consume": 45, "letters": 12, "import": 4, "redrive": 5}
        kinds |= {"purge": 5} if self.purges else {}
        kinds |= {"server": 25} if self.mode != "local" else {}
        kind = self.chance.choices(list(kinds), list(kinds.values()))[0]
        if kind == "fetch":
            return [self._fetch(span)]
        if kind == "consume":
            return [self._consume()]
        if kind == "import":
            return [self._import()]
        if kind == "server":
            points = (*_D1, STATEMENT) if self.mode == "served" else (*_QUEUE, *_D1, STATEMENT)
            kill = self._kill(points, most=200, delay=0.2)
            return [Step("consume", Kill(kill.point, kill.hit, kill.delay_ms, server=True), batch=self._batch())]
        if kind == "purge":
            return [Step("purge", self._kill(("queue.purging", *_QUEUE, STATEMENT), most=12))]
        before = [self._poison()]
        if kind == "letters":
            point = "queue.dead_letters_sent" if self.mode == "rest" else "queue.dead_lettering"
            return [*before, Step("consume", self._kill((point, point, "consumer.settled"), hits=1), batch=100)]
        return [*before, Step("consume", batch=100), Step("redrive", self._kill(("queue.redriving", *_QUEUE), hits=1))]

    def _fetch(self, span: int) -> Step:
        own = (REQUEST, REPLY) if self.mode == "rest" else (*_QUEUE, "queue.closing", STATEMENT)
        kill = self._kill(("producer.queued", REQUEST, REPLY, WALL, *own), most=150, hits=2)
        return Step("fetch", kill, span=span)

    def _consume(self) -> Step:
        own: tuple[str, ...] = (REQUEST, REPLY)
        if self.mode != "rest":
            own = (*_QUEUE, "queue.closing", STATEMENT)
        if self.mode == "local":
            own += (*_D1, "d1.closing")
        kill = self._kill((*_CONSUMER, *_CONSUMER, WALL, *own), most=400)
        answers = self._answers() if self.chance.random() < 0.25 else ()
        beside = "consume" if self.chance.random() < 0.15 else ""
        return Step("consume", kill, batch=self._batch(), answers=answers, beside=beside, jump=self._jump())

    def _hardship(self) -> Step:
        """Faults without a kill."""
        kinds = ["answers", "answers", "consume", "lock d1", "lock queue"] + (["disk"] if self.mode != "rest" else [])
        kind = self.chance.choice(kinds + (["purge"] if self.purges else []))
        batch, jump = self._batch(), self._jump()
        if kind == "answers":
            return Step("consume", batch=batch, answers=self._answers(), jump=jump)
        if kind == "disk":
            job = self.chance.choice(("consume", "consume", "import"))
            return Step(job, batch=batch, disk=self.chance.choice((1, 4_096, 20_000, 100_000)), jump=jump)
        return Step("consume", batch=batch, beside=kind, jump=jump)

    def _poison(self) -> Step:
        first = self.poison
        self.poison += POISON
        return Step("poison", span=first)

    def _answers(self) -> tuple[tuple[int, str], ...]:
        kinds = DATABASE_ANSWERS if self.mode == "local" else HTTP_ANSWERS
        calls = sorted(self.chance.sample(range(3, 20), 3))
        return tuple((call, self.chance.choice(kinds)) for call in calls)

    def _kill(self, points: tuple[str, ...], *, most: int = 0, hits: int = 4, delay: float = 0.1) -> Kill:
        point = self.chance.choice(points)
        if point == WALL:
            return Kill(WALL, delay_ms=round(self.chance.uniform(0, 60), 2))
        if point == STATEMENT:
            return Kill(STATEMENT, round(most ** self.chance.random()))
        hit = self.chance.randint(1, hits)
        if point.endswith((".closing", ".checkpoint")):
            return Kill(point, 1, round(self.chance.uniform(0.02, 1.5), 2))
        late = self.chance.random() < delay
        return Kill(point, hit, round(self.chance.uniform(0.05, 5), 2) if late else 0.0)

    def _batch(self) -> int:
        return self.chance.choice((5, 10, 25, 100))

    def _jump(self) -> int:
        """A clock set wrongly and right again, within what no message notices by its age."""
        if self.chance.random() > 0.3:
            return 0
        target = self.chance.choice((-36 * HOUR, -HOUR, -30, 0, 45, HOUR, DAY))
        jump, self.clock = target - self.clock, target
        return jump

    def _end(self) -> list[Step]:
        steps = [Step("consume", jump=FINAL_SECONDS - self.clock, last=True)]
        if self.chance.random() < 0.7:
            steps += [Step("redrive", last=True), Step("consume", last=True)]
        return steps


POISON: Final = 4
"""Messages of a poison step."""


def _spans(candles: int, chance: random.Random) -> tuple[FetchSpan, ...]:
    found: list[FetchSpan] = []
    cursors = dict.fromkeys(SERIES, BEGINNING)
    left = candles
    while left > 0:
        series = chance.choice(SERIES)
        room = (BEGINNING + 3 * 365 * DAY - cursors[series]) // SECONDS[series[2]]
        count = min(left, room, chance.choice((300, 1_000, 2_000, 3_000)))
        if count <= 0:
            continue
        step = SECONDS[series[2]]
        first = cursors[series]
        cursors[series] = first + count * step
        found.append(FetchSpan(*series, first, cursors[series] - step))
        left -= count
    return tuple(found)
