"""The one account of the local Cloudflare: its databases, its queues and what belongs to them."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from coinswarm.clock import Clock
from coinswarm.d1.catalogue import Catalogue
from coinswarm.d1.snapshots import WINDOW_DAYS, Snapshots
from coinswarm.d1.time_travel import TimeTravel
from coinswarm.errors import DatabaseUnavailable, QueueNotFound
from coinswarm.queue.types import ConsumerInfo, ConsumerSettings, Queue, QueueInfo, QueueStore
from coinswarm.queue.usage import Usage as QueueUsage
from coinswarm.server.jobs import Job, Jobs
from coinswarm.server.schedules import Schedules
from coinswarm.server.transfers import Transfers
from coinswarm.server.usage import Usage

LOCAL_ACCOUNT_ID: Final = "c01c5aa4c01c5aa4c01c5aa4c01c5aa4"
"""The account's id where none is configured: of Cloudflare's form, and nobody's."""


def state_folder(persist_to: Path) -> Path:
    """Where coinswarm keeps its own state beside wrangler's."""
    return persist_to / "v3" / "coinswarm"


class AccountQueues(QueueStore, Protocol):
    """The queues of an account, and what only whoever keeps them can do."""

    def usage(self) -> list[QueueUsage]:
        """What Cloudflare would have billed, by day and queue."""
        ...

    def put_consumer(self, name: str, consumer_id: str, consumer: ConsumerSettings) -> ConsumerInfo:
        """Replace the queue's consumer, or add it under this id. Raises `ConsumerExists`, `ConsumerNotFound`."""
        ...

    def delete_messages(self, name: str, ids: Iterable[str]) -> list[str]:
        """Delete these messages of a queue unless they are in flight; which ones. Raises `QueueNotFound`."""
        ...


@dataclass
class Account:
    """What the endpoints serve. The stores are the caller's and stay open when the account closes."""

    catalogue: Catalogue
    queues: AccountQueues
    schedules: Schedules
    persist_to: Path
    clock: Clock
    id: str = LOCAL_ACCOUNT_ID
    name: str = "coinswarm"
    plain_json: bool = False
    """Pull JSON bodies as they are instead of in base64."""
    time_travel_days: int = WINDOW_DAYS
    usage: Usage = field(init=False)
    time_travel: TimeTravel = field(init=False)
    transfers: Transfers = field(init=False)
    purged_ms: dict[str, int] = field(init=False, default_factory=dict)
    """When each queue was purged last, by its id."""
    imports: dict[str, Job] = field(init=False, default_factory=dict)
    """The last import into each database, by its uuid."""

    def __post_init__(self) -> None:
        state = state_folder(self.persist_to)
        self.usage = Usage(self.clock)
        points = Snapshots(state / "time-travel", self.clock, window_days=self.time_travel_days)
        self.time_travel = TimeTravel(self.catalogue, points, self.clock)
        self.transfers = Transfers(
            state / "transfers", self.catalogue, self.time_travel, self.usage, Jobs(self.clock), self.clock
        )
        self._lock = threading.Lock()
        self._names: dict[str, str] = {}

    def queue(self, queue_id: str) -> QueueInfo:
        """The queue with this id. Raises `QueueNotFound`."""
        with self._lock:
            name = self._names.get(queue_id)
        if name is not None:
            try:
                known = self.queues.info(name)
            except QueueNotFound:
                known = None
            if known is not None and known.queue_id == queue_id:
                return known
        found = {info.queue_id: info for info in self.queues.queues()}
        with self._lock:
            self._names = {queue_id: info.name for queue_id, info in found.items()}
        if queue_id not in found:
            raise QueueNotFound(f"Queue {queue_id} does not exist.")
        return found[queue_id]

    def open_queue(self, queue_id: str) -> tuple[QueueInfo, Queue]:
        """The queue with this id, and its messages. Raises `QueueNotFound`."""
        info = self.queue(queue_id)
        return info, self.queues.open(info.name)

    def refuse_during_import(self, database_id: str) -> None:
        """Raises `DatabaseUnavailable` in Cloudflare's words while an import holds the database."""
        job = self.imports.get(database_id)
        if job is not None and job.status == "active":
            raise DatabaseUnavailable("Currently processing a long-running import.")

    def close(self) -> None:
        """End what runs in the background."""
        self.transfers.close()
