"""Reading dead letters, giving them another chance, and giving them up.

Cloudflare has nothing like it: there, one writes a consumer for the dead-letter queue. Locally a dead letter knows
where it came from and why, and one command sends it back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from coinswarm.clock import Clock
from coinswarm.errors import DeadLetterNotFound
from coinswarm.failpoints import failpoint
from coinswarm.queue import registry, usage
from coinswarm.queue.failures import SQL
from coinswarm.queue.file import QueueFile
from coinswarm.queue.messages import SQL as MESSAGES
from coinswarm.queue.messages import delete_bodies, number_in, runs
from coinswarm.queue.types import ContentType

STEP: Final = 100
"""Messages redriven or deleted in one transaction."""


@dataclass(frozen=True, slots=True)
class DeadLetterRecord:
    """A dead letter: the message as it was sent, and its story in the queue it came from. Times are ms since 1970."""

    id: str
    held: bool
    """It is kept apart for its source, which had no dead-letter queue when it was dead-lettered."""
    source: str
    """The queue it failed in; a redrive sends it back there."""
    reason: str
    attempts: int
    """Deliveries in the source queue."""
    first_failed_ms: int
    last_failed_ms: int
    dead_lettered_ms: int
    redrives: int
    timestamp_ms: int
    """When it was sent first."""
    content_type: ContentType
    size_bytes: int
    body: bytes | None
    """Only `show` reads it."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Dead letters from one source with one reason."""

    source: str
    reason: str
    count: int
    oldest_ms: int
    """When the first of them was dead-lettered."""
    newest_ms: int


@dataclass(slots=True)
class Redriven:
    """What a redrive did."""

    count: int = 0
    orphans: dict[str, int] = field(default_factory=dict)
    """Dead letters left where they are because their source queue is gone, by its name."""
    missing: list[str] = field(default_factory=list)
    """Ids asked for that are no dead letters here, or that a consumer is reading now."""


class _Idle(NamedTuple):
    """A dead letter that nobody is reading."""

    seq: int
    id: str
    queue: int
    bytes: int
    source: str


class DeadLetters:
    """The dead letters in one queue: those that came from other queues, and those held for it.

    Name the dead-letter queue to see what came there; name a queue that has none to see what is held for it.
    """

    def __init__(self, file: QueueFile, clock: Clock, number: int, name: str) -> None:
        self._file = file
        self._clock = clock
        self._number = number
        self._name = name

    def count(self) -> int:
        return sum(cause.count for cause in self.causes())

    def causes(self) -> list[Cause]:
        """How many there are, by source and reason, most frequent first."""
        with self._file.reading():
            return [Cause(*row) for row in self._file.execute(SQL["count"], self._place()).fetchall()]

    def records(
        self, *, limit: int = 100, after: str | None = None, source: str | None = None, reason: str | None = None
    ) -> list[DeadLetterRecord]:
        """In the order they were sent, without bodies. `after` is the id the last page ended with.

        `source` is a queue's whole name, `reason` a part of the reason in any case.
        """
        since = 0 if after is None else number_in(after) or 0
        filters = {"after": since, "limit": limit, "source": source, "reason": reason}
        with self._file.reading():
            rows = self._file.execute(SQL["list"], self._place() | filters).fetchall()
        return [_record(row) for row in rows]

    def show(self, message_id: str) -> DeadLetterRecord:
        """One of them, with its body. Raises `DeadLetterNotFound`."""
        with self._file.reading():
            wanted = {"seq": number_in(message_id), "id": message_id}
            row = self._file.execute(SQL["show"], self._place() | wanted).fetchone()
        if row is None:
            raise DeadLetterNotFound(
                f"queue {self._name} has no dead letter {message_id}",
                hint=f"See which there are: coinswarm queues dlq list {self._name}",
            )
        return _record(row)

    def redrive(
        self, message_ids: Sequence[str] | None = None, *, progress: Callable[[int], None] | None = None
    ) -> Redriven:
        """Send all of them, or those named, back to the queues they came from, as if delivered never before.

        In steps of 100, each one transaction: interrupted, it is continued by calling it again. What the source's
        consumer dead-letters anew meanwhile is not taken twice. `progress` is called with the count so far.
        """
        done = Redriven()

        def send_back(letters: Sequence[_Idle]) -> None:
            done.count += self._send_back(letters, done.orphans)
            if progress is not None:
                progress(done.count)

        self._step_by_step(message_ids, done.missing, send_back)
        return done

    def purge(self, message_ids: Sequence[str] | None = None) -> int:
        """Delete all of them, or those named; how many. What a consumer is reading stays, and so do other messages."""
        deleted = 0

        def remove(letters: Sequence[_Idle]) -> None:
            nonlocal deleted
            gone = runs(sorted(letter.seq for letter in letters))
            for run in gone:
                self._file.execute(MESSAGES["delete_run"], run)
            delete_bodies(self._file, gone)
            self._take_out(letters, billed_reads=False)
            deleted += len(letters)

        self._step_by_step(message_ids, [], remove)
        return deleted

    def _step_by_step(
        self, message_ids: Sequence[str] | None, missing: list[str], act: Callable[[Sequence[_Idle]], None]
    ) -> None:
        """Call `act` with dead letters that nobody reads, up to `STEP` in one transaction."""
        if message_ids is not None:
            wanted = list(dict.fromkeys(message_ids))
            for start in range(0, len(wanted), STEP):
                with self._file.operation():
                    found = [(name, self._idle_one(name)) for name in wanted[start : start + STEP]]
                    missing += [name for name, letter in found if letter is None]
                    act([letter for _, letter in found if letter is not None])
            return
        with self._file.reading():
            (last,) = self._file.execute(MESSAGES["last_number"]).fetchone()
        first = 1
        while True:
            with self._file.operation():
                letters = self._idle(first, last)
                act(letters)
            if len(letters) < STEP:
                return
            first = letters[-1].seq + 1

    def _idle(self, first: int, last: int) -> list[_Idle]:
        span = {"first": first, "last": last, "now": self._clock.now_ms(), "step": STEP}
        return [_Idle(*row) for row in self._file.execute(SQL["idle"], self._place() | span).fetchall()]

    def _idle_one(self, message_id: str) -> _Idle | None:
        number = number_in(message_id)
        found = [] if number is None else self._idle(number, number)
        return found[0] if found and found[0].id == message_id else None

    def _send_back(self, letters: Sequence[_Idle], orphans: dict[str, int]) -> int:
        now = self._clock.now_ms()
        sent = 0
        for source, group in _by_source(letters).items():
            target = registry.number_or_none(self._file, source)
            if target is None:
                orphans[source] = orphans.get(source, 0) + len(group)
                continue
            for letter in group:
                self._file.execute(SQL["move"], {"queue": target, "now": now, "seq": letter.seq})
                self._file.execute(SQL["redriven"], (letter.seq,))
                self._file.execute(MESSAGES["delete_failures"], (letter.seq, letter.seq))
            sizes = [letter.bytes for letter in group]
            registry.adjust(self._file, target, len(sizes), sum(sizes))
            usage.record(
                self._file, source, now, writes=usage.billed([x.bytes for x in group if x.queue == self._number])
            )
            self._take_out(group, billed_reads=True)
            sent += len(group)
        failpoint("queue.redriving")
        return sent

    def _take_out(self, letters: Sequence[_Idle], *, billed_reads: bool) -> None:
        """Keep counters and usage in step. What is only held never was in a second queue, so it is not billed."""
        for number in {letter.queue for letter in letters}:
            sizes = [letter.bytes for letter in letters if letter.queue == number]
            registry.adjust(self._file, number, -len(sizes), -sum(sizes))
            if number == self._number:
                operations = usage.billed(sizes)
                now = self._clock.now_ms()
                usage.record(self._file, self._name, now, reads=operations if billed_reads else 0, deletes=operations)

    def _place(self) -> dict[str, Any]:
        held = registry.held(self._file, self._number)
        return {"queue": self._number, "held": -1 if held is None else held, "name": self._name}


def _by_source(letters: Iterable[_Idle]) -> dict[str, list[_Idle]]:
    groups: dict[str, list[_Idle]] = {}
    for letter in letters:
        groups.setdefault(letter.source, []).append(letter)
    return groups


def _record(row: tuple[Any, ...]) -> DeadLetterRecord:
    message_id, held, *rest = row
    return DeadLetterRecord(message_id, bool(held), *rest)
