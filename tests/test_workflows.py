"""The workflows: ours, and those that `coinswarm init --github` writes, which are run line by line over real HTTP."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from coinswarm.automation import Service
from coinswarm.config import load
from coinswarm.errors import UsageError
from coinswarm.init import init
from coinswarm.queue.types import ConsumerSettings
from coinswarm.simulator import Faults, Simulator
from tests.support.cloudflare import TOKEN
from tests.support.command_line import ROOT, CommandLine
from tests.support.local_cloudflare import DATABASE, LocalCloudflare, local_cloudflare
from tests.support.shell import Shell, shell_over

OURS = ROOT / ".github" / "workflows" / "ci.yml"
QUEUE, DEAD = "historical-data-queue", "historical-data-dlq"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository as `coinswarm init --github` leaves it."""
    folder = tmp_path_factory.mktemp("project")
    init(folder, github=True)
    # A plan that no rate limit slows down.
    (folder / "coinswarm.toml").write_text(
        '[plan]\ntokens = ["BTC", "ETH"]\nsources = { binance = "USDT", cryptocompare = "USD", kraken = "USD" }\n'
    )
    return folder


@pytest.fixture(scope="module")
def workflows(project: Path) -> dict[str, Path]:
    return {"ci": OURS} | {path.stem: path for path in sorted((project / ".github" / "workflows").iterdir())}


def parsed(path: Path) -> dict[Any, Any]:
    document = yaml.safe_load(path.read_text())
    assert isinstance(document, dict)
    return document


def steps_of(path: Path) -> list[dict[str, Any]]:
    return [step for job in parsed(path)["jobs"].values() for step in job["steps"]]


# What holds for every workflow


@pytest.mark.parametrize("name", ["ci", "deploy", "collect"])
def test_actions_are_pinned_by_commit_with_the_version_beside_it(workflows: dict[str, Path], name: str) -> None:
    used = [line.strip() for line in workflows[name].read_text().splitlines() if "uses:" in line]
    assert used
    for line in used:
        assert re.fullmatch(r"- uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_an_action_has_the_same_version_everywhere(workflows: dict[str, Path]) -> None:
    lines = {line.strip() for path in workflows.values() for line in path.read_text().splitlines() if "uses:" in line}
    assert len(lines) == len({line.split("@")[0] for line in lines})


@pytest.mark.parametrize("name", ["ci", "deploy", "collect"])
def test_a_job_may_read_the_repository_ends_some_time_and_does_not_run_beside_itself(
    workflows: dict[str, Path], name: str
) -> None:
    document = parsed(workflows[name])
    assert document["permissions"] == {"contents": "read"}
    assert document["concurrency"]["group"]
    for job in document["jobs"].values():
        assert 0 < job["timeout-minutes"] <= 30
        assert "permissions" not in job
    for step in steps_of(workflows[name]):
        if "checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("name", ["deploy", "collect"])
def test_secrets_reach_only_the_steps_that_need_them_and_never_the_text_of_a_script(
    workflows: dict[str, Path], name: str
) -> None:
    document = parsed(workflows[name])
    assert "secrets." not in str(document.get("env", {}))
    for job in document["jobs"].values():
        assert "env" not in job
    for step in steps_of(workflows[name]):
        assert "${{" not in step.get("run", "")
        if "pip install" in step.get("run", ""):
            assert "secrets." not in str(step)
    assert document["concurrency"]["cancel-in-progress"] is False


def test_ours_calls_targets_of_the_makefile_and_nothing_else() -> None:
    document = parsed(OURS)
    called = set()
    for job in document["jobs"].values():
        matrix = job["strategy"]["matrix"]
        assert [step["run"] for step in job["steps"] if "run" in step] == ["make ${{ matrix.target }}"]
        called |= {*matrix["target"], *(extra["target"] for extra in matrix.get("include", ()))}
    assert called >= {"lint", "types", "test", "slow", "wheel"}
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert called <= targets


def test_actionlint_finds_nothing(workflows: dict[str, Path]) -> None:
    beside = Path(sys.executable).parent / "actionlint"
    program = str(beside) if beside.exists() else shutil.which("actionlint")
    if program is None:
        pytest.skip("actionlint is not here: `make workflows` installs it (its program comes from GitHub)")
    done = subprocess.run([program, *map(str, workflows.values())], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# What init writes


def test_collecting_runs_every_thirty_minutes_and_never_twice_at_a_time(workflows: dict[str, Path]) -> None:
    document = parsed(workflows["collect"])
    (schedule,) = document[True]["schedule"]  # YAML 1.1 reads `on` as true
    minutes, *rest = schedule["cron"].split()
    first, second = map(int, minutes.split(","))
    assert (second - first, rest) == (30, ["*"] * 4)
    assert document["concurrency"] == {"group": "coinswarm-collect", "cancel-in-progress": False}


def test_the_workflows_are_for_the_queues_of_the_wrangler_file_that_is_there(tmp_path: Path) -> None:
    init(tmp_path)
    path = tmp_path / "wrangler.toml"
    text = path.read_text().replace(QUEUE, "candles").replace(DEAD, "candles-dead").replace("= 100 ", "= 50 ")
    path.write_text(text)
    init(tmp_path, github=True)
    deploy = parsed(tmp_path / ".github" / "workflows" / "deploy.yml")
    assert deploy["env"] == {"QUEUE": "candles", "DEAD_LETTER_QUEUE": "candles-dead"}
    assert "--batch-size 50 --message-retries 3" in str(deploy)
    assert not re.search(r"@[A-Z_]+@", str(deploy))


def test_a_consumer_without_a_dead_letter_queue_gets_no_workflow(tmp_path: Path) -> None:
    init(tmp_path)
    path = tmp_path / "wrangler.toml"
    path.write_text(path.read_text().replace("dead_letter_queue", "# dead_letter_queue"))
    with pytest.raises(UsageError, match="has no dead_letter_queue"):
        init(tmp_path, github=True)
    assert not (tmp_path / ".github").exists()


def test_workflows_and_units_that_exist_are_left_alone(coinswarm: CommandLine) -> None:
    for name in ("deploy.yml", "collect.yml"):
        path = coinswarm.directory / ".github" / "workflows" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("# mine\n")
    unit = coinswarm.directory / "systemd" / "coinswarm.service"
    unit.parent.mkdir()
    unit.write_text("# mine\n")
    done = coinswarm("init", "--github", "--systemd", "--json")
    assert done.exit_code == 0
    assert {".github/workflows/deploy.yml", ".github/workflows/collect.yml", "systemd/coinswarm.service"} <= set(
        done.json["kept"]
    )
    assert unit.read_text() == path.read_text() == "# mine\n"
    assert "systemd/coinswarm-alerts.timer" in done.json["written"]


# Run against our own Cloudflare


@dataclass
class Runner:
    """GitHub's runner, as far as our workflows use it."""

    shell: Shell
    secrets: dict[str, str]

    def run(self, path: Path) -> dict[str, tuple[int, str]]:
        """Exit code and output of every step that ran a script, but for the installation."""
        document = parsed(path)
        results: dict[str, tuple[int, str]] = {}
        for step in steps_of(path):
            if "run" not in step or step.get("id") == "install" or step["name"].startswith("Install"):
                continue
            failed = any(code for code, _ in results.values())
            if failed and "!cancelled()" not in str(step.get("if", "")):
                continue
            variables = {**document.get("env", {}), **step.get("env", {})}
            done = self.shell.run(step["run"], **{name: self._value(text) for name, text in variables.items()})
            results[step["name"]] = done.returncode, done.stdout
        return results

    def _value(self, text: str) -> str:
        return re.sub(r"\$\{\{ secrets\.(\w+) \}\}", lambda found: self.secrets.get(found[1], ""), text)


@contextmanager
def github(folder: Path, project: Path) -> Iterator[tuple[Runner, LocalCloudflare, Simulator]]:
    with (
        local_cloudflare(folder / "cloudflare") as cloudflare,
        Simulator() as simulator,
        shell_over(
            simulator, folder / "runner", project, {"CLOUDFLARE_API_BASE_URL": cloudflare.url, "GITHUB_ACTIONS": "true"}
        ) as shell,
    ):
        yield Runner(shell, {"CLOUDFLARE_API_TOKEN": TOKEN}), cloudflare, simulator


def rows(cloudflare: LocalCloudflare) -> dict[str, int]:
    with cloudflare.account.catalogue.use(DATABASE.uuid) as database:
        (found,) = database.execute("SELECT source, COUNT(*) AS n FROM price_data GROUP BY source")
    return dict(found.rows)


@pytest.mark.slow
def test_deploying_and_collecting_from_nothing_works_and_doing_it_again_changes_nothing(
    tmp_path: Path, project: Path, workflows: dict[str, Path]
) -> None:
    with github(tmp_path, project) as (runner, cloudflare, _):
        deployed = runner.run(workflows["deploy"])
        assert {name: code for name, (code, _) in deployed.items()} == dict.fromkeys(
            ("Queues", "The queue is pulled over HTTP", "Migrations", "Verify"), 0
        ), deployed
        assert "19 Passed, 0 Warnings, 0 Failed" in deployed["Verify"][1]
        (consumer,) = cloudflare.queues.info(QUEUE).consumers
        assert (consumer.settings.type, consumer.settings.dead_letter_queue) == ("http_pull", DEAD)

        collected = runner.run(workflows["collect"])
        assert [code for code, _ in collected.values()] == [0, 0], collected
        stored = rows(cloudflare)
        assert stored == {"binance": 10, "cryptocompare": 10, "kraken": 10}

        again = runner.run(workflows["deploy"])
        assert [code for code, _ in again.values()] == [0, 0, 0, 0], again
        assert rows(cloudflare) == stored
        assert TOKEN not in str((deployed, collected, again))


@pytest.mark.slow
def test_a_worker_that_consumes_the_queue_stops_the_deployment_and_keeps_it(
    tmp_path: Path, project: Path, workflows: dict[str, Path]
) -> None:
    with github(tmp_path, project) as (runner, cloudflare, _):
        cloudflare.queues.create(QUEUE)
        cloudflare.queues.add_consumer(QUEUE, ConsumerSettings(type="worker", script_name="theirs"))
        results = runner.run(workflows["deploy"])
        code, text = results["The queue is pulled over HTTP"]
        assert (code, "Migrations" in results) == (1, False)
        assert "already has a consumer" in text
        assert cloudflare.queues.info(QUEUE).consumers[0].settings.type == "worker"


@pytest.mark.slow
def test_one_exchange_that_is_down_makes_the_run_red_and_the_others_are_stored(
    tmp_path: Path, project: Path, workflows: dict[str, Path]
) -> None:
    with github(tmp_path, project) as (runner, cloudflare, simulator):
        assert all(code == 0 for code, _ in runner.run(workflows["deploy"]).values())
        simulator.faults = Faults({"cryptocompare/401": 1.0})
        results = runner.run(workflows["collect"])
        assert [code for code, _ in results.values()] == [1, 0], results
        assert "cryptocompare" in results["Fetch the plan into the queue"][1]
        assert rows(cloudflare) == {"binance": 10, "kraken": 10}


def test_a_repository_that_does_not_say_what_to_install_is_told_how(
    tmp_path: Path, project: Path, workflows: dict[str, Path]
) -> None:
    (install,) = [step for step in steps_of(workflows["collect"]) if step.get("id") == "install"]
    with github(tmp_path, project) as (runner, _, _simulator):
        done = runner.shell.run(install["run"], COINSWARM_PACKAGE="")
    assert done.returncode == 1
    assert done.stdout.startswith("::error::Set the repository variable COINSWARM_PACKAGE")


# systemd


def test_the_units_run_the_stack_of_their_folder_with_no_more_than_it_needs(tmp_path: Path) -> None:
    init(tmp_path, service=Service("swarm", ("/opt/coinswarm/bin/coinswarm",)))
    text = (tmp_path / "systemd" / "coinswarm.service").read_text()
    assert f"WorkingDirectory={tmp_path}\n" in text
    assert "ExecStart=/opt/coinswarm/bin/coinswarm dev\n" in text
    assert f"ReadWritePaths={tmp_path}\n" in text
    for line in ("User=swarm", "ProtectSystem=strict", "ProtectHome=yes", "NoNewPrivileges=yes", "UMask=0077"):
        assert f"\n{line}\n" in text
    alerts = (tmp_path / "systemd" / "coinswarm-alerts.service").read_text()
    assert "ExecStart=/opt/coinswarm/bin/coinswarm alerts check\n" in alerts
    assert "ProtectSystem=strict" in alerts


def test_a_folder_with_odd_characters_reaches_systemd_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / 'my "100%" $candles'
    init(folder, service=Service("swarm", ("/home/me/my venv/$bin/python", "-m", "coinswarm")))
    text = (folder / "systemd" / "coinswarm.service").read_text()
    assert f'WorkingDirectory={tmp_path}/my "100%%" $candles\n' in text
    assert f'ReadWritePaths="{tmp_path}/my \\"100%%\\" $candles"\n' in text
    assert 'ExecStart="/home/me/my venv/$$bin/python" -m coinswarm dev\n' in text
    assert "ProtectHome=read-only" in text
    assert load(cwd=folder, environ={}).warnings == ()


def test_a_folder_that_no_unit_can_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot stand in a unit file"):
        init(tmp_path / "two\nlines", service=Service("swarm", (sys.executable,)))
    assert not (tmp_path / "two\nlines" / "systemd").exists()


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    init(tmp_path, service=Service("root", (sys.executable, "-m", "coinswarm")))
    units = sorted(map(str, (tmp_path / "systemd").iterdir()))
    assert len(units) == 3
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
