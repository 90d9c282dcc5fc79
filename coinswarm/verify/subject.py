"""What is verified: a stack, here or on Cloudflare, and how the checks get at its parts."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from coinswarm import wiring
from coinswarm.clock import Clock
from coinswarm.cloudflare_account import cloudflare
from coinswarm.config import Consumer, Stack
from coinswarm.d1.path import database_path
from coinswarm.d1.types import Database
from coinswarm.errors import QueueNotFound
from coinswarm.queue.types import ConsumerInfo, QueueInfo, QueueStore

if TYPE_CHECKING:
    from coinswarm.cloudflare import CloudflareApi

T = TypeVar("T")


class Subject:
    """One stack under verification. Each check opens what it needs and closes it: none depends on another's."""

    def __init__(
        self,
        stack: Stack,
        clock: Clock,
        *,
        remote: bool = False,
        look_only: bool = False,
        flags: Sequence[str] = (),
    ) -> None:
        """`look_only`: where no command has run yet, not even the queues' file is made. `flags` say where the stack
        is; commands named in hints need them, too."""
        self.stack = stack
        self.clock = clock
        self.remote = remote
        self.look_only = look_only
        self.given = "".join(f" {shlex.quote(word)}" for word in flags)
        """To be put behind a command of coinswarm's that is about files here."""
        self._chosen = "--config" in flags
        self.stop = threading.Event()
        """Set when a check is out of time: it ends what it does and cleans up."""
        self._done: dict[str, Any] = {}

    @property
    def where(self) -> str:
        return f"Cloudflare account {self.stack.account_id or '(not set)'}" if self.remote else "this machine"

    @property
    def flag(self) -> str:
        """What keeps a command named in a hint where this is."""
        return (" --remote" if self.remote else "") + self.given

    def how_to_deploy(self, worker: str) -> str:
        """A hint: what deploys a Worker, by its file and environment where those were chosen."""
        words = ["wrangler", "deploy"]
        words += ["--config", self.stack.workers[worker]] if self._chosen and worker in self.stack.workers else []
        words += ["--env", self.stack.env_name] if self.stack.env_name else []
        return f"Deploy {worker} again: {shlex.join(words)}"

    def once(self, key: str, make: Callable[[], T]) -> T:
        """What `make` returns, made once for all checks that ask for it."""
        if key not in self._done:
            self._done[key] = make()
        return cast(T, self._done[key])

    def queues(self) -> AbstractContextManager[QueueStore]:
        """All queues as they are. Commands create what the configuration declares when they start; a check must not,
        or nothing would ever be missing. Raises `QueueNotFound` where it may only look and there is no file."""
        if self.look_only and not self.remote and not wiring.queue_file(self.stack).exists():
            name = self.stack.queue()
            raise QueueNotFound(f"{name} does not exist: no command has run here yet", hint=self.how_to_create(name))
        return wiring.recorded_queues(self.stack, self.clock, remote=self.remote)

    def how_to_create(self, name: str) -> str:
        """A hint: what brings a queue about that the configuration names."""
        if self.remote:
            return f"Create it: coinswarm queues create {name} --remote"
        return "Every command that uses queues creates those of the configuration: coinswarm queues list"

    def database(self) -> AbstractContextManager[Database]:
        """The database that `consume` writes to, as it opens it."""
        return wiring.ingest_database(self.stack, self.clock, remote=self.remote)

    def api(self) -> AbstractContextManager[CloudflareApi]:
        return cloudflare(self.stack, self.clock)

    @property
    def database_file(self) -> Path:
        """The file of the local database, be it there or not."""
        return database_path(self.stack.database().local_id, self.stack.state_dir)

    def queue_info(self) -> QueueInfo:
        """The pipeline's queue as it is recorded. Raises `QueueNotFound`."""
        with self.queues() as store:
            return store.info(self.stack.queue())

    def consumer(self) -> tuple[ConsumerInfo | None, Consumer | None]:
        """The consumer as recorded and as configured."""
        consumers = self.queue_info().consumers
        return (consumers[0] if consumers else None), self.stack.consumer()
