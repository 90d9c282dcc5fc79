"""From a seed to a plan, before anything runs. Pure; `incidents` knows what may go wrong, this when it does."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from coinswarm.chaos.incidents import BACK, CALLS, FORTH, OUTSIDE, Incidents, dealt
from coinswarm.chaos.plan import (
    BEGINNING,
    DAY,
    EXPIRY_SECONDS,
    FINAL_SECONDS,
    LOCAL,
    MODES,
    EpisodePlan,
    FetchSpan,
    Step,
)

KILLS_AN_EPISODE: Final = 25
FEWEST_KILLS: Final = 4
"""An episode has at least as many where a plan has not enough for an episode of each mode otherwise."""
SERIES: Final = (
    ("binance", "BTC-USDC", "1m"),
    ("binance", "ETH-USDC", "15m"),
    ("binanceus", "BTC-USD", "5m"),
    ("cryptocompare", "BTC-USDC", "1h"),
    ("coinbase", "BTC-USD", "1m"),
)
"""Source, pair and timeframe: sources that serve any span of the past."""
SECONDS: Final = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600}
ROWS_A_MESSAGE: Final = 10
MESSAGES_A_PAGE: Final = 100
AT_ONCE: Final = 5
"""Batches that a consumer reads before it stores them, over HTTP."""


def plan(seed: int, kills: int, candles: int) -> list[EpisodePlan]:
    """`kills` and at least `candles`, spread over as many episodes as that takes.

    Of any three episodes in a row from the first on, one is of each mode, one purges and one lets messages expire.
    """
    count = max(1, min(len(MODES), kills // FEWEST_KILLS), round(kills / KILLS_AN_EPISODE))
    shares = [kills * (i + 1) // count - kills * i // count for i in range(count)]
    chance = random.Random(f"{seed}/plan")
    modes, outside = dealt(MODES, chance), dealt(OUTSIDE, chance)
    purges, expires = (dealt((True, False, False), chance) for _ in range(2))
    episodes = []
    for number, share in enumerate(shares):
        drawn = random.Random(f"{seed}/{number}")
        incidents = Incidents(drawn, next(modes), outside, purges=next(purges), expires=next(expires))
        episodes.append(_Episode(f"{seed}/{number}", number, incidents).plan(share, -(-candles // count)))
    return episodes


@dataclass(slots=True)
class _Slot:
    """One span and what goes wrong around it, in the order of the fields."""

    span: int
    messages: int
    at_once: int
    """Batches that a consumer takes in one go."""
    producers: list[Step] = field(default_factory=list)
    """Before the span is fetched as a whole."""
    consumers: list[Step] = field(default_factory=list)
    """Each dies and leaves messages to the next."""
    drains: list[Step] = field(default_factory=list)
    """They leave nothing."""
    others: list[Step] = field(default_factory=list)

    def steps(self, jump: int) -> list[Step]:
        whole = Step("fetch", span=self.span, jump=jump, if_needed=True)
        producers = [replace(step, span=self.span) for step in self.producers]
        return [*producers, whole, *self._sized(), *self.drains, *self.others]

    def _sized(self) -> list[Step]:
        """The consumers with batches of which half of the messages are enough, so that each finds what it dies at."""
        batches = sum(step.most_batches or step.kill.passes for step in self.consumers if step.kill is not None)
        room = self.messages // 2 // max(1, self.at_once * batches)
        return [replace(step, batch=max(1, min(step.batch, room))) for step in self.consumers]


class _Episode:
    def __init__(self, seed: str, number: int, incidents: Incidents) -> None:
        self.seed = seed
        self.number = number
        self.incidents = incidents
        self.mode = incidents.mode
        self.chance = incidents.chance

    def plan(self, kills: int, candles: int) -> EpisodePlan:
        seed_table = self.chance.random() < 0.2
        retries = self.chance.choice((0, 1, 3, 3))
        drains = self.incidents.drains()
        spans = _spans(candles, self.chance, most=max(1, candles // len(drains)))
        early = min(4, kills // 4)
        steps = [*self._making(early), *self._body(spans, kills - early, drains), *self._end()]
        return EpisodePlan(self.number, self.seed, self.mode, seed_table, spans, tuple(_clocked(steps)), retries)

    def _making(self, kills: int) -> list[Step]:
        """The files are made, the disk is full, the import comes through in the end."""
        killed = [self.incidents.early(index) for index in range(kills)]
        migrations = [step for step in killed if step.job == "migrate"]
        imports = [step for step in killed if step.job != "migrate"]
        return [*migrations, Step("migrate"), Step("import", disk=1), *imports, Step("import")]

    def _body(self, spans: tuple[FetchSpan, ...], kills: int, drains: list[Step]) -> list[Step]:
        """Spans are fetched one after the other; what happens in between is spread evenly over them."""
        chance = self.chance
        at_once = 1 if self.mode == LOCAL else AT_ONCE
        slots = [_Slot(number, _messages(span), at_once) for number, span in enumerate(spans)]
        for slot, step in zip(chance.sample(slots, len(drains)), drains, strict=True):
            self._drain(slot, step)
        for number, step in enumerate(self.incidents.producers()):
            slots[number % len(slots)].producers.append(step)  # the first files are small: there a full disk is noticed
        chance.choice(slots).others.append(self.incidents.poison())
        for slot in chance.choices(slots, [slot.messages for slot in slots], k=kills):
            self._kill(slot)
        for slot in slots:
            if not slot.drains and chance.random() < 0.5:
                self._drain(slot, chance.choice([step for step in drains if step.jump != EXPIRY_SECONDS]))
        jumps = [chance.choice(FORTH), min(BACK), *(self.incidents.jump() for _ in slots)]
        return [step for slot, jump in zip(slots, jumps, strict=False) for step in slot.steps(jump)]

    def _drain(self, slot: _Slot, step: Step) -> None:
        """Batches so small that each fault is met."""
        room = slot.messages // (2 * CALLS if step.answers else 6)
        slot.drains.append(replace(step, batch=max(1, min(step.batch, room))))

    def _kill(self, slot: _Slot) -> None:
        """One kill, with what makes it possible before it."""
        kind = self.incidents.kind()
        if kind == "fetch":
            slot.producers.append(self.incidents.fetch(slot.span, -(-slot.messages // MESSAGES_A_PAGE)))
        elif kind == "consume":
            slot.consumers.append(self.incidents.consume())
        elif kind == "server":
            slot.consumers.append(self.incidents.server())
        elif kind == "import":
            slot.others.append(self.incidents.import_file())
        elif kind == "purge":
            slot.others += self.incidents.purge(slot.span)
        else:
            slot.others += self.incidents.letters() if kind == "letters" else self.incidents.redrive()

    def _end(self) -> list[Step]:
        steps = [Step("consume", jump=FINAL_SECONDS, last=True)]
        if self.chance.random() < 0.7:
            steps += [Step("redrive", last=True), Step("consume", last=True)]
        return steps


def _clocked(steps: Iterable[Step]) -> list[Step]:
    """The steps, now in their order, with how far the clock is set in each, where they said how wrong it is then."""
    found, clock = [], 0
    for step in steps:
        if step.jump not in (0, EXPIRY_SECONDS):
            step, clock = replace(step, jump=step.jump - clock), step.jump
        found.append(step)
    return found


def _messages(span: FetchSpan) -> int:
    return -(-((span.last - span.first) // SECONDS[span.timeframe] + 1) // ROWS_A_MESSAGE)


def _spans(candles: int, chance: random.Random, most: int) -> tuple[FetchSpan, ...]:
    found: list[FetchSpan] = []
    cursors = dict.fromkeys(SERIES, BEGINNING)
    left = candles
    while left > 0:
        series = chance.choice(SERIES)
        room = (BEGINNING + 3 * 365 * DAY - cursors[series]) // SECONDS[series[2]]
        count = min(left, room, most, chance.choice((300, 1_000, 2_000, 3_000)))
        if count <= 0:
            continue
        step = SECONDS[series[2]]
        first = cursors[series]
        cursors[series] = first + count * step
        found.append(FetchSpan(*series, first, cursors[series] - step))
        left -= count
    return tuple(found)
