"""The composition root: from a `Stack` to the queue, database and fetcher that it means. The only place that names
concrete classes; heavy modules are imported by the function that needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from coinswarm.clock import Clock
from coinswarm.cloudflare_account import cloudflare
from coinswarm.config import Stack
from coinswarm.errors import QueueNotFound
from coinswarm.log import NO_LOG, Log

if TYPE_CHECKING:
    from coinswarm.cloudflare import CloudflareApi
    from coinswarm.config import D1Database
    from coinswarm.d1.local import LocalDatabase
    from coinswarm.d1.migrate import Migration
    from coinswarm.d1.transfer import Transfer
    from coinswarm.d1.types import Database
    from coinswarm.d1.usage import Place
    from coinswarm.fetchers.base import Fetcher
    from coinswarm.queue.cloudflare import CloudflareQueueStore
    from coinswarm.queue.sqlite import SqliteQueueStore
    from coinswarm.queue.types import Queue, QueueStore


def queue_file(stack: Stack) -> Path:
    """Where the local queues lie: beside wrangler's own state."""
    return stack.state_dir / "v3" / "coinswarm" / "queues.sqlite"


@contextmanager
def fetcher(stack: Stack, source: str, clock: Clock, log: Log = NO_LOG) -> Iterator[Fetcher]:
    """The exchange, at its own address or the one configured. Raises `UsageError` for an unknown source."""
    from coinswarm import fetchers
    from coinswarm.transport import http_client

    with http_client() as client:
        key = stack.api_keys.get(source)
        yield fetchers.build(
            source,
            client=client,
            clock=clock,
            base_url=stack.source_urls.get(source),
            api_key=key.reveal() if key else None,
            log=log,
        )


@contextmanager
def local_queues(stack: Stack, clock: Clock) -> Iterator[SqliteQueueStore]:
    """The local queues; those that the configuration declares exist, with its settings."""
    from coinswarm.queue.sqlite import SqliteQueueStore

    with closing(SqliteQueueStore(queue_file(stack), clock)) as store:
        for name in stack.queue_names:
            consumer = stack.consumer(name)
            workers = [producer.worker for producer in stack.producers if producer.queue == name]
            store.ensure(name, consumer=consumer.settings if consumer else None, producers=workers)
        yield store


@contextmanager
def recorded_queues(stack: Stack, clock: Clock, *, remote: bool = False) -> Iterator[QueueStore]:
    """All queues as they are: none is created because the configuration declares it, unless no command has run yet."""
    if remote or not queue_file(stack).exists():
        with queues(stack, clock, remote=remote) as account:
            yield account
        return
    from coinswarm.queue.sqlite import SqliteQueueStore

    with closing(SqliteQueueStore(queue_file(stack), clock)) as store:
        yield store


@contextmanager
def queues(stack: Stack, clock: Clock, *, remote: bool = False) -> Iterator[QueueStore]:
    """All queues, local or of the Cloudflare account."""
    if not remote:
        with local_queues(stack, clock) as store:
            yield store
        return
    with remote_queues(stack, clock) as account:
        yield account


@contextmanager
def remote_queues(stack: Stack, clock: Clock) -> Iterator[CloudflareQueueStore]:
    from coinswarm.queue.cloudflare import CloudflareQueueStore

    with cloudflare(stack, clock) as api:
        yield CloudflareQueueStore(api)


@contextmanager
def ingest_queue(stack: Stack, clock: Clock, *, remote: bool = False) -> Iterator[Queue]:
    """The queue between `fetch` and `consume`."""
    name = stack.queue()
    with queues(stack, clock, remote=remote) as store:
        try:
            yield store.open(name)
        except QueueNotFound as missing:
            if remote and missing.hint is None:
                missing.hint = f"Create it with: coinswarm queues create {name} --remote"
            raise


def dead_letter_place(stack: Stack) -> str:
    """Where the dead letters of the pipeline's queue are: its dead-letter queue, or the queue itself, held for it."""
    consumer = stack.consumer()
    return (consumer.dead_letter_queue if consumer else None) or stack.queue()


@contextmanager
def database(stack: Stack, key: str | None, clock: Clock, *, remote: bool = False) -> Iterator[Database]:
    """One database by name, binding or id; without a key, the one the pipeline writes to."""
    if not remote:
        with closing(_metered(local_database(stack.database(key), stack, clock), "local", stack, clock)) as local:
            yield local
        return
    from coinswarm.d1.remote import RemoteDatabase

    with cloudflare(stack, clock) as api:
        found = RemoteDatabase.open(api, remote_name(stack, key))
        with closing(_metered(found, "remote", stack, clock)) as opened:
            yield opened


@contextmanager
def ingest_database(stack: Stack, clock: Clock, *, remote: bool = False) -> Iterator[Database]:
    """The database that `consume` writes to. Its batches insert or do nothing, so they may be sent twice."""
    if not remote:
        with database(stack, None, clock) as local:
            yield local
        return
    with cloudflare(stack, clock) as api, closing(_remote_ingest(stack, api, clock)) as opened:
        yield opened


@contextmanager
def pipeline(
    stack: Stack, clock: Clock, *, remote_queue: bool, remote: bool, log: Log = NO_LOG
) -> Iterator[tuple[Queue, Database]]:
    """Both ends of `consume`. Where both are remote they share one client, and with it the account's rate."""
    if not (remote_queue and remote):
        with (
            ingest_queue(stack, clock, remote=remote_queue) as queue,
            ingest_database(stack, clock, remote=remote) as database,
        ):
            yield queue, database
        return
    from coinswarm.queue.cloudflare import CloudflareQueueStore

    with cloudflare(stack, clock, log) as api, closing(_remote_ingest(stack, api, clock)) as opened:
        yield CloudflareQueueStore(api).open(stack.queue()), opened


def _remote_ingest(stack: Stack, api: CloudflareApi, clock: Clock) -> Database:
    from coinswarm.d1.remote import RemoteDatabase

    found = RemoteDatabase.open(api, remote_name(stack, None), idempotent_batches=True)
    return _metered(found, "remote", stack, clock)


def _metered(database: Database, place: Place, stack: Stack, clock: Clock) -> Database:
    """The same database, its billed rows kept by day in the state folder: see `coinswarm cost --from-usage`."""
    from coinswarm.d1.usage import Metered, UsageMeter, usage_file

    return Metered(database, place, UsageMeter(usage_file(stack.state_dir), clock))


@contextmanager
def transfer(stack: Stack, key: str | None, clock: Clock) -> Iterator[Transfer]:
    """Export and import of one database on Cloudflare."""
    from coinswarm.d1.remote import find
    from coinswarm.d1.transfer import Transfer
    from coinswarm.transport import http_client

    with cloudflare(stack, clock) as api, http_client() as files:
        yield Transfer(api, find(api, remote_name(stack, key)), files=files)


def export(
    stack: Stack,
    key: str | None,
    clock: Clock,
    target: BinaryIO,
    *,
    remote: bool,
    told: Callable[[str], None],
    tables: Sequence[str],
    schema: bool,
    data: bool,
) -> str:
    """Write one database as SQL text to `target`; its name. Raises `SqlError` for tables that it does not have."""
    from coinswarm.d1 import export as local

    if remote:
        with transfer(stack, key, clock) as there:
            there.export(target, tables=tables, schema=schema, data=data, told=told)
        return there.database.name
    from coinswarm.d1.path import database_path

    declared = stack.database(key)
    path = database_path(declared.local_id, stack.state_dir)
    local.export(path, target, tables=tables, schema=schema, data=data)
    return declared.name


def list_databases(stack: Stack, clock: Clock, *, remote: bool = False) -> list[dict[str, Any]]:
    """The databases that the configuration names with their local files, or those of the Cloudflare account."""
    if not remote:
        return [_describe(stack, declared) for declared in stack.databases]
    from coinswarm.d1.remote import databases

    with cloudflare(stack, clock) as api:
        return [
            {"uuid": each.id, "name": each.name, "file_size": each.file_size, "created_at": each.created_at}
            for each in databases(api)
        ]


def _describe(stack: Stack, declared: D1Database) -> dict[str, Any]:
    from coinswarm.d1.path import database_path

    path = database_path(declared.local_id, stack.state_dir)
    return {
        "uuid": declared.id,
        "name": declared.name,
        "binding": declared.binding,
        "file_size": path.stat().st_size if path.exists() else 0,
        "path": str(path),
    }


def path_of(database: Database) -> Path | None:
    """The file of a local database."""
    return getattr(database, "path", None)


def local_database(declared: D1Database, stack: Stack, clock: Clock) -> LocalDatabase:
    from coinswarm.d1.local import LocalDatabase
    from coinswarm.d1.path import database_path

    path = database_path(declared.local_id, stack.state_dir)
    return LocalDatabase(path, name=declared.name, id=declared.id or declared.local_id, clock=clock)


def migrations_of(declared: D1Database) -> list[Migration]:
    """The migrations of a database's folder, in order; the bundled ones where it has none."""
    from coinswarm.d1.migrate import bundled_migrations, migrations_in

    folder = declared.migrations_dir
    if not folder.is_dir() and not declared.migrations_dir_given:
        folder = bundled_migrations()
    return migrations_in(folder, declared.migrations_glob)


def remote_name(stack: Stack, key: str | None) -> str:
    """The id the configuration knows; what it does not know is a name or id on Cloudflare."""
    if key is not None and not any(declared.known_as(key) for declared in stack.databases):
        return key
    declared = stack.database(key)
    return declared.id or declared.name
