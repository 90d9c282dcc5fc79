"""Whatever a client with the token sends, the answer is Cloudflare's envelope and the server goes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coinswarm.server import jobs
from coinswarm.server.app import ROUTES
from tests.support.served import DATABASE, Api, served

KEYS = [
    *("sql", "params", "batch", "name", "read_replication", "mode", "output_format", "dump_options", "tables"),
    *("no_schema", "action", "etag", "filename", "current_bookmark", "query", "variables", "filter", "AND"),
    *("queue_name", "settings", "delivery_delay", "delivery_paused", "type", "script_name", "dead_letter_queue"),
    *("max_retries", "batch_size", "visibility_timeout_ms", "body", "messages", "content_type", "delay_seconds"),
    *("acks", "retries", "lease_id", "refs", "ref", "delete_messages_permanently", "cron", "schedules"),
]
WORDS = [
    *("SELECT 1", "SELECT ?", "INSERT INTO t VALUES (1); SELECT * FROM t", "PRAGMA table_list", "BEGIN", ";", "", "x"),
    *("worker", "http_pull", "init", "ingest", "poll", "json", "text", "0" * 32, "auto", "\0", "é" * 50, DATABASE),
]
scalars = (
    st.none()
    | st.booleans()
    | st.sampled_from([0, 1, -1, 101, 86_401, 2**53 + 1, 2**63, 1.5, 1e300])
    | st.sampled_from(WORDS)
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from(KEYS), documents, max_size=5)
segments = st.sampled_from(["%00", "..", "a%2Fb", "x" * 300, "0" * 32, "%F0%9F%98%80", "nope", DATABASE, "known"])
queries = st.dictionaries(
    st.sampled_from(["page", "per_page", "name", "fields", "bookmark", "timestamp"]),
    st.sampled_from([*WORDS, "1", "-1"]),
)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with pytest.MonkeyPatch.context() as patch, served(tmp_path_factory.mktemp("fuzz")) as opened:
        patch.setattr(jobs, "HOLD_SECONDS", 0.0)
        opened.query("CREATE TABLE t (v)")
        opened.queue("known")
        yield opened


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(ROUTES), st.lists(segments, min_size=3, max_size=3), objects | documents, queries)
def test_every_answer_is_an_envelope_and_no_fault_of_ours(
    api: Api, route: Any, ids: list[str], document: Any, query: dict[str, str]
) -> None:
    path = route.path.replace("{account}", api.account.id)
    known_queue = api.queues.info("known").queue_id
    for name, chosen in zip(("{database}", "{queue}", "{script}"), ids, strict=True):
        path = path.replace(name, known_queue if (chosen, name) == ("known", "{queue}") else chosen)
    path = path.replace("{consumer}", ids[0])
    if route.method == "DELETE" and known_queue in path:
        return
    reply = api.send(route.method, f"/{path}", document, params=query)
    told = reply.json()
    if "data" in told:  # GraphQL has no envelope
        return
    assert {"result", "success", "errors", "messages"} <= set(told), told
    assert told["success"] == (reply.status_code < 400)
    assert reply.status_code < 500, told
    assert all(error["code"] >= 1000 and error["message"] for error in told["errors"])
    assert "Traceback" not in reply.text


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([r for r in ROUTES if r.method in ("POST", "PUT", "PATCH")]), st.binary(max_size=200))
def test_bytes_that_are_no_json_are_refused(api: Api, route: Any, body: bytes) -> None:
    path = route.path.replace("{account}", api.account.id).replace("{database}", DATABASE)
    path = (
        path.replace("{queue}", api.queues.info("known").queue_id).replace("{script}", "w").replace("{consumer}", "c")
    )
    reply = api.send(route.method, f"/{path}", body)
    assert reply.status_code < 500, reply.text
    assert reply.json()["success"] == (reply.status_code < 400)


def test_afterwards_everything_is_where_it_was(api: Api) -> None:
    assert api.rows("SELECT count(*) >= 0 AS fine FROM t") == [{"fine": 1}]
    assert api.result("GET", "/d1/database")[0]["name"] == DATABASE
