"""Configurations that are wrong, as commands tell them: all faults at once, before anything is done."""

from __future__ import annotations

import json

import pytest

from tests.support.command_line import CommandLine

ADVICE = "Every key is explained in docs/configuration.md; `coinswarm init` writes files to start from."
COMMANDS = [["fetch"], ["consume"], ["queues", "list"], ["d1", "stats"], ["d1", "migrations", "apply"]]
FAULTY = """
name = "producer"

[[d1_databases]]
binding = "DB"
database_name = "coinswarm-evolution"
database_id = "YOUR_D1_DATABASE_ID"

[[queues.producers]]
binding = "QUEUE"
queue = "Not A Queue"

[[queues.consumers]]
queue = "historical-data-queue"
max_batch_size = 1000
max_retries = -1
"""


@pytest.mark.parametrize("command", COMMANDS)
def test_all_faults_of_a_configuration_are_told_at_once_and_nothing_is_done(
    coinswarm: CommandLine, command: list[str]
) -> None:
    (coinswarm.directory / "wrangler.toml").write_text(FAULTY)
    human, as_json = coinswarm(*command), coinswarm(*command, "--json")
    assert human.exit_code == as_json.exit_code == 1
    assert (human.out, as_json.err) == ("", "")
    kind, message, hint = as_json.error
    assert (kind, hint) == ("ConfigError", ADVICE)
    first, *faults = message.splitlines()
    assert first == "the configuration has 4 faults:"
    for place, fault in zip(
        ("d1_databases[0].database_id", "queues.producers[0].queue", "max_batch_size", "max_retries"),
        faults,
        strict=True,
    ):
        assert fault.startswith("  - wrangler.toml: ")
        assert place in fault
    assert human.err.splitlines() == [f"✘ {first}", *(f"  {fault}" for fault in faults), f"  {ADVICE}"]
    assert [path.name for path in coinswarm.directory.iterdir()] == ["wrangler.toml"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("nope.toml", "nope.toml: does not exist"),
        ("folder.toml", "folder.toml: is a directory, not a file"),
        ("empty.toml", "empty.toml: is empty: it configures nothing"),
        ("binary.toml", "binary.toml: is not UTF-8: byte 0xff (at line 1, column 1)"),
        ("broken.json", "broken.json: is not valid JSON: "),
        ("broken.toml", "broken.toml: is not valid TOML: "),
        ("notes.yaml", "notes.yaml: the name must end in .toml, .json or .jsonc, which tells the format"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_named(
    coinswarm: CommandLine, command: list[str], file: str, message: str
) -> None:
    (coinswarm.directory / "folder.toml").mkdir()
    (coinswarm.directory / "empty.toml").touch()
    (coinswarm.directory / "binary.toml").write_bytes(b"\xff\x00\x01")
    (coinswarm.directory / "broken.json").write_text('{"name": ')
    (coinswarm.directory / "broken.toml").write_text("name = ")
    (coinswarm.directory / "notes.yaml").write_text("name: x")
    result = coinswarm(*command, "--config", file, "--json")
    assert (result.exit_code, result.error[0]) == (1, "ConfigError")
    assert result.error[1].startswith(message)
    assert not (coinswarm.directory / ".wrangler").exists()


def test_several_files_that_contradict_each_other_are_told_together(coinswarm: CommandLine) -> None:
    for name, size in (("a.json", 10), ("b.json", 20)):
        table = {"name": name[0], "queues": {"consumers": [{"queue": "q", "max_batch_size": size}]}}
        (coinswarm.directory / name).write_text(json.dumps(table))
    result = coinswarm("queues", "list", "--config", "a.json", "--config", "b.json", "--json")
    assert (result.exit_code, result.error[0]) == (1, "ConfigError")
    assert "a.json" in result.error[1]
    assert "b.json" in result.error[1]


def test_an_unknown_environment_is_told_with_those_there_are(coinswarm: CommandLine) -> None:
    (coinswarm.directory / "wrangler.toml").write_text('name = "w"\n[env.staging]\n')
    result = coinswarm("queues", "list", "--env", "prod", "--json")
    assert (result.exit_code, result.err) == (1, "")
    assert result.error[0] == "ConfigError"
    assert result.error[1] == (
        'wrangler.toml: No environment found in configuration with name "prod". '
        'The available configured environment names are: ["staging"]'
    )


def test_a_warning_goes_to_stderr_and_json_stays_json(coinswarm: CommandLine) -> None:
    result = coinswarm("queues", "list", "--env", "prod", "--json")
    assert result.exit_code == 0
    assert result.err.startswith('⚠ the built-in stack: No environment found in configuration with name "prod".')
    assert [queue["queue_name"] for queue in result.json] == ["historical-data-dlq", "historical-data-queue"]


def test_a_secret_in_the_file_is_warned_about_and_never_shown(coinswarm: CommandLine) -> None:
    secret = "v1.0-9f8e7d6c5b4a39281706f5e4d3c2b1a0"
    (coinswarm.directory / "wrangler.toml").write_text(f'name = "w"\n[vars]\nCRYPTOCOMPARE_API_KEY = "{secret}"\n')
    result = coinswarm("queues", "list", "--verbose")
    assert secret not in result.out + result.err
    assert "CRYPTOCOMPARE_API_KEY" in result.err


@pytest.mark.parametrize("command", [["fetch", "--remote"], ["consume", "--remote"], ["queues", "list", "--remote"]])
def test_remote_without_credentials_names_what_is_missing(coinswarm: CommandLine, command: list[str]) -> None:
    result = coinswarm(*command, "--json")
    assert (result.exit_code, result.error[:2]) == (1, ("ConfigError", "--remote needs CLOUDFLARE_API_TOKEN"))


def test_a_stack_without_a_queue_or_a_database_says_what_to_add(coinswarm: CommandLine) -> None:
    (coinswarm.directory / "wrangler.toml").write_text('name = "w"\nmain = "w.ts"\n')
    fetched, stats = coinswarm("fetch", "--json"), coinswarm("d1", "stats", "--json")
    assert (fetched.exit_code, fetched.error[:2]) == (1, ("ConfigError", "no queue is configured in wrangler.toml"))
    assert "[[queues.producers]]" in (fetched.error[2] or "")
    assert (stats.exit_code, stats.error[:2]) == (1, ("ConfigError", "no D1 database is configured in wrangler.toml"))
    assert "[[d1_databases]]" in (stats.error[2] or "")


def test_a_faulty_coinswarm_toml_is_told_like_the_rest(coinswarm: CommandLine) -> None:
    (coinswarm.directory / "coinswarm.toml").write_text('[fetch]\nsource = "mtgox"\ntimeframe = "7m"\nlimit = 0\n')
    result = coinswarm("fetch", "--json")
    assert (result.exit_code, result.error[0]) == (1, "ConfigError")
    faults = result.error[1].splitlines()
    assert faults[0] == "the configuration has 3 faults:"
    assert [word in fault for word, fault in zip(("source", "timeframe", "limit"), faults[1:], strict=True)] == [
        True
    ] * 3
