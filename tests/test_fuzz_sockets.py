"""What no well-behaved client sends, byte by byte over real connections: an envelope comes back, nothing is lost."""

from __future__ import annotations

import hashlib
import json
import logging
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from coinswarm.server.listening import Server
from coinswarm.storage import connect
from tests.support.command_line import running, wait_until
from tests.support.served import DATABASE, TOKEN, Api, served

ACCOUNT = "/client/v4/accounts/c01c5aa4c01c5aa4c01c5aa4c01c5aa4"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    with served(tmp_path_factory.mktemp("sockets")) as opened:
        yield opened


@pytest.fixture(scope="module")
def server(api: Api) -> Iterator[Server]:
    with Server(api.app) as started:
        yield started


def exchange(server: Server, request: bytes, *, half_close: bool = False) -> tuple[int, Any]:
    """The status and the JSON that answer these bytes, on a connection of their own."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(request)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body) if body.startswith(b"{") else None


def request(method: str, target: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {TOKEN}", "Connection: close"]
    lines += [f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        (f"{ACCOUNT}/d1/database/../../../../health", 404, 7003),
        (f"{ACCOUNT}/d1/database/%2e%2e", 404, 7404),
        (f"{ACCOUNT}/d1/database/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 404, 7003),
        (f"{ACCOUNT}/d1/database/%00", 404, 7404),
        (f"{ACCOUNT}/d1/database/{DATABASE}%00", 404, 7404),
        (f"{ACCOUNT}/d1/database/{DATABASE}%2f", 404, 7003),
        (f"{ACCOUNT}/queues/%2e%2e", 404, 11000),
        (f"{ACCOUNT}/queues/%00/messages/pull", 405, 7001),
        ("/client/v4/accounts/%2e%2e/queues", 404, 7003),
        ("/client/v4/accounts/%00/queues", 404, 7003),
        ("/client/v4/../v4/user", 404, 7003),
        ("/client/v4/%2e%2e/v4/user", 404, 7003),
        ("/client/v4;x=1/user", 404, 7003),
        ("/client/v4\\user", 404, 7003),
        ("/transfers/%2e%2e/%2e%2e", 404, 7003),
        ("/transfers/..%2f..%2fapi-token/x", 404, 7003),
        ("/%c0%ae%c0%ae/etc/passwd", 404, 7003),
    ],
)
def test_no_path_leads_elsewhere(server: Server, target: str, status: int, code: int) -> None:
    told, document = exchange(server, request("GET", target))
    assert (told, document["errors"][0]["code"]) == (status, code)
    assert document["success"] is False


@pytest.mark.parametrize("slashes", ["//", "////"])
def test_slashes_that_double_are_one(server: Server, slashes: str) -> None:
    status, document = exchange(server, request("GET", f"{ACCOUNT}/d1/database".replace("/", slashes)))
    assert (status, document["result"][0]["name"]) == (200, DATABASE)


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b"[" * 100_000, b"NaN", b'{"sql": 1}', b'{"sql": "SELECT 1"}{}', b"[]"]
)
def test_a_body_that_is_no_query_is_told_as_one(server: Server, body: bytes) -> None:
    status, document = exchange(server, request("POST", f"{ACCOUNT}/d1/database/{DATABASE}/query", body))
    assert (status, document["errors"][0]["code"]) == (400, 7400)


@pytest.mark.parametrize(("size", "status"), [(10_000_000, 400), (10_000_001, 413), (30_000_000, 413)])
def test_ten_megabytes_are_the_most(server: Server, size: int, status: int) -> None:
    body = b" " * (size - 1) + b"x"
    told, document = exchange(server, request("POST", f"{ACCOUNT}/d1/database/{DATABASE}/query", body))
    assert (told, document["success"]) == (status, False)


def test_a_client_that_closes_its_half_after_the_request_gets_its_answer(server: Server) -> None:
    query = request("POST", f"{ACCOUNT}/d1/database/{DATABASE}/query", b'{"sql": "SELECT 1 AS one"}')
    status, document = exchange(server, query, half_close=True)
    assert (status, document["result"][0]["results"]) == (200, [{"one": 1}])


def test_of_several_requests_before_the_half_is_closed_each_whole_one_is_answered(api: Api, server: Server) -> None:
    def asked(body: str) -> bytes:
        return request("POST", f"{ACCOUNT}/queues", body.encode()).replace(b"Connection: close\r\n", b"")

    api.queue("none")
    sent = b"".join(asked(f'{{"queue_name": "piped-{n}"}}') for n in range(3)) + asked('{"queue_name": "piped-3"}')[:-1]
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert received.count(b"HTTP/1.1 200") == received.count(b"HTTP/1.1 ") == 3
    names = {queue["queue_name"] for queue in api.result("GET", "/queues")}
    assert {"piped-0", "piped-1", "piped-2"} <= names
    assert "piped-3" not in names


HEAD = f"Authorization: Bearer {TOKEN}\r\nConnection: close\r\n".encode()
HOST = b"Host: localhost\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /client/v4/user HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"GET /client/v4/user HTTP/1.1\r\n" + HOST * 2 + HEAD + b"\r\n",
        b"POST /client/v4/user HTTP/1.1\r\n" + HOST + HEAD + b"Content-Length: -5\r\n\r\n",
        b"POST /client/v4/user HTTP/1.1\r\n" + HOST + HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        f"POST {ACCOUNT}/queues HTTP/1.1\r\n".encode() + HOST + HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"\x16\x03\x01 this is TLS\r\n\r\n",
        b"garbage\r\n\r\n",
    ],
    ids=["no host", "two hosts", "negative length", "two lengths", "bad chunk", "tls", "garbage"],
)
def test_what_is_no_http_has_an_envelope_too(server: Server, sent: bytes) -> None:
    status, document = exchange(server, sent)
    assert (status, document["success"], document["errors"][0]["code"]) == (400, False, 10400)


@pytest.mark.parametrize("size", [66_000, 100_000, 130_000, 400_000])
@pytest.mark.parametrize("many", [False, True])
def test_headers_beyond_64_kb_are_431(server: Server, size: int, many: bool) -> None:
    flood = b"".join(b"X-%d: a\r\n" % i for i in range(size // 10)) if many else b"X-A: " + b"a" * size + b"\r\n"
    status, document = exchange(server, request("GET", "/client/v4/user")[:-2] + flood + b"\r\n")
    assert (status, document["success"], document["errors"][0]["code"]) == (431, False, 10431)


def test_a_long_query_counts_with_the_headers_and_60_kb_are_taken(server: Server) -> None:
    assert exchange(server, request("GET", "/client/v4/user?" + "a" * 70_000))[0] == 431
    assert exchange(server, request("GET", "/client/v4/user", b"", "X-A: " + "a" * 60_000))[0] == 200


def test_a_write_whose_body_never_comes_whole_writes_nothing(api: Api, server: Server) -> None:
    api.query("CREATE TABLE t (v)")
    body = b'{"sql": "INSERT INTO t VALUES (1)"}'
    whole = request("POST", f"{ACCOUNT}/d1/database/{DATABASE}/query", body, "X-Cut: 1")
    for cut in (1, 10, len(body)):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(whole[:-cut])
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65_536):
                pass
    assert api.rows("SELECT count(*) AS n FROM t") == [{"n": 0}]


def test_a_hundred_connections_that_flood_headers_do_not_keep_others_out(server: Server) -> None:
    flood = request("GET", f"{ACCOUNT}/queues")[:-2] + b"".join(b"X-%d: %s\r\n" % (i, b"y" * 500) for i in range(120))
    opened = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(100)]
    try:
        for connection in opened:
            connection.sendall(flood)  # and never the empty line that ends them
        assert exchange(server, request("GET", f"{ACCOUNT}/queues"))[0] == 200
    finally:
        for connection in opened:
            connection.close()
    assert exchange(server, request("GET", f"{ACCOUNT}/queues"))[0] == 200


def test_of_many_who_delete_at_once_one_deletes_and_the_others_find_nothing(api: Api, server: Server) -> None:
    with httpx.Client(trust_env=False, headers=BEARER, base_url=server.url + ACCOUNT, timeout=30) as client:

        def deleted(path: str) -> Counter[tuple[int, int]]:
            with ThreadPoolExecutor(8) as pool:
                replies = list(pool.map(lambda _: client.delete(path), range(8)))
            return Counter((r.status_code, next((e["code"] for e in r.json()["errors"]), 0)) for r in replies)

        for number in range(3):
            queue = f"/queues/{api.queue(f'q{number}')}"
            consumer = api.result("GET", f"{queue}/consumers")[0]["consumer_id"]
            assert deleted(f"{queue}/consumers/{consumer}") == {(200, 0): 1, (404, 11005): 7}
            assert deleted(queue) == {(200, 0): 1, (404, 11000): 7}
            api.result("POST", "/d1/database", {"name": "gone"})
            assert deleted("/d1/database/gone") == {(200, 0): 1, (404, 7404): 7}


def test_a_server_killed_during_an_import_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    line = "INSERT INTO t VALUES ('" + "x" * 1_000 + "');\n"
    sql = (line * 60_000).encode()
    etag = hashlib.md5(sql, usedforsecurity=False).hexdigest()
    path = f"/d1/database/{DATABASE}"

    def begun(client: httpx.Client) -> Any:
        def asked(**body: str) -> Any:
            return client.post(f"{path}/import", json={"etag": etag, **body}).json()["result"]

        init = asked(action="init")
        assert client.put(init["upload_url"], content=sql).status_code == 200
        asked(action="ingest", filename=init["filename"])
        return None

    def started(process: Any) -> httpx.Client:
        url = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")["url"]
        return httpx.Client(
            base_url=url.replace("/client/v4", "") + ACCOUNT, headers=BEARER, trust_env=False, timeout=60
        )

    def count(client: httpx.Client) -> int:
        reply = client.post(f"{path}/query", json={"sql": "SELECT count(*) AS n FROM t"})
        return int(reply.json()["result"][0]["results"][0]["n"])

    serve = ("serve", "--port", "0", "--json")
    environment = {"CLOUDFLARE_API_TOKEN": TOKEN, "PYTHONUNBUFFERED": "1"}
    with running(*serve, directory=tmp_path, environment=environment) as process, started(process) as client:
        client.post(f"{path}/query", json={"sql": "CREATE TABLE t (v); INSERT INTO t VALUES ('kept')"})
        (file,) = tmp_path.rglob("*D1DatabaseObject/*.sqlite")
        wal = file.with_name(file.name + "-wal")
        with ThreadPoolExecutor(1) as pool:
            importing = pool.submit(begun, client)
            wait_until(lambda: wal.exists() and wal.stat().st_size > 10_000_000, "the import writes")
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert isinstance(importing.exception(), httpx.TransportError)

    connection = connect(file)
    assert connection.execute("SELECT v FROM t").fetchall() == [("kept",)]
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    with running(*serve, directory=tmp_path, environment=environment) as process, started(process) as client:
        begun(client)
        wait_until(lambda: count(client) == 60_001, "the import again, whole")
