"""The routes beside Cloudflare's API: run the producer, and tell how the stack does.

    POST /trigger                       fetch a page of candles into the queue, as the seed system's importer did
    GET  /cdn-cgi/local/scheduled       run a cron job now, as `wrangler dev` has it (?cron= ?time= ?format=json)
    GET  /stats /status /health         what is stored, what is under way, whether all is well

On loopback they need no token, but a page in a browser must not be able to set anything off: what starts a run is
refused when the request says that another site's page sent it. Bound to other interfaces they need the token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from coinswarm.errors import CoinswarmError, ConfigError, DatabaseError, QueueError, UsageError
from coinswarm.server.calls import read_body
from coinswarm.server.gate import LOOPBACK, holds_token

SCHEDULED: Final = ("/cdn-cgi/local/scheduled", "/cdn-cgi/handler/scheduled", "/cdn-cgi/mf/scheduled")
"""The path of today, and the two earlier ones that `wrangler dev` still answers."""
TRIGGER_FIELDS: Final = ("toTs", "pair", "source", "timeframe", "limit")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A document, and the HTTP status it goes with."""

    status: int
    document: dict[str, Any]


class Operations(Protocol):
    """What the routes do. Called in threads of their own, several at a time; raises `CoinswarmError`."""

    def trigger(self, asked: dict[str, Any]) -> Outcome:
        """Fetch into the queue; `asked` holds any of `TRIGGER_FIELDS`, as text or as JSON has it."""
        ...

    def scheduled(self, cron: str | None, time_ms: int | None) -> Outcome: ...

    def stats(self) -> Outcome: ...

    def status(self) -> Outcome: ...

    def health(self) -> Outcome: ...


def stack_routes(operations: Operations, *, token: str, host: str) -> list[BaseRoute]:
    """The routes for a server that is bound to `host`."""
    door = _Door(token, open_to_all=host in LOOPBACK)
    told = {"/stats": operations.stats, "/status": operations.status, "/health": operations.health}
    return [
        Route("/trigger", door.guarded(_trigger(operations), starts=True), methods=["POST"]),
        *(Route(path, door.guarded(_scheduled(operations), starts=True), methods=["GET"]) for path in SCHEDULED),
        *(Route(path, door.guarded(_telling(tell), starts=False), methods=["GET"]) for path, tell in told.items()),
    ]


Endpoint = Callable[[Request], Awaitable[Response]]


class _Door:
    def __init__(self, token: str, *, open_to_all: bool) -> None:
        self._token = token
        self._open_to_all = open_to_all

    def guarded(self, endpoint: Endpoint, *, starts: bool) -> Endpoint:
        """`endpoint` for who may use it, and every error as a document without a traceback."""

        async def respond(request: Request) -> Response:
            if not holds_token(request.headers, self._token):
                refusal = self._refusal(request, starts)
                if refusal is not None:
                    return refusal
            try:
                return await endpoint(request)
            except CoinswarmError as error:
                return JSONResponse(error.as_json(), _status_of(error))

        return respond

    def _refusal(self, request: Request, starts: bool) -> Response | None:
        if not self._open_to_all:
            return _refused(401, "this needs the token", "Send Authorization: Bearer with the server's token.")
        if starts and _from_another_page(request):
            return _refused(403, "a page of another site may not start a run", "Use curl, or send the token.")
        return None


def _refused(status: int, message: str, hint: str) -> Response:
    return JSONResponse({"error": {"type": "Unauthorized", "message": message, "hint": hint}}, status)


def _from_another_page(request: Request) -> bool:
    """Whether a browser says that the request comes from a page that is not ours (of which there are none that ask)."""
    headers = request.headers
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return True
    sender = headers.get("origin") or headers.get("referer")
    return sender is not None and urlsplit(sender).netloc != headers.get("host")


def _status_of(error: CoinswarmError) -> int:
    if isinstance(error, UsageError | ConfigError):
        return 400
    status = getattr(error, "http_status", None)
    behind = isinstance(error, DatabaseError | QueueError)  # no request here names a database or a queue
    if isinstance(status, int) and (not behind or status >= 429):
        return status
    return 503 if error.retryable else 500


def _trigger(operations: Operations) -> Endpoint:
    async def respond(request: Request) -> Response:
        asked = _asked(await read_body(request)) | dict(request.query_params)
        unknown = [name for name in asked if name not in TRIGGER_FIELDS]
        if unknown:
            raise UsageError(
                f"unknown field {unknown[0][:40]!r}", hint=f"Known in body and query: {', '.join(TRIGGER_FIELDS)}."
            )
        return _reply(await run_in_threadpool(operations.trigger, asked))

    return respond


def _asked(body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"the body is not JSON: {error}", hint='For example: {"toTs": 1700000000}') from None
    if not isinstance(found, dict):
        raise UsageError("the body is not a JSON object", hint='For example: {"toTs": 1700000000}')
    return found


def _scheduled(operations: Operations) -> Endpoint:
    async def respond(request: Request) -> Response:
        query = request.query_params
        moment = query.get("time")
        if moment is not None and not (moment.isascii() and moment.isdigit() and len(moment) <= 15):
            raise UsageError("time is not a moment in milliseconds", hint="For example: ?time=1700000000000")
        outcome = await run_in_threadpool(
            operations.scheduled, query.get("cron") or None, int(moment) if moment else None
        )
        if query.get("format") == "json":
            return _reply(outcome)
        return PlainTextResponse("ok" if outcome.status < 400 else "exception", outcome.status)

    return respond


def _telling(tell: Callable[[], Outcome]) -> Endpoint:
    async def respond(_request: Request) -> Response:
        return _reply(await run_in_threadpool(tell))

    return respond


def _reply(outcome: Outcome) -> Response:
    return Response(
        msgspec.json.encode(outcome.document),
        outcome.status,
        {"cache-control": "no-store"},
        media_type="application/json",
    )
