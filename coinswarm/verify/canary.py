"""V15, V16: a marked candle goes the whole way into the table, comes again with other values, and leaves no trace.

Where coinswarm is the consumer (here, or pulling from Cloudflare) the canary has a queue of its own with the settings
of yours, and goes through the very consumer into your table: your messages stay where they are. Where a deployed Worker
is the consumer, only that can show that it works: the canary goes into its queue and is waited for.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from coinswarm.candles import COLUMNS, Candle
from coinswarm.consumer.report import ConsumeReport
from coinswarm.consumer.worker import worker_for
from coinswarm.d1.schema import TABLE
from coinswarm.d1.types import Database, SqlValue, Statement
from coinswarm.errors import CoinswarmError, DatabaseError, HttpPullDisabled, QueueNotFound, StorageError
from coinswarm.payload import pack
from coinswarm.queue.types import ConsumerSettings, OutgoingMessage, Queue, QueueStore
from coinswarm.verify import proof
from coinswarm.verify.check import Outcome, failed, passed, warned
from coinswarm.verify.ledger import MARK_SOURCE
from coinswarm.verify.subject import Subject
from coinswarm.verify.traces import QUEUE, SYMBOL, swept

WAIT_SECONDS: Final = 90
"""For a deployed Worker, which may wait a minute for its batch to fill."""
_MINUTE: Final = 60
_LOOK_SECONDS: Final = 0.5


class CanaryLost(CoinswarmError):
    """The canary did not arrive in the table."""


class CanaryUnwelcome(CoinswarmError):
    """The canary would not go without a trace."""

    default_hint = "Drop those triggers, or let them write into another table."


@dataclass(frozen=True, slots=True)
class Flight:
    """What became of the canary."""

    arrived: bool
    """As it was sent, in every column."""
    unchanged: bool
    """After it came again with other values."""
    cleaned: bool
    proof: proof.Proof
    through: str
    left: str | None
    """What another canary has there, which may be in flight."""


def arrives(subject: Subject) -> Outcome:
    flight = subject.once("canary", lambda: fly(subject))
    if not flight.arrived:
        hint = f"Look at the triggers and column types of {TABLE}: coinswarm d1 export{subject.flag} --output -"
        return failed(f"the canary arrived in {TABLE} with other values than it was sent with", hint)
    return passed(f"Consumer writes to {TABLE} (a canary came through {flight.through})", through=flight.through)


def first_write_wins(subject: Subject) -> Outcome:
    flight = subject.once("canary", lambda: fly(subject))
    if not flight.unchanged:
        hint = f"The consumer has to insert with ON CONFLICT … DO NOTHING, and {TABLE} to have no trigger that updates."
        return failed("the same candle with other values has changed the row that was there", hint)
    if not flight.cleaned:
        return failed(f"the canary could not be taken out of {TABLE} again", _how_to_clean(subject))
    if flight.proof.fault is not None:
        hint = f"Look at the triggers of {TABLE} and at what else writes to it; only the canary was sent."
        return failed(flight.proof.fault, hint, **flight.proof.evidence)
    if flight.proof.aside is not None:
        hint = f"Triggers of {TABLE} do so; see that it is what they are meant for."
        return warned(flight.proof.aside, hint, **flight.proof.evidence)
    if flight.left is not None:
        hint = (
            f"If no other verify is under way, one was killed: what it left goes when it is an hour old, or now. "
            f"{_how_to_clean(subject)}"
        )
        return warned(f"another canary is there: {flight.left}", hint, **flight.proof.evidence)
    return passed(f"Existing data is protected: {flight.proof.told}", **flight.proof.evidence)


def _how_to_clean(subject: Subject) -> str:
    delete = f"DELETE FROM {TABLE} WHERE source = '{MARK_SOURCE}'"
    return f'Take it away: coinswarm d1 execute{subject.flag} --command "{delete}"'


def fly(subject: Subject) -> Flight:
    """Send, replay, look, clean up. Raises what kept the canary from arriving; it is taken away all the same."""
    mark = secrets.token_hex(4)
    now = subject.clock.now_ms() // 1000
    opens = now - now % _MINUTE - 3 * _MINUTE
    first = Candle(SYMBOL + mark, opens, "1m", 2.0, 4.0, 1.0, 3.0, 5.0, 15.0, MARK_SOURCE)
    altered = msgspec.structs.replace(first, open=3.0, high=8.0, close=6.0, volume_from=7.0)
    second = msgspec.structs.replace(first, timestamp=opens + _MINUTE)
    with ExitStack() as opened:
        database = proof.Counting(opened.enter_context(subject.database()))
        left = opened.enter_context(swept(subject, database))
        if triggers := proof.adding_triggers(database, first, second):
            raise CanaryUnwelcome(
                f"triggers of {TABLE} ({', '.join(triggers)}) put rows of their own into it, which would stay there: "
                "no canary was sent"
            )
        route = opened.enter_context(_route(subject, database, mark))
        with tempfile.TemporaryFile() as file:
            before = proof.begin(subject, database, file)
            database.reset()
            try:
                route.deliver([first], first)
                arrived = _row(database, first) == _plain(first)
                route.deliver([altered, second], second)  # one message: where the second is, the first has been read
                unchanged = not arrived or _row(database, first) == _plain(first)
            finally:
                cleaned = _clean(database, mark)
            proved = proof.end(subject, database, before, inserted=2, by_us=route.by_us)
    return Flight(arrived, unchanged, cleaned, proved, route.name, left)


@dataclass(frozen=True, slots=True)
class _Route:
    """A way through the queue: `deliver` returns when its last argument is in the table, or raises."""

    name: str
    deliver: Callable[[Sequence[Candle], Candle], None]
    by_us: bool
    """Whether every statement about the canary is ours, so that D1's count of changes can be held against it."""


@contextmanager
def _route(subject: Subject, database: Database, mark: str) -> Iterator[_Route]:
    with subject.queues() as store:
        info = store.info(subject.stack.queue())
        recorded = info.consumers[0].settings if info.consumers else None
        if subject.remote and recorded is not None and recorded.type == "worker":
            queue, waiting = store.open(info.name), f"the Worker {recorded.script_name or ''}".rstrip()
            yield _Route(waiting, lambda sent, last: _await(subject, queue, database, sent, last, waiting), False)
            return
        declared = subject.stack.consumer()
        settings = declared.settings if declared is not None and not subject.remote else recorded or ConsumerSettings()
        with _own_queue(store, QUEUE + mark, settings) as queue:
            yield _Route("the consumer", lambda sent, _last: _consume(subject, queue, database, sent), True)


@contextmanager
def _own_queue(store: QueueStore, name: str, settings: ConsumerSettings) -> Iterator[Queue]:
    """A queue for the canary alone, gone afterwards. What it gives up on does not get among your dead letters."""
    store.create(name)
    try:
        store.add_consumer(name, replace(settings, dead_letter_queue=None))
        yield store.open(name)
    finally:
        with suppress(QueueNotFound):  # somebody was quicker: it is gone, as it should be
            store.delete(name)


def _consume(subject: Subject, queue: Queue, database: Database, sent: Sequence[Candle]) -> None:
    _send(queue, sent)
    worker = worker_for(subject.stack.consumer(), queue, database, subject.clock)
    report = _drain(subject, worker.drain)
    if report.acked < 1:
        why = "; ".join(report.reasons) or ("time was up" if subject.stop.is_set() else "it did not acknowledge it")
        raise CanaryLost(f"the consumer did not store the canary: {why}", hint="See: coinswarm consume --json")


def _drain(subject: Subject, drain: Callable[..., ConsumeReport]) -> ConsumeReport:
    """A pull consumer takes some seconds until it works.

    https://developers.cloudflare.com/queues/configuration/pull-consumers/
    """
    until = subject.clock.monotonic() + WAIT_SECONDS
    while True:
        try:
            return drain(stop=subject.stop.is_set)
        except HttpPullDisabled:
            if subject.stop.is_set() or subject.clock.monotonic() > until:
                raise
            subject.clock.sleep(_LOOK_SECONDS)


def _await(subject: Subject, queue: Queue, database: Database, sent: Sequence[Candle], last: Candle, who: str) -> None:
    _send(queue, sent)
    until = subject.clock.monotonic() + WAIT_SECONDS
    while _row(database, last) is None:
        if subject.stop.is_set() or subject.clock.monotonic() > until:
            hint = (
                f"Look at its log: wrangler tail. The message is in {queue.name}; what it stores is taken away later."
            )
            raise CanaryLost(f"{who} did not store the canary within {WAIT_SECONDS} s", hint=hint)
        subject.clock.sleep(_LOOK_SECONDS)


def _send(queue: Queue, candles: Sequence[Candle]) -> None:
    queue.send_batch([OutgoingMessage(body) for body, _ in pack(candles)])


def _plain(candle: Candle) -> tuple[SqlValue, ...]:
    return msgspec.structs.astuple(candle)


def _row(database: Database, candle: Candle) -> tuple[SqlValue, ...] | None:
    sql = (
        f"SELECT {', '.join(COLUMNS)} FROM {TABLE} "
        "WHERE symbol = ?1 AND timeframe = ?2 AND source = ?3 AND timestamp = ?4"
    )
    rows = database.execute(sql, (candle.symbol, candle.timeframe, candle.source, candle.timestamp))[0].rows
    return rows[0] if rows else None


def _clean(database: Database, mark: str) -> bool:
    """Take the canary's rows out; whether none is left, as far as can be seen."""
    where = "WHERE symbol = ?1 AND timeframe = '1m' AND source = ?2"
    params = (SYMBOL + mark, MARK_SOURCE)
    delete = Statement(f"DELETE FROM {TABLE} {where}", params)
    try:
        return database.batch([delete, Statement(f"SELECT count(*) FROM {TABLE} {where}", params)])[1].rows == [(0,)]
    except (DatabaseError, StorageError):
        return False
