"""One of Cloudflare's own queues over HTTP push, pull and ack: the same `Queue` as the local one.

Several machines may lease from one queue at a time; Cloudflare gives each a batch of its own. What differs from the
local queue, because the API has no way to say it, stands with each method.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Final

import msgspec

from coinswarm import envelope
from coinswarm.cloudflare import CloudflareApi, segment
from coinswarm.envelope import Reply
from coinswarm.errors import (
    CloudflareError,
    HttpPullDisabled,
    InvalidMessage,
    QueueError,
    QueueNotFound,
    QueuePaused,
)
from coinswarm.failpoints import failpoint
from coinswarm.limits import QUEUES
from coinswarm.queue import message_wire, rules
from coinswarm.queue.burial import buried
from coinswarm.queue.polling import Polling
from coinswarm.queue.precedence import once
from coinswarm.queue.sendable import batches, unsendable
from coinswarm.queue.types import (
    ConsumerSettings,
    DeadLetter,
    Departures,
    Message,
    Metrics,
    OutgoingMessage,
    QueueInfo,
    Retry,
    Settled,
    Settlement,
)
from coinswarm.transport.window import WindowLimiter

MESSAGES_PER_SECOND: Final = 5_000
"""Pulled, and as many acked, a queue: https://developers.cloudflare.com/changelog/2025-04-17-pull-consumer-limits/."""
PURGE_POLLS: Final = 60
LIST_HINT: Final = "See what there is: coinswarm queues list --remote"

_log = logging.getLogger(__name__)


class CloudflareQueue:
    """One queue, as `info` describes it; `open_queue` opens its dead-letter queue by name. Threads may share it."""

    def __init__(self, api: CloudflareApi, info: QueueInfo, open_queue: Callable[[str], CloudflareQueue]) -> None:
        self._api, self._info, self._open_queue = api, info, open_queue
        self._path = f"{api.account}/queues/{segment(info.queue_id)}"
        self._pulls = WindowLimiter(MESSAGES_PER_SECOND, 1.0, api.clock)
        self._acks = WindowLimiter(MESSAGES_PER_SECOND, 1.0, api.clock)
        self._leased: dict[str, tuple[Message, float]] = {}
        self._polling = Polling(api.clock)
        self._dead_letter_queue: CloudflareQueue | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"CloudflareQueue({self.name!r})"

    @property
    def name(self) -> str:
        return self._info.name

    @property
    def consumer(self) -> ConsumerSettings | None:
        """The queue's consumer when it was opened."""
        return self._info.consumers[0].settings if self._info.consumers else None

    def send_batch(self, messages: Sequence[OutgoingMessage], *, delay_seconds: int | None = None) -> list[str]:
        """Store 1 to 100 messages of up to 256 KB together, all or none. The API tells no ids: they are empty.

        A batch whose reply was lost is sent again, so a message may then be there twice: delivery is at least once.
        Raises what the local queue raises, and `InvalidMessage` for a `json` body that is not JSON.
        """
        rules.check_messages(messages)
        if delay_seconds is not None:
            rules.check_delay(delay_seconds)
        for index, message in enumerate(messages):
            if (fault := unsendable(message)) is not None:
                raise InvalidMessage(f"message {index} cannot be sent over HTTP: {fault}")
        self._post("/messages/batch", message_wire.push_request(messages, delay_seconds))
        self._polling.wake()
        return [""] * len(messages)

    def lease(self, batch_size: int, *, visibility_timeout_ms: int | None = None) -> list[Message]:
        """Pull. A reply that was lost leaves its messages hidden until their visibility timeout, not gone.

        Before the time that `wait_hint_ms` named it returns nothing and asks nobody.
        """
        rules.check_batch_size(batch_size)
        if visibility_timeout_ms is not None:
            rules.check_visibility(visibility_timeout_ms)
        if self._polling.too_early:
            return []
        body = message_wire.pull_request(batch_size, visibility_timeout_ms)
        result = self._post("/messages/pull", body, limiter=self._pulls, cost=batch_size)
        messages = message_wire.messages_of(result)
        self._polling.pulled(len(messages))
        self._remember(messages, visibility_timeout_ms)
        return messages

    def settle(self, settlement: Settlement) -> Settled:
        """Ack and retry in one request. What the API has no word for is made of these:

        - a dead letter is first sent to the dead-letter queue, wrapped up with its story (`burial`), and then acked: a
          crash in between leaves it twice. If it cannot be sent, it is retried, until Cloudflare moves it, bare;
        - a release is a retry without delay, and Cloudflare counts the delivery.
        """
        for retry in settlement.retries:
            if retry.delay_seconds is not None:
                rules.check_delay(retry.delay_seconds)
        settlement, again = once(settlement)
        moved, kept = self._send_dead_letters(settlement.dead_letters)
        releases = [Retry(lease, 0) for lease in settlement.releases]
        retries = [*settlement.retries, *(Retry(letter.lease_id, None, letter.reason) for letter in kept), *releases]
        acks = [*settlement.acks, *(letter.lease_id for letter in moved)]
        leases = [*acks, *(retry.lease_id for retry in retries)]
        if not leases:
            return Settled()
        body = message_wire.ack_request(acks, retries)
        result = self._post("/messages/ack", body, limiter=self._acks, cost=len(leases))
        if retries:
            self._polling.wake()
        stale = message_wire.stale_leases(result, leases)
        settled = self._settled(settlement, {letter.lease_id for letter in moved}, stale, self._forget(leases))
        return replace(settled, stale=(*settled.stale, *again))

    def transaction(self) -> AbstractContextManager[None]:
        return nullcontext()  # each request is durable by itself

    def wait_hint_ms(self) -> int | None:
        """0 until a pull comes back empty; then, while there is a backlog, one second and up to thirty.

        Whoever asks again earlier gets what is left of it.
        """
        return self._polling.hint_ms(lambda: self.metrics().backlog)

    def metrics(self) -> Metrics:
        """The backlog as Cloudflare estimates it; what waits, is delayed or in flight is not told apart (0)."""
        return message_wire.metrics_of(_dict(self._call("GET", "/metrics").result))

    def departures(self) -> Departures:
        """Zeros: the API does not tell what expired, or what Cloudflare dropped or moved by itself. Asks nobody."""
        return Departures()

    def peek(self, limit: int = 10) -> list[Message]:
        return [message for message, _ in self.peek_with_refs(limit)]

    def peek_with_refs(self, limit: int = 10) -> list[tuple[Message, str]]:
        """As `peek`, each with what `delete` takes. No delivery is counted, and no consumer is needed."""
        rules.check_batch_size(limit)
        result = self._post("/messages/peek", message_wire.pull_request(limit))
        messages = message_wire.messages_of(result)
        return [(m, str(d.get("ref") or "")) for m, d in zip(messages, result["messages"], strict=True)]

    def delete(self, refs: Sequence[str]) -> set[str]:
        """Delete what a peek referred to; the refs of those that are still there, because they are in flight."""
        result = self._post("/messages/purge", msgspec.json.encode({"refs": [{"ref": ref} for ref in refs]}))
        return set(message_wire.stale_leases(result, refs))

    def purge(self, stop: Callable[[], bool] = lambda: False) -> int:
        """Delete what the queue holds and wait until that is done, or `stop`; the count is the backlog before it."""
        backlog = self.metrics().backlog
        self._post("/purge", b'{"delete_messages_permanently":true}')
        for _ in range(PURGE_POLLS):
            status = _dict(self._call("GET", "/purge").result)
            completed = str(status.get("completed", status.get("complete"))).lower()
            if completed not in ("false", "none", "") or stop():
                return backlog
            self._api.clock.sleep(1.0)
        raise QueueError(f"Cloudflare is still purging {self.name}", hint="It goes on by itself; look again later.")

    def _post(self, path: str, body: bytes, *, limiter: WindowLimiter | None = None, cost: int = 1) -> dict[str, Any]:
        return _dict(self._call("POST", path, body=body, limiter=limiter, cost=cost).result)

    def _call(self, method: str, path: str, **how: Any) -> Reply:
        return self._api.call(method, self._path + path, repeatable=True, decode=self._decode, **how)

    def _decode(self, body: bytes, http_status: int) -> Reply:
        try:
            return envelope.decode(body, http_status)
        except CloudflareError as error:
            raise self._meaning(error) from None

    def _meaning(self, error: CloudflareError) -> CloudflareError:
        """The error for what the API says of this queue, by name and with what to do about it."""
        named = error
        if error.http_status == 405:
            named = HttpPullDisabled(f"{self.name} cannot be pulled: {error.message}", hint=self._pull_hint())
        elif isinstance(error, QueuePaused):
            hint = f"Resume it: coinswarm queues resume-delivery {self.name} --remote"
            named = QueuePaused(f"delivery from {self.name} is paused (queue_delivery_paused)", hint=hint)
        elif isinstance(error, QueueNotFound):
            named = QueueNotFound(f"the queue {self.name} is gone: {error.message}", hint=LIST_HINT)
        elif isinstance(error, QueueError) and error.http_status == 429:
            named = type(error)(f"{self.name}: {error.message}")
        named.code, named.http_status = error.code, error.http_status
        return named

    def _pull_hint(self) -> str:
        letters = self.consumer.dead_letter_queue if self.consumer else None
        kept = f" --dead-letter-queue {letters}" if letters else ""
        add = f"coinswarm queues consumer http add {self.name}{kept} --remote"
        if self.consumer is None or self.consumer.type == "http_pull":
            return f"Give it an http_pull consumer (it takes a few seconds to work): {add}"
        script = self.consumer.script_name or ""
        remove = f"coinswarm queues consumer remove {self.name} {script} --remote"
        return f"A queue has one consumer, and this one's is the Worker {script}. To pull instead: {remove} && {add}"

    def _remember(self, messages: Sequence[Message], visibility_timeout_ms: int | None) -> None:
        """Keep what a dead letter needs until it is settled, or until the lease has long run out."""
        now = self._api.clock.monotonic()
        until = now + 2 * (visibility_timeout_ms or QUEUES.visibility_timeout_ms) / 1000
        with self._lock:
            self._leased = {lease: kept for lease, kept in self._leased.items() if kept[1] > now}
            self._leased |= {message.lease_id: (message, until) for message in messages}

    def _forget(self, leases: Iterable[str]) -> dict[str, Message]:
        with self._lock:
            found = {lease: self._leased.pop(lease, None) for lease in leases}
        return {lease: kept[0] for lease, kept in found.items() if kept is not None}

    def _send_dead_letters(self, letters: Sequence[DeadLetter]) -> tuple[list[DeadLetter], list[DeadLetter]]:
        """Those now in the dead-letter queue, and those that could not be sent there."""
        moved: list[DeadLetter] = []
        kept: list[DeadLetter] = []
        sendable: list[tuple[DeadLetter, OutgoingMessage]] = []
        for letter in letters:
            with self._lock:
                found = self._leased.get(letter.lease_id)
            message = buried(found[0], self.name, letter.reason, self._api.clock.now_ms()) if found else None
            _log.warning("%s: message %s: %s", self.name, found[0].id if found else letter.lease_id, letter.reason)
            if message is None:
                kept.append(letter)
            else:
                sendable.append((letter, message))
        target = self.consumer.dead_letter_queue if self.consumer else None
        for part in batches(sendable):
            chosen = [letter for letter, _ in part]
            (moved if self._send_to(target, [message for _, message in part]) else kept).extend(chosen)
        return moved, kept

    def _send_to(self, target: str | None, messages: Sequence[OutgoingMessage]) -> bool:
        if target is None:
            _log.warning("%s has no dead-letter queue: Cloudflare deletes messages that keep failing", self.name)
            return False
        try:
            if self._dead_letter_queue is None:
                self._dead_letter_queue = self._open_queue(target)
            self._dead_letter_queue.send_batch(messages)
            failpoint("queue.dead_letters_sent")
        except CloudflareError as error:
            _log.warning("the dead-letter queue %s takes nothing now: %s", target, error.message)
            return False
        return True

    def _settled(
        self, settlement: Settlement, moved: set[str], stale: tuple[str, ...], messages: dict[str, Message]
    ) -> Settled:
        """What became of each message. One that failed its last delivery is moved or deleted by Cloudflare."""
        consumer = self.consumer or ConsumerSettings(type="http_pull")
        passed_over = set(stale)

        def is_last(lease: str) -> bool:
            return lease in messages and messages[lease].attempts > consumer.max_retries

        again = [r.lease_id for r in settlement.retries]
        again += [d.lease_id for d in settlement.dead_letters if d.lease_id not in moved]
        again = [lease for lease in again if lease not in passed_over]
        released = [lease for lease in settlement.releases if lease not in passed_over]
        last = sum(map(is_last, again)) + sum(map(is_last, released))
        return Settled(
            acked=sum(lease not in passed_over for lease in settlement.acks),
            retried=sum(not is_last(lease) for lease in again),
            dead_lettered=len(moved) + (last if consumer.dead_letter_queue else 0),
            dropped=0 if consumer.dead_letter_queue else last,
            released=sum(not is_last(lease) for lease in released),
            stale=stale,
        )


def _dict(result: Any) -> dict[str, Any]:
    return result if isinstance(result, dict) else {}
