"""Alerts: when they fire, that they are told once, and who hears of them."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from coinswarm.alerts.episodes import Episode, check, known
from coinswarm.alerts.notify import Notifier
from coinswarm.alerts.rules import Finding, Used, allowances, findings
from coinswarm.clock import ManualClock
from coinswarm.config import AlertSettings, Secret, load
from coinswarm.config.alerts import Rule
from coinswarm.errors import ConfigError
from coinswarm.queue.dead_letters import Cause
from coinswarm.queue.types import Metrics
from coinswarm.status.activity import Failures, Rate
from coinswarm.status.gather import Status
from coinswarm.status.series import SeriesAge
from tests.support.command_line import CommandLine

NOW = 1_700_000_000_000
MINUTE = 60_000


def status(backlog: int = 0, *, letters: int = 0, series: tuple[SeriesAge, ...] = (), size: int = 0) -> Status:
    causes = (Cause("prices", "no timestamp", letters, NOW, NOW),) if letters else ()
    metrics = Metrics(backlog, backlog, 0, 0, 0, 0)
    return Status(NOW, "prices", metrics, False, Rate(0, 0), None, "dlq", causes, series, "d1", size, None, ())


def exceeded(
    settings: AlertSettings | None = None,
    found: Status | None = None,
    *,
    failures: Iterable[Failures] = (),
    used: Iterable[Used] = (),
) -> set[str]:
    settings = settings or AlertSettings()
    made = findings(settings, found or status(), failures, used or allowances(settings, {}))
    return {finding.alert for finding in made if finding.exceeded}


def behind(hours: float, timeframe: str = "1h") -> SeriesAge:
    return SeriesAge("BTC-USDC", timeframe, "binance", 0, round(hours * 3600))


@pytest.mark.parametrize(
    ("found", "alert"),
    [
        (status(5_001), "depth"),
        (status(letters=1), "dead_letters"),
        (status(series=(behind(3.1),)), "stale"),
        (status(size=4_000_000_001), "size"),
    ],
)
def test_an_alert_is_exceeded_just_above_its_limit(found: Status, alert: str) -> None:
    assert exceeded(found=found) == {alert}


@pytest.mark.parametrize("found", [status(5_000), status(series=(behind(3.0),)), status(size=4_000_000_000)])
def test_no_alert_is_exceeded_at_its_limit(found: Status) -> None:
    assert exceeded(found=found) == set()


def test_a_series_of_minutes_is_not_stale_between_two_fires_of_the_cron() -> None:
    assert exceeded(found=status(series=(behind(0.6, "1m"),))) == set()
    assert exceeded(found=status(series=(behind(1.6, "1m"),))) == {"stale"}


def test_series_that_are_meant_to_be_old_can_be_ignored() -> None:
    assert exceeded(AlertSettings(ignore=("BTC-*/*/binance",)), status(series=(behind(999),))) == set()


def test_one_failure_is_no_error_rate() -> None:
    assert exceeded(failures=[Failures("requests", 1, 1)]) == set()
    assert exceeded(failures=[Failures("requests", 100, 5)]) == set()
    assert exceeded(failures=[Failures("messages", 1000, 0), Failures("requests", 100, 6)]) == {"errors"}


def test_three_quarters_of_the_plans_allowance_are_told() -> None:
    free, paid = AlertSettings(plan="free"), AlertSettings()
    used = {"queue operations": 7_501}
    assert exceeded(free, used=allowances(free, used)) == {"allowance"}
    assert exceeded(paid, used=allowances(paid, used)) == set()
    assert exceeded(used=[Used("rows written", 37_500_001, 50_000_000, "")]) == {"allowance"}


def test_an_alert_that_is_off_is_not_looked_at() -> None:
    assert exceeded(AlertSettings(depth=Rule(5_000, 10, on=False)), status(9_999)) == set()


class Audience:
    """Hears of episodes; `deaf` ones cannot be told."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.deaf = False

    def __call__(self, episode: Episode) -> list[str]:
        if self.deaf:
            return ["nobody answers"]
        self.heard.append(f"{episode.finding.alert} {episode.state}")
        return []


def finding(*, exceeded: bool, lasting_ms: int = 0) -> Finding:
    return Finding("depth", exceeded, 1, 0, "deep", lasting_ms)


def test_an_alert_is_told_once_when_it_begins_and_once_when_it_ends(tmp_path: Path) -> None:
    audience = Audience()
    for minute, is_exceeded in enumerate((False, True, True, True, False, False, True)):
        check(tmp_path / "a.sqlite", [finding(exceeded=is_exceeded)], NOW + minute * MINUTE, audience)
    assert audience.heard == ["depth firing", "depth resolved", "depth firing"]


def test_what_has_to_last_is_pending_until_it_has_lasted(tmp_path: Path) -> None:
    audience, states = Audience(), []
    for minute in (0, 5, 9, 10, 11):
        (one,) = check(
            tmp_path / "a.sqlite", [finding(exceeded=True, lasting_ms=10 * MINUTE)], NOW + minute * MINUTE, audience
        )
        states.append(one.state)
    assert states == ["pending", "pending", "pending", "firing", "firing"]
    assert audience.heard == ["depth firing"]
    assert one.since_ms == NOW


def test_what_ends_before_it_has_lasted_begins_anew(tmp_path: Path) -> None:
    audience = Audience()
    for minute, is_exceeded in ((0, True), (6, False), (7, True), (12, True)):
        check(
            tmp_path / "a.sqlite",
            [finding(exceeded=is_exceeded, lasting_ms=10 * MINUTE)],
            NOW + minute * MINUTE,
            audience,
        )
    assert audience.heard == []


def test_what_could_not_be_told_is_told_by_the_next_check(tmp_path: Path) -> None:
    audience = Audience()
    audience.deaf = True
    (one,) = check(tmp_path / "a.sqlite", [finding(exceeded=True)], NOW, audience)
    assert (one.state, one.told, one.undelivered) == ("firing", False, ("nobody answers",))
    audience.deaf = False
    check(tmp_path / "a.sqlite", [finding(exceeded=True)], NOW + MINUTE, audience)
    audience.deaf = True
    check(tmp_path / "a.sqlite", [finding(exceeded=False)], NOW + 2 * MINUTE, audience)
    audience.deaf = False
    check(tmp_path / "a.sqlite", [finding(exceeded=False)], NOW + 3 * MINUTE, audience)
    assert audience.heard == ["depth firing", "depth resolved"]


def test_a_check_that_dies_while_telling_tells_again(tmp_path: Path) -> None:
    def dies(_episode: Episode) -> list[str]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(tmp_path / "a.sqlite", [finding(exceeded=True)], NOW, dies)
    audience = Audience()
    check(tmp_path / "a.sqlite", [finding(exceeded=True)], NOW, audience)
    assert audience.heard == ["depth firing"]


def test_looking_notes_nothing(tmp_path: Path) -> None:
    assert known(tmp_path / "a.sqlite", [finding(exceeded=True)], NOW)[0].state == "firing"
    assert not (tmp_path / "a.sqlite").exists()


@contextmanager
def webhook(*statuses: int) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """A webhook on loopback that answers with these statuses in turn; its URL and what it got."""
    got: list[dict[str, object]] = []
    left = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(left.pop(0) if left else 204)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/a-secret-path", got
        finally:
            server.shutdown()
            thread.join()


def told(settings: AlertSettings) -> list[str]:
    return Notifier(settings, ManualClock())(Episode(finding(exceeded=True), "firing", NOW))


def test_a_webhook_gets_what_slack_and_discord_show() -> None:
    with webhook() as (url, got):
        assert told(AlertSettings(webhook=Secret(url))) == []
    (body,) = got
    assert body["text"] == body["content"] == "❌ firing: coinswarm depth: deep"
    assert (body["alert"], body["state"], body["since"]) == ("depth", "firing", "2023-11-14T22:13:20.000Z")


def test_a_webhook_that_fails_for_a_while_is_tried_again() -> None:
    with webhook(503, 429) as (url, got):
        assert told(AlertSettings(webhook=Secret(url))) == []
    assert len(got) == 3


@pytest.mark.parametrize(("statuses", "tries"), [((404,), 1), ((500, 500, 500), 3)])
def test_a_webhook_that_refuses_is_named_without_its_path(statuses: tuple[int, ...], tries: int) -> None:
    with webhook(*statuses) as (url, got):
        (problem,) = told(AlertSettings(webhook=Secret(url)))
    assert len(got) == tries
    assert "127.0.0.1" in problem
    assert "a-secret-path" not in problem


def test_a_webhook_that_nobody_answers_is_a_problem_and_no_error() -> None:
    with webhook() as (url, _):
        pass
    (problem,) = told(AlertSettings(webhook=Secret(url)))
    assert "cannot be reached" in problem


def test_a_command_gets_the_alert_on_stdin_and_no_shell_reads_it(tmp_path: Path) -> None:
    script = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read())"
    target = tmp_path / "$(echo no shell)"
    assert told(AlertSettings(command=(sys.executable, "-c", script, str(target)))) == []
    assert json.loads(target.read_text())["alert"] == "depth"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("/nonexistent/notify",), "cannot be run"),
        ((sys.executable, "-c", "import sys; sys.exit('no display')"), "exit code 1: no display"),
    ],
)
def test_a_command_that_fails_is_a_problem(words: tuple[str, ...], problem: str) -> None:
    assert problem in told(AlertSettings(command=words))[0]


def test_a_command_may_say_what_is_no_text() -> None:
    script = r"import sys; sys.stderr.buffer.write(b'\xff no'); sys.exit(3)"
    assert "exit code 3: \ufffd no" in told(AlertSettings(command=(sys.executable, "-c", script)))[0]


def test_what_a_command_leaves_running_is_not_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()
    assert told(AlertSettings(command=("sh", "-c", "sleep 20 & echo $! >" + str(tmp_path / "pid")))) == []
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert time.monotonic() - began < 10


def configured(folder: Path, text: str, **environ: str) -> AlertSettings:
    (folder / "coinswarm.toml").write_text(text)
    return load(cwd=folder, environ=environ).alerts


def test_what_a_file_leaves_out_is_the_default(tmp_path: Path) -> None:
    text = '[alerts]\ndead_letters = false\ncommand = ["notify"]\n[alerts.depth]\nmessages = 100\n'
    text += '[alerts.stale]\nignore = ["*/1m/*"]\n[alerts.allowance]\nplan = "free"\n'
    settings = configured(tmp_path, text)
    default = AlertSettings()
    assert settings == replace(
        default,
        depth=Rule(100, 10),
        dead_letters=Rule(0, on=False),
        ignore=("*/1m/*",),
        plan="free",
        command=("notify",),
    )


def test_the_webhook_of_the_environment_wins_and_is_never_shown(tmp_path: Path) -> None:
    file = '[alerts]\nwebhook = "https://hooks.example/from-file"\n'
    assert configured(tmp_path, file).webhook == Secret("https://hooks.example/from-file")
    settings = configured(tmp_path, file, COINSWARM_ALERT_WEBHOOK="https://hooks.example/from-environment")
    assert settings.webhook == Secret("https://hooks.example/from-environment")
    assert "from-" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("alerts = 3", 'The field "alerts" should be an object'),
        ("[alerts]\ndepth = true", "alerts.depth must be a table or false"),
        ('[alerts.depth]\nmessages = "many"', "alerts.depth.messages must be a number from 0"),
        ("[alerts.depth]\nminutes = -1", "alerts.depth.minutes must be a number from 0"),
        ("[alerts.errors]\npercent = nan", "alerts.errors.percent must be a number from 0"),
        ('[alerts.allowance]\nplan = "enterprise"', 'must be "free" or "paid"'),
        ('[alerts]\ncommand = "rm -rf"', "alerts.command must be a list of strings"),
        ("[alerts]\ncommand = []", "alerts.command must be a list of strings"),
        ('[alerts]\nwebhook = "file:///etc/passwd"', "alerts.webhook is not a URL"),
        ('[alerts]\nwebhook = "hunter2"', "alerts.webhook is not a URL"),
    ],
)
def test_faults_name_the_key(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=r"coinswarm\.toml") as caught:
        configured(tmp_path, text)
    assert fault in caught.value.message
    assert "hunter2" not in caught.value.message


def test_an_unknown_alert_is_warned_about(tmp_path: Path) -> None:
    (tmp_path / "coinswarm.toml").write_text("[alerts]\ndepht = false\n")
    (warning,) = load(cwd=tmp_path, environ={}).warnings
    assert "did you mean depth" in warning


def test_check_exits_with_0_when_quiet_and_1_when_one_fires(coinswarm: CommandLine) -> None:
    assert coinswarm("alerts", "check").exit_code == 0
    coinswarm("d1", "migrations", "apply")
    coinswarm("queues", "send", "historical-data-queue", '[{"symbol":"BTC-USDC"}]')
    coinswarm("consume")
    result = coinswarm("alerts", "check", "--json")
    assert result.exit_code == 1
    assert result.json["firing"] == ["dead_letters"]
    coinswarm("queues", "dlq", "purge", "historical-data-dlq", "--force")
    assert coinswarm("alerts", "check").exit_code == 0


def test_a_webhook_is_told_by_the_check_once(coinswarm: CommandLine) -> None:
    coinswarm("queues", "send", "historical-data-queue", "[]")
    (coinswarm.directory / "coinswarm.toml").write_text("[alerts.depth]\nmessages = 0\nminutes = 0\n")
    with webhook() as (url, got):
        coinswarm.environment["COINSWARM_ALERT_WEBHOOK"] = url
        results = [coinswarm("alerts", "check") for _ in range(3)]
    assert [result.exit_code for result in results] == [1, 1, 1]
    assert [body["state"] for body in got] == ["firing"]
    assert all("a-secret-path" not in result.out + result.err for result in results)


def test_list_tells_nobody(coinswarm: CommandLine) -> None:
    coinswarm("queues", "send", "historical-data-queue", "[]")
    (coinswarm.directory / "coinswarm.toml").write_text("[alerts.depth]\nmessages = 0\nminutes = 0\n")
    with webhook() as (url, got):
        coinswarm.environment["COINSWARM_ALERT_WEBHOOK"] = url
        result = coinswarm("alerts", "list", "--json")
    assert result.exit_code == 0
    assert got == []
    assert {one["alert"] for one in result.json["alerts"]} == {
        "depth",
        "dead_letters",
        "stale",
        "errors",
        "allowance",
        "size",
    }


def test_a_test_needs_somebody_to_tell(coinswarm: CommandLine) -> None:
    assert "nobody to tell" in coinswarm("alerts", "test").err
    with webhook() as (url, got):
        coinswarm.environment["COINSWARM_ALERT_WEBHOOK"] = url
        assert coinswarm("alerts", "test").exit_code == 0
        assert coinswarm("alerts", "test", "--json").json == {"undelivered": []}
    assert len(got) == 2
