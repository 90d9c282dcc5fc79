"""No secret in anything that leaves the process, whatever it looks like and whatever servers do with it.

The servers here are hostile: they send the keys that they get back in errors, redirects, headers and bodies.
"""

from __future__ import annotations

import html
import json
import re
import string
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from coinswarm.config import load
from coinswarm.config.disguises import undisguised
from tests.support.answering import JSON, Answer, Answering, Asked, answering
from tests.support.candle_messages import body, row
from tests.support.command_line import CommandLine, HastyClock, Result

QUEUE = "historical-data-queue"
ACCOUNT = "0123456789abcdef0123456789abcdef"
KINDS = ("json", "html", "redirect", "200", "rate", "list")

SECRETS = st.text(string.ascii_letters + string.digits + "-_.~+/=$&%'\"<>\\{}[]()", min_size=20, max_size=48).filter(
    lambda text: len({c for c in text if c.isalnum()}) >= 8
)
"""What a header can carry. Shorter and plainer ones are found in other words by accident."""


COMMON = ("host", "accept", "accept-encoding", "connection", "user-agent", "content-type", "content-length")


def encoded(text: str) -> list[str]:
    """In base64, both alphabets, with and without padding, percent-encoded, and as JSON and XML write it."""
    plain, safe = b64encode(text.encode()).decode(), urlsafe_b64encode(text.encode()).decode()
    percent = quote(text, safe="")
    every = "".join(f"%{byte:02x}" for byte in text.encode())
    lower = re.sub("%..", lambda found: found[0].lower(), percent)
    as_json = json.dumps(text)[1:-1]
    escaped = "".join(f"\\u{ord(character):04x}" for character in text)
    xml = [html.escape(text), "".join(f"&#{ord(character)};" for character in text)]
    base64 = [plain, safe, plain.rstrip("="), safe.rstrip("=")]
    return [*base64, percent, lower, quote(percent, safe=""), every, as_json, json.dumps(as_json)[1:-1], escaped, *xml]


class Echo:
    """Sends back all headers that say something, as they are and encoded, in the manner asked for."""

    kind = "json"

    def __call__(self, asked: Asked) -> Answer:
        said = "; ".join(
            f"{name}: {' '.join([value, *encoded(value), *encoded(value.split()[-1])])}"
            for name, value in asked.headers.items()
            if value and name.lower() not in COMMON
        )
        document = json.dumps(
            {
                "success": False,
                "errors": [{"code": 10000, "message": said}],
                "message": said,
                "msg": said,
                "error": said,
                "Response": "Error",
                "Message": said,
            }
        ).encode()
        item = dict.fromkeys(("name", "uuid", "created_at", "queue_name", "queue_id", "id"), said)
        listed = {"success": True, "errors": [], "messages": [], "result": [item], "result_info": {"total_count": 1}}
        answers: Mapping[str, Answer] = {
            "json": (400, JSON, document),
            "html": (503, {"Content-Type": "text/html"}, f"<p>{said}</p>".encode()),
            "redirect": (
                302,
                {"Location": "https://elsewhere.example/?" + asked.headers.get("Authorization", "")},
                b"",
            ),
            "200": (200, JSON, document),
            "list": (200, JSON, json.dumps(listed).encode()),
            "rate": (429, {**JSON, "Retry-After": "1"}, document),
        }
        return answers[self.kind]


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def server(echo: Echo) -> Iterator[Answering]:
    with answering(echo) as running:
        yield running


def written(folder: Path) -> bytes:
    """All that any file holds, whoever wrote it."""
    return b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


COMMANDS: tuple[tuple[str, ...], ...] = (
    ("fetch", "BTC-USD", "--source", "cryptocompare"),
    ("fetch", "BTC-USD", "--source", "coingecko", "--timeframe", "4h"),
    ("queues", "list", "--remote"),
    ("queues", "send", QUEUE, "x", "--remote"),
    ("queues", "dlq", "list", "--remote"),
    ("d1", "list", "--remote"),
    ("d1", "execute", "--remote", "--command", "SELECT 1"),
    ("d1", "export", "--remote", "--output", "export.sql"),
    ("consume", "--remote-queue", "--remote"),
    ("verify", "--remote", "--only", "token", "--format", "json"),
    ("verify", "--remote", "--only", "token", "--format", "junit"),
    ("verify", "--remote", "--only", "token", "--format", "github"),
    ("alerts", "test"),
    ("cron", "list"),
    ("status",),
    ("cost",),
    ("tail", "--once"),
)


@pytest.mark.slow
@settings(
    max_examples=1,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(entrusted=st.lists(SECRETS, min_size=4, max_size=4, unique=True), kind=st.sampled_from(KINDS))
@example(entrusted=["t" * 40, "k" * 40, "'\"\\" * 12 + "abcdefghijkl", "h" * 40], kind="json")
@example(entrusted=["Bearer-" * 5, "$&%{}[]()<>" * 3 + "abcdefghijkl", "o" * 40, "h" * 40], kind="redirect")
@example(entrusted=["t0k-" * 10, "k" * 40, "o" * 40, "h" * 40], kind="list")
def test_no_secret_is_in_any_output_log_error_or_file(
    coinswarm: CommandLine,
    hasty_clock: HastyClock,
    tmp_path: Path,
    echo: Echo,
    server: Answering,
    entrusted: list[str],
    kind: str,
) -> None:
    echo.kind = kind
    token, key, other, hook = entrusted
    hook_path = "".join(c if c.isalnum() else "-" for c in hook)
    secrets = (token, key, other, hook_path)
    coinswarm.environment = {
        "CLOUDFLARE_API_TOKEN": token,
        "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
        "CLOUDFLARE_API_BASE_URL": server.url + "/client/v4",
        "CRYPTOCOMPARE_API_KEY": key,
        "COINGECKO_API_KEY": other,
        "COINSWARM_CRYPTOCOMPARE_URL": server.url,
        "COINSWARM_COINGECKO_URL": server.url,
        "COINSWARM_ALERT_WEBHOOK": f"{server.url}/services/{hook_path}",
    }
    asked_before = len(server.asked)
    for command in COMMANDS:
        for more in ((), ("--verbose",), ("--json",)):
            if "--format" in command and more == ("--json",):
                continue
            result = coinswarm(*command, *more)
            assert_hidden(result, secrets, command)
    held = written(tmp_path)
    assert [secret for secret in secrets if forms(secret) & set(found(held.decode("utf-8", "replace"), secret))] == []
    asked = server.asked[asked_before:]
    sent = " ".join(str(value) for one in asked for value in one.headers.values())
    assert token in sent and key in sent and other in sent, (
        "the keys went where they belong, so that this proves something"
    )
    assert [one.target for one in asked if any(secret in one.target for secret in (token, key, other))] == []


def forms(secret: str) -> set[str]:
    """As it is, as JSON, XML or `repr` write it, and in base64 or percent-encoded."""
    escaped = secret.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    written = {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], escaped, escaped.replace('"', "&quot;")}
    within = {core for word in ("Bearer ", "Apikey ") for core in encoded(word + secret)}
    return written | set(encoded(secret)) | within


def found(text: str, secret: str) -> list[str]:
    return [form for form in forms(secret) if form in text]


def assert_hidden(result: Result, secrets: tuple[str, ...], command: tuple[str, ...]) -> None:
    for secret in secrets:
        for text in (result.out, result.err):
            assert not found(text, secret), (command, text)
    assert "bug" not in result.err


@given(secret=SECRETS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_secret_is_in_the_repr_of_a_configuration_or_its_faults(tmp_path: Path, secret: str) -> None:
    environ = dict.fromkeys(("CLOUDFLARE_API_TOKEN", "CRYPTOCOMPARE_API_KEY", "COINGECKO_API_KEY"), secret)
    stack = load(cwd=tmp_path, environ=environ)
    shown = f"{stack} {stack!r} {stack.api_token} {stack.api_token!r} {dict(stack.api_keys)} {stack.warnings}"
    assert not found(shown, secret)


ENCODINGS = range(len(encoded("")))
AROUND = st.text(string.ascii_letters + string.digits + " :/=%+-_", max_size=5)


@given(secret=SECRETS, before=AROUND, after=AROUND, way=st.sampled_from(ENCODINGS), beside=AROUND)
@settings(deadline=None)
def test_an_encoded_secret_is_struck_whatever_was_encoded_with_it(
    secret: str, before: str, after: str, way: int, beside: str
) -> None:
    inner = encoded(before + secret + after)[way]
    shown = undisguised(f"{beside} {inner} {beside}", secret, "***").strip()
    assert "***" in shown
    for plainly in (shown, unquote(unquote(shown)), html.unescape(shown), shown.replace("\\", "")):
        assert secret not in plainly
    for word in re.split(r"[^A-Za-z0-9_-]+", shown.replace("+", "-").replace("/", "_")):
        for first in range(4):  # wherever a reader of base64 begins
            whole = word[first:][: len(word[first:]) // 4 * 4]
            assert secret.encode()[2:-2] not in urlsafe_b64decode(whole)


@pytest.mark.parametrize("command", [COMMANDS[0], ("d1", "list", "--remote")])
@pytest.mark.parametrize("before", [85, 185])
def test_of_a_secret_where_a_quotation_is_cut_no_half_is_shown(
    coinswarm: CommandLine, hasty_clock: HastyClock, command: tuple[str, ...], before: int
) -> None:
    secret = "s3cr3t-0123456789-abcdefghijklmnop-0123456789"
    with answering(
        lambda _: (400, {"Content-Type": "text/plain"}, (". " * before)[:before].encode() + secret.encode())
    ) as cut:
        coinswarm.environment = {
            "CLOUDFLARE_API_TOKEN": secret,
            "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
            "CLOUDFLARE_API_BASE_URL": cut.url + "/client/v4",
            "CRYPTOCOMPARE_API_KEY": secret,
            "COINSWARM_CRYPTOCOMPARE_URL": cut.url,
        }
        result = coinswarm(*command, "--json")
    assert result.exit_code == 1
    assert secret[:6] not in result.out + result.err


def test_what_is_no_disguise_of_it_stays() -> None:
    text = "Zm9vYmFyYmF6cXV4 100% of 2,000 rows at https://example.com/a%20b?c=%2F"
    assert undisguised(text, "another-secret-0123456789", "***") == text
    assert undisguised("YW55 any", "any", "***") == "YW55 any"  # too short to be told from other words


def test_a_wrong_token_is_refused_without_being_shown(coinswarm: CommandLine, server: Answering) -> None:
    coinswarm.environment = {
        "CLOUDFLARE_API_TOKEN": "pasted with spaces 0123456789",
        "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
        "CLOUDFLARE_API_BASE_URL": server.url + "/client/v4",
    }
    for more in ((), ("--verbose",), ("--json",)):
        result = coinswarm("queues", "list", "--remote", *more)
        assert result.exit_code != 0
        assert "0123456789" not in result.out + result.err
    assert server.asked == []


def test_the_log_keeps_what_was_asked_and_no_key(
    coinswarm: CommandLine, server: Answering, hasty_clock: HastyClock
) -> None:
    coinswarm.environment = {"COINSWARM_CRYPTOCOMPARE_URL": server.url, "CRYPTOCOMPARE_API_KEY": "k3y-" * 8}
    coinswarm("fetch", "BTC-USD", "--source", "cryptocompare")
    events: list[dict[str, Any]] = [json.loads(line) for line in coinswarm("tail", "--once", "--json").out.splitlines()]
    assert any("histohour" in str(event) for event in events)
    assert "k3y-k3y" not in str(events)


def test_a_candle_that_holds_what_looks_like_a_key_is_data(coinswarm: CommandLine) -> None:
    """What users store is theirs: it is shown as it is. Masking is for what coinswarm itself was entrusted with."""
    coinswarm("d1", "migrations", "apply")
    coinswarm("queues", "send", QUEUE, body(row(source="abc123def456abc123def456")))
    coinswarm("consume")
    assert "abc123def456abc123def456" in coinswarm("d1", "stats").out
