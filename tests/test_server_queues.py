"""Queues over the API: queues, consumers and messages as Cloudflare answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coinswarm.limits import QUEUES as LIMITS
from coinswarm.queue.types import OutgoingMessage
from coinswarm.queue.wire import decode_object
from coinswarm.server import queues as server_queues
from tests.support.served import Api, served

QUEUES = "/queues"
NOBODY = "0" * 32


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with served(tmp_path) as opened:
        yield opened


def names(api: Api, query: str = "") -> list[str]:
    return [queue["queue_name"] for queue in api.result("GET", f"{QUEUES}{query}")]


def push(api: Api, queue_id: str, *bodies: Any, **more: Any) -> Any:
    messages = [body if isinstance(body, dict) and "body" in body else {"body": body} for body in bodies]
    return api.result("POST", f"{QUEUES}/{queue_id}/messages/batch", {"messages": messages, **more})


def pull(api: Api, queue_id: str, **body: Any) -> list[dict[str, Any]]:
    return list(api.result("POST", f"{QUEUES}/{queue_id}/messages/pull", body)["messages"])


def bodies(messages: list[dict[str, Any]]) -> list[Any]:
    return [json.loads(base64.b64decode(message["body"])) for message in messages]


def ack(api: Api, queue_id: str, messages: list[dict[str, Any]]) -> Any:
    acks = [{"lease_id": message["lease_id"]} for message in messages]
    return api.result("POST", f"{QUEUES}/{queue_id}/messages/ack", {"acks": acks})


def metrics(api: Api, queue_id: str) -> Any:
    return api.result("GET", f"{QUEUES}/{queue_id}/metrics")


# Queues


def test_a_queue_is_created_with_defaults_found_and_deleted(api: Api) -> None:
    made = api.result("POST", QUEUES, {"queue_name": "prices"})
    assert made["settings"] == {"delivery_delay": 0, "delivery_paused": False, "message_retention_period": 345_600}
    assert (made["consumers"], made["consumers_total_count"], made["producers_total_count"]) == ([], 0, 0)
    assert len(made["queue_id"]) == 32
    assert api.result("GET", f"{QUEUES}/{made['queue_id']}") == made
    assert api.result("DELETE", f"{QUEUES}/{made['queue_id']}") is None
    assert api.refusal("GET", f"{QUEUES}/{made['queue_id']}")[:2] == (404, 11000)


def test_wrangler_may_call_json_text(api: Api) -> None:
    headers = {"Content-Type": "text/plain;charset=UTF-8"}
    assert api.result("POST", QUEUES, b'{"queue_name": "prices"}', headers=headers)["queue_name"] == "prices"


def test_the_list_is_filtered_by_exact_names_that_may_repeat(api: Api) -> None:
    for name in ("a", "ab", "b"):
        api.queue(name)
    assert names(api) == ["a", "ab", "b"]
    assert names(api, "?page=1&name=a") == ["a"]
    assert names(api, "?name=b&name=a&name=nope") == ["a", "b"]
    assert names(api, "?name=nope") == []
    assert names(api, "?page=2&per_page=2") == ["b"]
    assert names(api, "?page=3&per_page=2") == []
    assert api.send("GET", f"{QUEUES}?per_page=2").json()["result_info"]["total_count"] == 3


def test_put_replaces_all_settings_and_patch_only_those_it_names(api: Api) -> None:
    path = f"{QUEUES}/{api.queue()}"
    api.result("PATCH", path, {"queue_name": "prices", "settings": {"delivery_paused": True}})
    patched = api.result("PATCH", path, {"settings": {"delivery_delay": 5, "message_retention_period": 60}})
    assert patched["settings"] == {"delivery_delay": 5, "delivery_paused": True, "message_retention_period": 60}
    put = api.result("PUT", path, {"queue_name": "renamed", "settings": {"delivery_delay": 7}})
    assert put["settings"] == {"delivery_delay": 7, "delivery_paused": False, "message_retention_period": 345_600}
    assert put["queue_name"] == "renamed"
    assert api.result("GET", path)["queue_name"] == "renamed"


def test_of_two_patches_at_once_neither_is_lost(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"{QUEUES}/{api.queue()}"

    def meanwhile(body: bytes) -> dict[str, Any]:
        monkeypatch.undo()
        api.result("PATCH", path, {"settings": {"delivery_paused": True}})
        return decode_object(body)

    monkeypatch.setattr(server_queues, "decode_object", meanwhile)
    patched = api.result("PATCH", path, {"settings": {"delivery_delay": 7}})
    assert (patched["settings"]["delivery_paused"], patched["settings"]["delivery_delay"]) == (True, 7)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, 10026),
        (b"nonsense", 400, 10026),
        (b"[]", 400, 10026),
        ({"queue_name": 7}, 400, 11003),
        ({"queue_name": "Capital"}, 400, 11003),
        ({"queue_name": "under_score"}, 400, 11003),
        ({"queue_name": "x" * 64}, 400, 11003),
        ({"queue_name": "taken"}, 409, 11009),
        ({"queue_name": "x", "settings": {"delivery_delay": 86_401}}, 400, 100128),
        ({"queue_name": "x", "settings": {"message_retention_period": 59}}, 400, 100128),
        ({"queue_name": "x", "settings": {"delivery_delay": "5"}}, 400, 100128),
        ({"queue_name": "x", "settings": [1]}, 400, 100128),
    ],
)
def test_a_queue_that_cannot_be_is_not_created(api: Api, body: Any, status: int, code: int) -> None:
    api.queue("taken")
    assert api.refusal("POST", QUEUES, body)[:2] == (status, code)
    assert names(api) == ["taken"]


def test_the_sdks_are_told_not_to_try_a_conflict_again(api: Api) -> None:
    api.queue("taken")
    assert api.send("POST", QUEUES, {"queue_name": "taken"}).headers["x-should-retry"] == "false"


def test_a_purge_deletes_what_waits_and_says_when(api: Api) -> None:
    queue_id = api.queue()
    push(api, queue_id, 1, 2, {"body": 3, "delay_seconds": 60})
    assert api.result("GET", f"{QUEUES}/{queue_id}/purge") == {"started_at": "", "complete": False, "completed": ""}
    done = api.result("POST", f"{QUEUES}/{queue_id}/purge", {"delete_messages_permanently": True})
    assert done == api.result("GET", f"{QUEUES}/{queue_id}/purge")
    assert done["started_at"] == done["completed"] == "2023-11-14T22:13:20.000000Z"
    assert done["complete"] is True
    assert metrics(api, queue_id)["backlog_count"] == 0
    assert api.refusal("POST", f"{QUEUES}/{queue_id}/purge", {})[:2] == (400, 7400)


# Consumers


def test_a_consumer_is_added_replaced_and_removed(api: Api) -> None:
    queue_id = api.queue(pulled=False)
    path = f"{QUEUES}/{queue_id}/consumers"
    worker = {
        "type": "worker",
        "script_name": "importer",
        "environment_name": "",
        "dead_letter_queue": "prices-dead",
        "settings": {"batch_size": 100, "max_retries": 5, "max_wait_time_ms": 5000, "max_concurrency": None},
    }
    added = api.result("POST", path, worker)
    assert added["script"] == added["script_name"] == "importer"
    assert added["settings"]["batch_size"] == 100
    assert added["dead_letter_queue"] == "prices-dead"
    assert "prices-dead" in names(api)
    assert api.result("GET", path) == [added]
    one = f"{path}/{added['consumer_id']}"
    assert api.result("GET", one) == added
    replaced = api.result("PUT", one, {"type": "http_pull", "settings": {"visibility_timeout_ms": 1000}})
    assert (replaced["type"], replaced["consumer_id"]) == ("http_pull", added["consumer_id"])
    assert replaced["settings"] == {"batch_size": 5, "max_retries": 3, "visibility_timeout_ms": 1000, "retry_delay": 0}
    assert api.result("DELETE", one) is None
    assert api.result("GET", f"{QUEUES}/{queue_id}")["consumers"] == []
    for method in ("GET", "DELETE"):
        assert api.refusal(method, one)[:2] == (404, 11005)


def test_a_put_of_a_consumer_that_is_not_there_adds_it_as_documented(api: Api) -> None:
    path = f"{QUEUES}/{api.queue(pulled=False)}/consumers"
    added = api.result("PUT", f"{path}/{NOBODY}", {"type": "http_pull", "settings": {"batch_size": 7}})
    assert (added["consumer_id"], added["settings"]["batch_size"]) == (NOBODY, 7)
    assert api.result("GET", path) == [added]


def test_a_put_adds_no_second_consumer_and_none_under_an_id_that_cannot_be_its_own(api: Api) -> None:
    path = f"{QUEUES}/{api.queue()}/consumers"
    (there,) = api.result("GET", path)
    assert api.refusal("PUT", f"{path}/{NOBODY}", {"type": "http_pull"})[:2] == (409, 11004)
    other = f"{QUEUES}/{api.queue('other', pulled=False)}/consumers"
    for taken_or_malformed in (there["consumer_id"], "x"):
        assert api.refusal("PUT", f"{other}/{taken_or_malformed}", {"type": "http_pull"})[:2] == (404, 11005)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"settings": {}}, 400, 10026),
        ({"type": "worker"}, 400, 10026),
        ({"type": "http_pull"}, 409, 11004),
    ],
)
def test_a_second_or_malformed_consumer_is_refused(api: Api, body: Any, status: int, code: int) -> None:
    assert api.refusal("POST", f"{QUEUES}/{api.queue()}/consumers", body)[:2] == (status, code)


def test_consumer_settings_out_of_range_are_refused(api: Api) -> None:
    path = f"{QUEUES}/{api.queue(pulled=False)}/consumers"
    refusal = api.refusal("POST", path, {"type": "http_pull", "settings": {"batch_size": 101}})
    assert refusal[:2] == (400, 100127)


# Messages


def test_messages_go_through_in_their_content_types(api: Api) -> None:
    queue_id = api.queue()
    answer = api.result("POST", f"{QUEUES}/{queue_id}/messages", {"body": {"price": 1.10}})
    assert answer["metadata"]["metrics"]["backlog_count"] == 1
    push(api, queue_id, {"body": "plain ü", "content_type": "text"}, {"body": [1], "content_type": "json"})
    found = api.result("POST", f"{QUEUES}/{queue_id}/messages/pull", {})
    first, text, array = found["messages"]
    assert base64.b64decode(first["body"]) == b'{"price":1.1}'
    assert text["body"] == "plain ü"
    assert base64.b64decode(array["body"]) == b"[1]"
    assert [m["metadata"]["CF-Content-Type"] for m in found["messages"]] == ["json", "text", "json"]
    assert (first["attempts"], first["timestamp_ms"], len(first["id"])) == (1, api.clock.now_ms(), 32)
    assert found["message_backlog_count"] == found["metadata"]["metrics"]["backlog_count"] == 3
    assert ack(api, queue_id, found["messages"]) == {"ackCount": 3, "retryCount": 0, "warnings": {}}
    assert metrics(api, queue_id) == {"backlog_count": 0, "backlog_bytes": 0, "oldest_message_timestamp_ms": 0}


def test_json_comes_plain_when_the_server_was_told_so(tmp_path: Path) -> None:
    with served(tmp_path, plain_json=True) as api:
        queue_id = api.queue()
        push(api, queue_id, {"x": 1})
        assert pull(api, queue_id)[0]["body"] == '{"x":1}'


def test_a_message_bound_as_bytes_comes_in_base64(api: Api) -> None:
    queue_id = api.queue()
    api.queues.open("prices").send_batch([OutgoingMessage(b"\x00\xff", "bytes")])
    (message,) = pull(api, queue_id)
    assert (message["body"], message["metadata"]["CF-Content-Type"]) == ("AP8=", "bytes")


def test_a_pull_takes_what_its_consumer_says_unless_it_says_more(api: Api) -> None:
    queue_id = api.queue(pulled=False)
    settings = {"batch_size": 2, "visibility_timeout_ms": 1000}
    api.result("POST", f"{QUEUES}/{queue_id}/consumers", {"type": "http_pull", "settings": settings})
    push(api, queue_id, *range(6))
    assert bodies(pull(api, queue_id)) == [0, 1]
    assert bodies(pull(api, queue_id, batch_size=3, visibility_timeout_ms=5000)) == [2, 3, 4]
    api.clock.advance(2)
    assert bodies(pull(api, queue_id, batch_size=100)) == [5, 0, 1]
    api.clock.advance(4)
    assert sorted(bodies(pull(api, queue_id, batch_size=100))) == [0, 1, 2, 3, 4, 5]


def test_a_retry_comes_back_after_its_delay_and_counts(api: Api) -> None:
    queue_id = api.queue()
    push(api, queue_id, "a", "b")
    first, second = pull(api, queue_id)
    retries = [{"lease_id": first["lease_id"], "delay_seconds": 10}, {"lease_id": second["lease_id"]}]
    answer = api.result("POST", f"{QUEUES}/{queue_id}/messages/ack", {"retries": retries})
    assert answer == {"ackCount": 0, "retryCount": 2, "warnings": {}}
    assert [(m["id"], m["attempts"]) for m in pull(api, queue_id)] == [(second["id"], 2)]
    api.clock.advance(10)
    assert [(m["id"], m["attempts"]) for m in pull(api, queue_id)] == [(first["id"], 2)]


def test_a_lease_that_is_over_is_warned_about_by_name(api: Api) -> None:
    queue_id = api.queue()
    push(api, queue_id, "a")
    early = pull(api, queue_id, visibility_timeout_ms=1000)
    api.clock.advance(2)
    late = pull(api, queue_id)
    answer = ack(api, queue_id, early)
    assert answer["ackCount"] == 0
    assert list(answer["warnings"]) == [early[0]["lease_id"]]
    assert ack(api, queue_id, late)["ackCount"] == 1
    assert ack(api, queue_id, [{"lease_id": "nonsense"}])["warnings"]


@pytest.mark.parametrize(
    ("acks", "retries", "counts"), [(2, 0, (1, 0)), (1, 1, (1, 0)), (0, 2, (0, 1))], ids=["acks", "both", "retries"]
)
def test_a_lease_named_twice_counts_once_for_what_became_of_it(
    api: Api, acks: int, retries: int, counts: tuple[int, int]
) -> None:
    queue_id = api.queue()
    push(api, queue_id, "a")
    (message,) = pull(api, queue_id)
    lease = {"lease_id": message["lease_id"]}
    body = {"acks": [lease] * acks, "retries": [lease] * retries}
    answer = api.result("POST", f"{QUEUES}/{queue_id}/messages/ack", body)
    assert (answer["ackCount"], answer["retryCount"]) == counts
    assert list(answer["warnings"]) == [message["lease_id"]]


def test_a_retry_that_was_the_last_counts_as_one(api: Api) -> None:
    queue_id = api.queue(pulled=False)
    api.result("POST", f"{QUEUES}/{queue_id}/consumers", {"type": "http_pull", "settings": {"max_retries": 0}})
    push(api, queue_id, "a")
    (message,) = pull(api, queue_id)
    body = {"retries": [{"lease_id": message["lease_id"]}]}
    assert api.result("POST", f"{QUEUES}/{queue_id}/messages/ack", body)["retryCount"] == 1


def test_delays_are_the_messages_before_the_batchs_before_the_queues(api: Api) -> None:
    queue_id = api.queue()
    api.result("PATCH", f"{QUEUES}/{queue_id}", {"settings": {"delivery_delay": 30}})
    push(api, queue_id, {"body": "now", "delay_seconds": 0}, {"body": "batch"}, delay_seconds=10)
    push(api, queue_id, "queue")
    for seconds, body in ((0, "now"), (10, "batch"), (20, "queue")):
        api.clock.advance(seconds)
        delivered = pull(api, queue_id)
        assert bodies(delivered) == [body]
        ack(api, queue_id, delivered)


def test_a_paused_queue_takes_messages_and_gives_none(api: Api) -> None:
    queue_id = api.queue()
    api.result("PATCH", f"{QUEUES}/{queue_id}", {"settings": {"delivery_paused": True}})
    push(api, queue_id, "a")
    reply = api.send("POST", f"{QUEUES}/{queue_id}/messages/pull", {})
    assert reply.status_code == 409
    assert "queue_delivery_paused" in reply.json()["errors"][0]["message"]
    assert reply.headers["x-should-retry"] == "false"
    api.result("PATCH", f"{QUEUES}/{queue_id}", {"settings": {"delivery_paused": False}})
    assert bodies(pull(api, queue_id)) == ["a"]


@pytest.mark.parametrize("action", ["pull", "ack"])
def test_without_a_pull_consumer_there_is_no_pull_and_no_ack(api: Api, action: str) -> None:
    queue_id = api.queue(pulled=False)
    refusal = api.refusal("POST", f"{QUEUES}/{queue_id}/messages/{action}", {})
    assert refusal[:2] == (405, 10026)
    assert "pull" in refusal.message
    api.result("POST", f"{QUEUES}/{queue_id}/consumers", {"type": "worker", "script_name": "w"})
    assert api.refusal("POST", f"{QUEUES}/{queue_id}/messages/{action}", {}).status == 405


def test_a_peek_takes_no_lease_and_its_refs_can_be_purged(api: Api) -> None:
    queue_id = api.queue()
    push(api, queue_id, "a", "b", "c")
    path = f"{QUEUES}/{queue_id}/messages"
    seen = api.result("POST", f"{path}/peek", {"batch_size": 2})["messages"]
    assert bodies(seen) == ["a", "b"]
    assert [set(message) for message in seen] == [{"id", "attempts", "body", "metadata", "ref", "timestamp_ms"}] * 2
    leased = pull(api, queue_id, batch_size=1)
    refs = [{"ref": message["ref"]} for message in seen] + [{"ref": "nonsense"}]
    answer = api.result("POST", f"{path}/purge", {"refs": refs})
    assert sorted(answer["warnings"]) == sorted([leased[0]["id"], "nonsense"])
    assert bodies(pull(api, queue_id)) == ["c"]
    assert ack(api, queue_id, leased)["ackCount"] == 1
    for body in ({}, {"refs": []}, {"refs": ["x"]}, {"refs": [{"ref": 1}]}):
        assert api.refusal("POST", f"{path}/purge", body)[:2] == (400, 10026)


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("", b"nonsense", 400, 10208),
        ("", {}, 400, 10207),
        ("", {"body": 1, "content_type": "bytes"}, 400, 10203),
        ("", {"body": 1, "delay_seconds": 86_401}, 400, 10203),
        ("", {"body": "x" * LIMITS.message_bytes}, 413, 10204),
        ("/batch", {"messages": []}, 400, 10207),
        ("/batch", {"messages": [{"body": 1}], "delay_seconds": -1}, 400, 10202),
        ("/batch", {"messages": [{"body": 1}] * 101}, 400, 10206),
        ("/batch", {"messages": [{"body": "x" * 100_000}] * 3}, 413, 10205),
        ("/pull", {"batch_size": 101}, 400, 10026),
        ("/pull", {"visibility_timeout_ms": 0}, 400, 10026),
        ("/ack", b"nonsense", 400, 10026),
        ("/ack", {"acks": [{}]}, 400, 10026),
        ("/peek", {"batch_size": 0}, 400, 10026),
    ],
)
def test_a_refused_request_has_its_code_and_stores_nothing(
    api: Api, path: str, body: Any, status: int, code: int
) -> None:
    queue_id = api.queue()
    assert api.refusal("POST", f"{QUEUES}/{queue_id}/messages{path}", body)[:2] == (status, code)
    assert metrics(api, queue_id)["backlog_count"] == 0


def test_half_a_surrogate_pair_in_a_text_is_told_as_that(api: Api) -> None:
    queue_id = api.queue()
    body = rb'{"body": "\ud800", "content_type": "text"}'
    refusal = api.refusal("POST", f"{QUEUES}/{queue_id}/messages", body)
    assert refusal[:2] == (400, 10208)
    assert "half a surrogate pair" in refusal.message


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("GET", "", None, 11000),
        ("PUT", "", {}, 11000),
        ("PATCH", "", {}, 11000),
        ("DELETE", "", None, 11000),
        ("GET", "/consumers", None, 11000),
        ("POST", "/consumers", {"type": "http_pull"}, 11000),
        ("POST", "/purge", {"delete_messages_permanently": True}, 11000),
        ("GET", "/purge", None, 11000),
        ("GET", "/metrics", None, 11000),
        ("POST", "/messages", {"body": 1}, 10104),
        ("POST", "/messages/batch", {"messages": [{"body": 1}]}, 10104),
        ("POST", "/messages/pull", {}, 10104),
        ("POST", "/messages/ack", {}, 10104),
        ("POST", "/messages/peek", {}, 10104),
        ("POST", "/messages/purge", {"refs": [{"ref": "x"}]}, 10104),
    ],
)
def test_a_queue_that_does_not_exist_is_404(api: Api, method: str, path: str, body: Any, code: int) -> None:
    assert api.refusal(method, f"{QUEUES}/{NOBODY}{path}", body)[:2] == (404, code)


def test_an_id_stays_with_its_queue_through_renames_and_never_goes_to_another(api: Api) -> None:
    first = api.queue("prices")
    push(api, first, "first")
    api.result("PATCH", f"{QUEUES}/{first}", {"queue_name": "older"})
    second = api.queue("prices")
    assert bodies(pull(api, first)) == ["first"]
    assert pull(api, second) == []
    api.result("DELETE", f"{QUEUES}/{second}")
    third = api.queue("prices")
    push(api, third, "third")
    assert api.refusal("POST", f"{QUEUES}/{second}/messages/pull", {})[:2] == (404, 10104)


# Identity and schedules


def test_who_has_the_token_has_a_user_and_one_account(api: Api) -> None:
    assert api.result("GET", "//user/tokens/verify")["status"] == "active"
    assert api.result("GET", "/tokens/verify")["status"] == "active"
    assert "@" in api.result("GET", "//user")["email"]
    (account,) = api.result("GET", "//accounts")
    assert account["id"] == api.account.id
    assert api.result("GET", "") == account
    (membership,) = api.result("GET", "//memberships?page=1")
    assert membership["account"] == account
    assert api.result("GET", "//accounts?page=2") == api.result("GET", "//memberships?page=2") == []


def test_the_cron_triggers_are_those_configured_until_they_are_put(api: Api, tmp_path: Path) -> None:
    (script,) = api.account.schedules.workers()
    path = f"/workers/scripts/{script}/schedules"
    (configured,) = api.result("GET", path)["schedules"]
    assert configured["cron"] == "*/30 * * * *"
    api.clock.advance(60)
    put = api.result("PUT", path, [{"cron": "*/30 * * * *"}, {"cron": "0 4 * * MON"}])["schedules"]
    assert [schedule["cron"] for schedule in put] == ["*/30 * * * *", "0 4 * * MON"]
    assert put[0]["created_on"] == configured["created_on"] < put[1]["created_on"]
    assert api.result("GET", "/workers/scripts/unknown/schedules") == {"schedules": []}
    with served(tmp_path) as later:
        assert len(later.result("GET", path)["schedules"]) == 2
        assert later.result("PUT", path, []) == {"schedules": []}


def test_a_worker_that_plays_a_part_is_deployed_and_no_other(api: Api) -> None:
    (script,) = api.account.schedules.workers()
    (deployed,) = api.result("GET", f"/workers/scripts/{script}/deployments")["deployments"]
    assert deployed["versions"] == [{"percentage": 100, "version_id": deployed["id"]}]
    assert api.refusal("GET", "/workers/scripts/unknown/deployments")[:2] == (404, 10007)
    api.clock.advance(60)
    queue_id = api.queue(pulled=False)
    api.result("POST", f"{QUEUES}/{queue_id}/consumers", {"type": "worker", "script_name": "unknown"})
    (now,) = api.result("GET", "/workers/scripts/unknown/deployments")["deployments"]
    assert now["created_on"] > deployed["created_on"]


@pytest.mark.parametrize("body", [b"", b"x", b"[1]", b'[{"cron": 1}]', b'[{"cron": "every day"}]', b'{"schedules": 1}'])
def test_schedules_that_are_none_are_refused(api: Api, body: bytes) -> None:
    assert api.refusal("PUT", "/workers/scripts/w/schedules", body)[:2] == (400, 10021)
