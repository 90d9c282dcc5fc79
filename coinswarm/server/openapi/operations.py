"""One operation of the API: what it takes, what it answers, and which of Cloudflare's errors it may answer with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from coinswarm.errors import (
    AccountForbidden,
    ApiUnavailable,
    CloudflareError,
    DatabaseNotFound,
    DatabaseUnavailable,
    HeadersTooLarge,
    HostRefused,
    InvalidRequest,
    MalformedHttp,
    MethodNotAllowed,
    NotRouted,
    QueueNotFound,
    RequestTimeout,
    RequestTooLarge,
    Unauthorized,
)
from coinswarm.server.openapi.forms import NOTHING, Schema, listed, ref, whole


class Fault(NamedTuple):
    """An error on the wire."""

    http_status: int
    code: int
    text: str


def fault(error: type[CloudflareError], *, http_status: int | None = None, code: int | None = None) -> Fault:
    """The class's own wire form, where nothing else is said."""
    text = (error.__doc__ or "").strip().splitlines()[0]
    return Fault(http_status or error.http_status, code or error.code, text)


EVERYWHERE: Final = (
    Fault(400, 9106, "The Authorization header is missing"),
    fault(Unauthorized),
    fault(HostRefused),
    fault(NotRouted),
    Fault(404, 7000, "No route for that URI"),
    fault(MethodNotAllowed),
    fault(RequestTimeout),
    fault(RequestTooLarge),
    fault(MalformedHttp),
    fault(HeadersTooLarge),
    fault(ApiUnavailable),
    fault(ApiUnavailable, http_status=503),
)
OF_AN_ACCOUNT: Final = (fault(AccountForbidden),)
OF_D1: Final = (
    fault(DatabaseUnavailable),
    fault(DatabaseUnavailable, http_status=500),
    fault(InvalidRequest),
)
OF_A_DATABASE: Final = (fault(DatabaseNotFound), *OF_D1)
NO_QUEUE: Final = (fault(QueueNotFound),)
NO_QUEUE_OF_MESSAGES: Final = (fault(QueueNotFound, code=10104),)

PAGE: Final[tuple[Schema, ...]] = (
    {"name": "page", "in": "query", "schema": {**whole(1, 2**31), "default": 1}},
    {"name": "per_page", "in": "query", "schema": {**whole(1, 10_000), "default": 100}},
)


def in_query(name: str, schema: Schema, description: str = "", *, required: bool = False) -> Schema:
    parameter: Schema = {"name": name, "in": "query", "schema": schema, "required": required}
    return parameter | {"description": description} if description else parameter


@dataclass(frozen=True)
class Operation:
    """`result` is what the envelope of a success holds; `document` a whole reply instead of an envelope."""

    summary: str
    result: Schema = field(default_factory=lambda: NOTHING)
    body: Schema | None = None
    body_required: bool = True
    query: tuple[Schema, ...] = ()
    faults: tuple[Fault, ...] = ()
    paged: bool = False
    also_accepted: bool = False
    """Whether it may answer 202, too: begun, and to be asked for again."""
    document: Schema | None = None

    def as_json(self, name: str, tag: str, path_parameters: list[Schema]) -> Schema:
        """The operation object; `name` tells operations apart for generators of clients."""
        described: dict[str, Any] = {
            "operationId": name,
            "summary": self.summary,
            "tags": [tag],
            "parameters": [*path_parameters, *self.query, *(PAGE if self.paged else ())],
            "responses": {str(status): answer for status, answer in sorted(self._answers().items())},
        }
        if self.body is not None:
            content = {"application/json": {"schema": self.body}}
            described["requestBody"] = {"required": self.body_required, "content": content}
        return described

    def _answers(self) -> dict[int, Schema]:
        success = _reply("Done.", self.document or self._envelope())
        answers = {200: success} | ({202: success} if self.also_accepted else {})
        faults = (*self.faults, *EVERYWHERE)
        for status in sorted({each.http_status for each in faults}):
            known = {each.code: each.text for each in faults if each.http_status == status}
            codes = {"errors": {"items": {"properties": {"code": {"enum": sorted(known)}}}}}
            text = "\n".join(f"- {code}: {known[code]}" for code in sorted(known))
            answers[status] = _reply(text, {**ref("Error"), "properties": codes})
        return answers

    def _envelope(self) -> Schema:
        properties = {
            "result": self.result,
            "success": {"const": True},
            "errors": listed({}, maxItems=0),
            "messages": listed({}, maxItems=0),
        }
        if self.paged:
            properties["result_info"] = ref("PageInfo")
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }


def _reply(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
