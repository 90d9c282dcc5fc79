"""`coinswarm dev` and `coinswarm cron` as a user runs them, against the simulated exchanges."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from coinswarm.server.listening import Server
from coinswarm.simulator import Faults, Simulator
from tests.support.command_line import CommandLine
from tests.support.served import TOKEN, served

PLAN = '[plan]\ntokens = ["BTC"]\nsources = { binance = "USDT", kraken = "USD" }\ntimeframes = ["1h"]\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "coinswarm.toml").write_text(PLAN)
    (tmp_path / "wrangler.toml").write_text(
        'name = "stack"\n[triggers]\ncrons = ["0 0 1 1 *"]  # rarely\n'
        '[[d1_databases]]\nbinding = "DB"\ndatabase_name = "d"\ndatabase_id = "0c61ba0e-4a39-4d2c-8b5c-0d6a4c0a3c54"\n'
        '[[queues.producers]]\nbinding = "Q"\nqueue = "q"\n[[queues.consumers]]\nqueue = "q"\n'
    )
    return tmp_path


@contextmanager
def running(folder: Path, simulator: Simulator, *flags: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command as a process, and its URL."""
    with subprocess.Popen(
        [sys.executable, "-m", "coinswarm", "dev", "--port", "0", "--json", *flags],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **simulator.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            text = ""
            while True:
                line = process.stdout.readline()
                assert line, process.stderr.read() if process.stderr else ""
                text += line
                if line == "}\n":
                    break
            yield process, json.loads(text)["url"].removesuffix("/client/v4")
        finally:
            process.kill()


def until(get: Any, wanted: Any) -> None:
    """Ask until it is so; the process under test has a clock of its own."""
    give_up = time.monotonic() + 20
    while (got := get()) != wanted:
        assert time.monotonic() < give_up, got
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_dev_collects_queues_and_stores_until_it_is_told_to_stop(
    folder: Path, number: signal.Signals, code: int
) -> None:
    migrated = [sys.executable, "-m", "coinswarm", "d1", "migrations", "apply"]
    subprocess.run(migrated, cwd=folder, env={"PATH": os.environ["PATH"]}, check=True, capture_output=True)
    with Simulator() as simulator, running(folder, simulator) as (process, url):
        assert httpx.get(f"{url}/cdn-cgi/local/scheduled", trust_env=False, timeout=20).text == "ok"
        until(lambda: httpx.get(f"{url}/stats", trust_env=False).json()["by_source"], {"binance": 5, "kraken": 5})
        parts = httpx.get(f"{url}/status", trust_env=False).json()["parts"]
        assert {name: part["state"] for name, part in parts.items()} == {"cron": "running", "consumer": "running"}
        process.send_signal(number)
        assert process.wait(20) == code
        assert process.stderr is not None
        told = process.stderr.read()
        assert "every run: 10 candles of 2 series in 1 message" in told
        assert "cron 0 0 1 1 * (stack): next " in told
        assert "stopping" in told
        assert "Traceback" not in told


def test_a_part_that_cannot_work_is_shown_and_health_says_so_while_http_goes_on(folder: Path) -> None:
    with Simulator() as simulator, running(folder, simulator, "--no-cron") as (process, url):  # no migrations applied

        def health() -> tuple[int, bool]:
            reply = httpx.get(f"{url}/health", trust_env=False)
            return reply.status_code, any(reason.startswith("consumer:") for reason in reply.json()["reasons"])

        until(health, (503, True))
        assert httpx.get(f"{url}/status", trust_env=False).json()["parts"].keys() == {"consumer"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
        assert process.stderr is not None
        assert "consumer: " in (told := process.stderr.read())
        assert "cron: off" in told


# --- cron ---


def test_cron_list_shows_the_next_three_fires_and_the_last_run(coinswarm: CommandLine, folder: Path) -> None:
    (job,) = coinswarm("cron", "list", "--json").json["crons"]
    assert (job["cron"], job["worker"], len(job["next"]), job["last"]) == ("0 0 1 1 *", "stack", 3, None)
    assert "0 0 1 1 *  (stack)" in coinswarm("cron", "list").out
    with Simulator() as simulator:
        coinswarm.environment |= simulator.environment
        ran = coinswarm("cron", "run")
    assert ran.exit_code == 0, ran
    assert ran.out.startswith("Queued 10 candles in 1 message.\n")
    last = coinswarm("cron", "list", "--json").json["crons"][0]["last"]
    assert last["outcome"] == "done"
    assert last["manual"] is True


def test_cron_run_with_a_source_down_exits_1_with_what_the_others_brought(coinswarm: CommandLine, folder: Path) -> None:
    with Simulator(faults=Faults(rates={"kraken/451": 1.0})) as simulator:
        coinswarm.environment |= simulator.environment
        result = coinswarm("cron", "run", "--json")
    assert result.exit_code == 1
    assert (result.json["success"], result.json["inserted"]) == (False, 5)
    assert result.json["sources"]["kraken"]["failures"]
    kind, message, hint = result.error
    assert (kind, message[:49]) == ("PlanFailed", "Queued 5 candles in 1 messages; failed: kraken. F")
    assert hint


def test_a_run_with_a_source_down_has_failed_wherever_it_is_told(coinswarm: CommandLine, folder: Path) -> None:
    with Simulator(faults=Faults(rates={"kraken/451": 1.0})) as simulator:
        coinswarm.environment |= simulator.environment
        ran = coinswarm("cron", "run")
    assert ran.exit_code == 1
    error, hint = ran.err.splitlines()[1:3]
    assert error.startswith("✘ Queued 5 candles in 1 messages; failed: kraken. First: kraken: BTC-USD 1h: ")
    assert "coinswarm cron run" in hint
    assert coinswarm("cron", "list", "--json").json["crons"][0]["last"]["outcome"] == "failed"
    newest = coinswarm("status", "--json").json["runs"][0]
    assert (newest["kind"], newest["outcome"]) == ("cron", "failed")
    assert "run.finished     cron outcome=failed error=PlanFailed" in coinswarm("tail", "--once", "--errors").out


def test_cron_disable_and_enable_change_the_file_and_keep_its_comments(coinswarm: CommandLine, folder: Path) -> None:
    before = (folder / "wrangler.toml").read_text()
    assert coinswarm("cron", "disable", "--json").json["active"] == []
    assert "# rarely" in (folder / "wrangler.toml").read_text()
    assert coinswarm("cron", "list", "--json").json == {"crons": []}
    assert coinswarm("cron", "run").exit_code == 2
    assert coinswarm("cron", "enable", "stack", "--json").json["active"] == ["0 0 1 1 *"]
    assert (folder / "wrangler.toml").read_text() == before


def test_the_next_step_after_switching_deploys_that_file_in_that_environment(
    coinswarm: CommandLine, folder: Path
) -> None:
    assert coinswarm("cron", "disable").err.splitlines()[-1] == "  → wrangler deploy"
    (folder / "my worker.toml").write_text('name = "a"\n[env.live.triggers]\ncrons = ["0 0 * * *"]\n')
    chosen = ("--config", "wrangler.toml", "--config", "my worker.toml", "--env", "live")
    told = coinswarm("cron", "disable", "a-live", *chosen).err.splitlines()
    assert told[-2:] == [
        "  → coinswarm cron list --config wrangler.toml --config 'my worker.toml' --env live",
        "  → wrangler deploy --config 'my worker.toml' --env live",
    ]


def test_cron_run_remote_fills_the_queue_on_cloudflare_and_none_here(coinswarm: CommandLine, folder: Path) -> None:
    with served(folder / "cloud") as api, Server(api.app) as server, Simulator() as simulator:
        api.queue("q")
        coinswarm.environment |= simulator.environment
        coinswarm.environment |= {
            "CLOUDFLARE_API_BASE_URL": f"{server.url}/client/v4",
            "CLOUDFLARE_ACCOUNT_ID": api.account.id,
            "CLOUDFLARE_API_TOKEN": TOKEN,
        }
        ran = coinswarm("cron", "run", "--remote", "--yes", "--json")
        assert ran.exit_code == 0, ran
        assert (ran.json["success"], ran.json["inserted"], ran.json["messages"]) == (True, 10, 1)
        assert api.queues.open("q").metrics().backlog == 1
        assert coinswarm("queues", "info", "q", "--json").json["backlog"] == 0
        coinswarm.environment["CLOUDFLARE_API_TOKEN"] = "another-token-than-the-servers"
        assert coinswarm("cron", "run", "--remote", "--yes", "--json").exit_code == 1
        assert api.queues.open("q").metrics().backlog == 1


@pytest.mark.parametrize("words", [["cron", "run", "nope"], ["cron", "run", "--at", "2100-01-01"], ["cron", "enable"]])
def test_cron_used_wrongly_exits_2(coinswarm: CommandLine, folder: Path, words: list[str]) -> None:
    result = coinswarm(*words)
    assert (result.exit_code, result.out) == (2, "")
    assert result.err.startswith("✘ ")


def test_the_deployed_schedules_are_read_for_every_worker_of_the_files(coinswarm: CommandLine, folder: Path) -> None:
    (folder / "old.toml").write_text('name = "old"\n')
    files = ("--config", "wrangler.toml", "--config", "old.toml")
    with served(folder / "cloud") as api:
        api.result("PUT", "/workers/scripts/old/schedules", [{"cron": "0 12 * * 6L"}])
        with Server(api.app) as server:
            coinswarm.environment = {
                "CLOUDFLARE_API_BASE_URL": f"{server.url}/client/v4",
                "CLOUDFLARE_ACCOUNT_ID": api.account.id,
                "CLOUDFLARE_API_TOKEN": TOKEN,
            }
            document = coinswarm("cron", "list", "--remote", *files, "--json").json
            shown = coinswarm("cron", "list", "--remote", *files).out
    (job,) = document["crons"]
    assert (job["cron"], job["worker"], len(job["next"]), job["configured"]) == ("0 12 * * 6L", "old", 3, False)
    assert document["workers"] == [
        {"worker": "stack", "file": "wrangler.toml", "crons": [], "not_deployed": ["0 0 1 1 *"]},
        {"worker": "old", "file": "old.toml", "crons": ["0 12 * * 6L"], "not_deployed": []},
    ]
    assert "0 0 1 1 *  (stack)\n  in wrangler.toml, not deployed\n0 12 * * 6L  (old)\n  next  " in shown
    assert shown.endswith("  not in old.toml\n")


@pytest.mark.parametrize("cron", ["61 * * * *", "0 0 * * 0", "* * 31 11 *", "0 0 1W,L * *", "* * * *", 5])
def test_a_schedule_that_cloudflare_would_refuse_cannot_be_put(tmp_path: Path, cron: object) -> None:
    with served(tmp_path) as api:
        api.result("PUT", "/workers/scripts/w/schedules", [{"cron": "*/5 * * * *"}])
        reply = api.send("PUT", "/workers/scripts/w/schedules", [{"cron": "0 1 * * *"}, {"cron": cron}])
        assert (reply.status_code, reply.json()["success"]) == (400, False)
        kept = api.result("GET", "/workers/scripts/w/schedules")["schedules"]
    assert [one["cron"] for one in kept] == ["*/5 * * * *"]
