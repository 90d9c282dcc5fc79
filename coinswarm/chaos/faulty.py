"""A D1 and a network that fail at their n-th call, before the work or after it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Final

import httpx

from coinswarm.chaos.plan import REPLY, REQUEST
from coinswarm.d1.types import Database, QueryResult, SqlValue, Statement
from coinswarm.errors import DatabaseUnavailable

Answers = dict[int, str]
"""By the number of a call, first = 1: what goes wrong."""
Met = Callable[[str], None]
"""Hears of every fault that was really met."""

_D1_ERRORS: Final = {
    "overloaded": "D1 DB is overloaded. Too many requests queued.",
    "storage reset": "Internal error in D1 DB storage caused object to be reset.",
    "lost": "Network connection lost.",
    "timeout": "D1 DB storage operation exceeded timeout which caused object to be reset.",
}
"""https://developers.cloudflare.com/d1/observability/debug-d1/"""


class FaultyDatabase:
    """A `Database` of which some batches fail: refused, or carried out without anybody hearing of it."""

    def __init__(self, database: Database, answers: Answers, met: Met) -> None:
        self._database = database
        self._answers = answers
        self._met = met
        self._calls = itertools.count(1)
        self.parallel = database.parallel

    @property
    def name(self) -> str:
        return self._database.name

    @property
    def id(self) -> str:
        return self._database.id

    def batch(self, statements: Sequence[Statement]) -> list[QueryResult]:
        kind = self._answers.get(next(self._calls))
        if kind is None:
            return self._database.batch(statements)
        if kind in ("lost", "timeout"):
            self._database.batch(statements)
        self._met(f"D1: {kind}")
        raise DatabaseUnavailable(_D1_ERRORS[kind])

    def execute(self, sql: str, params: Sequence[SqlValue] = ()) -> list[QueryResult]:
        return self._database.execute(sql, params)

    def close(self) -> None:
        self._database.close()


class FaultyTransport(httpx.BaseTransport):
    """HTTP of which some requests fail; `here` is told of every request and reply, and may end the process there."""

    def __init__(self, answers: Answers, met: Met, here: Callable[[str], None]) -> None:
        self._answers = answers
        self._met = met
        self._here = here
        self._calls = itertools.count(1)
        self._wire = httpx.HTTPTransport(verify=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._here(REQUEST)
        kind = self._answers.get(next(self._calls))
        if kind == "refused":
            self._met("HTTP: refused")
            raise httpx.ConnectError("Connection refused", request=request)
        if kind in _REPLIES:
            self._met(f"HTTP: {kind}")
            status, headers, body = _REPLIES[kind]
            return httpx.Response(status, headers=headers, content=body)
        response = self._wire.handle_request(request)
        if kind is not None:
            response.read()
            response.close()
            self._met(f"HTTP: {kind} after the request was carried out")
            if kind == "timeout":
                raise httpx.ReadTimeout("timed out", request=request)
            raise httpx.ReadError("Connection reset by peer", request=request)
        self._here(REPLY)
        return response

    def close(self) -> None:
        self._wire.close()


_HTML: Final = b"<html><head><title>502 Bad Gateway</title></head></html>"
_REPLIES: Final[dict[str, tuple[int, dict[str, str], bytes]]] = {
    "503": (503, {"content-type": "text/html"}, _HTML),
    "429": (429, {"content-type": "text/html", "retry-after": "2"}, _HTML),
    "html": (200, {"content-type": "text/html"}, _HTML),
}
