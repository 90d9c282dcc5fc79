"""What may go wrong once, drawn by chance: who is killed where, and the faults that kill nobody. Pure."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from coinswarm.chaos.plan import (
    DATABASE_ANSWERS,
    DAY,
    EXPIRY_SECONDS,
    HOUR,
    HTTP_ANSWERS,
    LOCAL,
    POISON,
    REPLY,
    REQUEST,
    REST,
    SERVED,
    STATEMENT,
    WALL,
    Kill,
    Step,
)

LOOKS: Final = 1
"""Transactions of D1 in which a consumer looks at the table, before its first batch."""
CALLS: Final = 10
"""In so many calls of D1 or the API a drain meets its faults; it has at least as many batches."""
ATTEMPTS: Final = 5
"""Of a request over HTTP, until it is given up."""
OUTAGE_CALLS: Final = 5 * ATTEMPTS
"""As many attempts as five requests at once have: all of them give up."""
OUTSIDE: Final = (REQUEST, REPLY, WALL)
"""Places of a producer that are no place in our code."""
BACK, FORTH = (-36 * HOUR, -HOUR, -30), (1, 45, HOUR, DAY)
"""How wrong the clock is set: within what no message notices by its age."""
_QUEUE = ("queue.committing", "queue.committed")
_D1 = ("d1.committing", "d1.committed")
_CONSUMER = ("consumer.leased", "consumer.written", "consumer.settled")
_Card = TypeVar("_Card")


def dealt(cards: Sequence[_Card], chance: random.Random) -> Iterator[_Card]:
    """All of `cards` in an order by chance, again and again: none comes a second time before each has come once."""
    while True:
        yield from chance.sample(cards, len(cards))


class Incidents:
    """What goes wrong in one episode."""

    def __init__(
        self, chance: random.Random, mode: str, outside: Iterator[str], *, purges: bool, expires: bool
    ) -> None:
        """`outside`, shared by all episodes, are the places of `OUTSIDE`: every other producer dies at the next one."""
        self.chance = chance
        self.mode = mode
        self.purges = purges
        self.expires = expires
        self.poison_sent = 0
        self._outside = itertools.cycle((True, False))
        self._places = outside
        self._points: dict[tuple[str, ...], Iterator[str]] = {}
        self._kinds = dealt(DATABASE_ANSWERS if mode == LOCAL else HTTP_ANSWERS, chance)

    def early(self, index: int) -> Step:
        """Kills while the files are made."""
        if index % 2 == 0:
            makings = ("queue.upgrading", "migration.applying", "migration.applied", *_D1, "d1.closing", STATEMENT)
            return Step("migrate", self._kill(makings, most=40, hits=1 if index else 2, delay=0.3))
        return self.import_file()

    def kind(self) -> str:
        """Whom the next kill hits."""
        kinds = {"fetch": 25, "consume": 45, "letters": 12, "import": 4, "redrive": 5}
        kinds |= {"purge": 5} if self.purges else {}
        kinds |= {"server": 25} if self.mode != LOCAL else {}
        return self.chance.choices(list(kinds), list(kinds.values()))[0]

    def import_file(self) -> Step:
        points = ("import.committing", "import.checkpoint", "import.checkpoint", STATEMENT)
        return Step("import", self._kill(points, most=300, hits=1))

    def fetch(self, span: int, pages: int) -> Step:
        own = (REQUEST, REPLY) if self.mode == REST else (*_QUEUE, "queue.closing", STATEMENT)
        points = (next(self._places),) if next(self._outside) else ("producer.queued", *OUTSIDE, *own)
        kill = self._kill(points, most=150, hits=min(2, pages))
        answers = self._sent_answers() if self.mode == REST and self.chance.random() < 0.25 else ()
        return Step("fetch", kill, span, self.batch(), self._beside(), answers, jump=self.jump())

    def consume(self) -> Step:
        own: tuple[str, ...] = (REQUEST, REPLY)
        if self.mode != REST:
            own = (*_QUEUE, "queue.closing", STATEMENT)
        if self.mode == LOCAL:
            own += (*_D1, "d1.closing")
        kill = self._kill((*_CONSUMER, *_CONSUMER, WALL, *own), most=200, looks=LOOKS)
        answers = self.answers() if self.chance.random() < 0.25 else ()
        jump = max(FORTH) if self.chance.random() < 0.2 else 0  # by a clock set back, messages are hidden from it
        return Step("consume", kill, batch=self.batch(), beside=self._beside(), answers=answers, jump=jump)

    def server(self) -> Step:
        points = (*_D1, STATEMENT) if self.mode == SERVED else (*_QUEUE, *_D1, STATEMENT)
        kill = self._kill(points, most=200, delay=0.2, looks=LOOKS)
        return Step("consume", Kill(kill.point, kill.hit, kill.delay_ms, server=True), batch=self.batch())

    def purge(self, span: int) -> list[Step]:
        """Of a whole span, fetched again if it is stored already."""
        return [Step("fetch", span=span), Step("purge", self._kill(("queue.purging", *_QUEUE, STATEMENT), most=12))]

    def letters(self) -> list[Step]:
        point = "queue.dead_letters_sent" if self.mode == REST else "queue.dead_lettering"
        return [self.poison(), Step("consume", self._kill((point, point, "consumer.settled"), hits=1))]

    def redrive(self) -> list[Step]:
        kill = self._kill(("queue.redriving", *_QUEUE), hits=1)
        return [self.poison(), Step("consume"), Step("redrive", kill)]

    def producers(self) -> list[Step]:
        """Faults of a producer that kill nobody, all that its mode knows."""
        faults = [Step("fetch", beside=("lock queue",)), Step("fetch", beside=("consume",), batch=self.batch())]
        if self.mode != REST:
            return [Step("fetch", disk=1), *faults]
        kind = next(self._kinds)
        outage = tuple((call, kind) for call in range(2, 2 + ATTEMPTS))
        return [Step("fetch", answers=self._sent_answers()), Step("fetch", answers=outage), *faults]

    def drains(self) -> list[Step]:
        """Faults of a consumer that takes all there is, each that its mode knows."""
        faults = [
            Step("consume", answers=self.answers()),
            Step("consume", answers=self.answers()),
            Step("consume", beside=("lock d1",), batch=self.batch()),
            Step("consume", beside=("lock queue",), batch=self.batch()),
            Step("consume", beside=("consume",), batch=self.batch()),
        ]
        if self.mode != LOCAL:
            faults.append(Step("consume", answers=self._outage()))
        if self.mode != REST:
            faults.append(Step("consume", disk=self.chance.choice((1, 4_096, 20_000)), batch=self.batch()))
        if self.purges:
            faults += [
                Step("consume", beside=("purge",), batch=5),
                Step("consume", beside=("consume", "purge"), batch=5),
            ]
        if self.expires:
            faults.append(Step("consume", jump=EXPIRY_SECONDS, batch=5))
        # Nothing is hidden from these by what the clock was before.
        return [replace(step, jump=step.jump or max(FORTH)) for step in faults]

    def answers(self) -> tuple[tuple[int, str], ...]:
        calls = sorted(self.chance.sample(range(LOOKS + 1, CALLS), 4))
        return tuple((call, next(self._kinds)) for call in calls)

    def jump(self) -> int:
        """How wrong the clock is from then on, 0 for as wrong as it was."""
        return self.chance.choice((*BACK, *FORTH)) if self.chance.random() < 0.3 else 0

    def batch(self) -> int:
        return self.chance.choice((5, 10, 25, 100))

    def _sent_answers(self) -> tuple[tuple[int, str], ...]:
        """The producer's first call asks for the queue, the next ones send."""
        return tuple((call, next(self._kinds)) for call in (2, 3))

    def _outage(self) -> tuple[tuple[int, str], ...]:
        first, kind = self.chance.randrange(LOOKS + 1, CALLS), next(self._kinds)
        return tuple((call, kind) for call in range(first, first + OUTAGE_CALLS))

    def _beside(self) -> tuple[str, ...]:
        if self.chance.random() >= 0.15:
            return ()
        return ("consume", "purge") if self.purges and self.chance.random() < 0.2 else ("consume",)

    def poison(self) -> Step:
        first = self.poison_sent
        self.poison_sent += POISON
        return Step("poison", span=first)

    def _kill(
        self, points: tuple[str, ...], *, most: int = 0, hits: int = 4, delay: float = 0.1, looks: int = 0
    ) -> Kill:
        """`most` statements to choose from, up to `hits` of a failpoint, `looks` of D1 that do not count."""
        point = next(self._points.setdefault(points, dealt(points, self.chance)))
        if point == WALL:
            return Kill(WALL, delay_ms=round(self.chance.uniform(0, 60), 2))
        if point == STATEMENT:
            return Kill(STATEMENT, round(most ** self.chance.random()))
        hit = min(hits, self.chance.choice((1, 1, 1, 2, 2, 3, 4))) + (looks if point in _D1 else 0)
        if point.endswith((".closing", ".checkpoint")):
            return Kill(point, 1, round(self.chance.uniform(0.02, 1.5), 2))
        late = self.chance.random() < delay
        return Kill(point, hit, round(self.chance.uniform(0.05, 5), 2) if late else 0.0)
