"""Reading dead letters, giving them another chance, and giving them up.

Cloudflare has nothing like it: there, one writes a consumer for the dead-letter queue. Locally a dead letter knows
where it came from and why, and one command sends it back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from coinswarm.clock import Clock
from coinswarm.errors import DeadLetterNotFound
from coinswarm.failpoints import failpoint
from coinswarm.queue import registry, rules, usage
from coinswarm.queue.failures import SQL
from coinswarm.queue.file import QueueFile
from coinswarm.queue.letters import ALL, Cause, DeadLetterRecord, Purged, Redriven, Selection
from coinswarm.queue.messages import SQL as MESSAGES
from coinswarm.queue.messages import delete_bodies, number_in, runs
from coinswarm.queue.types import OutgoingMessage

__all__ = ["Cause", "DeadLetterRecord", "DeadLetters", "Purged", "Redriven", "Selection"]

STEP: Final = 100
"""Messages redriven or deleted in one transaction."""


class _Idle(NamedTuple):
    """A dead letter that nobody is reading."""

    seq: int
    queue: int
    source: str
    record: DeadLetterRecord

    @property
    def bytes(self) -> int:
        return self.record.size_bytes


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
        self, selection: Selection = ALL, *, limit: int = 100, after: str | None = None, bodies: bool = False
    ) -> list[DeadLetterRecord]:
        """In the order they were sent. `after` is the id the last page ended with; without `bodies` they are None."""
        found: list[DeadLetterRecord] = []
        position = 0 if after is None else number_in(after) or 0
        parameters = selection.parameters() | {"limit": limit}
        parameters["with_body"] |= bodies
        while True:
            with self._file.reading():
                rows = self._file.execute(SQL["list"], self._place() | parameters | {"after": position}).fetchall()
            records = [_record(row) for row in rows]
            found += filter(selection.matches, records) if selection.matches else records
            if len(records) < limit or len(found) >= limit:
                return found[:limit]
            position = number_in(records[-1].id) or 0

    def show(self, message_id: str) -> DeadLetterRecord:
        """One of them, with its body. Raises `DeadLetterNotFound`."""
        with self._file.reading():
            wanted = {"seq": number_in(message_id), "id": message_id}
            row = self._file.execute(SQL["show"], self._place() | wanted).fetchone()
        if row is None:
            raise self._not_found(message_id)
        return _record(row)

    def _not_found(self, message_id: str) -> DeadLetterNotFound:
        return DeadLetterNotFound(
            f"queue {self._name} has no dead letter {message_id}",
            hint=f"See which there are: coinswarm queues dlq list {self._name}",
        )

    def redrive(
        self,
        message_ids: Sequence[str] | None = None,
        *,
        selection: Selection = ALL,
        to: str | None = None,
        rate: int | None = None,
        dry_run: bool = False,
        stop: Callable[[], bool] = lambda: False,
        progress: Callable[[int], None] | None = None,
    ) -> Redriven:
        """Send those selected, or those of them named, back to the queues they came from (or `to` another).

        They go as if delivered never before. In steps of up to 100, each one transaction: interrupted, it is continued
        by calling it again. What the source's consumer dead-letters anew meanwhile is not taken twice. `rate`: most
        messages a second. `progress` is called with the count so far, `stop` is asked between the steps.
        """
        done = Redriven()

        def send_back(letters: Sequence[_Idle]) -> None:
            done.count += self._send_back(letters, done.orphans, to, dry_run)
            if progress is not None:
                progress(done.count)

        def pace(letters: int) -> bool:
            if rate is not None and letters and not dry_run:
                self._clock.sleep(letters / rate)
            done.interrupted = stop()
            return done.interrupted

        step = STEP if rate is None else max(1, min(STEP, rate))
        self._step_by_step(message_ids, selection, done.missing, send_back, step=step, dry_run=dry_run, between=pace)
        return done

    def purge(
        self,
        message_ids: Sequence[str] | None = None,
        *,
        selection: Selection = ALL,
        dry_run: bool = False,
        archive: Callable[[Sequence[DeadLetterRecord]], None] | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Purged:
        """Delete those selected, or those of them named, in steps as `redrive`. What a consumer is reading stays.

        `archive` is given what is about to be deleted, with bodies; when it raises, those stay.
        """
        done = Purged()

        def remove(letters: Sequence[_Idle]) -> None:
            done.count += len(letters)
            if dry_run or not letters:
                return
            if archive is not None:
                archive([letter.record for letter in letters])
            gone = runs(sorted(letter.seq for letter in letters))
            for run in gone:
                self._file.execute(MESSAGES["delete_run"], run)
            delete_bodies(self._file, gone)
            self._take_out(letters, billed_reads=False)

        def stopped(_letters: int) -> bool:
            done.interrupted = stop()
            return done.interrupted

        bodies = archive is not None
        self._step_by_step(
            message_ids, selection, done.missing, remove, dry_run=dry_run, bodies=bodies, between=stopped
        )
        return done

    def resend(self, message_id: str, message: OutgoingMessage) -> str:
        """Redrive one with another body, in the transaction that replaces it; the queue it went to.

        Id, origin and the time it was sent stay. Raises `DeadLetterNotFound`, also while a consumer reads it,
        `QueueNotFound` when its source is gone, `MessageTooLarge`, `InvalidMessage`.
        """
        (size,) = rules.check_messages([message])
        with self._file.operation():
            found = self._idle_one(message_id, ALL, bodies=False)
            if found is None:
                raise self._not_found(message_id)
            registry.number_of(self._file, found.source)
            self._send_back([found], {}, None, dry_run=False)
            changed = {"seq": found.seq, "body": message.body, "content_type": message.content_type, "bytes": size}
            self._file.execute(SQL["rewrite"], changed)
            self._file.execute(SQL["resize"], changed)
            registry.adjust(self._file, registry.number_of(self._file, found.source), 0, size - found.bytes)
        return found.source

    def _step_by_step(
        self,
        message_ids: Sequence[str] | None,
        selection: Selection,
        missing: list[str],
        act: Callable[[Sequence[_Idle]], None],
        *,
        step: int = STEP,
        dry_run: bool = False,
        bodies: bool = False,
        between: Callable[[int], bool] = lambda _letters: False,
    ) -> None:
        """Call `act` with dead letters that nobody reads, up to `step` in one transaction, until `between` says so."""
        transaction = self._file.reading if dry_run else self._file.operation
        if message_ids is not None:
            wanted = list(dict.fromkeys(message_ids))
            for start in range(0, len(wanted), step):
                with transaction():
                    named = [(name, self._idle_one(name, selection, bodies)) for name in wanted[start : start + step]]
                    missing += [name for name, letter in named if letter is None]
                    letters = [letter for _, letter in named if letter is not None]
                    act(letters)
                if start + step < len(wanted) and between(len(letters)):
                    return
            return
        with self._file.reading():
            (last,) = self._file.execute(MESSAGES["last_number"]).fetchone()
        first = 1
        while True:
            with transaction():
                seen, letters = self._idle(first, last, selection, bodies, step)
                act(letters)
            if len(seen) < step or between(len(letters)):
                return
            first = seen[-1] + 1

    def _idle(
        self, first: int, last: int, selection: Selection, bodies: bool, step: int = STEP
    ) -> tuple[list[int], list[_Idle]]:
        """The numbers looked at, and the letters of them that are selected."""
        span = {"first": first, "last": last, "now": self._clock.now_ms(), "step": step}
        parameters = selection.parameters()
        parameters["with_body"] |= bodies
        rows = self._file.execute(SQL["idle"], self._place() | span | parameters).fetchall()
        found = [_Idle(seq, queue, source, _record(tuple(rest))) for seq, queue, source, *rest in rows]
        matches = selection.matches
        chosen = [letter for letter in found if matches is None or matches(letter.record)]
        return [letter.seq for letter in found], chosen

    def _idle_one(self, message_id: str, selection: Selection, bodies: bool) -> _Idle | None:
        number = number_in(message_id)
        _, found = ([], []) if number is None else self._idle(number, number, selection, bodies)
        return found[0] if found and found[0].record.id == message_id else None

    def _send_back(self, letters: Sequence[_Idle], orphans: dict[str, int], to: str | None, dry_run: bool) -> int:
        now = self._clock.now_ms()
        sent = 0
        for source, group in _by_source(letters).items():
            target = registry.number_or_none(self._file, source) if to is None else registry.number_of(self._file, to)
            if target is None:
                orphans[source] = orphans.get(source, 0) + len(group)
                continue
            sent += len(group)
            if dry_run:
                continue
            for letter in group:
                self._file.execute(SQL["move"], {"queue": target, "now": now, "seq": letter.seq})
                self._file.execute(SQL["redriven"], (letter.seq,))
                self._file.execute(MESSAGES["delete_failures"], (letter.seq, letter.seq))
            sizes = [letter.bytes for letter in group]
            registry.adjust(self._file, target, len(sizes), sum(sizes))
            usage.record(
                self._file, to or source, now, writes=usage.billed([x.bytes for x in group if x.queue == self._number])
            )
            self._take_out(group, billed_reads=True)
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
