"""The local Cloudflare on loopback, and the remote clients that take it for the real one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from coinswarm.clock import Clock, SystemClock
from coinswarm.cloudflare import CloudflareApi
from coinswarm.config.masking import Secret
from coinswarm.d1.catalogue import BoundDatabase, Catalogue, DatabaseInfo
from coinswarm.d1.local import LocalDatabase
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.server.account import Account
from coinswarm.server.app import create_app
from coinswarm.server.listening import Server
from coinswarm.server.schedules import Schedules
from tests.support.cloudflare import TOKEN
from tests.support.described import held_to_description

DATABASE = BoundDatabase("coinswarm-evolution", "ac4629b2-8240-4378-b3e3-e5262cd9b285", "DB")


@dataclass
class LocalCloudflare:
    """A server and its stores; `url` ends in `/client/v4`."""

    account: Account
    queues: SqliteQueueStore
    url: str


@contextmanager
def local_cloudflare(
    folder: Path, *, clock: Clock | None = None, plain_json: bool = False
) -> Iterator[LocalCloudflare]:
    """Serves one database and no queue until the block ends. The clock is the stores'."""
    clock = clock or SystemClock()

    def opener(info: DatabaseInfo, path: Path) -> LocalDatabase:
        return LocalDatabase(path, name=info.name, id=info.uuid, clock=clock)

    with (
        SqliteQueueStore(folder / "v3" / "coinswarm" / "queues.sqlite", clock) as queues,
        closing(Catalogue(folder, configured=[DATABASE], opener=opener, clock=clock)) as catalogue,
    ):
        schedules = Schedules(folder / "schedules.json", {}, clock)
        account = Account(catalogue, queues, schedules, folder, clock, plain_json=plain_json)
        with (
            closing(account),
            held_to_description(create_app(account, token=TOKEN)) as app,
            Server(app) as server,
        ):
            yield LocalCloudflare(account, queues, server.url + "/client/v4")


@contextmanager
def client_of(cloudflare: LocalCloudflare, *, clock: Clock | None = None, **options: Any) -> Iterator[CloudflareApi]:
    """The API's client, pointed at the local Cloudflare."""
    with httpx.Client(trust_env=False) as http:
        yield CloudflareApi(
            cloudflare.account.id,
            Secret(TOKEN),
            client=http,
            clock=clock or SystemClock(),
            base_url=cloudflare.url,
            **options,
        )
