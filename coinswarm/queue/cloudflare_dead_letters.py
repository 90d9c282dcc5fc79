"""The dead letters in a queue on Cloudflare: look, send back, delete.

A dead-letter queue is an ordinary queue there. It is looked at with `peek` and emptied by the references a peek gives,
not pulled: a pull counts as a delivery, and what was looked at too often Cloudflare would delete. A peek shows the
first 100 messages and cannot go further; what lies behind them comes forward as those leave.
https://developers.cloudflare.com/api/resources/queues/subresources/messages/
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Final, NamedTuple

from coinswarm.clock import Clock
from coinswarm.errors import CloudflareError, DeadLetterNotFound, QueueError, QueueNotFound
from coinswarm.limits import QUEUES
from coinswarm.queue.burial import exhumed
from coinswarm.queue.cloudflare import CloudflareQueueStore
from coinswarm.queue.cloudflare_queue import CloudflareQueue
from coinswarm.queue.letters import ALL, Cause, DeadLetterRecord, Purged, Redriven, Selection
from coinswarm.queue.sendable import batches, unsendable
from coinswarm.queue.types import OutgoingMessage

UNKNOWN: Final = "(not known)"


class _Found(NamedTuple):
    record: DeadLetterRecord
    ref: str


class CloudflareDeadLetters:
    """Dead letters on Cloudflare; the methods are those of the local `DeadLetters`.

    A message sent back is a new one for Cloudflare, sent now. `unfit` says why one must not be sent so, None if it may.
    """

    def __init__(
        self,
        store: CloudflareQueueStore,
        name: str,
        clock: Clock,
        unfit: Callable[[DeadLetterRecord], str | None] = lambda _record: None,
    ) -> None:
        self._store, self._clock, self._unfit = store, clock, unfit
        self._queue: CloudflareQueue = store.open(name)

    def count(self) -> int:
        """The queue's backlog, as Cloudflare estimates it."""
        return self._queue.metrics().backlog

    def causes(self) -> list[Cause]:
        """How many there are by source and reason, of those that Cloudflare shows; most frequent first."""
        groups: dict[tuple[str, str], list[int]] = {}
        for record, _ in self._window():
            key = record.source or UNKNOWN, record.reason or UNKNOWN
            groups.setdefault(key, []).append(record.dead_lettered_ms)
        causes = [Cause(*key, len(times), min(times), max(times)) for key, times in groups.items()]
        return sorted(causes, key=lambda cause: -cause.count)

    def records(
        self,
        selection: Selection = ALL,
        *,
        limit: int = 100,
        after: str | None = None,
        bodies: bool = True,  # noqa: ARG002 - they come in any case
    ) -> list[DeadLetterRecord]:
        """Of the first 100 messages those that are selected, with bodies."""
        found = [record for record, _ in self._window()]
        ids = [record.id for record in found]
        if after in ids:
            found = found[ids.index(after) + 1 :]
        return list(filter(selection.takes, found))[:limit]

    def show(self, message_id: str) -> DeadLetterRecord:
        """Raises `DeadLetterNotFound`, also for one behind the first 100."""
        return self._one(message_id).record

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
        """Send to the source, and only then delete here: what fails in between is in both queues, never in none."""
        done = Redriven()
        targets: dict[str, CloudflareQueue | None] = {}

        def send_back(found: Sequence[_Found]) -> int:
            removed = 0
            for source, group in _by_source(found, to).items():
                target = self._target(targets, source, to)
                fit = self._fit(group, target, source, done)
                for part in batches(fit):
                    if not dry_run and target is not None:
                        self._move([one for one, _ in part], [message for _, message in part], target, done)
                    removed += len(part)
                    done.count += len(part)
            if progress is not None:
                progress(done.count)
            if rate is not None and removed and not dry_run:
                self._clock.sleep(removed / rate)
            done.interrupted = stop()
            return removed

        step = QUEUES.batch_messages if rate is None else max(1, min(QUEUES.batch_messages, rate))
        done.missing, done.hidden = self._walk(
            message_ids, selection, send_back, step, once=dry_run, interrupted=lambda: done.interrupted
        )
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
        """Delete those selected, or those of them named. `archive` is given them before."""
        done = Purged()

        def remove(found: Sequence[_Found]) -> int:
            if archive is not None and not dry_run:
                archive([one.record for one in found])
            kept = set() if dry_run else self._queue.delete([one.ref for one in found])
            done.count += len(found) - len(kept)
            done.interrupted = stop()
            return len(found) - len(kept)

        done.missing, _ = self._walk(
            message_ids, selection, remove, QUEUES.batch_messages, once=dry_run, interrupted=lambda: done.interrupted
        )
        return done

    def resend(self, message_id: str, message: OutgoingMessage) -> str:
        """Send one with another body to its source, then delete it here; the queue it went to.

        Raises `DeadLetterNotFound`, `QueueNotFound`, and `QueueError` for what must not be sent as if it were new.
        """
        found = self._one(message_id)
        if (why := self._unfit(found.record)) is not None:
            raise QueueError(f"{message_id} {why}; nothing was sent")
        if found.record.source is None:
            raise QueueNotFound(f"Cloudflare does not tell which queue {message_id} came from")
        done = Redriven()
        self._move([found], [message], self._store.open(found.record.source), done)
        if done.doubled:
            raise QueueError(
                f"{message_id} was sent corrected to {found.record.source}, but is still a dead letter: it is in flight"
            )
        return found.record.source

    def _move(
        self, found: Sequence[_Found], messages: Sequence[OutgoingMessage], target: CloudflareQueue, done: Redriven
    ) -> None:
        target.send_batch(messages)
        try:
            kept = self._queue.delete([one.ref for one in found])
        except CloudflareError as error:
            error.hint = (
                f"{len(found)} messages were sent back and are still here, too. Redrive again: rows are stored once."
            )
            raise
        done.doubled += [one.record.id for one in found if one.ref in kept]

    def _fit(
        self, group: Sequence[_Found], target: CloudflareQueue | None, source: str, done: Redriven
    ) -> list[tuple[_Found, OutgoingMessage]]:
        """Those that may go, as messages; the others are counted."""
        fit: list[tuple[_Found, OutgoingMessage]] = []
        for one in group:
            message = OutgoingMessage(one.record.body or b"", one.record.content_type)
            why = self._unfit(one.record) or unsendable(message)
            if target is None:
                done.orphans[source] = done.orphans.get(source, 0) + 1
            elif why is not None:
                done.kept[why] = done.kept.get(why, 0) + 1
            else:
                fit.append((one, message))
        return fit

    def _target(
        self, targets: dict[str, CloudflareQueue | None], source: str, to: str | None
    ) -> CloudflareQueue | None:
        if source not in targets:
            try:
                targets[source] = self._store.open(source)
            except QueueNotFound:
                if to is not None:
                    raise
                targets[source] = None
        return targets[source]

    def _walk(
        self,
        message_ids: Sequence[str] | None,
        selection: Selection,
        act: Callable[[Sequence[_Found]], int],
        step: int,
        *,
        once: bool,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> tuple[list[str], int]:
        """Call `act` with what is selected, up to `step` at a time, as long as that makes others visible (or `once`).

        Returns the ids that were not found (none when it was stopped), and how many messages nobody could look at.
        """
        seen: set[str] = set()
        wanted = None if message_ids is None else set(message_ids)
        while True:
            window = self._window()
            fresh = [one for one in window if one.record.id not in seen and selection.takes(one.record)]
            if wanted is not None:
                fresh = [one for one in fresh if one.record.id in wanted]
                wanted -= {one.record.id for one in fresh}
            seen |= {one.record.id for one in window}
            removed = 0
            for start in range(0, len(fresh), step):
                removed += act(fresh[start : start + step])
                if interrupted():
                    break
            if once or interrupted() or not removed:
                break
        hidden = max(0, self.count() - len(window)) if len(window) == QUEUES.batch_messages else 0
        if interrupted():
            return [], hidden
        return [name for name in dict.fromkeys(message_ids or ()) if wanted and name in wanted], hidden

    def _window(self) -> list[_Found]:
        found = self._queue.peek_with_refs(QUEUES.batch_messages)
        return [_Found(exhumed(message, self._source), ref) for message, ref in found]

    @cached_property
    def _source(self) -> str | None:
        """The queue that dead-letters into this one, if it is one only."""
        sources = [
            info.name
            for info in self._store.queues()
            if any(consumer.settings.dead_letter_queue == self._queue.name for consumer in info.consumers)
        ]
        return sources[0] if len(sources) == 1 else None

    def _one(self, message_id: str) -> _Found:
        window = self._window()
        for one in window:
            if one.record.id == message_id:
                return one
        behind = f" among the first {len(window)}, which is as far as Cloudflare lets us look"
        raise DeadLetterNotFound(
            f"queue {self._queue.name} has no dead letter {message_id}"
            + (behind if len(window) == QUEUES.batch_messages else ""),
            hint=f"See which there are: coinswarm queues dlq list {self._queue.name} --remote",
        )


def _by_source(found: Sequence[_Found], to: str | None) -> dict[str, list[_Found]]:
    groups: dict[str, list[_Found]] = {}
    for one in found:
        groups.setdefault(to or one.record.source or UNKNOWN, []).append(one)
    return groups
