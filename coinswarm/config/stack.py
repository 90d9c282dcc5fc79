"""What a configuration says, resolved once and frozen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from coinswarm.config.alerts import AlertSettings
from coinswarm.config.masking import Secret, Vars
from coinswarm.config.plan import Plan
from coinswarm.errors import ConfigError, DatabaseNotFound, QueueNotFound, UsageError
from coinswarm.limits import QUEUE_DEFAULTS
from coinswarm.queue.types import ConsumerSettings

SOURCES = ("cryptocompare", "binance", "binanceus", "coingecko", "kraken", "coinbase")
"""The exchanges whose API URL and key can be configured."""

API_BASE_URL = "https://api.cloudflare.com/client/v4"
BUILT_IN = "the built-in stack"
"""What messages call the configuration that is used where there is no wrangler file."""

TIME_TRAVEL_DAYS: Final = 30
"""As at Cloudflare. https://developers.cloudflare.com/d1/reference/time-travel/"""


@dataclass(frozen=True, slots=True)
class D1Database:
    """One D1 database, as all files together describe it."""

    binding: str
    """The first name under which a Worker knows it."""
    name: str
    id: str | None
    """Its uuid on Cloudflare; None where the file leaves it to be provisioned."""
    preview_id: str | None
    migrations_dir: Path
    migrations_table: str
    migrations_pattern: str | None
    bindings: tuple[str, ...]
    workers: tuple[str, ...]
    files: tuple[str, ...]
    migrations_dir_given: bool = False
    """Whether a file names the folder; otherwise it is wrangler's default, `migrations` beside the file."""
    migrations_glob: str = "*.sql"
    """`migrations_pattern`, which starts at the wrangler file, as a glob below `migrations_dir`."""

    @property
    def local_id(self) -> str:
        """What wrangler derives the local file's name from."""
        return self.preview_id or self.id or self.binding

    def known_as(self, key: str) -> bool:
        return key in self.bindings or key in (self.name, self.id, self.preview_id)


@dataclass(frozen=True, slots=True)
class Producer:
    """A Worker that sends to a queue."""

    binding: str
    queue: str
    worker: str
    file: str


@dataclass(frozen=True, slots=True)
class Consumer:
    """The Worker that reads a queue, with wrangler's keys; what a file leaves out is Cloudflare's default."""

    queue: str
    worker: str
    file: str
    max_batch_size: int = QUEUE_DEFAULTS.batch_size
    max_batch_timeout: float = QUEUE_DEFAULTS.batch_timeout_seconds
    """Seconds."""
    max_retries: int = QUEUE_DEFAULTS.max_retries
    dead_letter_queue: str | None = None
    max_concurrency: int | None = None
    """None: Cloudflare scales by itself."""
    retry_delay: int = QUEUE_DEFAULTS.retry_delay_seconds
    """Seconds."""
    visibility_timeout_ms: int = QUEUE_DEFAULTS.visibility_timeout_ms

    @property
    def settings(self) -> ConsumerSettings:
        """The same in the words of Cloudflare's API."""
        return ConsumerSettings(
            type="worker",
            script_name=self.worker,
            dead_letter_queue=self.dead_letter_queue,
            batch_size=self.max_batch_size,
            max_retries=self.max_retries,
            max_wait_time_ms=round(self.max_batch_timeout * 1000),
            max_concurrency=self.max_concurrency,
            retry_delay=self.retry_delay,
            visibility_timeout_ms=self.visibility_timeout_ms,
        )


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron trigger of a Worker."""

    expression: str
    worker: str
    file: str


@dataclass(frozen=True, slots=True)
class FetchDefaults:
    """`[fetch]` of coinswarm.toml: what `coinswarm fetch` takes where no flag says otherwise."""

    pair: str = "BTC-USDC"
    source: str = "binance"
    timeframe: str = "1h"
    limit: int = 2000


@dataclass(frozen=True, slots=True)
class Stack:
    """Everything configured: flags over environment over `.dev.vars` over files over defaults.

    `repr` shows no secret and no variable's value.
    """

    databases: tuple[D1Database, ...]
    producers: tuple[Producer, ...]
    consumers: tuple[Consumer, ...]
    crons: tuple[Cron, ...]
    workers: Mapping[str, str]
    """Every Worker that a file is of, whatever the file says of it; by name, the file."""
    vars: Vars
    """`[vars]` of all files; `.dev.vars` wins over them, a real value over a placeholder, a file over later ones."""
    state_dir: Path
    """Local state, what `--persist-to` names; D1 and queues lie below `v3/` in it, as in wrangler."""
    account_id: str | None = None
    api_token: Secret | None = None
    api_base_url: str = API_BASE_URL
    """Without a trailing slash."""
    api_keys: Mapping[str, Secret] = field(default_factory=lambda: MappingProxyType({}))
    """By source."""
    source_urls: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """By source; only those that are replaced. Without a trailing slash."""
    fetch: FetchDefaults = FetchDefaults()
    time_travel_days: int = TIME_TRAVEL_DAYS
    """How long restore points of local databases are kept."""
    plan: Plan = field(default_factory=Plan)
    """What the producer collects at every cron fire."""
    alerts: AlertSettings = field(default_factory=AlertSettings)
    env_name: str | None = None
    files: tuple[Path, ...] = ()
    """The wrangler files, absolute; empty for the built-in stack."""
    warnings: tuple[str, ...] = ()

    @property
    def queue_names(self) -> tuple[str, ...]:
        """Every queue that is produced to, consumed or a dead-letter queue, each once."""
        names = [p.queue for p in self.producers] + [c.queue for c in self.consumers]
        names += [c.dead_letter_queue for c in self.consumers if c.dead_letter_queue]
        return tuple(dict.fromkeys(names))

    def database(self, key: str | None = None) -> D1Database:
        """The database known by this name, binding or id; without one, the database the pipeline writes to.

        Raises `DatabaseNotFound` naming the known ones, `UsageError` where the answer is not unique.
        """
        if key is None:
            return self._main_database()
        found = [d for d in self.databases if d.known_as(key)]
        if not found:
            raise DatabaseNotFound(
                f"Couldn't find a D1 DB with the name or binding '{key}' in {self._origin()}.",
                hint=f"Known: {_listed(map(_describe, self.databases))}",
            )
        if len(found) > 1:
            raise UsageError(
                f"'{key}' is more than one D1 database: {_listed(map(_describe, found))}",
                hint="Say which one by its name or id.",
            )
        return found[0]

    def queue(self, key: str | None = None) -> str:
        """The name of the queue known by this name or binding; without one, the queue the pipeline uses.

        Raises `QueueNotFound` naming the known ones, `UsageError` where the answer is not unique.
        """
        if key is None:
            return self._main_queue()
        if key in self.queue_names:
            return key
        bound = list(dict.fromkeys(p.queue for p in self.producers if p.binding == key))
        if len(bound) > 1:
            raise UsageError(
                f"'{key}' is bound to more than one queue: {_listed(bound)}", hint="Say which one by name."
            )
        if not bound:
            raise QueueNotFound(
                f'Queue "{key}" is not in {self._origin()}.', hint=f"Known: {_listed(self.queue_names)}"
            )
        return bound[0]

    def consumer(self, key: str | None = None) -> Consumer | None:
        """The consumer of that queue, or None if no file configures one."""
        name = self.queue(key)
        return next((c for c in self.consumers if c.queue == name), None)

    def _main_database(self) -> D1Database:
        if not self.databases:
            raise ConfigError(
                f"no D1 database is configured in {self._origin()}",
                hint="Add a [[d1_databases]] with binding, database_name and database_id; `coinswarm init` shows one.",
            )
        consuming = {c.file for c in self.consumers}
        candidates = [d for d in self.databases if consuming & set(d.files)] or list(self.databases)
        if len(candidates) > 1:
            raise UsageError(
                f"several D1 databases are configured: {_listed(map(_describe, candidates))}",
                hint="Say which one by its name or id.",
            )
        return candidates[0]

    def _main_queue(self) -> str:
        produced = list(dict.fromkeys(p.queue for p in self.producers))
        consumed = list(dict.fromkeys(c.queue for c in self.consumers))
        candidates = [q for q in produced if q in consumed] or consumed or produced
        if not candidates:
            raise ConfigError(
                f"no queue is configured in {self._origin()}",
                hint="Add a [[queues.producers]] and a [[queues.consumers]]; `coinswarm init` shows both.",
            )
        if len(candidates) > 1:
            raise UsageError(f"several queues are configured: {_listed(candidates)}", hint="Say which one by its name.")
        return candidates[0]

    def _origin(self) -> str:
        return ", ".join(path.name for path in self.files) or BUILT_IN


def _describe(database: D1Database) -> str:
    return f"{database.name} (binding {', '.join(database.bindings)}, id {database.id or 'not provisioned'})"


def _listed(items: Iterable[str]) -> str:
    return "; ".join(items) or "none"
