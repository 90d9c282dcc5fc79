"""Exit codes by one rule: a bad argument or a missing confirmation is 2, what was tried and failed is 1."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.support.command_line import CommandLine

QUEUE, DEAD = "historical-data-queue", "historical-data-dlq"

WRONG_USAGE = [
    "queues nope",
    "queues create Bad_Name",
    "queues create q --delivery-delay-secs 86401",
    "queues create q --message-retention-period-secs 59",
    f"queues update {QUEUE}",
    f"queues update {QUEUE} --message-retention-period-secs 1",
    f"queues delete {QUEUE}",
    f"queues purge {QUEUE}",
    f"queues peek {QUEUE} --limit 0",
    f"queues send {QUEUE} x --content-type xml",
    f"queues send {QUEUE} x --content-type json",
    f"queues send {QUEUE} x --delay-secs 86401",
    f"queues consumer add {DEAD} script --batch-size 101",
    f"queues consumer add {DEAD} script --dead-letter-queue {DEAD}",
    "d1 execute",
    "d1 execute --command SELECT --file x.sql",
    "d1 execute --file not-there.sql",
    "d1 info --local --remote",
    "d1 export --output not/there.sql",
    "d1 migrations create",
    "fetch BTC",
    "fetch BTC-USDC --timeframe 7h",
    "fetch --source mtgox",
    "fetch --to-ts yesterday",
    "consume --concurrency 0",
    "consume --batch-size 101",
    "serve --port 99999",
    "serve --host 0.0.0.0 --port 0",
]
FAILED = [
    "queues info not-there",
    "queues delete not-there",
    f"queues create {QUEUE}",
    f"queues consumer add {QUEUE} another",
    f"queues consumer remove {QUEUE} nobody",
    "queues dlq show not-there",
    "d1 info not-there",
    "d1 execute --command SELEC",
    "d1 export --output all.sql --table not_there",
    "queues list --remote",
    "serve --port {taken}",
]


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("command", "code"),
    [*((command, 2) for command in WRONG_USAGE), *((command, 1) for command in FAILED)],
)
def test_what_is_wrong_with_the_command_is_2_and_what_went_wrong_is_1(
    coinswarm: CommandLine, taken: int, command: str, code: int
) -> None:
    coinswarm("queues", "send", QUEUE, "one message")
    result = coinswarm(*command.format(taken=taken).split(), "--json")
    kind, message, _ = result.error
    assert (result.exit_code, bool(kind), bool(message)) == (code, True, True), result.error
    assert kind not in message
