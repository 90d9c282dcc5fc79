"""What stands before the API: token, Host header, routes, sizes; and that nothing a client sends ends the server."""

from __future__ import annotations

import hashlib
import json
import logging
import socket
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from coinswarm.errors import CannotListen, StorageError
from coinswarm.server import calls, files
from coinswarm.server.app import create_app
from coinswarm.server.listening import Server
from coinswarm.server.token import load_or_create
from tests.support.served import DATABASE, TOKEN, Api, refused, served

QUERY = f"/d1/database/{DATABASE}/query"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with served(tmp_path) as opened:
        yield opened


@pytest.fixture
def server(api: Api) -> Iterator[Server]:
    """The same application on a real socket."""
    with Server(create_app(api.account, token=TOKEN)) as running:
        yield running


def paths(api: Api) -> str:
    return f"/client/v4/accounts/{api.account.id}{QUERY}"


# Who may come in


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 400, 9106),
        ({"Authorization": ""}, 400, 9106),
        ({"Authorization": "Bearer"}, 400, 9106),
        ({"Authorization": f"Basic {TOKEN}"}, 400, 9106),
        ({"X-Auth-Email": "user@coinswarm.local", "X-Auth-Key": TOKEN}, 400, 9106),
        ({"Authorization": f"Bearer {TOKEN}x"}, 401, 10000),
        ({"Authorization": f"Bearer {TOKEN[:-1]}"}, 401, 10000),
        ({"Authorization": "Bearer tök€n".encode()}, 401, 10000),
    ],
)
@pytest.mark.parametrize("path", ["/client/v4/user", "/client/v4/graphql", "/client/v4/nowhere"])
def test_nobody_comes_in_without_the_token(api: Api, headers: Any, status: int, code: int, path: str) -> None:
    assert refused(api.client.get(path, headers=headers))[:2] == (status, code)


def test_the_scheme_is_read_in_any_case(api: Api) -> None:
    assert api.client.get("/client/v4/user", headers={"Authorization": f"bearer  {TOKEN} "}).status_code == 200


def test_the_token_comes_with_no_answer(api: Api) -> None:
    answers = [api.send("GET", "//user"), api.send("GET", "//nowhere"), api.send("POST", QUERY, {"sql": "SELECT nope"})]
    assert all(TOKEN not in answer.text for answer in answers)


@pytest.mark.parametrize("host", ["127.0.0.1:8787", "localhost", "LOCALHOST:1", "[::1]:8787"])
def test_loopback_names_are_ours(api: Api, host: str) -> None:
    assert api.send("GET", "//user", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example:8787", "127.0.0.1.evil.example", "localhost.", "", "169.254.169.254"])
def test_a_page_that_resolved_its_own_name_to_us_is_refused(api: Api, host: str) -> None:
    for path in ("//user", f"{QUERY}"):
        assert api.refusal("GET", path, headers={"Host": host})[:2] == (403, 10403)
    assert api.client.get("/health", headers={"Host": host}).status_code == 403


def test_the_host_we_are_bound_to_is_ours_and_bound_to_all_the_token_decides(tmp_path: Path) -> None:
    with served(tmp_path / "a", host="candles.example") as api:
        assert api.send("GET", "//user", headers={"Host": "candles.example:8787"}).status_code == 200
        assert api.send("GET", "//user", headers={"Host": "other.example"}).status_code == 403
    with served(tmp_path / "b", host="0.0.0.0") as api:
        assert api.send("GET", "//user", headers={"Host": "other.example"}).status_code == 200
        assert api.client.get("/client/v4/user", headers={"Host": "other.example"}).status_code == 400


def test_health_is_told_to_everybody(api: Api) -> None:
    assert api.client.get("/health").json()["status"] == "ok"


# The token


def test_a_token_is_made_once_and_kept_private(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "api-token"
    token, new = load_or_create(path)
    assert (len(token), new) == (40, True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create(path) == (token, False)
    assert load_or_create(tmp_path / "other")[0] != token


@pytest.mark.parametrize("text", ["", "\n", "two words", "tök"])
def test_a_token_file_without_a_token_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "api-token"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(StorageError, match="holds no token"):
        load_or_create(path)


def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "api-token"
    path.write_text("secret")
    path.chmod(0o644)
    with pytest.raises(StorageError, match="can be read by others"):
        load_or_create(path)


# Where there is something


@pytest.mark.parametrize(
    "path",
    [
        "//nowhere",
        "//accounts/x/d1/nowhere",
        "/d1/database/a/b/c",
        "/queues/",
        "/d1/database/..%2F..%2Fetc%2Fpasswd/query/x",
        "//..%2f..%2fhealth",
    ],
)
def test_a_route_that_does_not_exist_is_404_with_7003_and_7000(api: Api, path: str) -> None:
    reply = api.send("GET", path)
    assert reply.status_code == 404
    errors = reply.json()["errors"]
    assert [error["code"] for error in errors] == [7003, 7000]
    assert errors[0]["message"].startswith("Could not route to /client/v4/")
    assert errors[1]["message"] == "No route for that URI"


def test_outside_the_api_there_is_nothing_either(api: Api) -> None:
    for path in ("/", "/client/v4", "/client", "/transfers", "/favicon.ico"):
        assert api.client.get(path).status_code in (400, 404)


def test_another_method_than_those_there_are_is_405(api: Api) -> None:
    refusal = api.refusal("DELETE", QUERY)
    assert refusal == (405, 7001, "Method not available for that URI.")


def test_slashes_may_double_as_wrangler_doubles_them(api: Api) -> None:
    reply = api.client.get(
        f"/client/v4//accounts/{api.account.id}/d1//database", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    assert reply.json()["result"][0]["name"] == DATABASE


@pytest.mark.parametrize("account", ["x", "C01C5AA4C01C5AA4C01C5AA4C01C5AA4", "%00", "..", "0" * 33])
def test_a_malformed_account_is_404_with_7003(api: Api, account: str) -> None:
    for path in ("d1/database", "queues", "workers/scripts/w/schedules"):
        assert api.refusal("GET", f"//accounts/{account}/{path}")[:2] == (404, 7003)


def test_a_foreign_account_is_403_with_7403(api: Api) -> None:
    assert api.refusal("GET", f"//accounts/{'0' * 32}/queues") == (
        403,
        7403,
        "The given account is not valid or is not authorized to access this service",
    )


@pytest.mark.parametrize("name", ["%00", "a%00b", "'; DROP TABLE databases; --", "x" * 5000, "%F0%9F%95%AF", "%ff"])
def test_a_strange_name_of_a_database_or_a_queue_is_not_found(api: Api, name: str) -> None:
    assert api.refusal("GET", f"/d1/database/{name}")[:2] in ((404, 7404), (404, 7003))
    assert api.refusal("GET", f"/queues/{name}")[:2] in ((404, 11000), (404, 7003))
    assert len(api.result("GET", "/d1/database")) == 1


# What it withstands


def test_a_body_that_is_too_large_is_413_whole_or_in_chunks(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "BODY_BYTES", 1000)
    monkeypatch.setattr(calls, "_DRAINED_BYTES", 5000)
    for size in (1001, 4000, 60_000):
        assert api.refusal("POST", QUERY, b"x" * size)[:2] == (413, 10413)
    assert api.rows("SELECT 1 AS one") == [{"one": 1}]


def test_an_upload_that_is_too_large_is_413_and_leaves_no_file(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Limits:
        import_bytes = 1000

    monkeypatch.setattr(files, "D1", Limits)
    etag = hashlib.md5(b"x" * 1001).hexdigest()
    init = api.result("POST", f"/d1/database/{DATABASE}/import", {"action": "init", "etag": etag})
    assert refused(api.client.put(init["upload_url"], content=b"x" * 1001))[:2] == (413, 10413)
    transfers = tmp_path / "state" / "v3" / "coinswarm" / "transfers"
    assert [path for path in transfers.rglob("*") if path.is_file()] == []


def test_a_bug_is_told_without_its_traceback(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[Any]:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr(api.account.catalogue, "databases", broken)
    reply = api.send("GET", "/d1/database")
    assert refused(reply) == (500, 7500, "An unknown error occurred.")
    assert "secret" not in reply.text


def raw_exchange(server: Server, *parts: bytes, half_close: bool = False) -> bytes:
    """Send bytes as they are, and read until the other side closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while piece := connection.recv(65_536):
                received += piece
        except ConnectionResetError:
            pass
        return received


def test_what_is_no_http_ends_its_own_connection_only(api: Api, server: Server) -> None:
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    head = f"POST {paths(api)} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
    assert b"400" in raw_exchange(server, b"\x16\x03\x01 this is TLS\r\n\r\n")
    assert b" 431 " in raw_exchange(server, head + b"".join(b"X-%d: %s\r\n" % (i, b"y" * 100) for i in range(5_000)))
    assert b"400" in raw_exchange(server, head + b"Content-Length: minus one\r\n\r\n")
    raw_exchange(server, head + b"Content-Length: 1000\r\n\r\n", b'{"sql"', half_close=True)
    raw_exchange(server, head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
    raw_exchange(server, head[:20], half_close=True)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:  # leaves without a word
        connection.sendall(head + b"Content-Length: 1000\r\n\r\n{")
    assert health(server) == 200


def health(server: Server) -> int:
    with httpx.Client(trust_env=False) as client:
        return client.get(f"{server.url}/health").status_code


def test_a_body_of_eleven_megabytes_is_answered_over_a_real_connection(api: Api, server: Server) -> None:
    with httpx.Client(trust_env=False, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        reply = client.post(f"{server.url}{paths(api)}", content=b" " * 11_000_000)
        assert refused(reply)[:2] == (413, 10413)
        assert client.post(f"{server.url}{paths(api)}", json={"sql": "SELECT 1"}).status_code == 200


def test_deletes_at_the_same_time_as_queries_are_answered_in_cloudflares_words(api: Api, server: Server) -> None:
    base = f"{server.url}/client/v4/accounts/{api.account.id}/d1/database"
    seen: set[tuple[int, int]] = set()
    with httpx.Client(trust_env=False, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30) as client:

        def worker(number: int) -> None:
            name = f"db{number % 3}"
            for _ in range(12):
                client.post(base, json={"name": name})
                sql = "CREATE TABLE IF NOT EXISTS t (v); INSERT INTO t VALUES (1); SELECT count(*) FROM t"
                replies = [client.post(f"{base}/{name}/query", json={"sql": sql}), client.delete(f"{base}/{name}")]
                for reply in replies:
                    if not reply.json()["success"]:
                        seen.add((reply.status_code, reply.json()["errors"][0]["code"]))

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(worker, range(6)))
        assert seen <= {(404, 7404), (503, 7500)}, seen
        assert client.post(f"{base}/{DATABASE}/query", json={"sql": "SELECT 1"}).status_code == 200


def test_busy_databases_keep_neither_other_databases_nor_queues_from_answering(
    api: Api, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coinswarm.server.places.MOST_WAITING", 5)
    base = f"{server.url}/client/v4/accounts/{api.account.id}"
    busy = [api.result("POST", "/d1/database", {"name": name})["uuid"] for name in ("slow", "slower")]
    limits = httpx.Limits(max_connections=200)
    with (
        httpx.Client(
            trust_env=False, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30, limits=limits
        ) as client,
        ThreadPoolExecutor(100) as pool,
        ExitStack() as calls_that_run,
    ):

        def asked(database: str) -> httpx.Response:
            return client.post(f"{base}/d1/database/{database}/query", json={"sql": "SELECT 1"})

        for database in busy:
            opened: Any = calls_that_run.enter_context(api.account.catalogue.use(database))
            calls_that_run.enter_context(opened._database._alone)
        waiting = [pool.submit(asked, database) for database in busy * 50]
        told = next(as_completed(waiting)).result()
        assert client.get(f"{base}/queues").status_code == asked(DATABASE).status_code == 200
        assert (told.status_code, told.headers["x-should-retry"]) == (503, "true")
        assert refused(told)[1:] == (7500, "D1 DB is overloaded. Too many requests queued.")
        calls_that_run.close()
        assert {call.result().status_code for call in waiting} == {200, 503}


def test_messages_sent_by_five_at_once_are_all_there_and_each_once(api: Api, server: Server) -> None:
    base = f"{server.url}/client/v4/accounts/{api.account.id}/queues/{api.queue()}/messages"
    taken: list[str] = []
    lock = threading.Lock()
    with httpx.Client(trust_env=False, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30) as client:

        def send(number: int) -> None:
            messages = [{"body": f"{number}-{i}", "content_type": "text"} for i in range(50)]
            assert client.post(f"{base}/batch", json={"messages": messages}).status_code == 200

        def take(_: int) -> None:
            while True:
                found = client.post(f"{base}/pull", json={"batch_size": 20}).json()["result"]["messages"]
                if not found:
                    return
                with lock:
                    taken.extend(message["body"] for message in found)
                acks = [{"lease_id": message["lease_id"]} for message in found]
                assert client.post(f"{base}/ack", json={"acks": acks}).json()["result"]["ackCount"] == len(found)

        with ThreadPoolExecutor(5) as pool:
            list(pool.map(send, range(10)))
            list(pool.map(take, range(5)))
    assert len(taken) == len(set(taken)) == 500


def test_a_taken_port_is_a_clear_error(server: Server, api: Api) -> None:
    with pytest.raises(CannotListen, match=f"cannot listen on 127.0.0.1, port {server.port}"):
        Server(create_app(api.account, token=TOKEN), port=server.port)


def test_a_stopped_server_refuses_connections(api: Api) -> None:
    with Server(create_app(api.account, token=TOKEN)) as running:
        assert health(running) == 200
    with pytest.raises(httpx.ConnectError):
        health(running)


def test_urls_for_files_follow_the_host_the_client_used(api: Api, server: Server) -> None:
    body = json.dumps({"action": "init", "etag": "0" * 32})
    with httpx.Client(trust_env=False, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        path = f"/client/v4/accounts/{api.account.id}/d1/database/{DATABASE}/import"
        init = client.post(f"http://localhost:{server.port}{path}", content=body)
    assert init.json()["result"]["upload_url"].startswith(f"http://localhost:{server.port}/transfers/")
