"""The OpenAPI document, put together from the operations."""

from __future__ import annotations

import re
from typing import Any, Final

from coinswarm import __version__
from coinswarm.server.openapi import accounts, d1, forms, queues, stack
from coinswarm.server.openapi.operations import EVERYWHERE, Operation

API: Final = "/client/v4"
"""What every path of Cloudflare's API begins with."""
PATH: Final = "/openapi.json"
"""Where the document is served, without a token: it tells nothing of what is stored."""

_TAGS: Final = {"Account": accounts.OPERATIONS, "D1": d1.OPERATIONS, "Queues": queues.OPERATIONS}
OPERATIONS: Final[dict[str, Operation]] = {
    name: operation for operations in _TAGS.values() for name, operation in operations.items()
}
"""By method and path below `API`."""
_PLACEHOLDERS: Final = {
    "account": {**forms.ID, "description": "The account's id."},
    "database": {"type": "string", "description": "The database's uuid or name."},
    "queue": {**forms.ID, "description": "The queue's id."},
    "consumer": {"type": "string", "description": "The consumer's id."},
    "script": {"type": "string", "description": "The Worker's name."},
}
_ABOUT: Final = (
    "Cloudflare's REST API for D1 and Queues over the data on this machine (`coinswarm serve`). Every reply to "
    "what begins with `/client/v4`, but to `/graphql`, is Cloudflare's envelope. "
    "Bodies are read as JSON whatever their Content-Type."
)


def document(*, beside: bool = True) -> dict[str, Any]:
    """OpenAPI 3.1. `beside`: with the routes of the stack beside Cloudflare's API, where the server has them."""
    paths: dict[str, Any] = {}
    for tag, operations in _TAGS.items():
        for name, operation in operations.items():
            method, path = name.split(" ")
            described = operation.as_json(_operation_id(method, path), tag, _placeholders(path))
            paths.setdefault(API + path, {})[method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": "coinswarm serve", "version": __version__, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": {**paths, **_BESIDES, **(stack.PATHS if beside else {})},
        "components": {
            "schemas": forms.SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "CLOUDFLARE_API_TOKEN"}},
        },
    }


def _placeholders(path: str) -> list[forms.Schema]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _PLACEHOLDERS[name]}
        for name in re.findall(r"\{(\w+)\}", path)
    ]


def _operation_id(method: str, path: str) -> str:
    """`POST /accounts/{account}/queues/{queue}/purge` → `post_queues_queue_purge`."""
    words = re.findall(r"\w+", path.removeprefix("/accounts/{account}") or path)
    return "_".join([method.lower(), *words])


_REFUSED: Final = {
    str(each.http_status): {
        "description": each.text,
        "content": {"application/json": {"schema": forms.ref("Error")}},
    }
    for each in EVERYWHERE
}
_SECRET: Final = [
    {"name": name, "in": "path", "required": True, "schema": forms.TEXT} for name in ("secret", "filename")
]
_SQL: Final = {"application/sql": {"schema": {"type": "string"}}}
_BESIDES: Final[dict[str, Any]] = {
    "/transfers/{secret}/{filename}": {
        "get": {
            "operationId": "get_transfer",
            "summary": "Download an export; the secret in the path takes the token's place",
            "tags": ["Transfers"],
            "security": [],
            "parameters": _SECRET,
            "responses": {"200": {"description": "The SQL text.", "content": _SQL}, **_REFUSED},
        },
        "put": {
            "operationId": "put_transfer",
            "summary": "Upload a file to import, once; the secret in the path takes the token's place",
            "tags": ["Transfers"],
            "security": [],
            "parameters": _SECRET,
            "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {}}}},
            "responses": {
                "200": {
                    "description": "Stored.",
                    "headers": {"ETag": {"required": True, "schema": {"type": "string"}}},
                },
                **_REFUSED,
            },
        },
    },
    "/health": stack.HEALTH,
    "/metrics": {
        "get": {
            "operationId": "get_metrics",
            "summary": "Queues, usage and candles for Prometheus; with the token where others than this machine listen",
            "tags": ["Server"],
            "security": [{}, {"token": []}],
            "responses": {
                "200": {
                    "description": "Prometheus' text format, version 0.0.4.",
                    "content": {"text/plain": {"schema": forms.TEXT}},
                },
                **_REFUSED,
            },
        }
    },
    PATH: {
        "get": {
            "operationId": "get_openapi",
            "summary": "This document",
            "tags": ["Server"],
            "security": [],
            "responses": {
                "200": {"description": "OpenAPI 3.1.", "content": {"application/json": {"schema": {"type": "object"}}}},
                **_REFUSED,
            },
        }
    },
}
