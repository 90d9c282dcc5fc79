"""The official clients against our server over real HTTP: wrangler, and Cloudflare's SDK for Python.

Every D1 and Queues command that they have, in success and in failure. wrangler takes about a second a command, so what
one of its commands shares with another is marked slow.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coinswarm.clock import SystemClock
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.server.app import create_app
from coinswarm.server.listening import Server
from coinswarm.server.opening import open_account
from tests.support.described import held_to_description
from tests.support.served import DATABASE, DATABASE_ID, TOKEN, stack_in
from tests.support.wrangler import wrangler

cloudflare = pytest.importorskip("cloudflare", reason="the PyPI package cloudflare is not installed")

BOOKMARK = r"[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}"


@dataclass
class Local:
    """A running server, and where a user of wrangler would stand."""

    url: str
    account: str
    folder: Path

    def wrangler(
        self, *arguments: str, token: str = TOKEN, account: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        environment = {
            "CLOUDFLARE_API_BASE_URL": self.url,
            "CLOUDFLARE_ACCOUNT_ID": account or self.account,
            "CLOUDFLARE_API_TOKEN": token,
        }
        return wrangler(*arguments, cwd=self.folder, environment=environment)

    def done(self, *arguments: str) -> str:
        """What a wrangler command that has to succeed prints."""
        ran = self.wrangler(*arguments)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def failed(self, *arguments: str, **how: Any) -> str:
        """What a wrangler command that has to fail prints, without its colours."""
        ran = self.wrangler(*arguments, **how)
        assert ran.returncode == 1, ran.stdout + ran.stderr
        return re.sub(r"\x1b\[[0-9;]*m", "", ran.stdout + ran.stderr)

    def rows(self, sql: str, database: str = DATABASE) -> list[dict[str, Any]]:
        """The rows of a statement, by `wrangler d1 execute --json`."""
        found = json.loads(self.done("d1", "execute", database, "--remote", "--json", "--command", sql))
        return list(found[-1]["results"])


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    folder = tmp_path_factory.mktemp("official")
    stack, clock = stack_in(folder), SystemClock()
    with (
        SqliteQueueStore(folder / "queues.sqlite", clock) as queues,
        open_account(stack, queues, clock) as account,
        held_to_description(create_app(account, token=TOKEN)) as app,
        Server(app) as server,
    ):
        (folder / "wrangler.toml").write_text(
            'name = "w"\ncompatibility_date = "2024-09-01"\n[[d1_databases]]\nbinding = "DB"\n'
            f'database_name = "{DATABASE}"\ndatabase_id = "{DATABASE_ID}"\n'
        )
        yield Local(f"{server.url}/client/v4", account.id, folder)


@pytest.fixture
def sdk(local: Local) -> Iterator[Any]:
    with cloudflare.Cloudflare(api_token=TOKEN, base_url=local.url, max_retries=0) as client:
        yield client


def refusal(kind: str, call: Callable[..., Any], *arguments: Any, **named: Any) -> int:
    """Cloudflare's code in the exception of that class which a call of the SDK has to raise."""
    with pytest.raises(getattr(cloudflare, kind)) as raised:
        call(*arguments, **named)
    return int(raised.value.errors[0].code)


# wrangler


@pytest.mark.wrangler
@pytest.mark.slow
def test_wrangler_finds_the_account_by_the_token_alone(local: Local, tmp_path: Path) -> None:
    environment = {"CLOUDFLARE_API_BASE_URL": local.url, "CLOUDFLARE_API_TOKEN": TOKEN}
    ran = wrangler("d1", "list", "--json", cwd=tmp_path, environment=environment)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert DATABASE in {database["name"] for database in json.loads(ran.stdout)}


@pytest.mark.wrangler
@pytest.mark.slow
def test_wrangler_turns_the_pages_of_queues(local: Local) -> None:
    local.done("queues", "create", "on-page-one")
    assert "on-page-one" in local.done("queues", "list", "--page", "1")
    assert "on-page-one" not in local.done("queues", "list", "--page", "2")


@pytest.mark.wrangler
def test_wrangler_knows_who_it_is(local: Local) -> None:
    shown = local.done("whoami")
    assert local.account in shown
    assert "user@coinswarm.local" in shown


@pytest.mark.wrangler
@pytest.mark.slow
def test_wrangler_is_told_when_its_token_or_account_is_wrong(local: Local) -> None:
    shown = local.failed("d1", "list", token="wrong")
    assert "Authentication error [code: 10000]" in shown
    assert "[code: 7403]" in local.failed("d1", "list", account="0" * 32)
    assert "[code: 7003]" in local.failed("queues", "list", account="nonsense")


@pytest.mark.wrangler
def test_wrangler_executes_sql_and_shows_what_sqlite_says(local: Local) -> None:
    sql = "CREATE TABLE IF NOT EXISTS w (v); INSERT INTO w VALUES ('a'), (X'00ff'), (1.0); SELECT v FROM w"
    assert local.rows(sql) == [{"v": "a"}, {"v": [0, 255]}, {"v": 1}]
    shown = local.failed("d1", "execute", DATABASE, "--remote", "--command", "SELECT * FROM missing")
    assert "no such table: missing: SQLITE_ERROR [code: 7500]" in shown
    shown = local.failed("d1", "execute", DATABASE, "--remote", "--json", "--command", "SELECT * FROM missing")
    assert json.loads(shown)["error"]["notes"] == [{"text": "no such table: missing: SQLITE_ERROR [code: 7500]"}]


@pytest.mark.wrangler
def test_wrangler_imports_a_file_or_leaves_the_database_as_it_was(local: Local) -> None:
    (local.folder / "good.sql").write_text(
        "CREATE TABLE imported (id INTEGER PRIMARY KEY, t TEXT);\n"
        "create trigger r after insert on imported begin\n  update imported set t = t || ';' where id = new.id;\nend;\n"
        "INSERT INTO imported (t) VALUES ('zwölf\n');\n"
    )
    shown = local.done("d1", "execute", DATABASE, "--remote", "--yes", "--file", "good.sql")
    assert "Processed 3 queries." in shown
    assert "Executed 3 queries" in shown
    assert re.search(rf"currently at bookmark {BOOKMARK}", shown)
    (local.folder / "bad.sql").write_text("DROP TABLE imported; INSERT INTO nope VALUES (1);")
    shown = local.failed("d1", "execute", DATABASE, "--remote", "--yes", "--file", "bad.sql")
    assert "no such table: nope: SQLITE_ERROR" in shown
    assert local.rows("SELECT t FROM imported") == [{"t": "zwölf\n;"}]


@pytest.mark.wrangler
@pytest.mark.slow
def test_wrangler_exports_what_it_can_load_again(local: Local) -> None:
    local.done("d1", "create", "source")
    local.done("d1", "create", "target")
    sql = (
        "CREATE TABLE t (a TEXT, g AS (a || a)); CREATE INDEX i ON t (a); INSERT INTO t VALUES ('x' || char(10)), ('y')"
    )
    local.rows(sql, "source")
    assert "Downloaded to out.sql" in local.done("d1", "export", "source", "--remote", "--output", "out.sql")
    local.done("d1", "execute", "target", "--remote", "--yes", "--file", "out.sql")
    assert local.rows("SELECT * FROM t", "target") == [{"a": "x\n", "g": "x\nx\n"}, {"a": "y", "g": "yy"}]


@pytest.mark.wrangler
@pytest.mark.slow
def test_wrangler_says_why_it_cannot_export(local: Local) -> None:
    local.done("d1", "create", "searched")
    local.rows("CREATE VIRTUAL TABLE f USING fts5(x)", "searched")
    shown = local.failed("d1", "export", "searched", "--remote", "--output", "no.sql")
    assert "cannot export databases with Virtual Tables (fts5)" in shown


@pytest.mark.wrangler
@pytest.mark.slow
def test_wrangler_creates_lists_describes_and_deletes_databases(local: Local, sdk: Any) -> None:
    assert "Successfully created DB 'first'" in local.done("d1", "create", "first", "--location", "weur")
    assert "A database with that name already exists" in local.failed("d1", "create", "first")
    assert "has to match" in local.failed("d1", "create", "not a name")
    for number in range(10):  # more than wrangler's page
        sdk.d1.database.create(name=f"page{number}", account_id=local.account)
    listed = json.loads(local.done("d1", "list", "--json"))
    assert {"first", DATABASE, *(f"page{n}" for n in range(10))} <= {database["name"] for database in listed}
    local.rows("CREATE TABLE t (v)", "first")
    info = json.loads(local.done("d1", "info", "first", "--json"))
    assert (info["num_tables"], info["running_in_region"], info["read_replication"]) == (
        1,
        "WEUR",
        {"mode": "disabled"},
    )
    assert (info["write_queries_24h"], info["database_size"] > 0) == (1, True)
    local.done("d1", "delete", "first", "-y")
    assert "Couldn't find DB with name 'first'" in local.failed("d1", "info", "first")


@pytest.mark.wrangler
@pytest.mark.slow
def test_wrangler_applies_migrations_and_rolls_a_failed_one_back(local: Local) -> None:
    folder = local.folder / "migrations"
    folder.mkdir()
    (folder / "0001_first.sql").write_text("CREATE TABLE m1 (v);")
    (folder / "0002_second.sql").write_text("CREATE TABLE m2 (v); INSERT INTO nope VALUES (1);")
    assert "0001_first.sql" in local.done("d1", "migrations", "list", DATABASE, "--remote")
    shown = local.failed("d1", "migrations", "apply", DATABASE, "--remote")
    assert "no such table: nope: SQLITE_ERROR" in shown
    assert local.rows("SELECT name FROM d1_migrations") == [{"name": "0001_first.sql"}]
    assert local.rows("SELECT count(*) AS n FROM sqlite_master WHERE name = 'm2'") == [{"n": 0}]
    (folder / "0002_second.sql").write_text("CREATE TABLE m2 (v);")
    local.done("d1", "migrations", "apply", DATABASE, "--remote")
    assert "No migrations to apply" in local.done("d1", "migrations", "list", DATABASE, "--remote")


@pytest.mark.wrangler
@pytest.mark.slow
def test_wrangler_travels_in_time(local: Local) -> None:
    local.done("d1", "create", "travelled")
    local.rows("CREATE TABLE t (v); INSERT INTO t VALUES ('kept')", "travelled")
    bookmark = json.loads(local.done("d1", "time-travel", "info", "travelled", "--json"))["bookmark"]
    assert re.fullmatch(BOOKMARK, bookmark)
    local.rows("DELETE FROM t", "travelled")
    shown = local.done("d1", "time-travel", "restore", "travelled", f"--bookmark={bookmark}")
    assert "restore" in shown.lower()
    assert local.rows("SELECT v FROM t", "travelled") == [{"v": "kept"}]
    shown = local.failed("d1", "time-travel", "restore", "travelled", "--bookmark=nonsense")
    assert "[code: 7400]" in shown
    shown = local.failed("d1", "time-travel", "info", "travelled", "--timestamp=2026-11-01T00:00:00Z")
    assert "no restore point" in shown or "30 days" in shown


@pytest.mark.wrangler
def test_wrangler_creates_a_queue_and_its_pull_consumer(local: Local) -> None:
    assert "Created queue 'pulled'" in local.done("queues", "create", "pulled")
    local.done("queues", "consumer", "http", "add", "pulled", "--batch-size", "7", "--dead-letter-queue", "pulled-dead")
    assert "[code: 11004]" in local.failed("queues", "consumer", "http", "add", "pulled")
    shown = local.done("queues", "list")
    assert "pulled" in shown
    assert "pulled-dead" in shown


@pytest.mark.wrangler
@pytest.mark.slow
def test_wrangler_looks_after_queues(local: Local, sdk: Any) -> None:
    assert "Created queue" in local.done("queues", "create", "kept", "--delivery-delay-secs", "3")
    assert "[code: 11009]" in local.failed("queues", "create", "kept")
    assert "[code: 11003]" in local.failed("queues", "create", "Not_A_Name")
    local.done("queues", "create", "neighbour")
    local.done("queues", "pause-delivery", "kept")
    local.done("queues", "update", "kept", "--message-retention-period-secs", "3600")
    queue = next(q for q in sdk.queues.list(account_id=local.account) if q.queue_name == "kept")
    settings = queue.settings.to_dict()
    assert settings == {"delivery_delay": 3, "delivery_paused": True, "message_retention_period": 3600}
    assert f"Queue ID: {queue.queue_id}" in local.done("queues", "info", "kept")
    local.done("queues", "resume-delivery", "kept")
    sdk.queues.messages.push(queue.queue_id, account_id=local.account, body="x", content_type="text", delay_seconds=60)
    assert "Purged Queue 'kept'" in local.done("queues", "purge", "kept", "--force")
    metrics = sdk.queues.get_metrics(queue.queue_id, account_id=local.account)
    assert metrics.backlog_count == 0
    assert "does not exist" in local.failed("queues", "purge", "nope", "--force")
    local.done("queues", "delete", "kept")
    names = [q.queue_name for q in sdk.queues.list(account_id=local.account)]
    assert "kept" not in names
    assert "neighbour" in names


@pytest.mark.wrangler
@pytest.mark.slow
def test_wrangler_looks_after_consumers(local: Local) -> None:
    local.done("queues", "create", "read")
    local.done("queues", "consumer", "worker", "add", "read", "reader", "--batch-size", "5", "--max-concurrency", "2")
    (listed,) = json.loads(local.done("queues", "consumer", "worker", "list", "read", "--json"))
    assert listed["script"] == "reader"
    assert (listed["settings"]["batch_size"], listed["settings"]["max_concurrency"]) == (5, 2)
    assert "reader" in local.done("queues", "info", "read")
    local.failed("queues", "consumer", "worker", "remove", "read", "somebody-else")
    local.done("queues", "consumer", "worker", "remove", "read", "reader")
    shown = local.failed("queues", "consumer", "http", "add", "read", "--batch-size", "1000")
    assert "[code: 100127]" in shown
    local.done("queues", "consumer", "http", "add", "read", "--visibility-timeout-secs", "45")
    assert "45" in local.done("queues", "consumer", "http", "list", "read")
    local.done("queues", "consumer", "http", "remove", "read")
    assert json.loads(local.done("queues", "consumer", "list", "read", "--json")) == []


# The SDK for Python


def test_the_sdk_manages_databases(local: Local, sdk: Any) -> None:
    databases, account = sdk.d1.database, {"account_id": local.account}
    made = databases.create(name="sdk", primary_location_hint="weur", **account)
    assert (made.name, made.version) == ("sdk", "production")
    assert made.created_at.year >= 2026
    assert "sdk" in [database.name for database in databases.list(**account)]  # ends only at an empty page
    assert [d.name for d in databases.list(name="sdk", per_page=10, **account)] == ["sdk"]
    only = databases.get(made.uuid, fields=["uuid", "name"], **account)
    assert (only.uuid, only.name, only.version) == (made.uuid, "sdk", None)
    assert databases.update(made.uuid, read_replication={"mode": "auto"}, **account).read_replication.mode == "auto"
    assert (
        databases.edit(made.uuid, read_replication={"mode": "disabled"}, **account).read_replication.mode == "disabled"
    )
    assert refusal("BadRequestError", databases.create, name="sdk", **account) == 7502
    assert databases.delete(made.uuid, **account) is None
    assert refusal("NotFoundError", databases.get, made.uuid, **account) == 7404


def test_the_sdk_queries(local: Local, sdk: Any) -> None:
    databases, account = sdk.d1.database, {"account_id": local.account}
    made = databases.create(name="queried", **account)
    databases.query(made.uuid, sql="CREATE TABLE t (i INTEGER, x TEXT)", **account)
    (inserted,) = databases.query(made.uuid, sql="INSERT INTO t VALUES (?, ?)", params=["7", "seven"], **account)
    assert (inserted.success, inserted.meta.changes, inserted.meta.served_by_primary) == (True, 1, True)
    (found,) = databases.query(made.uuid, sql="SELECT i, x FROM t", **account)
    assert found.results == [{"i": 7, "x": "seven"}]
    batch = [{"sql": "SELECT 1 AS one"}, {"sql": "SELECT ? AS two, ? AS two", "params": ["a", "b"]}]
    first, second = databases.raw(made.uuid, batch=batch, **account)
    assert (first.results.columns, second.results.columns) == (["one"], ["two", "two"])
    assert second.results.rows == [["a", "b"]]
    assert refusal("BadRequestError", databases.query, made.uuid, sql="SELECT nope", **account) == 7500


def test_the_sdk_exports_imports_and_travels(local: Local, sdk: Any) -> None:
    databases, account = sdk.d1.database, {"account_id": local.account}
    made = databases.create(name="moved", **account)
    databases.query(made.uuid, sql="CREATE TABLE t (v); INSERT INTO t VALUES ('kept')", **account)
    bookmark = databases.time_travel.get_bookmark(made.uuid, **account).bookmark
    exported = databases.export(made.uuid, output_format="polling", **account)
    while exported.status not in ("complete", "error"):
        exported = databases.export(
            made.uuid, output_format="polling", current_bookmark=exported.at_bookmark, **account
        )
    assert exported.result.signed_url.startswith("http://127.0.0.1:")
    begun = databases.import_(made.uuid, action="init", etag="0" * 32, **account)
    assert begun.upload_url.startswith("http://127.0.0.1:")
    databases.query(made.uuid, sql="DELETE FROM t", **account)
    databases.time_travel.restore(made.uuid, bookmark=bookmark, **account)
    (found,) = databases.query(made.uuid, sql="SELECT v FROM t", **account)
    assert found.results == [{"v": "kept"}]


def test_the_sdk_manages_queues_and_consumers(local: Local, sdk: Any) -> None:
    queues, account = sdk.queues, {"account_id": local.account}
    made = queues.create(queue_name="sdk-queue", **account)
    assert made.queue_name in [queue.queue_name for queue in queues.list(**account)]
    assert queues.get(made.queue_id, **account).producers_total_count == 0
    edited = queues.edit(made.queue_id, settings={"delivery_delay": 5}, **account)
    assert (edited.settings.delivery_delay, edited.settings.message_retention_period) == (5, 345_600)
    assert queues.update(made.queue_id, queue_name="sdk-renamed", **account).settings.delivery_delay == 0
    consumer = queues.consumers.create(
        made.queue_id, type="worker", script_name="reader", settings={"batch_size": 50}, **account
    )
    assert (consumer.type, consumer.settings.batch_size) == ("worker", 50)
    assert refusal("ConflictError", queues.consumers.create, made.queue_id, type="http_pull", **account) == 11004
    updated = queues.consumers.update(consumer.consumer_id, queue_id=made.queue_id, type="http_pull", **account)
    assert (updated.type, updated.settings.visibility_timeout_ms) == ("http_pull", 30_000)
    assert [c.consumer_id for c in queues.consumers.list(made.queue_id, **account)] == [consumer.consumer_id]
    queues.consumers.delete(consumer.consumer_id, queue_id=made.queue_id, **account)
    assert list(queues.consumers.list(made.queue_id, **account)) == []
    queues.delete(made.queue_id, **account)
    assert refusal("NotFoundError", queues.get, made.queue_id, **account) == 11000
    assert refusal("BadRequestError", queues.create, queue_name="Bad Name", **account) == 11003


def test_the_sdk_moves_messages(local: Local, sdk: Any) -> None:
    queues, account = sdk.queues, {"account_id": local.account}
    queue_id = queues.create(queue_name="sdk-messages", **account).queue_id
    messages = queues.messages
    with pytest.raises(cloudflare.APIStatusError) as raised:
        messages.pull(queue_id, **account)
    assert raised.value.status_code == 405
    queues.consumers.create(queue_id, type="http_pull", settings={"max_retries": 5}, **account)
    pushed = messages.push(queue_id, body="plain", content_type="text", **account)
    assert pushed.metadata.metrics.backlog_count == 1
    messages.bulk_push(queue_id, messages=[{"body": {"x": 1}, "content_type": "json"}] * 2, **account)
    seen = messages.peek(queue_id, batch_size=1, **account)
    assert seen.messages[0].body == "plain"
    pulled = messages.pull(queue_id, batch_size=10, visibility_timeout_ms=60_000, **account).messages
    assert [m.attempts for m in pulled] == [1, 1, 1]
    assert json.loads(base64.b64decode(pulled[1].body)) == {"x": 1}
    settled = messages.ack(
        queue_id,
        acks=[{"lease_id": pulled[0].lease_id}, {"lease_id": pulled[1].lease_id}],
        retries=[{"lease_id": pulled[2].lease_id, "delay_seconds": 60}],
        **account,
    )
    assert (settled.ack_count, settled.retry_count, settled.warnings) == (2, 1, {})
    messages.purge(queue_id, refs=[{"ref": pulled[2].id}], **account)
    assert queues.get_metrics(queue_id, **account).backlog_count == 0
    queues.purge.start(queue_id, delete_messages_permanently=True, **account)
    assert queues.purge.status(queue_id, **account).completed
    queues.edit(queue_id, settings={"delivery_paused": True}, **account)
    with pytest.raises(cloudflare.ConflictError, match="queue_delivery_paused"):
        messages.pull(queue_id, **account)
    assert refusal("BadRequestError", messages.push, queue_id, body="x", content_type="bytes", **account) == 10203


def test_the_sdk_does_not_repeat_what_it_is_told_not_to(local: Local, sdk: Any) -> None:
    """By default it sends a conflict three times over one and a half seconds; `x-should-retry: false` spares that."""
    queue_id = sdk.queues.create(queue_name="sdk-paused", account_id=local.account).queue_id
    sdk.queues.consumers.create(queue_id, type="http_pull", account_id=local.account)
    sdk.queues.edit(queue_id, settings={"delivery_paused": True}, account_id=local.account)
    seen: list[Any] = []
    patient = sdk.with_options(max_retries=2)
    patient._client.event_hooks["request"] = [seen.append]
    with pytest.raises(cloudflare.ConflictError):
        patient.queues.messages.pull(queue_id, account_id=local.account)
    patient._client.event_hooks["request"] = []
    assert len(seen) == 1


def test_the_sdk_is_told_when_its_token_or_account_is_wrong(local: Local, sdk: Any) -> None:
    with cloudflare.Cloudflare(api_token="wrong", base_url=local.url, max_retries=0) as stranger:
        assert refusal("AuthenticationError", stranger.queues.list, account_id=local.account) == 10000
    assert refusal("PermissionDeniedError", sdk.queues.list, account_id="0" * 32) == 7403
    assert refusal("NotFoundError", sdk.d1.database.list, account_id="nonsense") == 7003


def test_the_sdk_puts_schedules_and_verifies_its_token(local: Local, sdk: Any) -> None:
    schedules = sdk.workers.scripts.schedules
    put = schedules.update("importer", account_id=local.account, body=[{"cron": "*/5 * * * *"}])
    assert [s.cron for s in put.schedules] == ["*/5 * * * *"]
    assert [s.cron for s in schedules.get("importer", account_id=local.account).schedules] == ["*/5 * * * *"]
    assert sdk.user.tokens.verify().status == "active"
    assert [account.id for account in sdk.accounts.list()] == [local.account]


# The SDK for JavaScript


@pytest.mark.wrangler
def test_the_npm_sdk_finds_everything_where_it_looks(local: Local) -> None:
    node, folder = shutil.which("node"), Path(__file__).parent / "node"
    if node is None or not (folder / "node_modules" / "cloudflare").exists():
        pytest.skip("the npm package cloudflare is not here: run `make test` where npm is")
    ran = subprocess.run(
        [node, "sdk.mjs"],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "CLOUDFLARE_BASE_URL": local.url,
            "CLOUDFLARE_ACCOUNT_ID": local.account,
            "CLOUDFLARE_API_TOKEN": TOKEN,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    assert {"npm", DATABASE} <= set(seen.pop("databases"))
    assert "npm" in seen.pop("queues")
    assert re.fullmatch(BOOKMARK, seen.pop("bookmark"))
    assert seen.pop("metrics")["backlog_count"] == 0
    assert seen == {
        "described": 0,
        "query": [{"v": "a"}, {"v": "b"}],
        "raw": {"columns": ["x", "x"], "rows": [[1, 2]]},
        "failed": {"status": 400, "code": 7500, "kind": "BadRequestError"},
        "gone": {"status": 404, "code": 7404, "kind": "NotFoundError"},
        "taken": {"status": 409, "code": 11009, "kind": "ConflictError"},
        "consumer": "http_pull",
        "pulled": [base64.b64encode(b'{"x":1}').decode(), "plain"],
        "ack": {"ackCount": 2, "retryCount": 0, "warnings": {}},
        "paused": {"status": 409, "code": 10252, "kind": "ConflictError"},
    }
