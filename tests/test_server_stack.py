"""The routes beside Cloudflare's API: what sets the producer off, and what tells how the stack does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from coinswarm import wiring
from coinswarm.clock import ManualClock
from coinswarm.config import Stack, load
from coinswarm.cron.state import CronState
from coinswarm.d1.migrate import apply
from coinswarm.dev.operations import StackOperations
from coinswarm.dev.parts import consumer_part
from coinswarm.dev.schedule import cron_file
from coinswarm.dev.supervisor import Part, Supervisor
from coinswarm.queue.types import QueueSettings
from coinswarm.server.app import create_app
from coinswarm.server.opening import open_account
from coinswarm.simulator import Faults, Simulator
from tests.support.described import held_to_description
from tests.support.served import TOKEN, Client

NOW = 1_700_000_123
BEARER = {"Authorization": f"Bearer {TOKEN}"}
PLAN = '[plan]\ntokens = ["BTC", "ETH"]\ncandles = 3\n[fetch]\nlimit = 25\n'


@dataclass
class World:
    client: Client
    stack: Stack
    clock: ManualClock
    simulator: Simulator
    operations: StackOperations

    def trigger(self, body: object = None, *, path: str = "/trigger", **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self.client.request("POST", path, content=content, headers=headers)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.client.get(path, headers=headers)

    def backlog(self) -> int:
        with wiring.ingest_queue(self.stack, self.clock) as queue:
            return queue.metrics().backlog

    def drain(self) -> None:
        part, looks = consumer_part(self.stack, self.clock), iter([False] * 8)
        part.run(lambda: next(looks, True))


def world_in(folder: Path, simulator: Simulator, clock: ManualClock, host: str = "127.0.0.1") -> Iterator[World]:
    (folder / "coinswarm.toml").write_text(PLAN)
    stack = load(cwd=folder, environ=simulator.environment)
    with (
        wiring.local_queues(stack, clock) as queues,
        closing(wiring.local_database(stack.database(), stack, clock)) as database,
        open_account(stack, queues, clock) as account,
    ):
        apply(database, wiring.migrations_of(stack.database()))
        operations = StackOperations(stack, clock)
        with held_to_description(create_app(account, token=TOKEN, host=host, operations=operations)) as app:
            yield World(Client(app, "http://127.0.0.1:8787"), stack, clock, simulator, operations)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    clock = ManualClock(NOW * 1000)
    with Simulator(clock=clock) as simulator:
        yield from world_in(tmp_path, simulator, clock)


@pytest.fixture
def public(tmp_path: Path) -> Iterator[World]:
    clock = ManualClock(NOW * 1000)
    with Simulator(clock=clock) as simulator:
        yield from world_in(tmp_path, simulator, clock, host="0.0.0.0")


# --- POST /trigger ---


def test_a_trigger_queues_a_page_and_says_how_to_ask_for_the_one_before(world: World) -> None:
    reply = world.trigger()
    assert reply.status_code == 200
    document = reply.json()
    newest = NOW - NOW % 3600 - 3600
    assert document["message"] == "Queued 25 candles for BTC-USDC in 3 messages"
    assert (document["success"], document["inserted"], document["newest"]) == (True, 25, newest)
    assert document["next_toTs"] == document["oldest"] - 3600 == newest - 25 * 3600
    assert document["next_trigger"] == f"POST /trigger with toTs={document['next_toTs']}"
    assert "candles" not in document
    assert world.backlog() == 3


@pytest.mark.parametrize("how", ["body", "query"])
def test_to_ts_may_stand_in_the_body_or_in_the_query_and_pages_join_without_a_hole(world: World, how: str) -> None:
    first = world.trigger().json()
    to_ts = first["next_toTs"]
    second = world.trigger({"toTs": to_ts}) if how == "body" else world.trigger(path=f"/trigger?toTs={to_ts}")
    assert second.json()["newest"] == first["oldest"] - 3600


def test_another_series_may_be_asked_for(world: World) -> None:
    asked = {"pair": "ETH-USD", "source": "kraken", "timeframe": "1d", "limit": 7}
    document = world.trigger(asked).json()
    assert (document["source"], document["symbol"], document["timeframe"]) == ("kraken", "ETH-USD", "1d")
    assert document["inserted"] == 7


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "the body is not JSON"),
        (b"[1]", "the body is not a JSON object"),
        (b"\xff\xfe", "the body is not JSON"),
        ({"tots": 5}, "unknown field 'tots'"),
        ({"toTs": "soon"}, "toTs must be a whole number"),
        ({"toTs": True}, "toTs must be a whole number"),
        ({"toTs": 1.5e9}, "toTs must be a whole number"),
        ({"toTs": NOW * 1000}, "toTs must be"),
        ({"toTs": NOW + 5000}, "lies in the future"),
        ({"limit": 0}, "limit must be 1 to"),
        ({"pair": "BTCUSDC"}, "is not a pair"),
        ({"pair": 5}, "pair must be text"),
        ({"source": "mtgox"}, "unknown source 'mtgox'"),
        ({"timeframe": "7m"}, "unknown timeframe '7m'"),
    ],
)
def test_a_wrong_trigger_is_a_400_that_says_what_is_wrong_and_queues_nothing(
    world: World, body: object, told: str
) -> None:
    reply = world.trigger(body)
    assert reply.status_code == 400
    assert told in reply.json()["error"]["message"]
    assert world.backlog() == 0


def test_a_source_that_fails_is_a_502_without_a_traceback(world: World) -> None:
    world.simulator.faults = Faults(rates={"451": 1.0})
    reply = world.trigger()
    assert reply.status_code == 502
    assert reply.json()["error"]["type"] == "SourceRefused"
    assert "Traceback" not in reply.text


def test_a_trigger_is_a_post(world: World) -> None:
    assert world.get("/trigger").status_code == 405


# --- /cdn-cgi/…/scheduled ---


@pytest.mark.parametrize("path", ["local", "handler", "mf"])
def test_a_scheduled_event_collects_the_plan_and_answers_ok(world: World, path: str) -> None:
    reply = world.get(f"/cdn-cgi/{path}/scheduled")
    assert (reply.status_code, reply.text) == (200, "ok")
    assert world.backlog() == 2  # 2 tokens, 3 sources, 3 candles: 18


def test_its_cron_and_time_are_those_of_the_query_and_json_tells_all(world: World) -> None:
    moment = (NOW - 86_400) * 1000
    reply = world.get(f"/cdn-cgi/local/scheduled?cron=*/30+*+*+*+*&time={moment}&format=json")
    document = reply.json()
    # CoinGecko's half-hours reach back one day only, so what is older cannot be had from it.
    assert (document["outcome"], document["noRetry"], document["at"]) == ("exception", False, moment // 1000)
    assert document["sources"]["binance"]["candles"] == document["sources"]["cryptocompare"]["candles"] == 6
    assert document["sources"]["coingecko"]["failed"] == 2
    with CronState(cron_file(world.stack)) as state:
        last = state.last("coinswarm */30 * * * *")
        assert last is not None
        assert (last.fire_ms, last.manual, last.outcome) == (moment, True, "failed")


def test_one_source_down_is_a_500_that_names_it_and_the_others_are_queued(world: World) -> None:
    world.simulator.faults = Faults(rates={"binance/451": 1.0})
    reply = world.get("/cdn-cgi/local/scheduled?format=json")
    assert reply.status_code == 500
    document = reply.json()
    assert document["outcome"] == "exception"
    assert {name: source["ok"] for name, source in document["sources"].items()} == {
        "binance": False,
        "cryptocompare": True,
        "coingecko": True,
    }
    assert document["inserted"] == 12
    assert world.get("/cdn-cgi/local/scheduled").text == "exception"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("cron=1+2+3+4+5", 400),
        ("cron=nonsense", 400),
        ("time=soon", 400),
        ("time=99999999999999", 400),
        ("time=5", 400),
    ],
)
def test_a_wrong_scheduled_event_runs_nothing(world: World, query: str, status: int) -> None:
    reply = world.get(f"/cdn-cgi/local/scheduled?{query}")
    assert reply.status_code == status
    assert reply.json()["error"]["message"]
    assert world.backlog() == 0


def test_while_a_run_is_under_way_another_one_is_a_409(world: World) -> None:
    with CronState(cron_file(world.stack)) as state, state.alone():
        reply = world.get("/cdn-cgi/local/scheduled")
    assert reply.status_code == 409
    assert "under way" in reply.json()["error"]["message"]


# --- who may ---

FOREIGN: list[dict[str, str]] = [
    {"Origin": "https://evil.test"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:9999"},
    {"Referer": "https://evil.test/page"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_page_of_another_site_starts_nothing(world: World, headers: dict[str, str]) -> None:
    assert world.trigger(None, **headers).status_code == 403
    assert world.get("/cdn-cgi/local/scheduled", **headers).status_code == 403
    assert world.backlog() == 0


def test_the_token_lets_anybody_start_a_run_and_a_wrong_one_is_none(world: World) -> None:
    foreign = {"Origin": "https://app.test"}
    assert world.trigger(None, **foreign, **BEARER).status_code == 200
    assert world.trigger(None, **foreign, Authorization="Bearer wrong").status_code == 403


def test_another_host_name_is_refused_everywhere(world: World) -> None:
    for path in ("/stats", "/status", "/health", "/cdn-cgi/local/scheduled"):
        assert world.get(path, Host="evil.test").status_code == 403
    assert world.trigger(None, Host="evil.test").status_code == 403


def test_bound_to_every_interface_all_of_it_needs_the_token(public: World) -> None:
    for path in ("/stats", "/status", "/health", "/cdn-cgi/local/scheduled"):
        assert public.get(path).status_code == 401
        assert public.get(path, **BEARER).status_code == 200
    assert public.trigger().status_code == 401
    assert public.trigger(None, **BEARER).status_code == 200


# --- /stats, /status, /health ---


def test_stats_count_what_is_stored(world: World) -> None:
    empty = world.get("/stats").json()
    assert (empty["total"], empty["oldest"], empty["newest"]) == (0, None, None)
    world.trigger()
    world.drain()
    document = world.get("/stats").json()
    newest = NOW - NOW % 3600 - 3600
    assert (document["total"], document["newest"], document["oldest"]) == (25, newest, newest - 24 * 3600)
    assert document["by_source"] == {"binance": 25}


def test_a_stack_that_lacks_its_table_is_a_fault_of_the_server_and_not_of_the_request(world: World) -> None:
    with closing(wiring.local_database(world.stack.database(), world.stack, world.clock)) as database:
        database.execute("DROP TABLE price_data")
    reply = world.get("/stats")
    assert (reply.status_code, reply.json()["error"]["type"]) == (500, "SchemaMismatch")


def test_status_tells_of_queue_jobs_and_parts(world: World) -> None:
    world.operations.supervisor = Supervisor([Part("consumer", lambda _stop: None)], world.clock)
    world.get("/cdn-cgi/local/scheduled")
    document = world.get("/status").json()
    assert document["queue"]["backlog"] == 2
    (job,) = document["crons"]
    assert (job["cron"], job["last"]["outcome"]) == ("*/30 * * * *", "done")
    assert job["next"] == [1_700_001_000, 1_700_002_800, 1_700_004_600]
    assert document["parts"]["consumer"]["state"] == "starting"


def health(world: World) -> tuple[int, Any]:
    reply = world.get("/health")
    return reply.status_code, reply.json()["reasons"]


def test_health_is_ok_while_nothing_is_broken(world: World) -> None:
    assert health(world) == (200, [])
    world.get("/cdn-cgi/local/scheduled")
    assert health(world) == (200, [])


def test_health_is_503_with_the_reason_for_whatever_is_broken(world: World) -> None:
    with wiring.local_queues(world.stack, world.clock) as queues:
        queues.update(world.stack.queue(), QueueSettings(delivery_paused=True))
    assert health(world) == (503, ["queue: delivery from historical-data-queue is paused"])
    with wiring.local_queues(world.stack, world.clock) as queues:
        queues.update(world.stack.queue(), QueueSettings())

    world.simulator.faults = Faults(rates={"binance/451": 1.0})
    world.get("/cdn-cgi/local/scheduled")
    code, (reason,) = health(world)
    assert code == 503
    assert reason.startswith("cron: the last run of coinswarm failed: Queued 12 candles in 2 messages; failed: binance")
    world.simulator.faults = Faults()
    world.get("/cdn-cgi/local/scheduled")
    assert health(world) == (200, [])

    world.operations.supervisor = Supervisor([Part("consumer", lambda _stop: None, error="no")], world.clock)
    assert health(world) == (503, ["consumer: no"])
    world.operations.supervisor = None

    with closing(wiring.local_database(world.stack.database(), world.stack, world.clock)) as database:
        database.execute("DROP TABLE price_data")
    code, (reason,) = health(world)
    assert (code, reason[:9]) == (503, "database:")
