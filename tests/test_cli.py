"""The command line as a contract: what there is, how it helps, what is on which stream, and which code it ends with."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coinswarm import __version__, cli
from coinswarm.simulator import Simulator, SyntheticMarket
from tests.support.candle_messages import body, row
from tests.support.command_line import CommandLine, HastyClock, all_commands, process

COMMANDS = all_commands()
QUEUE = "historical-data-queue"
SCRIPT = "coinswarm"
RUNS_UNTIL_STOPPED = {"serve", "dev", "cron enable", "cron disable", "tail", "alerts check", "alerts test"}
"""Their documents are asserted where they are tested, with somebody to stop them."""

NO_STATE = {"init", "chaos", "verify"}
"""Those that have nothing to do with the state folder, or for which a broken one is a finding like others."""

REPORTS = {
    "init": ["new"],
    "status": [],
    "alerts list": [],
    "cron list": [],
    "cron run": [],
    "demo": [],
    "fetch": ["--limit", "5"],
    "consume": [],
    "queues list": [],
    "queues info": [QUEUE],
    "queues create": ["another"],
    "queues update": [QUEUE, "--delivery-delay-secs", "1"],
    "queues delete": [QUEUE, "--force"],
    "queues purge": [QUEUE, "--force"],
    "queues pause-delivery": [QUEUE],
    "queues resume-delivery": [QUEUE],
    "queues send": [QUEUE, "text"],
    "queues peek": [QUEUE],
    "queues consumer list": [QUEUE],
    "queues consumer add": ["empty", "script"],
    "queues consumer remove": [QUEUE, SCRIPT],
    "queues consumer worker list": [QUEUE],
    "queues consumer worker add": ["empty", "script"],
    "queues consumer worker remove": [QUEUE, SCRIPT],
    "queues consumer http list": [QUEUE],
    "queues consumer http add": ["empty"],
    "queues consumer http remove": ["pulled"],
    "queues dlq list": [],
    "queues dlq show": ["DEAD"],
    "queues dlq redrive": [],
    "queues dlq resend": ["DEAD", "--body", "body.json"],
    "queues dlq export": ["--output", "dead.jsonl"],
    "queues dlq purge": ["--force"],
    "d1 list": [],
    "d1 info": [],
    "d1 stats": [],
    "d1 execute": ["--command", "SELECT 1; SELECT 2"],
    "d1 export": ["--output", "all.sql"],
    "d1 migrations list": [],
    "d1 migrations apply": [],
    "d1 migrations create": ["more columns"],
    "cost": ["--tokens", "25"],
    "chaos": ["--kills", "1", "--candles", "1000"],
    "fsck": [],
    "doctor": [],
    "verify": ["--only", "database"],
    "d1 backup": ["--output", "copy.sqlite"],
    "d1 time-travel info": [],
    "d1 time-travel restore": ["--bookmark", "BOOKMARK"],
}
"""Arguments with which each command has something to report, in the project of `project`."""


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(SyntheticMarket()) as running:
        yield running


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database, a message that waits, a dead letter, a queue without a consumer, a pulled one."""
    folder = tmp_path_factory.mktemp("prepared")
    for command in (
        ["d1", "migrations", "apply"],
        ["queues", "send", QUEUE, "poison"],
        ["consume"],
        ["queues", "send", QUEUE, body(row())],
        ["queues", "create", "empty"],
        ["queues", "create", "pulled"],
        ["queues", "consumer", "http", "add", "pulled"],
    ):
        assert cli.run([*command, "--persist-to", str(folder)]) == 0
    return folder


@pytest.fixture
def project(coinswarm: CommandLine, simulator: Simulator, prepared: Path) -> CommandLine:
    coinswarm.environment = simulator.environment
    shutil.copytree(prepared, coinswarm.directory / ".wrangler" / "state")
    return coinswarm


def test_the_commands_are_those_of_the_contract_and_more() -> None:
    contract = {
        *("demo", "init", "fetch", "consume", "queues list", "queues info", "queues create", "queues delete"),
        *("queues update", "queues purge", "queues pause-delivery", "queues resume-delivery", "queues send"),
        *("queues consumer list", "queues consumer add", "queues consumer remove", "queues peek", "queues dlq list"),
        *("queues dlq show", "queues dlq redrive", "queues dlq purge", "d1 list", "d1 info", "d1 stats", "d1 execute"),
        *("d1 migrations list", "d1 migrations apply", "d1 migrations create"),
    }
    assert contract - set(COMMANDS) == set()


# --- help ---


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_and_each_of_its_parameters_is_explained(words: str) -> None:
    command = COMMANDS[words]
    assert command.help.strip().endswith((".", ")"))
    unexplained = [parameter.name for parameter in command.params if not parameter.help]
    assert unexplained == []


@pytest.mark.parametrize("words", COMMANDS)
def test_the_flags_that_work_everywhere_work_everywhere(words: str) -> None:
    flags = {flag for parameter in COMMANDS[words].params for flag in parameter.opts}
    assert {"--json", "--config", "--env", "--persist-to", "--verbose"} <= flags
    assert not {flag for flag in flags if "completion" in flag}


@pytest.mark.parametrize("name", cli.CONTENTS)
def test_the_list_of_commands_says_of_each_what_its_own_help_says(name: str) -> None:
    listed = cli.CONTENTS[name][1]
    assert cli.load(name).help.startswith(listed)


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_every_command_and_where_to_start(coinswarm: CommandLine, flag: str) -> None:
    result = coinswarm(flag)
    assert (result.exit_code, result.err) == (0, "")
    for name, (_, text) in cli.CONTENTS.items():
        assert name in result.out
        assert text[:30] in result.out
    assert "Start with: coinswarm demo" in result.out


@pytest.mark.parametrize("words", [*COMMANDS, "queues", "queues consumer", "queues dlq", "d1", "d1 migrations"])
def test_every_command_answers_to_both_help_flags(coinswarm: CommandLine, words: str) -> None:
    for flag in ("-h", "--help"):
        result = coinswarm(*words.split(), flag)
        assert (result.exit_code, result.err) == (0, "")
        assert f"Usage: coinswarm {words}" in result.out
        assert "completion" not in result.out


def test_help_touches_nothing(coinswarm: CommandLine) -> None:
    for words in COMMANDS:
        coinswarm(*words.split(), "--help")
    assert list(coinswarm.directory.iterdir()) == []


def test_the_version_is_one_line(coinswarm: CommandLine) -> None:
    result = coinswarm("--version")
    assert (result.exit_code, result.out, result.err) == (0, f"coinswarm {__version__}\n", "")


def test_the_script_and_the_module_are_the_same_command(tmp_path: Path) -> None:
    words, environment = process("--version", environment={})
    by_module = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True)
    script = Path(sys.executable).parent / "coinswarm"
    by_script = subprocess.run([script, "--version"], env=environment, cwd=tmp_path, capture_output=True, text=True)
    expected = (0, f"coinswarm {__version__}\n", "")
    assert (by_module.returncode, by_module.stdout, by_module.stderr) == expected
    assert (by_script.returncode, by_script.stdout, by_script.stderr) == expected


# --- wrong usage ---


@pytest.mark.parametrize("words", [[], ["queues"], ["queues", "dlq"], ["queues", "consumer"], ["d1"]])
def test_a_command_without_its_sub_command_is_wrong_usage_and_shows_what_there_is(
    coinswarm: CommandLine, words: list[str]
) -> None:
    result = coinswarm(*words)
    assert result.exit_code == 2
    assert f"Usage: {' '.join(['coinswarm', *words])}" in result.out + result.err


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["nope"], "No such command 'nope'", "See: coinswarm --help"),
        (["--nope"], "No such option: --nope", "See: coinswarm --help"),
        (["queues", "nope"], "No such command 'nope'", "See: coinswarm queues --help"),
        (["queues", "info"], "Missing argument 'NAME'", "See: coinswarm queues info --help"),
        (["fetch", "--nope"], "No such option: --nope", "See: coinswarm fetch --help"),
        (["fetch", "--limit", "ten"], "Invalid value for '--limit'", "See: coinswarm fetch --help"),
        (["fetch", "BTC-USDC", "ETH-USDC"], "unexpected extra argument", "See: coinswarm fetch --help"),
        (["consume", "--concurrency", "0"], "Invalid value for '--concurrency'", "See: coinswarm consume --help"),
        (["consume", "--batch-size", "101"], "Invalid value for '--batch-size'", "See: coinswarm consume --help"),
        (["queues", "peek", QUEUE, "--limit", "0"], "Invalid value for '--limit'", "See: coinswarm queues peek --help"),
    ],
)
def test_wrong_usage_exits_2_with_what_is_wrong_and_where_to_look(
    coinswarm: CommandLine, words: list[str], message: str, hint: str
) -> None:
    result = coinswarm(*words)
    assert (result.exit_code, result.out) == (2, "")
    first, second = result.err.splitlines()
    assert first.startswith("✘ ")
    assert message in first
    assert second == f"  {hint}"
    assert list(coinswarm.directory.iterdir()) == []

    as_json = coinswarm(*words, "--json")
    assert (as_json.exit_code, as_json.err) == (2, "")
    kind, said, advice = as_json.error
    assert kind == "UsageError"
    assert message in said
    assert advice == hint


# --- --json ---


def test_no_command_is_left_out_of_the_json_test() -> None:
    assert set(REPORTS) | RUNS_UNTIL_STOPPED == set(COMMANDS)


@pytest.mark.parametrize("words", REPORTS)
def test_json_is_one_document_and_nothing_else_on_stdout(
    project: CommandLine, hasty_clock: HastyClock, words: str
) -> None:
    arguments = REPORTS[words]
    if words == "queues dlq show":
        arguments = [letter["id"] for letter in project("queues", "dlq", "list", "--json").json]
    if words == "queues dlq resend":
        (project.directory / "body.json").write_text(body(row()))
        arguments = [letter["id"] for letter in project("queues", "dlq", "list", "--json").json] + arguments[1:]
    if words == "d1 time-travel restore":
        arguments = ["--bookmark", project("d1", "time-travel", "info", "--json").json["bookmark"], "-y"]
    if words == "demo":
        project.environment = {}
        arguments = ["--persist-to", "demo"]
    result = project(*words.split(), *arguments, "--json")
    assert result.exit_code == 0, result
    assert isinstance(result.json, dict | list)
    assert "→" not in result.err


@pytest.mark.parametrize("words", [words for words in REPORTS if words not in NO_STATE])
def test_an_error_in_json_mode_is_one_document_with_the_same_exit_code(coinswarm: CommandLine, words: str) -> None:
    (coinswarm.directory / "file").write_text("mine")
    command = [*words.split(), *REPORTS[words], "--persist-to", "file"]
    human, as_json = coinswarm(*command), coinswarm(*command, "--json")
    assert human.exit_code == as_json.exit_code == 1
    assert as_json.err == ""
    kind, message, hint = as_json.error
    assert kind in ("ConfigError", "StorageError")
    assert "file" in message
    assert hint
    assert human.out == ""
    assert human.err == f"✘ {message}\n  {hint}\n"
    assert (coinswarm.directory / "file").read_text() == "mine"
    assert [path.name for path in coinswarm.directory.iterdir()] == ["file"]


# --- for people ---


def test_verbose_adds_the_traceback_to_stderr_and_changes_nothing_else(coinswarm: CommandLine) -> None:
    plain, verbose = coinswarm("queues", "info", "nope"), coinswarm("queues", "info", "nope", "--verbose")
    assert plain.exit_code == verbose.exit_code == 1
    assert "Traceback" not in plain.err
    assert verbose.err.startswith("Traceback (most recent call last):\n")
    assert "QueueNotFound" in verbose.err
    assert verbose.err.endswith(plain.err)
    in_json = coinswarm("queues", "info", "nope", "--verbose", "--json")
    assert in_json.error[0] == "QueueNotFound"
    assert in_json.err.startswith("Traceback (most recent call last):\n")


def test_next_steps_go_to_stderr_and_name_the_same_place(project: CommandLine) -> None:
    result = project("queues", "info", QUEUE)
    assert result.err == f"\n  → coinswarm queues peek {QUEUE}\n"
    assert "→" not in result.out

    there = project("queues", "send", QUEUE, "x", "--persist-to", "a place")
    assert there.err == "\n  → coinswarm consume --persist-to 'a place'\n"
    assert project("queues", "info", QUEUE, "--persist-to", "a place", "--json").json["backlog"] == 1


def test_what_fetch_proposes_next_repeats_the_flags_that_say_where(project: CommandLine) -> None:
    result = project("fetch", "--to-ts", "1700000000", "--limit", "10", "--persist-to", "there", "--dry-run")
    assert result.err == (
        "\n  → coinswarm fetch BTC-USDC --source binance --timeframe 1h --to-ts 1699963200 --limit 10 --dry-run"
        " --persist-to there\n"
    )
    queued = project("fetch", "--to-ts", "1700000000", "--limit", "10", "--persist-to", "there")
    consume, further = [line for line in queued.err.splitlines() if line]
    assert consume == "  → coinswarm consume --persist-to there"
    assert further.endswith("--limit 10 --persist-to there")


def test_flags_before_the_command_are_told_to_go_behind_it(coinswarm: CommandLine) -> None:
    result = coinswarm("--persist-to", "there", "status")
    assert (result.exit_code, result.out) == (2, "")
    assert result.err.startswith("✘ --persist-to stands before the command\n")
    assert "  It comes after it, as in: coinswarm status --persist-to …\n" in result.err


@pytest.mark.parametrize(
    ("words", "unused"),
    [
        (["init", "new"], {"--config", "--env", "--persist-to"}),
        pytest.param(["demo", "--persist-to", "demo"], {"--config", "--env"}, marks=pytest.mark.slow),
        pytest.param(
            ["chaos", "--kills", "1", "--candles", "1000"],
            {"--config", "--env", "--persist-to"},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_flag_that_means_nothing_to_a_command_is_not_in_its_help_and_said_to_mean_nothing(
    coinswarm: CommandLine, words: list[str], unused: set[str]
) -> None:
    told = coinswarm(words[0], "--help").out
    assert not {flag for flag in unused if f" {flag} " in told}
    assert " --json " in told
    given = [word for flag in sorted(unused) for word in (flag, "nowhere")]
    result = coinswarm(*words, *given, "--json")
    assert result.exit_code == 0, result
    assert isinstance(result.json, dict)
    said = [line for line in result.err.splitlines() if "means nothing" in line]
    assert {line.split()[1] for line in said} == unused
    assert not (coinswarm.directory / "nowhere").exists()


def test_init_says_what_to_do_with_the_workflows_and_the_units_it_wrote(coinswarm: CommandLine) -> None:
    plain, github, systemd = (coinswarm("init", *more).err for more in ([], ["--github"], ["--systemd"]))
    assert "gh secret set CLOUDFLARE_API_TOKEN" in github
    assert "systemctl enable --now coinswarm coinswarm-alerts.timer" in systemd
    assert "gh " not in plain + systemd
    assert "systemctl" not in plain + github


def test_init_twice_changes_nothing_and_says_so(coinswarm: CommandLine) -> None:
    first = coinswarm("init", "project")
    assert first.exit_code == 0
    assert first.out.startswith("wrote project/wrangler.toml\n")
    assert first.err.splitlines()[1] == "  → cd project"
    before = {path: path.read_bytes() for path in (coinswarm.directory / "project").rglob("*") if path.is_file()}

    second = coinswarm("init", "project", "--json")
    assert second.exit_code == 0
    assert second.json["written"] == []
    assert set(second.json["kept"]) == {
        line.removeprefix("wrote ") for line in first.out.splitlines() if line.startswith("wrote ")
    }
    assert {path: path.read_bytes() for path in before} == before


def test_what_the_shell_hands_over_that_is_no_text_is_named_and_not_a_crash(coinswarm: CommandLine) -> None:
    result = coinswarm("queues", "info", "caf\udce9", "--json")
    assert result.exit_code == 2
    assert result.error == (
        "UsageError",
        "'caf\\udce9' is not UTF-8 text",
        "Check the encoding of the terminal.",
    )


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/nowhere"])
def test_a_demo_that_has_no_place_says_so(coinswarm: CommandLine, place: str) -> None:
    (coinswarm.directory / "file").write_text("mine")
    result = coinswarm("demo", "--persist-to", place)
    assert (result.exit_code, result.out) == (1, "")
    assert result.err.startswith(f"✘ {place} cannot be made: ")
    assert result.err.endswith("\n  Choose another folder with --persist-to DIR.\n")
