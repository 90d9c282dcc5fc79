"""From a configuration to what the server serves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from coinswarm.clock import Clock
from coinswarm.config import Stack
from coinswarm.d1.catalogue import BoundDatabase, Catalogue, DatabaseInfo
from coinswarm.d1.local import LocalDatabase
from coinswarm.d1.path import database_uuid
from coinswarm.d1.usage import Metered, UsageMeter, usage_file
from coinswarm.limits import D1
from coinswarm.server.account import LOCAL_ACCOUNT_ID, Account, AccountQueues, state_folder
from coinswarm.server.schedules import Schedules

REPLY_BYTES: Final = D1.isolate_bytes // 2
"""What the rows of one reply may take: the JSON that is made of them takes as much again."""


@contextmanager
def open_account(stack: Stack, queues: AccountQueues, clock: Clock, *, plain_json: bool = False) -> Iterator[Account]:
    """The account that `stack` describes, over its queues; numbers are bound as Cloudflare's API binds them.

    Raises the `StorageError` of what cannot be opened.
    """

    meter = UsageMeter(usage_file(stack.state_dir), clock)

    def opener(info: DatabaseInfo, path: Path) -> Metered:
        opened = LocalDatabase(
            path, name=info.name, id=info.uuid, clock=clock, bind_numbers_as_double=True, reply_bytes=REPLY_BYTES
        )
        return Metered(opened, "local", meter)

    crons: dict[str, list[str]] = {}
    for cron in stack.crons:
        crons.setdefault(cron.worker, []).append(cron.expression)
    bound = [BoundDatabase(d.name, database_uuid(d.id, d.local_id), d.local_id) for d in stack.databases]
    schedules = Schedules(state_folder(stack.state_dir) / "schedules.json", crons, clock)
    with closing(Catalogue(stack.state_dir, configured=bound, opener=opener, clock=clock)) as catalogue:
        account = Account(
            catalogue,
            queues,
            schedules,
            stack.state_dir,
            clock,
            id=stack.account_id or LOCAL_ACCOUNT_ID,
            plain_json=plain_json,
            time_travel_days=stack.time_travel_days,
        )
        with closing(account):
            yield account
