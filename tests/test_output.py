"""What leaves a command: plain where it should be plain, harmless to a terminal, and no crash when nobody takes it."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from coinswarm import render
from tests.support.candle_messages import body, row
from tests.support.command_line import CommandLine, process

QUEUE = "historical-data-queue"
HOSTILE = "\x1b]0;owned\x07\x1b[31mred\x9b2J\r\n\u202egnp.exe"
"""It would set a terminal's title, colour and screen, overwrite the line, and turn the direction of text."""
STEERS_A_TERMINAL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


def shell(directory: Path, line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`line` in a shell where `coinswarm` is the command under test; its exit code is told on stderr, come what may."""
    words, variables = process(environment=environment)
    script = f'exec 9>&2; coinswarm() {{ {" ".join(words)} "$@"; echo "exit $?" >&9; }}\n{line}\n'
    return subprocess.run(
        ["bash", "-c", script], cwd=directory, env=variables, capture_output=True, text=True, timeout=60
    )


def on_a_terminal(directory: Path, *arguments: str, **environment: str) -> str:
    """All that a terminal is sent by the command."""
    words, variables = process(*arguments, environment={"TERM": "xterm-256color", "COLUMNS": "120"} | environment)
    if not environment.get("NO_COLOR"):
        variables.pop("NO_COLOR")
    ours, theirs = pty.openpty()
    with subprocess.Popen(words, cwd=directory, env=variables, stdin=theirs, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        sent = bytearray()
        while True:
            try:
                piece = os.read(ours, 65_536)
            except OSError:  # Linux's way to say that the other side was closed
                break
            if not piece:
                break
            sent += piece
        assert running.wait() == 0
    os.close(ours)
    return sent.decode()


# --- a reader that goes away ---


@pytest.mark.parametrize(
    "command",
    [
        f"coinswarm queues peek {QUEUE} --limit 100",
        f"coinswarm queues peek {QUEUE} --limit 100 --json",
        "coinswarm queues list",
        "coinswarm --version",
    ],
)
def test_head_ends_a_command_in_silence_and_without_a_failure(coinswarm: CommandLine, command: str) -> None:
    for number in range(3):
        coinswarm("queues", "send", QUEUE, f"{number:05d}" * 2000)
    result = shell(coinswarm.directory, f"{{ sleep 0.05; {command}; }} | true")
    assert (result.stdout, [line for line in result.stderr.splitlines() if line and "→" not in line]) == (
        "",
        ["exit 0"],
    )
    assert coinswarm("queues", "info", QUEUE, "--json").json["backlog"] == 3


def test_head_gets_its_lines(coinswarm: CommandLine) -> None:
    query = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20000) SELECT x FROM n"
    result = shell(coinswarm.directory, f'coinswarm d1 execute --json --command "{query}" | head -1')
    assert (result.stdout, result.stderr) == ("[\n", "exit 0\n")


def test_a_failure_keeps_its_exit_code_when_nobody_reads_it(coinswarm: CommandLine) -> None:
    result = shell(coinswarm.directory, "{ sleep 0.05; coinswarm fetch NOPE --json; } | true")
    assert result.stderr == "exit 2\n"
    result = shell(coinswarm.directory, "{ sleep 0.05; coinswarm fetch NOPE; } 2>&1 | true")
    assert (result.stdout, result.stderr) == ("", "exit 2\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", ["queues list", "queues list --json", "--version"])
def test_a_result_that_cannot_be_written_is_a_failure_and_says_so(tmp_path: Path, command: str) -> None:
    result = shell(tmp_path, f"coinswarm {command} >/dev/full")
    assert result.stderr == "✘ the output could not be written: No space left on device\nexit 1\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_an_error_is_still_heard_when_stdout_is_lost(tmp_path: Path) -> None:
    result = shell(tmp_path, "coinswarm fetch NOPE --json >/dev/full")
    assert result.stderr.startswith("✘ 'NOPE' is not a pair\n")
    assert result.stderr.endswith("exit 2\n")


def test_closed_streams_swallow_the_output_and_nothing_fails(coinswarm: CommandLine) -> None:
    result = shell(
        coinswarm.directory, f"coinswarm queues send {QUEUE} one >&-; coinswarm queues send {QUEUE} two 2>&-"
    )
    assert "Traceback" not in result.stdout + result.stderr
    assert coinswarm("queues", "info", QUEUE, "--json").json["backlog"] == 2


# --- colours ---


def test_what_is_no_terminal_gets_no_escape_codes(coinswarm: CommandLine) -> None:
    coinswarm("queues", "send", QUEUE, "garbage")
    for command in (["queues", "list"], ["queues", "peek", QUEUE], ["consume"], ["queues", "nope"], ["--help"]):
        result = coinswarm(*command)
        assert "\x1b" not in result.out + result.err


def test_a_terminal_gets_colours_unless_it_says_no(tmp_path: Path) -> None:
    assert "\x1b[" in on_a_terminal(tmp_path, "queues", "list")
    plain = on_a_terminal(tmp_path, "queues", "list", NO_COLOR="1")
    assert "\x1b" not in plain
    assert QUEUE in plain


# --- what messages and rows bring along ---


def test_what_a_message_holds_cannot_steer_the_terminal(coinswarm: CommandLine) -> None:
    coinswarm("d1", "migrations", "apply")
    coinswarm("queues", "send", QUEUE, HOSTILE)
    coinswarm("queues", "send", QUEUE, json.dumps([row(symbol=HOSTILE)], ensure_ascii=False))
    coinswarm("queues", "send", QUEUE, json.dumps([row(timeframe=HOSTILE)], ensure_ascii=False))
    shown = [coinswarm("queues", "peek", QUEUE), coinswarm("consume"), coinswarm("queues", "dlq", "list")]
    letters = coinswarm("queues", "dlq", "list", "--json")
    assert len(letters.json) == 3
    shown += [coinswarm("queues", "dlq", "show", letter["id"]) for letter in letters.json]
    for result in shown:
        assert result.exit_code == 0
        assert STEERS_A_TERMINAL.search(result.out + result.err) is None
    assert "\\x1b]0;owned\\x07\\x1b[31mred\\x9b2J\\r\\n\\u202egnp.exe" in shown[0].out
    assert "\\x1b]0;owned\\x07" in shown[3].out


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_dead_letters_on_a_terminal_cannot_steer_it_and_in_a_pipe_they_are_what_they_are(
    coinswarm: CommandLine, form: str
) -> None:
    coinswarm("d1", "migrations", "apply")
    coinswarm("queues", "send", QUEUE, body(row(symbol=f"{HOSTILE}\x7f")))
    assert coinswarm("consume", "--json").json["dead_lettered"] == 1
    export = ("queues", "dlq", "export", "--format", form)
    shown = on_a_terminal(coinswarm.directory, *export, NO_COLOR="1").replace("\r", "")
    assert STEERS_A_TERMINAL.search(shown) is None
    assert ("\\x1b]0;owned" if form == "csv" else "\\u001b]0;owned") in shown
    piped = coinswarm(*export).out
    coinswarm(*export, "--output", "all")
    assert (coinswarm.directory / "all").read_bytes() == piped.encode()
    if form == "csv":
        assert [line["symbol"] for line in csv.DictReader(io.StringIO(piped, newline=""))] == [f"{HOSTILE}\x7f"]
    else:
        assert json.loads(json.loads(piped)["body"])[0]["symbol"] == f"{HOSTILE}\x7f"


def test_an_export_of_sql_on_a_terminal_cannot_steer_it_either(coinswarm: CommandLine) -> None:
    coinswarm("d1", "execute", "--command", "CREATE TABLE t AS SELECT char(27) || '[2J' || char(8238) || char(13) AS v")
    shown = on_a_terminal(coinswarm.directory, "d1", "export", "--output", "-", NO_COLOR="1").replace("\r\n", "\n")
    assert STEERS_A_TERMINAL.search(shown) is None
    assert "\\x1b[2J\\u202e" in shown
    assert "\x1b[2J\u202e" in coinswarm("d1", "export", "--output", "-").out


def test_json_escapes_the_same_and_loses_nothing(coinswarm: CommandLine) -> None:
    coinswarm("queues", "send", QUEUE, HOSTILE)
    result = coinswarm("queues", "peek", QUEUE, "--json")
    assert STEERS_A_TERMINAL.search(result.out) is None
    assert result.json[0]["body"] == HOSTILE


def test_what_a_table_holds_cannot_steer_the_terminal(coinswarm: CommandLine) -> None:
    query = "SELECT char(27) || '[2J' AS value, char(155) || '2J' AS \"na\x1b[31mme\", X'1b5b324a' AS blob"
    human, as_json = (coinswarm("d1", "execute", "--command", query, *more) for more in ([], ["--json"]))
    assert STEERS_A_TERMINAL.search(human.out) is None
    assert "\\x1b[2J" in human.out
    assert "na\\x1b[31mme" in human.out
    assert "X'1b5b324a'" in human.out
    assert STEERS_A_TERMINAL.search(as_json.out) is None
    assert as_json.json[0]["results"] == [{"value": "\x1b[2J", "na\x1b[31mme": "\x9b2J", "blob": [27, 91, 50, 74]}]


def test_a_table_that_nearly_fits_the_terminal_loses_spaces_before_it_breaks_its_cells(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = ["BTC-USDC", "1h", "coinbase", 6_000, "2026-03-18 21:00", "2026-11-23 20:00", 0]
    columns = ["symbol", "timeframe", "source", "rows", "first", "last", "gaps"]
    shown = []
    for width in (240, 80):
        monkeypatch.setattr(render, "PIPED_WIDTH", width)
        render.table(columns, [cells])
        shown.append([line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()])
    assert max(map(len, shown[0])) > 80 >= max(map(len, shown[1]))
    assert [len(lines) for lines in shown] == [3, 3]


def test_rich_markup_in_data_is_shown_as_it_is(coinswarm: CommandLine) -> None:
    coinswarm("queues", "send", QUEUE, "[bold red]not bold[/] [link=https://x]")
    assert "[bold red]not bold[/] [link=https://x]" in coinswarm("queues", "peek", QUEUE).out
    assert coinswarm("queues", "info", "[/]").err.startswith("✘ there is no queue '[/]'\n")


def test_an_error_that_quotes_hostile_text_is_harmless(coinswarm: CommandLine) -> None:
    for command in (
        ["fetch", HOSTILE],
        ["queues", "info", HOSTILE],
        ["d1", "stats", HOSTILE],
        ["d1", "execute", "--command", f"SELECT {HOSTILE}"],
    ):
        human, as_json = coinswarm(*command), coinswarm(*command, "--json")
        assert human.exit_code == as_json.exit_code != 0
        assert STEERS_A_TERMINAL.search(human.err + as_json.out) is None


# --- encodings ---


def test_a_terminal_without_unicode_gets_escapes_and_json_stays_json(coinswarm: CommandLine) -> None:
    coinswarm("queues", "send", QUEUE, "prix: 5 €")
    ascii_only = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    human = shell(coinswarm.directory, f"coinswarm queues peek {QUEUE}", **ascii_only)
    assert human.stderr == "exit 0\n"
    assert "prix: 5 \\u20ac" in human.stdout
    as_json = shell(coinswarm.directory, f"coinswarm queues peek {QUEUE} --json", **ascii_only)
    assert as_json.stdout.isascii()
    assert json.loads(as_json.stdout)[0]["body"] == "prix: 5 €"
    failed = shell(coinswarm.directory, "coinswarm fetch NOPE", **ascii_only)
    assert failed.stderr.startswith("\\u2718 'NOPE' is not a pair\n")
    assert failed.stderr.endswith("exit 2\n")


def test_a_body_of_bytes_that_are_no_text_is_sent_as_it_is(coinswarm: CommandLine) -> None:
    sent = coinswarm("queues", "send", QUEUE, "caf\udce9", "--content-type", "bytes", "--json")
    assert (sent.exit_code, sent.json["bytes"]) == (0, 4)
    assert coinswarm("queues", "peek", QUEUE, "--json").json[0]["body"] == "caf\ufffd"


def test_numbers_and_text_of_candles_come_out_as_they_went_in(coinswarm: CommandLine) -> None:
    coinswarm("d1", "migrations", "apply")
    coinswarm("queues", "send", QUEUE, body(row(open=0.1, high=1e9, low=1e-9, close=100.00000000000001)))
    coinswarm("consume")
    (stored,) = coinswarm("d1", "execute", "--json", "--command", "SELECT open, high, low, close FROM price_data").json
    assert stored["results"] == [{"open": 0.1, "high": 1e9, "low": 1e-9, "close": 100.00000000000001}]
