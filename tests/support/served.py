"""The local Cloudflare's API without a socket: requests go straight into the application."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from starlette.types import ASGIApp

from coinswarm.clock import ManualClock
from coinswarm.config import Stack, load
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.server.account import Account
from coinswarm.server.app import create_app
from coinswarm.server.opening import open_account
from tests.support.described import held_to_description

TOKEN = "a-token-of-the-tests"
DATABASE = "coinswarm-evolution"
DATABASE_ID = "ac4629b2-8240-4378-b3e3-e5262cd9b285"


class Refusal(NamedTuple):
    """How the API says no."""

    status: int
    code: int
    message: str


class Client:
    """Requests one after the other, each answered by the application itself."""

    def __init__(self, app: ASGIApp, base_url: str) -> None:
        self._app, self._base_url = app, base_url

    def request(self, method: str, url: str, **how: Any) -> httpx.Response:
        return asyncio.run(self._request(method, url, how))

    def get(self, url: str, **how: Any) -> httpx.Response:
        return self.request("GET", url, **how)

    def put(self, url: str, **how: Any) -> httpx.Response:
        return self.request("PUT", url, **how)

    async def _request(self, method: str, url: str, how: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=self._base_url) as client:
            return await client.request(method, url, **how)


@dataclass
class Api:
    """An application over stores in one folder, seen by a client that has the token."""

    client: Client
    account: Account
    queues: SqliteQueueStore
    clock: ManualClock
    app: ASGIApp
    """What answers, for who wants to put it on a socket."""

    def send(self, method: str, path: str, body: Any = None, **how: Any) -> httpx.Response:
        """One request; `path` is below the account unless it begins with two slashes. `body` is JSON, or bytes."""
        headers = {"Authorization": f"Bearer {TOKEN}"} | how.pop("headers", {})
        if isinstance(body, bytes):
            how["content"] = body
        elif body is not None:
            how["json"] = body
        below = path[1:] if path.startswith("//") else f"/accounts/{self.account.id}{path}"
        return self.client.request(method, f"/client/v4{below}", headers=headers, **how)

    def result(self, method: str, path: str, body: Any = None, **how: Any) -> Any:
        """The `result` of a request that has to succeed."""
        reply = self.send(method, path, body, **how)
        document = reply.json()
        assert document["success"], document
        assert reply.status_code == 200
        assert document["errors"] == document["messages"] == []
        return document["result"]

    def refusal(self, method: str, path: str, body: Any = None, **how: Any) -> Refusal:
        """What a request is told that has to fail."""
        reply = self.send(method, path, body, **how)
        return refused(reply)

    def query(self, sql: str, params: Any = None, *, database: str = DATABASE) -> list[dict[str, Any]]:
        """`/query` with one text; the result of each statement."""
        body = {"sql": sql} if params is None else {"sql": sql, "params": params}
        return list(self.result("POST", f"/d1/database/{database}/query", body))

    def rows(self, sql: str, params: Any = None, *, database: str = DATABASE) -> list[dict[str, Any]]:
        """The rows of a single statement."""
        (found,) = self.query(sql, params, database=database)
        return list(found["results"])

    def queue(self, name: str = "prices", *, pulled: bool = True) -> str:
        """A new queue, with a pull consumer unless said otherwise; its id."""
        queue_id: str = self.result("POST", "/queues", {"queue_name": name})["queue_id"]
        if pulled:
            self.result("POST", f"/queues/{queue_id}/consumers", {"type": "http_pull"})
        return queue_id


def refused(reply: httpx.Response) -> Refusal:
    """The refusal in a reply, which has Cloudflare's envelope."""
    document = reply.json()
    assert document["success"] is False
    assert not document["result"]
    assert document["messages"] == []
    first = document["errors"][0]
    return Refusal(reply.status_code, first["code"], first["message"])


def stack_in(folder: Path) -> Stack:
    """The built-in stack with its state in `folder`."""
    return load(cwd=folder, environ={}, persist_to=folder / "state")


@contextmanager
def served(folder: Path, *, plain_json: bool = False, host: str = "127.0.0.1") -> Iterator[Api]:
    """The built-in stack's database and no queue, over a clock that stands still."""
    clock = ManualClock()
    stack = stack_in(folder)
    with (
        SqliteQueueStore(stack.state_dir / "v3" / "coinswarm" / "queues.sqlite", clock) as queues,
        open_account(stack, queues, clock, plain_json=plain_json) as account,
        held_to_description(create_app(account, token=TOKEN, host=host)) as app,
    ):
        yield Api(Client(app, "http://127.0.0.1:8787"), account, queues, clock, app)
