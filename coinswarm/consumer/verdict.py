"""What becomes of the messages of a batch once storing its rows has succeeded or failed. Pure.

Poison goes to the dead-letter queue at once, without taking sound rows along; what may pass comes back after a while;
a fault of the whole set-up gives the messages back as if they had never been read; and what nobody foresaw is tried
again, for a message is only ever acknowledged when its rows are stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from coinswarm.consumer.report import ConsumeReport
from coinswarm.consumer.rows import Contents, holders, key_of
from coinswarm.consumer.store import Stored
from coinswarm.errors import CoinswarmError
from coinswarm.limits import QUEUES
from coinswarm.queue.types import DeadLetter, Message, Retry, Settled, Settlement

LONGEST_BACK_OFF_SECONDS: Final = 60
REASON_CHARACTERS: Final = 1_000


@dataclass(frozen=True, slots=True)
class BackOff:
    """How long a message waits before its next delivery: 1 s, 2 s, 4 s … up to a minute, spread by chance."""

    jitter: Callable[[], float]
    """0 to 1; the wait is between half and the whole."""
    least_seconds: int = 0

    def delay_seconds(self, attempts: int) -> int:
        wait: float = min(LONGEST_BACK_OFF_SECONDS, 2 ** (attempts - 1)) * (1 + self.jitter()) / 2
        return min(QUEUES.delay_seconds, math.ceil(max(wait, self.least_seconds)))


@dataclass(slots=True)
class Verdict:
    """How to settle a batch, and what it adds to the report once it is settled."""

    settlement: Settlement
    contents: Contents
    stored: Stored | None = None
    rejected: int = 0
    retry_reason: str = ""

    def add_to(self, report: ConsumeReport, settled: Settled) -> None:
        report.acked += settled.acked
        report.retried += settled.retried
        report.dead_lettered += settled.dead_lettered
        report.dropped += settled.dropped
        report.released += settled.released
        report.stale += len(settled.stale)
        for letter in self.settlement.dead_letters:
            report.add_reason(letter.reason)
        given_up = settled.dead_lettered + settled.dropped - len(self.settlement.dead_letters)
        if given_up > 0:
            report.add_reason(self.retry_reason, given_up, dropped=settled.dropped > 0)
        report.rows.rejected += self.rejected
        if self.stored is None:
            report.rows.received += self.rejected
            return
        report.rows.received += self.contents.received
        report.rows.inserted += self.stored.inserted
        report.rows.duplicate += self.stored.duplicate + self.contents.duplicate
        report.rows_written += self.stored.rows_written
        report.add_conflicts(self.contents.conflicts)
        report.add_conflicts(self.stored.conflicts)


def stored(messages: list[Message], contents: Contents, outcome: Stored) -> Verdict:
    """All rows are in the table, save those that no table takes: ack, and dead-letter what holds the latter."""
    reasons = {lease: faulty.reason for lease, faulty in contents.faulty.items()}
    if outcome.refused:
        refused = {key_of(row): said for row, said in outcome.refused}
        for lease, said in holders(messages, refused).items():
            reasons[lease] = "; ".join(filter(None, (reasons.get(lease), f"D1 refused a row: {said}")))
    acks = [message.lease_id for message in messages if message.lease_id not in reasons]
    letters = [DeadLetter(lease, _short(reason)) for lease, reason in reasons.items()]
    rejected = sum(faulty.rejected for faulty in contents.faulty.values()) + len(outcome.refused)
    return Verdict(Settlement(acks=acks, dead_letters=letters), contents, outcome, rejected)


def failed(messages: list[Message], contents: Contents, error: BaseException, back_off: BackOff) -> Verdict:
    """Nothing is known to be stored: give back what the set-up or the user ended, try the rest again later."""
    if not isinstance(error, Exception) or (isinstance(error, CoinswarmError) and not error.retryable):
        return Verdict(Settlement(releases=[message.lease_id for message in messages]), contents)
    reason = _short(error.message if isinstance(error, CoinswarmError) else f"{type(error).__name__}: {error}")
    hopeless = {lease: faulty for lease, faulty in contents.faulty.items() if not faulty.sound}
    retries = [
        Retry(message.lease_id, back_off.delay_seconds(message.attempts), reason)
        for message in messages
        if message.lease_id not in hopeless
    ]
    letters = [DeadLetter(lease, _short(faulty.reason)) for lease, faulty in hopeless.items()]
    rejected = sum(faulty.rejected for faulty in hopeless.values())
    return Verdict(Settlement(retries=retries, dead_letters=letters), contents, None, rejected, reason)


def unread(messages: list[Message]) -> Verdict:
    """Nobody began to store them: give them back."""
    return Verdict(Settlement(releases=[message.lease_id for message in messages]), Contents())


def _short(reason: str) -> str:
    return reason if len(reason) <= REASON_CHARACTERS else reason[: REASON_CHARACTERS - 1] + "…"
