"""The description of the server's API: that it is true, whole, and served.

That every reply is as described is looked at in every test that asks the server (`tests/support/described.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from starlette.routing import Mount, Route, Router

from coinswarm import errors
from coinswarm.config import load
from coinswarm.dev.operations import StackOperations
from coinswarm.server.app import create_app
from coinswarm.server.openapi.document import API, OPERATIONS, PATH, document
from tests.support.described import departure
from tests.support.served import TOKEN, Api, served

METHODS = ("get", "put", "post", "patch", "delete")
OPERATION = f"{API}/accounts/{{account}}/queues/{{queue}}"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with served(tmp_path_factory.mktemp("described")) as opened:
        yield opened


def routes(app: Any, prefix: str = "") -> set[str]:
    """Method and path of everything that `app` routes, through whatever stands before it."""
    if isinstance(app, Mount):
        return routes(app.app, prefix + app.path)
    if isinstance(app, Route):
        return {f"{method} {prefix}{app.path}" for method in app.methods or () if method != "HEAD"}
    if isinstance(app, Router) or hasattr(app, "routes"):
        return set().union(*(routes(route, prefix) for route in app.routes))
    return routes(app._app, prefix)


def operations(*, beside: bool = True) -> dict[str, Any]:
    return {
        f"{method.upper()} {path}": described
        for path, methods in document(beside=beside)["paths"].items()
        for method, described in methods.items()
    }


@pytest.mark.parametrize("beside", [False, True])
def test_every_route_is_described_and_everything_described_is_a_route(api: Api, tmp_path: Path, beside: bool) -> None:
    stack = StackOperations(load(cwd=tmp_path, environ={}), api.clock) if beside else None
    there = routes(create_app(api.account, token=TOKEN, operations=stack))
    assert len(there) > 40
    assert ("POST /trigger" in there) == beside
    assert set(operations(beside=beside)) == there


def test_operations_are_told_apart_by_their_ids() -> None:
    ids = [described["operationId"] for described in operations().values()]
    assert len(set(ids)) == len(ids)


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(document())
    known = document()["components"]["schemas"]
    named = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert named == set(known), "one leads nowhere, or a form is used by nothing"


def test_every_form_is_a_json_schema() -> None:
    for name, schema in document()["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}), name


def test_every_error_an_operation_names_is_one_that_the_clients_know() -> None:
    named = {each.code for operation in OPERATIONS.values() for each in operation.faults}
    assert named >= {errors.SqlError.code, errors.QueueNotFound.code, errors.QueuePaused.code}
    for name, operation in OPERATIONS.items():
        assert all(400 <= each.http_status < 600 for each in operation.faults), name


def test_everything_but_files_and_the_description_needs_the_token_from_elsewhere() -> None:
    open_to_all = {name for name, described in operations().items() if described.get("security") == []}
    assert open_to_all == {
        f"GET {PATH}",
        "GET /transfers/{secret}/{filename}",
        "PUT /transfers/{secret}/{filename}",
    }
    assert document()["security"] == [{"token": []}]
    for name, described in operations().items():
        assert "security" not in described or not name.split(" ")[1].startswith(API), name


def test_the_description_is_served_to_who_has_no_token(api: Api) -> None:
    reply = api.client.get(PATH)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json() == document(beside=False)
    assert reply.json()["openapi"].startswith("3.1")
    assert api.account.id not in reply.text
    assert TOKEN not in reply.text


@pytest.mark.parametrize(
    ("status", "body", "departs"),
    [
        (200, {"result": None, "success": True, "errors": [], "messages": []}, True),
        (404, {"result": None, "success": False, "errors": [{"code": 11000, "message": "no"}], "messages": []}, False),
        (404, {"result": None, "success": False, "errors": [{"code": 7404, "message": "no"}], "messages": []}, True),
        (404, {"result": None, "success": True, "errors": [{"code": 11000, "message": "no"}], "messages": []}, True),
        (418, {"result": None, "success": False, "errors": [{"code": 11000, "message": "no"}], "messages": []}, True),
        (404, {"error": "no"}, True),
    ],
)
def test_a_reply_that_departs_from_the_description_is_noticed(status: int, body: Any, departs: bool) -> None:
    path = OPERATION.format(account="0" * 32, queue="1" * 32)
    found = departure("GET", path, status, "application/json", json.dumps(body).encode())
    assert (found is not None) == departs, found
