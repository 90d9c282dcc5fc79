"""`verify --remote`: the same checks through Cloudflare's API, over real HTTP against the local server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest

from coinswarm.clock import SystemClock
from coinswarm.cloudflare import CloudflareApi
from coinswarm.config import load
from coinswarm.consumer.worker import Worker
from coinswarm.errors import Unauthorized
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.queue.types import ConsumerSettings, OutgoingMessage, QueueSettings
from coinswarm.verify import canary, fetching, traces
from coinswarm.verify.check import Report, Status
from tests.support.cloudflare import ok, refused
from tests.support.command_line import HastyClock
from tests.support.verified import ACCOUNT, DATABASE, DEAD, QUEUE, TOKEN, FreshStack, behind_http, hint, statuses
from tests.test_verify import TRIAL

WARNING, FAILED, SKIPPED = Status.WARNING, Status.FAILED, Status.SKIPPED


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FreshStack:
    monkeypatch.setattr(fetching, "try_out", lambda _subject: TRIAL)
    return FreshStack(tmp_path / "project")


@pytest.fixture
def pulled(fresh: FreshStack) -> Iterator[SqliteQueueStore]:
    """Behind HTTP, with a pull consumer."""
    with behind_http(fresh) as queues:
        yield queues


@pytest.fixture
def pushed(fresh: FreshStack) -> Iterator[SqliteQueueStore]:
    """Behind HTTP, with a deployed Worker as the consumer."""
    with behind_http(fresh, pulled=False) as queues:
        yield queues


def remotely(fresh: FreshStack, *only: str, **options: object) -> Report:
    return fresh.verify(*only, remote=True, **options)


@pytest.fixture
def deployed(fresh: FreshStack, pushed: SqliteQueueStore) -> Iterator[None]:
    """The Worker at work."""
    over = threading.Event()

    def work() -> None:
        with fresh.database() as database:
            Worker(pushed.open(QUEUE), database, SystemClock()).drain(watch=True, stop=over.is_set)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    over.set()
    thread.join()


def test_a_pulled_stack_is_all_green_and_the_canary_leaves_no_trace(
    fresh: FreshStack, pulled: SqliteQueueStore
) -> None:
    pulled.open(QUEUE).send_batch([OutgoingMessage(b'"of the user"')])
    fresh.sql("INSERT INTO price_data VALUES ('A-B', '1h', 'kraken', 3600000000, 1, 1, 1, 1, NULL, 1)")
    report = remotely(fresh)
    assert statuses(report) == {}
    assert report.summary == "19 Passed, 0 Warnings, 0 Failed"
    assert [queue.name for queue in pulled.queues()] == [DEAD, QUEUE]
    assert pulled.open(QUEUE).metrics().backlog == 1
    with fresh.database() as database:
        assert database.execute("SELECT count(*) FROM price_data")[0].rows == [(1,)]


def test_a_large_remote_table_is_not_read_as_a_whole(fresh: FreshStack, pulled: SqliteQueueStore) -> None:
    fresh.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) "
        "INSERT INTO price_data SELECT 'A-B', '1h', 'kraken', 1500000000 + i * 3600, 1, 1, 1, 1, NULL, i FROM n"
    )
    result = remotely(fresh, "price-data", "canary", "first-write-wins").of("first-write-wins")
    assert result is not None
    assert result.status is Status.PASSED
    assert result.outcome.evidence["rows_compared"] == 500
    assert result.outcome.evidence["whole_table"] is False
    assert "500 sample rows" in result.outcome.message


@pytest.mark.usefixtures("deployed")
def test_a_deployed_worker_is_proved_by_what_it_stores(fresh: FreshStack) -> None:
    report = remotely(fresh)
    assert statuses(report) == {}
    found = report.of("queue-consumer")
    assert found is not None
    assert found.outcome.message.startswith("Queue consumer deployed: coinswarm, 20")
    through = report.of("canary")
    assert through is not None
    assert "the Worker coinswarm" in through.outcome.message
    with fresh.database() as database:
        assert database.execute("SELECT count(*) FROM price_data")[0].rows == [(0,)]


@pytest.mark.usefixtures("pushed")
def test_a_worker_that_stores_nothing_is_a_failure_when_its_time_is_over(fresh: FreshStack) -> None:
    report = remotely(fresh, "canary", "first-write-wins", clock=HastyClock())
    assert statuses(report) == {"canary": FAILED, "first-write-wins": SKIPPED}
    assert "wrangler tail" in hint(report, "canary")


def test_what_a_killed_run_left_behind_is_taken_away(fresh: FreshStack, pulled: SqliteQueueStore) -> None:
    fresh.sql(
        "INSERT INTO price_data VALUES "
        f"('{traces.SYMBOL}dead', '1m', '{canary.MARK_SOURCE}', 1600000020, 1, 1, 1, 1, 1, 1)"
    )
    assert statuses(remotely(fresh, "canary", "first-write-wins")) == {}
    with fresh.database() as database:
        assert database.execute("SELECT count(*) FROM price_data")[0].rows == [(0,)]


@pytest.mark.parametrize("consumer", ["pulled", "pushed"])
def test_triggers_that_would_leave_rows_behind_keep_the_canary_at_home(
    fresh: FreshStack, consumer: str, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(consumer)
    fresh.sql(
        "CREATE TRIGGER copies AFTER INSERT ON price_data WHEN NEW.source <> 'copy' BEGIN INSERT INTO price_data "
        "VALUES ('A-B', '1m', 'copy', NEW.timestamp, 1, 1, 1, 1, 1, 1); END"
    )
    report = remotely(fresh, "canary", "first-write-wins")
    assert statuses(report) == {"canary": FAILED, "first-write-wins": SKIPPED}
    assert "triggers of price_data (copies) put rows of their own into it" in report.results[0].outcome.message
    with fresh.database() as database:
        assert database.execute("SELECT count(*) FROM price_data")[0].rows == [(0,)]


@pytest.mark.usefixtures("pulled")
def test_what_may_be_of_a_run_under_way_is_told_and_left(fresh: FreshStack) -> None:
    fresh.sql(
        "INSERT INTO price_data VALUES "
        f"('{traces.SYMBOL}beef', '1m', '{canary.MARK_SOURCE}', unixepoch() - 240, 1, 1, 1, 1, 1, 1)"
    )
    report = remotely(fresh, "canary", "first-write-wins")
    assert statuses(report) == {"first-write-wins": WARNING}
    assert "coinswarm d1 execute --remote --command" in hint(report, "first-write-wins")
    with fresh.database() as database:
        assert database.execute("SELECT count(*) FROM price_data")[0].rows == [(1,)]


# Broken on Cloudflare


def _consumer(**settings: object) -> Callable[[SqliteQueueStore], None]:
    def change(queues: SqliteQueueStore) -> None:
        (found,) = queues.info(QUEUE).consumers
        as_deployed = {"batch_size": 100, "max_concurrency": 5, "script_name": "coinswarm", "dead_letter_queue": DEAD}
        changed = ConsumerSettings(**(as_deployed | settings))  # type: ignore[arg-type]
        queues.update_consumer(QUEUE, found.consumer_id, changed)

    return change


@pytest.mark.parametrize(
    ("breaking", "check", "status"),
    [
        (_consumer(batch_size=10), "batch-size", WARNING),
        (_consumer(max_concurrency=15), "concurrency", WARNING),
        (_consumer(dead_letter_queue=None), "dead-letter-queue", FAILED),
        (_consumer(script_name="somebody-else"), "consumer", FAILED),
        (lambda queues: queues.update(QUEUE, QueueSettings(delivery_paused=True)), "consumer", FAILED),
        (lambda queues: queues.delete(DEAD), "dead-letter-queue", FAILED),
        (lambda queues: queues.delete(QUEUE), "queue", FAILED),
    ],
    ids=["batches", "concurrency", "no dead letters", "another Worker", "paused", "no dead-letter queue", "no queue"],
)
def test_what_differs_on_cloudflare_is_named(
    fresh: FreshStack,
    pushed: SqliteQueueStore,
    breaking: Callable[[SqliteQueueStore], None],
    check: str,
    status: Status,
) -> None:
    breaking(pushed)
    report = remotely(
        fresh, "queue", "dead-letter-queue", "consumer", "batch-size", "concurrency", "backlog", "queue-consumer"
    )
    found = statuses(report)
    assert {name for name, seen in found.items() if seen is not SKIPPED} == {check}
    assert found[check] is status
    assert hint(report, check)


@pytest.mark.usefixtures("pushed")
def test_workers_that_are_not_deployed_are_failures(fresh: FreshStack) -> None:
    fresh.edit('name = "coinswarm"', 'name = "never-deployed"')
    report = remotely(fresh, "producer", "importer", "cron")
    assert statuses(report) == {"producer": FAILED, "cron": FAILED}
    assert "wrangler deploy" in hint(report, "producer")


def put_schedules(fresh: FreshStack, worker: str, *crons: str) -> None:
    """What is deployed with a Worker, whatever its file says."""
    url = f"{fresh.environ['CLOUDFLARE_API_BASE_URL']}/accounts/{ACCOUNT}/workers/scripts/{worker}/schedules"
    body = [{"cron": cron} for cron in crons]
    reply = httpx.put(url, json=body, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False)
    assert reply.status_code == 200


@pytest.mark.parametrize("consumer", ["pulled", "pushed"])
def test_a_second_cron_that_is_off_in_its_file_and_still_deployed_is_a_failure(
    fresh: FreshStack, consumer: str, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(consumer)
    fresh.other("old", "[triggers]\ncrons = []\n" + DATABASE)
    assert statuses(remotely(fresh, "cron")) == {}
    put_schedules(fresh, "old", "0 * * * *")
    report = remotely(fresh, "cron", flags=["--config", "wrangler.toml", "--config", "old.toml"])
    assert statuses(report) == {"cron": FAILED}
    message = report.results[0].outcome.message
    assert message.startswith("2 Workers with cron triggers feed one table on Cloudflare: coinswarm (")
    assert hint(report, "cron") == (
        f"Everything is fetched twice. Deploy old again: wrangler deploy --config {fresh.stack.workers['old']}"
    )


@pytest.mark.usefixtures("pushed")
@pytest.mark.parametrize(
    ("deployed", "said"),
    [
        (["*/30 * * * *", "5 * * * *"], "coinswarm has the cron trigger 5 * * * * on Cloudflare, and not in "),
        (["5 * * * *"], "coinswarm has the cron trigger 5 * * * * on Cloudflare, and not in "),
        ([], "coinswarm does not have the cron trigger */30 * * * * on Cloudflare"),
    ],
    ids=["one more", "another", "none"],
)
def test_triggers_that_differ_on_cloudflare_from_those_configured_are_a_failure(
    fresh: FreshStack, deployed: list[str], said: str
) -> None:
    assert statuses(remotely(fresh, "cron")) == {}
    put_schedules(fresh, "coinswarm", *deployed)
    report = remotely(fresh, "cron")
    assert statuses(report) == {"cron": FAILED}
    assert report.results[0].outcome.message.startswith(said)
    assert hint(report, "cron") == "Deploy coinswarm again: wrangler deploy"


@pytest.mark.usefixtures("pulled")
def test_a_database_id_that_belongs_to_another_name_is_a_failure(fresh: FreshStack) -> None:
    fresh.edit('database_name = "coinswarm-evolution"', 'database_name = "coinswarm-revolution"')
    assert statuses(remotely(fresh, "database")) == {"database": FAILED}


def test_without_a_token_nothing_else_is_asked(fresh: FreshStack, pulled: SqliteQueueStore) -> None:
    del fresh.environ["CLOUDFLARE_API_TOKEN"]
    report = remotely(fresh)
    found = statuses(report)
    assert found.pop("token") is FAILED
    assert set(found.values()) == {SKIPPED}
    assert {result.id for result in report.results} - found.keys() == {"token", "fetch-queue", "batch-sending"}
    assert "CLOUDFLARE_API_TOKEN is not set" in report.results[0].outcome.message
    assert report.exit_code == 2


def test_without_an_account_the_only_one_of_the_token_is_taken(fresh: FreshStack, pulled: SqliteQueueStore) -> None:
    del fresh.environ["CLOUDFLARE_ACCOUNT_ID"]
    report = remotely(fresh)
    assert statuses(report) == {}
    assert report.results[1].outcome.message.startswith("CLOUDFLARE_ACCOUNT_ID is not set, the token is for one")


def test_a_token_for_several_accounts_needs_the_account(fresh: FreshStack, monkeypatch: pytest.MonkeyPatch) -> None:
    def accounts(request: httpx.Request) -> httpx.Response:
        return ok([{"id": "1" * 32, "name": "one"}, {"id": "2" * 32, "name": "two"}])

    fresh.environ["CLOUDFLARE_API_TOKEN"] = TOKEN
    client = httpx.Client(transport=httpx.MockTransport(accounts))
    monkeypatch.setattr("coinswarm.transport.http_client", lambda *_args: nullcontext(client))
    report = remotely(fresh, "token", "account", "queue")
    assert statuses(report) == {"account": FAILED, "queue": SKIPPED}
    assert "CLOUDFLARE_ACCOUNT_ID" in hint(report, "account")


def test_a_token_without_queues_is_told_which_permission_it_lacks(
    fresh: FreshStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def limited(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/tokens/verify"):
            return ok({"status": "active"})
        return refused(10000, "Authentication error", 403) if "/queues" in request.url.path else ok([])

    fresh.environ |= {"CLOUDFLARE_API_TOKEN": TOKEN, "CLOUDFLARE_ACCOUNT_ID": ACCOUNT}
    client = httpx.Client(transport=httpx.MockTransport(limited))
    monkeypatch.setattr("coinswarm.transport.http_client", lambda *_args: nullcontext(client))
    report = remotely(fresh, "token", "account")
    assert statuses(report) == {"token": FAILED, "account": SKIPPED}
    assert report.results[0].outcome.message == "CLOUDFLARE_API_TOKEN may not read Queues"
    assert "Queues: Edit for this account" in hint(report, "token")


def test_a_token_that_may_read_nothing_of_its_own_account_lacks_the_permissions(
    fresh: FreshStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def limited(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/tokens/verify"):
            return ok({"status": "active"})
        if request.url.path.endswith("/accounts"):
            return ok([{"id": ACCOUNT}], result_info={"total_count": 1})
        return refused(10000, "Authentication error", 403)

    fresh.environ |= {"CLOUDFLARE_API_TOKEN": TOKEN, "CLOUDFLARE_ACCOUNT_ID": ACCOUNT}
    client = httpx.Client(transport=httpx.MockTransport(limited))
    monkeypatch.setattr("coinswarm.transport.http_client", lambda *_args: nullcontext(client))
    report = remotely(fresh, "token", "account")
    assert statuses(report) == {"token": FAILED, "account": SKIPPED}
    needed = "D1: Edit and Queues: Edit and Workers Scripts: Read"
    assert hint(report, "token") == f"Give the token the permission {needed} for this account."
    fresh.environ["CLOUDFLARE_ACCOUNT_ID"] = "f" * 32
    report = remotely(fresh, "token", "account")
    assert statuses(report) == {"account": FAILED}
    assert hint(report, "account").endswith(f"It has: {ACCOUNT}")


@pytest.mark.usefixtures("pulled")
@pytest.mark.parametrize("wrong", ["f" * 32, "not-an-account"])
def test_a_wrong_account_is_a_fault_of_the_account_and_not_of_the_token(fresh: FreshStack, wrong: str) -> None:
    fresh.environ["CLOUDFLARE_ACCOUNT_ID"] = wrong
    found = statuses(remotely(fresh))
    assert found.pop("account") is FAILED
    assert set(found.values()) == {SKIPPED}


@pytest.mark.usefixtures("pulled")
def test_a_token_that_may_not_look_at_workers_is_a_warning_and_enough_for_a_pulled_queue(
    fresh: FreshStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = CloudflareApi.call

    def limited(api: CloudflareApi, method: str, path: str, **how: Any) -> Any:
        if "/workers/" in path:
            raise Unauthorized
        return honest(api, method, path, **how)

    monkeypatch.setattr(CloudflareApi, "call", limited)
    report = remotely(fresh)
    assert statuses(report) == {"token": WARNING}
    assert "Workers Scripts: Read" in hint(report, "token")


def test_a_wrong_token_is_told_and_never_shown(fresh: FreshStack, pulled: SqliteQueueStore) -> None:
    fresh.environ["CLOUDFLARE_API_TOKEN"] = "v1.0-a-wrong-token"
    report = remotely(fresh)
    assert {name for name, status in statuses(report).items() if status is not SKIPPED} == {"token"}
    assert "v1.0-a-wrong-token" not in str(report.as_json())


def test_the_token_is_in_no_result(fresh: FreshStack, pulled: SqliteQueueStore) -> None:
    assert TOKEN not in str(remotely(fresh).as_json())


def test_the_account_named_in_a_wrangler_file_counts(fresh: FreshStack, pulled: SqliteQueueStore) -> None:
    fresh.edit('name = "coinswarm"', f'name = "coinswarm"\naccount_id = "{ACCOUNT}"')
    del fresh.environ["CLOUDFLARE_ACCOUNT_ID"]
    assert load(cwd=fresh.folder, environ=fresh.environ).account_id == ACCOUNT
    assert statuses(remotely(fresh, "token", "account")) == {}
