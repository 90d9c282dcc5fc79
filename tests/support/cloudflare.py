"""Cloudflare's API as a test tells it to answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx

from coinswarm.clock import Clock, ManualClock
from coinswarm.cloudflare import CloudflareApi
from coinswarm.config.masking import Secret

ACCOUNT = "0123456789abcdef0123456789abcdef"
TOKEN = "v1.0-tOkEn_of-a-test"
BASE = "https://api.cloudflare.test/client/v4"

Handler = Callable[[httpx.Request], httpx.Response]


def api_to(handler: Handler, *, clock: Clock | None = None, **options: Any) -> CloudflareApi:
    """A client whose requests `handler` answers; no jitter."""
    settings: dict[str, Any] = {"base_url": BASE, "jitter": lambda: 0.0} | options
    client = httpx.Client(transport=httpx.MockTransport(handler))
    return CloudflareApi(ACCOUNT, Secret(TOKEN), client=client, clock=clock or ManualClock(), **settings)


def ok(result: Any = None, *, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
    document = {"result": result, "success": True, "errors": [], "messages": []} | more
    return httpx.Response(200, json=document, headers=headers)


def refused(code: int, message: str, status: int = 400, *, headers: dict[str, str] | None = None) -> httpx.Response:
    document = {"result": None, "success": False, "errors": [{"code": code, "message": message}], "messages": []}
    return httpx.Response(status, json=document, headers=headers)


class InTurn:
    """Gives the answers one after the other, raises those that are errors, and keeps the requests."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def paths(self) -> list[str]:
        """`METHOD path?query` of every request, without the base URL and the account."""
        prefix = f"/client/v4/accounts/{ACCOUNT}"
        return [f"{r.method} {r.url.raw_path.decode().removeprefix(prefix)}" for r in self.requests]

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(r.content) if r.content else None for r in self.requests]
