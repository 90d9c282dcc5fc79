"""The server as a stranger meets it: requests made from its own description, valid and not, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS as KNOWN
from schemathesis.checks import load_all_checks

from coinswarm.server import jobs
from coinswarm.server.account import LOCAL_ACCOUNT_ID
from coinswarm.server.listening import Server
from coinswarm.server.openapi.document import document
from tests.support.served import DATABASE, TOKEN, Api, refused, served

load_all_checks()

CHECKS = [
    KNOWN.get_one(name)
    for name in (
        *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance"),
        *("response_schema_conformance", "negative_data_rejection", "unsupported_method"),
    )
]
"""Not whether valid data is accepted: that a text is SQL, or a bookmark known, no schema can say."""
BEARER = {"Authorization": f"Bearer {TOKEN}"}
BRIEFLY = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
AT_LENGTH = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


KEPT, SPARE, UNKNOWN = "1" * 32, "2" * 32, "0" * 32
"""What stands for the id of a queue until the queues are there."""


def narrowed(document: dict[str, Any]) -> dict[str, Any]:
    """The description with its ids narrowed to those that are there and one that is not; deletions get their own.

    Without the token, which every request here brings: what is told to strangers has a test of its own.
    """
    del document["security"]
    for methods in document["paths"].values():
        for method, operation in methods.items():
            deletes = method == "delete"
            ids = {
                "account": [LOCAL_ACCOUNT_ID],
                "queue": [UNKNOWN, SPARE if deletes else KEPT],
                "database": ["nowhere", "spare" if deletes else DATABASE],
            }
            operation["parameters"] = [
                {**each, "schema": {"type": "string", "enum": ids[each["name"]]}}
                if each["in"] == "path" and each["name"] in ids
                else each
                for each in operation.get("parameters", ())
            ]
    return document


described = schemathesis.openapi.from_dict(narrowed(document(beside=False)))


@dataclass
class Running:
    """A server on a socket, and the queues whose ids the requests are about."""

    api: Api
    server: Server
    ids: dict[str, str]

    def ask(self, case: schemathesis.Case) -> None:
        """Send the request with the token and hold the answer to the description."""
        chosen = case.path_parameters.get("queue")
        if chosen == SPARE:
            name = f"spare-{next(COUNTER)}"
            self.ids[SPARE] = self.api.queue(name)
        if chosen in self.ids:
            case.path_parameters["queue"] = self.ids[chosen]
        reply = case.call_and_validate(base_url=self.server.url, headers=BEARER, checks=CHECKS)
        made = reply.json().get("result") if case.method == "POST" and reply.status_code == 200 else None
        if isinstance(made, dict) and "uuid" in made:  # what a later request could take for one that does not exist
            self.api.result("DELETE", f"/d1/database/{made['uuid']}")
        elif isinstance(made, dict) and "queue_id" in made:
            self.api.result("DELETE", f"/queues/{made['queue_id']}")


COUNTER = count()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch, served(tmp_path_factory.mktemp("fuzzed")) as api:
        patch.setattr(jobs, "HOLD_SECONDS", 0.01)
        api.query("CREATE TABLE t (v)")
        api.result("POST", "/d1/database", {"name": "spare"})
        with Server(api.app) as server:
            yield Running(api, server, {KEPT: api.queue("kept")})


@described.parametrize()
@BRIEFLY
def test_whatever_is_asked_the_answer_is_as_described(case: schemathesis.Case, running: Running) -> None:
    running.ask(case)


@pytest.mark.nightly
@described.parametrize()
@AT_LENGTH
def test_whatever_is_asked_at_length_the_answer_is_as_described(case: schemathesis.Case, running: Running) -> None:
    running.ask(case)


GUARDED = [
    (method.upper(), path)
    for path, methods in document(beside=False)["paths"].items()
    for method, operation in methods.items()
    if "security" not in operation  # what names its own is open to this machine, as test_server_stack says
]


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_no_operation_answers_a_stranger(method: str, path: str, running: Running) -> None:
    url = running.server.url + path.replace("{account}", running.api.account.id)
    with httpx.Client(trust_env=False) as client:
        assert refused(client.request(method, url))[:2] == (400, 9106)
        for wrong in ("Bearer wrong", "Bearer 0", f"Bearer {TOKEN} x"):
            assert refused(client.request(method, url, headers={"Authorization": wrong}))[:2] == (401, 10000)


@pytest.mark.parametrize("path", document(beside=False)["paths"])
def test_a_method_that_a_path_does_not_have_is_405(path: str, running: Running) -> None:
    url = running.server.url + path.replace("{account}", running.api.account.id)
    known = {method.upper() for method in document(beside=False)["paths"][path]}
    with httpx.Client(trust_env=False, headers=BEARER) as client:
        for method in {"GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} - known:
            assert refused(client.request(method, url))[:2] == (405, 7001), method


# What it found once.


@pytest.mark.parametrize("query", ["page=", "per_page=", "page=0", "page=1.0", "page=²", "per_page=10001"])
@pytest.mark.parametrize("path", ["/queues", "/d1/database", "//accounts", "//memberships"])
def test_a_page_that_is_no_number_is_refused(running: Running, path: str, query: str) -> None:
    assert running.api.refusal("GET", f"{path}?{query}")[:2] == (400, 7400)


@pytest.mark.parametrize("settings", [False, 0, "", [], "x"])
def test_settings_that_are_no_object_are_refused_and_nothing_is_created(running: Running, settings: Any) -> None:
    assert running.api.refusal("POST", "/queues", {"queue_name": "q", "settings": settings})[:2] == (400, 100128)
    queue = f"/queues/{running.ids[KEPT]}"
    for method in ("PUT", "PATCH"):
        assert running.api.refusal(method, queue, {"settings": settings})[:2] == (400, 100128)


@pytest.mark.parametrize("name", [False, 0, [], {}, 7])
def test_a_dead_letter_queue_that_is_no_name_is_refused(running: Running, name: Any) -> None:
    path = f"/queues/{running.ids[KEPT]}/consumers"
    assert running.api.refusal("POST", path, {"type": "http_pull", "dead_letter_queue": name})[:2] == (400, 10026)


@pytest.mark.parametrize("flag", ["no_schema", "no_data"])
@pytest.mark.parametrize("value", ["true", 1, 0, [], {}])
def test_a_flag_of_an_export_that_is_not_true_or_false_is_refused(running: Running, flag: str, value: Any) -> None:
    refusal = running.api.refusal("POST", f"/d1/database/{DATABASE}/export", {"dump_options": {flag: value}})
    assert refusal == (400, 7400, f"Invalid property: dump_options.{flag} => Expected boolean")


def test_afterwards_the_server_is_alive_and_its_data_there(running: Running) -> None:
    assert httpx.get(f"{running.server.url}/health", trust_env=False).status_code == 200
    assert [row["name"] for row in running.api.rows("SELECT name FROM sqlite_master WHERE name = 't'")] == ["t"]
