"""The threat model of docs/security.md, claim by claim; that of secrets is in test_security_secrets.py."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import stat
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from coinswarm.alerts.notify import Notifier
from coinswarm.cloudflare import CloudflareApi
from coinswarm.config import AlertSettings, Secret, load
from coinswarm.d1.remote import DatabaseInfo
from coinswarm.d1.transfer import Transfer
from coinswarm.dead_letters import csv_lines
from coinswarm.dev.operations import StackOperations
from coinswarm.errors import CloudflareError, ConfigError, DatabaseError
from coinswarm.log.file import log_folder
from coinswarm.queue.letters import DeadLetterRecord
from coinswarm.server.app import create_app
from coinswarm.server.token import load_or_create
from coinswarm.simulator import Simulator, SyntheticMarket
from coinswarm.transport import http_client
from tests.support.answering import JSON, Answer, Asked, answering
from tests.support.candle_messages import body, row
from tests.support.cloudflare import ACCOUNT, TOKEN, api_to, ok
from tests.support.command_line import CommandLine, HastyClock
from tests.support.served import Client, served
from tests.support.verified import CLOCK
from tests.test_output import STEERS_A_TERMINAL

QUEUE, DEAD = "historical-data-queue", "historical-data-dlq"
HOSTILE = "\x1b]8;;https://evil.example\x1b\\here\x07\x1b[2J\x9b31m\r\u202egnp\u2066\u200b"
"""A link, a bell, a cleared screen, C1, an overwritten line, turned text and what has no width."""
UNSEEN = "\u200b\u2066\u202e\x1b\x07\r\x9b"


@pytest.fixture
def pipeline(coinswarm: CommandLine) -> CommandLine:
    assert coinswarm("d1", "migrations", "apply").exit_code == 0
    return coinswarm


# --- where requests go ---

NOT_HTTP = [
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "ftp://example.com",
    "javascript:alert(1)",
    "unix:///var/run/docker.sock",
    "//example.com",
    "http://",
    "https:///path",
    "http://example.com:0",
    "http://exa mple.com",
    "http://[::1",
]


@pytest.mark.parametrize("url", [*NOT_HTTP, "http://user:hunter2@example.com", "http://example.com/?key=hunter2"])
@pytest.mark.parametrize("name", ["COINSWARM_BINANCE_URL", "COINSWARM_KRAKEN_URL", "CLOUDFLARE_API_BASE_URL"])
def test_a_configured_address_is_http_and_holds_no_credentials(tmp_path: Path, name: str, url: str) -> None:
    with pytest.raises(ConfigError) as told:
        load(cwd=tmp_path, environ={name: url})
    assert name in str(told.value)
    assert "hunter2" not in f"{told.value!r} {told.value} {told.value.hint}"


@pytest.mark.parametrize("url", NOT_HTTP)
def test_a_webhook_is_http_and_is_repeated_by_no_refusal(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError) as told:
        load(cwd=tmp_path, environ={"COINSWARM_ALERT_WEBHOOK": url + "?token=hunter2"})
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed_and_no_key_goes_along(coinswarm: CommandLine, status: int, tmp_path: Path) -> None:
    with answering(lambda _: (200, JSON, b"[]")) as elsewhere:
        moved = {"Location": elsewhere.url + "/taken"}
        with answering(lambda _: (status, moved, b"")) as first:
            coinswarm.environment = {
                "COINSWARM_CRYPTOCOMPARE_URL": first.url,
                "CRYPTOCOMPARE_API_KEY": "a-key",
                "CLOUDFLARE_API_BASE_URL": first.url + "/client/v4",
                "CLOUDFLARE_API_TOKEN": "a-token",
                "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
            }
            for command in (["fetch", "BTC-USD", "--source", "cryptocompare"], ["queues", "list", "--remote"]):
                result = coinswarm(*command)
                assert result.exit_code == 1
                assert "not followed" in result.err
            settings = AlertSettings(webhook=Secret(first.url))
            (problem,) = Notifier(settings, CLOCK)._post(first.url, {})
            assert str(status) in problem
        assert len(first.asked) == 3
        assert elsewhere.asked == []


def transfer(address: str, **options: Any) -> tuple[Transfer, list[httpx.Request]]:
    """An export whose file Cloudflare says lies at `address`, and what was asked for there."""
    asked: list[httpx.Request] = []

    def file(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, content=b"SELECT 1;\n")

    api: CloudflareApi = api_to(lambda _: ok({"status": "complete", "result": {"signed_url": address}}), **options)
    info = DatabaseInfo(id="0a1b", name="prices", file_size=0, created_at="")
    return Transfer(api, info, files=httpx.Client(transport=httpx.MockTransport(file))), asked


@pytest.mark.parametrize(
    "address", ["file:///etc/shadow", "ftp://h/x", "/relative", "", "http://r2.example/x", "gopher://h", 7, None]
)
def test_the_address_of_an_export_is_held_to_the_same_rules(address: Any) -> None:
    there, asked = transfer(address)
    with pytest.raises(DatabaseError):
        there.export(io.BytesIO())
    assert asked == []


def test_the_token_stays_away_from_the_address_of_an_export() -> None:
    there, asked = transfer("https://r2.example/x?signature=s3cr3t")
    there.export(io.BytesIO())
    assert [request.url.host for request in asked] == ["r2.example"]
    assert all(TOKEN not in str(request.headers) for request in asked)


# --- what comes back ---


def packed(size: int) -> bytes:
    return gzip.compress(b" " * size, 9)


@contextmanager
def memory_below(limit: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < limit, f"{peak:,} bytes at the most"


BOMBS = {
    "gzip": ({"Content-Encoding": "gzip"}, packed(400_000_000)),
    "deflate": ({"Content-Encoding": "deflate"}, zlib.compress(b" " * 400_000_000, 9)),
    "twice": ({"Content-Encoding": "gzip, gzip"}, gzip.compress(packed(400_000_000), 9)),
    "thrice": ({"Content-Encoding": "gzip, deflate, gzip"}, gzip.compress(b"x")),
    "brotli": ({"Content-Encoding": "br"}, b"\x8b\x00\x80\x03"),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_of_an_exchange_is_given_up_early(coinswarm: CommandLine, kind: str, hasty_clock: HastyClock) -> None:
    headers, content = BOMBS[kind]
    with answering(lambda _: (200, headers, content)) as exchange:
        coinswarm.environment = {"COINSWARM_BINANCE_URL": exchange.url}
        with memory_below(180_000_000):
            result = coinswarm("fetch", "BTC-USDC", "--json")
    assert result.exit_code == 1
    assert result.error[1].startswith("binance")
    assert len(exchange.asked) == 1  # and it is not asked for again


@pytest.mark.parametrize("kind", ["twice", "brotli"])
def test_a_bomb_in_place_of_cloudflares_api_is_given_up_unread(kind: str) -> None:
    headers, content = BOMBS[kind]
    with answering(lambda _: (200, headers, content)) as server, http_client() as client:
        api = CloudflareApi(ACCOUNT, Secret(TOKEN), client=client, clock=CLOCK, base_url=server.url + "/client/v4")
        with memory_below(20_000_000), pytest.raises(CloudflareError, match="packed"):
            api.call("GET", "/user")


def test_the_reply_of_a_webhook_is_not_read() -> None:
    with answering(lambda _: (200, *BOMBS["gzip"])) as server, memory_below(20_000_000):
        assert Notifier(AlertSettings(), CLOCK)._post(server.url, {}) == []


@pytest.mark.parametrize("depth", [100, 700, 990, 100_000])
@pytest.mark.parametrize("status", [200, 400])
def test_deep_json_of_an_exchange_is_an_error_like_any_other(
    coinswarm: CommandLine, depth: int, status: int, hasty_clock: HastyClock
) -> None:
    deep = b'{"error":' * depth + b"[" * 10 + b"]" * 10 + b"}" * depth
    with answering(lambda _: (status, JSON, deep)) as exchange:
        for source in ("BINANCE", "KRAKEN", "COINBASE", "CRYPTOCOMPARE", "COINGECKO"):
            coinswarm.environment[f"COINSWARM_{source}_URL"] = exchange.url
        coinswarm.environment["CRYPTOCOMPARE_API_KEY"] = "any"
        for source in ("binance", "kraken", "coinbase", "cryptocompare"):
            result = coinswarm("fetch", "BTC-USD" if source != "binance" else "BTC-USDC", "--source", source)
            assert result.exit_code == 1
            assert result.err.startswith(("✘", "⚠", source))


@pytest.mark.parametrize("depth", [100, 700, 990, 50_000])
def test_deep_json_in_a_message_is_dead_lettered_and_can_be_looked_at(pipeline: CommandLine, depth: int) -> None:
    deep = '[{"symbol":' + "[" * depth + "]" * depth + "}]"
    assert pipeline("queues", "send", QUEUE, deep).exit_code == 0
    assert pipeline("consume", "--json").json["dead_lettered"] == 1
    (letter,) = pipeline("queues", "dlq", "list", "--json").json
    for command in (["show", letter["id"]], ["list"], ["export", "-o", "-"], ["export", "-o", "-", "--format", "csv"]):
        for more in ([], ["--json"]):
            result = pipeline("queues", "dlq", *command, *more)
            assert result.exit_code in (0, 2), result
            assert "Traceback" not in result.err


# --- where files go ---


@pytest.mark.parametrize("message", ["../../x", "/etc/cron.d/x", "a/../../b", "..\\..\\x"])
def test_a_migration_stays_in_its_folder(coinswarm: CommandLine, tmp_path: Path, message: str) -> None:
    result = coinswarm("d1", "migrations", "create", message)
    assert result.exit_code == 2
    assert list(tmp_path.rglob("*x*")) == []


@pytest.mark.parametrize("message", ["a\nb", "a\tb", "a\rb", "\x1b[31m", "a\x7f", "lqs.\u202egnp", "\u2028", "a\x85"])
def test_the_name_of_a_migration_holds_nothing_that_a_terminal_or_a_script_may_take_for_more(
    coinswarm: CommandLine, tmp_path: Path, message: str
) -> None:
    result = coinswarm("d1", "migrations", "create", message)
    assert result.exit_code == 2
    assert "cannot be part of a file name" in result.err
    assert message not in result.err
    assert list(tmp_path.rglob("*.sql")) == []


def test_a_migration_named_dots_is_a_file_like_others(coinswarm: CommandLine, tmp_path: Path) -> None:
    assert coinswarm("d1", "migrations", "create", "..").exit_code == 0
    assert (tmp_path / "migrations" / "0002_...sql").is_file()


def test_no_link_leads_what_is_written_elsewhere(pipeline: CommandLine, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(precious)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    pipeline("queues", "send", QUEUE, "no json")
    pipeline("consume")
    for target in ("link", "dangling"):
        assert pipeline("queues", "dlq", "export", "-o", target).exit_code == 2
        assert pipeline("queues", "dlq", "purge", "--archive", target, "--force").exit_code == 2
        for force in ([], ["--force"]):
            assert pipeline("d1", "backup", "--output", target, *force).exit_code == 2
    assert precious.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()
    assert link.is_symlink()


def test_init_writes_through_no_link_that_leads_out(coinswarm: CommandLine, tmp_path: Path) -> None:
    outside, project = tmp_path / "outside", tmp_path / "project"
    outside.mkdir()
    project.mkdir()
    (project / "migrations").symlink_to(outside)
    assert coinswarm("init", "project").exit_code == 2
    (project / "migrations").unlink()
    (project / "coinswarm.toml").unlink(missing_ok=True)
    (project / "coinswarm.toml").symlink_to(outside / "coinswarm.toml")
    coinswarm("init", "project")
    assert list(outside.iterdir()) == []


def test_no_name_in_the_configuration_becomes_a_path(tmp_path: Path, coinswarm: CommandLine) -> None:
    names = '[[d1_databases]]\nbinding = "DB"\ndatabase_name = "../../../escaped"\ndatabase_id = "../../escaped"\n'
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "wrangler.toml").write_text(f'name = "w"\n{names}')
    coinswarm("d1", "execute", "--command", "SELECT 1", "--config", "inner/wrangler.toml", "--persist-to", "inner/s")
    assert list(tmp_path.parent.rglob("*escaped*")) == []
    assert {path.name for path in tmp_path.iterdir()} == {"inner"}


@pytest.mark.parametrize("secret", ["..%2f..%2fapi-token", "%2e%2e/api-token", "x", "..", "%00"])
def test_no_path_of_a_transfer_leads_to_a_file(tmp_path: Path, secret: str) -> None:
    with served(tmp_path) as api:
        for method in ("GET", "PUT"):
            reply = api.client.request(method, f"/transfers/{secret}/x.sql", content=b"x" if method == "PUT" else None)
            assert reply.status_code in (400, 404)


# --- who may read what is written ---


def test_all_state_and_all_exports_are_the_users_alone_whatever_the_umask(
    pipeline: CommandLine, tmp_path: Path
) -> None:
    before = os.umask(0)
    try:
        pipeline("queues", "send", QUEUE, body(row()))
        pipeline("queues", "send", QUEUE, "no json")
        with Simulator(SyntheticMarket(seed=1)) as market:
            pipeline.environment = market.environment
            pipeline("fetch", "BTC-USDC", "--limit", "10")
        pipeline("consume")
        pipeline("alerts", "check")
        pipeline("queues", "dlq", "export", "-o", "letters.jsonl")
        pipeline("d1", "export", "--output", "export.sql")
        pipeline("d1", "backup", "--output", "backup.sqlite")
        load_or_create(tmp_path / ".wrangler" / "state" / "v3" / "coinswarm" / "api-token")
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"letters.jsonl", "export.sql", "backup.sqlite", "queues.sqlite", "api-token"} <= {f.name for f in files}
    assert list(log_folder(tmp_path / ".wrangler" / "state").iterdir())
    assert [str(path) for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077] == []
    holding = {path.parent for path in files} - {tmp_path}
    assert [str(path) for path in holding if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


# --- what is shown ---


def harmless(*texts: str) -> bool:
    return not any(STEERS_A_TERMINAL.search(text) or any(c in text for c in UNSEEN) for text in texts)


def test_no_data_on_the_screen_steers_the_terminal(pipeline: CommandLine, hasty_clock: HastyClock) -> None:
    pipeline("queues", "send", QUEUE, HOSTILE)
    pipeline("queues", "send", QUEUE, body(row(symbol=HOSTILE, source=HOSTILE), row(1, timeframe=HOSTILE)))
    pipeline("queues", "send", QUEUE, body(row(source=f"x{HOSTILE}x")))
    peeked = [pipeline("queues", "peek", QUEUE, *more) for more in ([], ["--json"])]
    consumed = pipeline("consume")
    letters = pipeline("queues", "dlq", "list", "--json").json
    pipeline(
        "d1",
        "execute",
        "--command",
        f'CREATE TABLE "t{HOSTILE}" ("c{HOSTILE}"); INSERT INTO "t{HOSTILE}" VALUES (\'{HOSTILE}\')',
    )
    commands = [
        ["queues", "dlq", "list"],
        *(["queues", "dlq", "show", letter["id"]] for letter in letters),
        ["queues", "info", DEAD],
        ["d1", "stats"],
        ["d1", "info"],
        ["d1", "execute", "--command", "SELECT * FROM price_data"],
        ["d1", "execute", "--command", f'SELECT * FROM "t{HOSTILE}"'],
        ["d1", "execute", "--command", f"SELECT {HOSTILE}"],
        ["d1", "execute", "--file", f"{HOSTILE}.sql"],
        ["d1", "export", "--output", f"no/{HOSTILE}"],
        ["d1", "backup", "--output", f"no/{HOSTILE}"],
        ["queues", "dlq", "export", "-o", f"no/{HOSTILE}"],
        ["queues", "info", HOSTILE],
        ["queues", "create", HOSTILE],
        ["queues", "dlq", "show", HOSTILE],
        ["fetch", HOSTILE],
        ["fetch", "--source", HOSTILE],
        ["fetch", "--to-ts", HOSTILE],
        ["cron", "run", HOSTILE],
        ["status"],
        ["tail", "--once"],
        ["alerts", "check"],
        ["fsck"],
        ["verify"],
        ["verify", "--format", "github"],
        ["cost"],
        ["queues", "list", "--config", f"{HOSTILE}.toml"],
        ["queues", "list", "--persist-to", f"/dev/null/{HOSTILE}"],
        ["init", f"/dev/null/{HOSTILE}"],
    ]
    assert len(letters) == 3 or len(letters) == 2
    shown = [*peeked, consumed]
    for command in commands:
        for more in ([], ["--verbose"], ["--json"]):
            if "--format" in command and more == ["--json"]:
                continue
            result = pipeline(*command, *more)
            assert harmless(result.out, result.err), (command, more, result)
            shown.append(result)
    assert any("\\x1b" in result.out + result.err for result in shown)


@pytest.mark.parametrize("status", [200, 400, 429, 503])
def test_no_text_of_a_server_steers_the_terminal(coinswarm: CommandLine, status: int, hasty_clock: HastyClock) -> None:
    said = json.dumps({"msg": HOSTILE, "message": HOSTILE, "errors": [{"code": 7, "message": HOSTILE}]})
    answers = iter(range(1000))

    def answer(_: Asked) -> Answer:
        return status, JSON, said.encode() if next(answers) % 2 else f"{HOSTILE} no json".encode()

    with answering(answer) as server:
        coinswarm.environment = {
            "COINSWARM_BINANCE_URL": server.url,
            "CLOUDFLARE_API_BASE_URL": server.url + "/client/v4",
            "CLOUDFLARE_API_TOKEN": TOKEN,
            "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
        }
        for command in (["fetch"], ["queues", "list", "--remote"], ["d1", "list", "--remote"], ["tail", "--once"]):
            for more in ([], ["--verbose"], ["--json"]):
                result = coinswarm(*command, *more)
                assert harmless(result.out, result.err), result


# --- what spreadsheets open ---


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "\t=", "＝", "|", "%", "x\r=", "x\n="])
@pytest.mark.parametrize("field", ["symbol", "source", "timeframe"])
def test_no_cell_of_an_export_is_a_formula(field: str, start: str) -> None:
    formula = f"{start}cmd|' /C calc'!A0,\""
    letter = DeadLetterRecord(
        id="1",
        held=False,
        source=formula,
        reason=formula,
        attempts=1,
        first_failed_ms=0,
        last_failed_ms=0,
        dead_lettered_ms=0,
        redrives=0,
        timestamp_ms=0,
        content_type="json",
        size_bytes=1,
        body=body(row(**{field: formula})).encode(),
    )
    text, left_out = csv_lines([letter], header=True)
    assert left_out == 0
    (line,) = csv.DictReader(io.StringIO(text, newline=""))
    assert None not in line  # no cell was split off
    assert line[field].endswith(formula)
    for cell in line.values():
        assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝")
        assert not cell.lstrip().startswith(("=", "@", "＝"))


# --- who may ask the server ---


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Client]:
    with served(tmp_path) as api:
        operations = StackOperations(load(cwd=tmp_path, environ={"COINSWARM_BINANCE_URL": "http://127.0.0.1:9"}), CLOCK)
        yield Client(create_app(api.account, token=TOKEN, operations=operations), "http://127.0.0.1:8787")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "http://localhost.evil.example:8787"},
        {"Referer": "https://evil.example/page"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example", "Authorization": "Bearer guess"},
    ],
)
def test_no_page_of_another_site_starts_a_run(door: Client, headers: dict[str, str]) -> None:
    for method, path in (("POST", "/trigger"), ("GET", "/cdn-cgi/local/scheduled"), ("GET", "/cdn-cgi/mf/scheduled")):
        assert door.request(method, path, headers=headers).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.nip.io:8787", "0.0.0.0:87", "localhost@evil.example", ""])
def test_a_name_that_was_rebound_to_this_machine_is_answered_nothing(door: Client, host: str) -> None:
    for method, path in (("POST", "/trigger"), ("GET", "/stats"), ("GET", "/status"), ("GET", "/client/v4/user")):
        reply = door.request(method, path, headers={"Host": host, "Authorization": f"Bearer {TOKEN}"})
        assert reply.status_code == 403


@pytest.mark.parametrize("given", ["", " ", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\xff" * 20, TOKEN[::-1]])
def test_nearly_the_token_is_not_the_token(door: Client, given: str) -> None:
    reply = door.get("/client/v4/user", headers={"Authorization": f"Bearer {given}".encode("latin-1")})
    assert reply.status_code in (400, 401)
    assert TOKEN not in reply.text


def test_no_reply_lets_another_site_read_it(door: Client) -> None:
    reply = door.get("/stats", headers={"Origin": "https://evil.example"})
    assert not [name for name in reply.headers if name.startswith("access-control-")]
