"""From a seed to a plan, before anything runs. Pure."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

from coinswarm.chaos.plan import (
    BEGINNING,
    DATABASE_ANSWERS,
    DAY,
    EXPIRY_SECONDS,
    FINAL_SECONDS,
    HOUR,
    HTTP_ANSWERS,
    POISON,
    REPLY,
    REQUEST,
    STATEMENT,
    WALL,
    EpisodePlan,
    FetchSpan,
    Kill,
    Step,
)

KILLS_AN_EPISODE: Final = 25
SERIES: Final = (
    ("binance", "BTC-USDC", "1m"),
    ("binance", "ETH-USDC", "15m"),
    ("binanceus", "BTC-USD", "5m"),
    ("cryptocompare", "BTC-USDC", "1h"),
    ("coinbase", "BTC-USD", "1m"),
)
"""Source, pair and timeframe: sources that serve any span of the past."""
SECONDS: Final = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600}
_QUEUE = ("queue.committing", "queue.committed")
_D1 = ("d1.committing", "d1.committed")
LOOKS: Final = 1
"""Transactions of D1 in which a consumer looks at the table, before its first batch."""
_CONSUMER = ("consumer.leased", "consumer.written", "consumer.settled")


def plan(seed: int, kills: int, candles: int) -> list[EpisodePlan]:
    """`kills` and at least `candles`, spread over as many episodes as that takes."""
    count = max(1, round(kills / KILLS_AN_EPISODE))
    shares = [kills * (i + 1) // count - kills * i // count for i in range(count)]
    return [_Episode(seed, number, share, -(-candles // count)).plan() for number, share in enumerate(shares)]


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
        retries = self.chance.choice((0, 1, 3, 3))
        early = min(4, self.kills // 4)
        steps = [self._early(index) for index in range(early)]
        steps.sort(key=lambda step: step.job != "migrate")
        at = next((i for i, step in enumerate(steps) if step.job != "migrate"), len(steps))
        steps.insert(at, Step("migrate"))
        steps += [Step("import"), *self._body(self.kills - early), *self._end()]
        return EpisodePlan(self.number, self.seed, self.mode, seed_table, self.spans, tuple(steps), retries)

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
        return self._clocked(steps)

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
            kill = self._kill(points, most=200, delay=0.2, looks=LOOKS)
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
        kill = self._kill((*_CONSUMER, *_CONSUMER, WALL, *own), most=400, looks=LOOKS)
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
        calls = sorted(self.chance.sample(range(LOOKS + 1, 20), 3))
        return tuple((call, self.chance.choice(kinds)) for call in calls)

    def _kill(
        self, points: tuple[str, ...], *, most: int = 0, hits: int = 4, delay: float = 0.1, looks: int = 0
    ) -> Kill:
        """`most` statements to choose from, up to `hits` of a failpoint, `looks` of D1 that do not count."""
        point = self.chance.choice(points)
        if point == WALL:
            return Kill(WALL, delay_ms=round(self.chance.uniform(0, 60), 2))
        if point == STATEMENT:
            return Kill(STATEMENT, round(most ** self.chance.random()))
        hit = min(hits, self.chance.choice((1, 1, 1, 2, 2, 3, 4))) + (looks if point in _D1 else 0)
        if point.endswith((".closing", ".checkpoint")):
            return Kill(point, 1, round(self.chance.uniform(0.02, 1.5), 2))
        late = self.chance.random() < delay
        return Kill(point, hit, round(self.chance.uniform(0.05, 5), 2) if late else 0.0)

    def _batch(self) -> int:
        return self.chance.choice((5, 10, 25, 100))

    def _jump(self) -> int:
        """How wrong the clock is from then on, 0 for as wrong as it was: within what no message notices by its age."""
        return self.chance.choice((-36 * HOUR, -HOUR, -30, 1, 45, HOUR, DAY)) if self.chance.random() < 0.3 else 0

    def _clocked(self, steps: list[Step]) -> list[Step]:
        """The steps, now in their order, with how far the clock is set in each."""
        found = []
        for step in steps:
            if step.jump not in (0, EXPIRY_SECONDS):
                target, step = step.jump, replace(step, jump=step.jump - self.clock)
                self.clock = target
            found.append(step)
        return found

    def _end(self) -> list[Step]:
        steps = [Step("consume", jump=FINAL_SECONDS - self.clock, last=True)]
        if self.chance.random() < 0.7:
            steps += [Step("redrive", last=True), Step("consume", last=True)]
        return steps


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
