"""Holds what the server answers against its own OpenAPI description, whatever test makes it answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import jsonschema_rs
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coinswarm.server.openapi.document import document

LARGEST = 100_000
"""Bytes of a reply that is still looked at."""


@cache
def _described() -> dict[str, Any]:
    return document()


@cache
def _paths() -> list[tuple[re.Pattern[str], str]]:
    """The more literal of two paths first, as the server routes."""
    paths = sorted(_described()["paths"], key=lambda path: path.count("{"))
    return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), path) for path in paths]


@cache
def _validator(path: str, method: str, status: str) -> jsonschema_rs.Validator | None:
    """Raises `KeyError` for a status that the operation does not name."""
    content = _described()["paths"][path][method]["responses"][status].get("content", {})
    if "application/json" not in content:
        return None
    schema = {**content["application/json"]["schema"], "components": _described()["components"]}
    return jsonschema_rs.validator_for({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


def _other_forms(path: str, method: str, status: str) -> set[str]:
    """Content types besides JSON that an answer may have."""
    return set(_described()["paths"][path][method]["responses"][status].get("content", {})) - {"application/json"}


def departure(method: str, path: str, status: int, content_type: str, body: bytes) -> str | None:
    """In what a reply is not what the description says; None where it is."""
    shown = f"{method} {path} → {status} {body[:300]!r}"
    path = re.sub("/{2,}", "/", path)
    template = next((t for pattern, t in _paths() if pattern.fullmatch(path)), None)
    operation = _described()["paths"][template].get(method.lower()) if template else None
    if operation is None:
        fine = status in (400, 401, 403, 404, 405) or (method == "HEAD" and status == 200)
        return None if fine else f"{shown}: there is no such operation"
    try:
        validator = _validator(template, method.lower(), str(status))  # type: ignore[arg-type]
    except KeyError:
        return f"{shown}: the description does not name this status"
    if validator is None or content_type.partition(";")[0] in _other_forms(template, method.lower(), str(status)):  # type: ignore[arg-type]
        return None
    if content_type != "application/json":
        return f"{shown}: it is {content_type}"
    fault = next(validator.iter_errors(json.loads(body)), None)
    return None if fault is None else f"{shown}: {fault.message} at {'.'.join(map(str, fault.instance_path))}"


class Described:
    """The application, with everything it answers looked at on the way."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.departures: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun: Message = {}
        body = bytearray()

        async def look(message: Message) -> None:
            if message["type"] == "http.response.start":
                begun.update(message)
            elif message["type"] == "http.response.body" and len(body) <= LARGEST:
                body.extend(message.get("body", b""))
                if not message.get("more_body") and len(body) <= LARGEST and body:
                    self._look_at(scope, begun, bytes(body))
            await send(message)

        await self._app(scope, receive, look)

    def _look_at(self, scope: Scope, begun: Message, body: bytes) -> None:
        content_type = dict(begun["headers"]).get(b"content-type", b"").decode()
        path = scope["raw_path"].decode().partition("?")[0]
        found = departure(scope["method"], path, begun["status"], content_type, body)
        if found:
            self.departures.append(found)


@contextmanager
def held_to_description(app: ASGIApp) -> Iterator[ASGIApp]:
    """`app`; when the block ends well, everything it answered has to have been as described."""
    described = Described(app)
    yield described
    assert described.departures == [], "\n".join(described.departures[:10])
