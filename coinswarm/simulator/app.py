"""All six exchanges as one Starlette application, with the faults that were ordered and a log of the requests."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from email.utils import formatdate
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from coinswarm.clock import Clock
from coinswarm.errors import UsageError
from coinswarm.simulator.exchange import Ask, Endpoint, Exchange, Refused, Reply
from coinswarm.simulator.expectation import EXCHANGES
from coinswarm.simulator.faults import OK, FaultPlan, Faults
from coinswarm.simulator.market import Market

_KEPT_REQUESTS: Final = 10_000
_SECRETS: Final = frozenset({"api_key", "x_cg_demo_api_key", "x_cg_pro_api_key"})
_HTML: Final = (
    "<!DOCTYPE html><html><head><title>Just a moment...</title></head>"
    "<body>Checking your browser before accessing this site.</body></html>"
)


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """One request to an exchange. Keys in the query are not kept."""

    source: str
    serial: int
    path: str
    query: dict[str, str]
    fault: str
    status: int
    rows: int | None
    """How many candles the body holds, None for what is no page of candles."""


class Exchanges:
    """The state behind the application: market, clock, faults, log. `stopping` releases replies that are held."""

    def __init__(self, market: Market, faults: Faults, clock: Clock) -> None:
        self.market = market
        self.clock = clock
        self.stopping = threading.Event()
        self.seen: deque[SeenRequest] = deque(maxlen=_KEPT_REQUESTS)
        self.counts: Counter[str] = Counter()
        self.plan = FaultPlan(faults)

    def app(self) -> Starlette:
        """Each exchange under `/<source>`; all but Binance.US, whose paths are Binance's, also at the root."""
        routes = [
            Route(prefix + endpoint.path, self._endpoint(exchange, endpoint))
            for exchange in EXCHANGES.values()
            for prefix in (f"/{exchange.source}", *([""] if exchange.at_root else []))
            for endpoint in exchange.endpoints
        ]
        return Starlette(
            routes=[
                *routes,
                Route("/_faults", self._faults, methods=["GET", "POST"]),
                Route("/_requests", self._requests),
            ]
        )

    def _endpoint(self, exchange: Exchange, endpoint: Endpoint) -> Callable[[Request], Response]:
        def respond(request: Request) -> Response:
            now = self.clock.now_ms() / 1000
            plan = self.plan
            serial, kind = plan.next(exchange.source, now) if endpoint.has_faults else (0, OK)
            ask = Ask(
                exchange.source,
                request.query_params,
                request.headers,
                {name: str(value) for name, value in request.path_params.items()},
                self.market,
                now,
                serial,
                kind,
                plan.faults.retry_after,
            )
            reply = _reply(exchange, endpoint, ask)
            self._note(request, ask, reply)
            return self._response(reply, kind, now, plan.faults.stall_seconds)

        return respond

    def _response(self, reply: Reply, kind: str, now: float, stall_seconds: float) -> Response:
        html = isinstance(reply.body, str)
        content = reply.body.encode() if html else msgspec.json.encode(reply.body)
        headers = {
            "date": formatdate(now, usegmt=True),
            "content-type": "text/html; charset=UTF-8" if html else "application/json; charset=utf-8",
            **reply.headers,
        }
        if kind == "stall":
            self.stopping.wait(stall_seconds)
        if kind in ("cut", "slow"):
            return _InParts(content, reply.status, headers, self._pause(stall_seconds) if kind == "slow" else None)
        return Response(content, reply.status, headers)

    def _pause(self, seconds: float) -> Callable[[], object]:
        return lambda: self.stopping.wait(seconds)

    def _note(self, request: Request, ask: Ask, reply: Reply) -> None:
        query = {name: "…" if name in _SECRETS else value for name, value in request.query_params.items()}
        self.counts[ask.source] += 1
        self.seen.append(
            SeenRequest(ask.source, ask.serial, request.url.path, query, ask.fault, reply.status, _rows(reply.body))
        )

    async def _faults(self, request: Request) -> Response:
        """GET: the faults in force. POST: new ones (the fields of `Faults`), counted from the first request again."""
        if request.method == "POST":
            try:
                self.plan = FaultPlan(msgspec.json.decode(await request.body(), type=Faults))
            except (msgspec.MsgspecError, UsageError) as error:
                return _json({"error": str(error)}, 400)
        return _json(self.plan.faults)

    def _requests(self, request: Request) -> Response:
        """Counters since the start, and the newest requests (`?last=`, 100 if not told)."""
        last = request.query_params.get("last", "100")
        if not last.isdecimal():
            return _json({"error": f"last={last!r} is not a number"}, 400)
        seen = list(self.seen)
        return _json(
            {
                "total": self.counts.total(),
                "by_source": self.counts,
                "by_fault": Counter(each.fault for each in seen),
                "requests": [asdict(each) for each in seen[len(seen) - min(len(seen), int(last)) :]],
            }
        )


def _reply(exchange: Exchange, endpoint: Endpoint, ask: Ask) -> Reply:
    """The exchange's answer, or what the ordered fault makes of it."""
    kind = ask.fault
    if kind in ("error", "no-result", "quota"):
        return exchange.soft_fault(ask)
    if kind in ("html", "429-html"):
        return Reply(_HTML, 200 if kind == "html" else 429)
    if kind[:3].isdigit():
        reply = exchange.refuse(ask, int(kind[:3]))
        if kind in ("429", "418"):
            reply.headers["retry-after"] = str(ask.retry_after)
        return reply
    try:
        return endpoint.answer(ask)
    except Refused as refused:
        return refused.reply


def _rows(body: Any) -> int | None:
    if isinstance(body, list):
        return len(body)
    if not isinstance(body, dict):
        return None
    data = body.get("Data") or body.get("result")
    if isinstance(data, dict):
        data = next((value for value in data.values() if isinstance(value, list)), None)
    return len(data) if isinstance(data, list) else None


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


class _InParts(Response):
    """Half of the body, then either a pause and the rest, or the end: the server closes a connection whose reply is
    shorter than its Content-Length.
    """

    def __init__(
        self, content: bytes, status: int, headers: dict[str, str], pause: Callable[[], object] | None
    ) -> None:
        super().__init__(content, status, headers)
        self._pause = pause

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        body = bytes(self.body)
        half = len(body) // 2
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": body[:half], "more_body": True})
        if self._pause is not None:
            await run_in_threadpool(self._pause)
            await send({"type": "http.response.body", "body": body[half:]})
