"""Messages that hold no candles, or only some, or others than those stored; and queues used wrongly.

Good rows are stored whatever comes with them, bad ones are found in the dead-letter queue with the reason, and a row
that is stored never changes.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import time

import pytest

from tests.support.candle_messages import FIRST_OPEN, body, row
from tests.support.command_line import CommandLine, Result

QUEUE = "historical-data-queue"
DEAD = "historical-data-dlq"
NO_QUEUE = "See which there are: coinswarm queues list. Or create it: coinswarm queues create NAME."


@pytest.fixture
def pipeline(coinswarm: CommandLine) -> CommandLine:
    """A migrated database beside an empty queue."""
    assert coinswarm("d1", "migrations", "apply").exit_code == 0
    return coinswarm


def send(coinswarm: CommandLine, *bodies: str) -> list[str]:
    """The ids of the messages."""
    results = [coinswarm("queues", "send", QUEUE, text, "--json") for text in bodies]
    assert [result.exit_code for result in results] == [0] * len(bodies)
    return [result.json["id"] for result in results]


def consume(coinswarm: CommandLine) -> Result:
    result = coinswarm("consume", "--json")
    assert result.exit_code == 0, result
    return result


def stored(coinswarm: CommandLine) -> list[dict[str, object]]:
    result = coinswarm("d1", "execute", "--json", "--command", "SELECT * FROM price_data ORDER BY timestamp, symbol")
    rows: list[dict[str, object]] = result.json[0]["results"]
    return rows


def digest(coinswarm: CommandLine) -> str:
    return hashlib.sha256(json.dumps(stored(coinswarm)).encode()).hexdigest()


def reasons(coinswarm: CommandLine) -> list[str]:
    return [letter["reason"] for letter in coinswarm("queues", "dlq", "list", "--json").json]


def backlog(coinswarm: CommandLine, queue: str = QUEUE) -> int:
    count: int = coinswarm("queues", "info", queue, "--json").json["backlog"]
    return count


# --- poison ---


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the body is empty"),
        ("garbage", "the body is not JSON: JSON is malformed: invalid character (byte 0)"),
        ('[{"symbol": "BTC-USDC"', "the body is not JSON: Input data was truncated"),
        ("\x00\x01\x02", "the body is not JSON: JSON is malformed: invalid character (byte 0)"),
        ("[]", "the body is an empty array"),
        ("{}", "row 0: Object missing required field `symbol`"),
        ("null", "the body is a JSON NoneType, not an array or object of candles"),
        ("42", "the body is a JSON int, not an array or object of candles"),
        ('"text"', "the body is not JSON: JSON is malformed: invalid character"),
        ("[[1, 2, 3]]", "row 0: Expected `object`, got `array`"),
        ("[" * 5000 + "]" * 5000, "the body is not JSON: "),
        (
            body(row(timestamp=FIRST_OPEN * 1000)),
            "row 0: timestamp 1699999200000 is not in unix seconds: it looks like milliseconds",
        ),
        (body(row(timestamp=FIRST_OPEN + 1)), "row 0: timestamp 1699999201 is not on the 1h grid"),
        (body(row(timestamp=str(FIRST_OPEN))), "row 0: Expected `int`, got `str`"),
        (body(row(timeframe="7h")), "row 0: unknown timeframe '7h'"),
        (body(row(high=1.0)), "row 0: open and close must lie between low and high"),
        (body(row(low=-1.0)), "row 0: prices must be finite and above zero"),
        (body(row(open=None)), "row 0: Expected `float`, got `null`"),
        (body(row(volumeFrom=-1.0)), "row 0: volumeFrom must be finite and not negative, or null"),
        (body(row(symbol="")), "row 0: symbol and source must be printable text without spaces around it"),
        (body(row(close=1e400)), "the body is not JSON: "),
        (
            body(row(timestamp=int(time.time()) // 3600 * 3600 + 3600)),
            "row 0: the candle was still running when it was taken",
        ),
    ],
)
def test_poison_is_dead_lettered_at_once_with_its_reason_and_takes_nothing_along(
    pipeline: CommandLine, text: str, reason: str
) -> None:
    _, poison, _ = send(pipeline, body(row(0)), text, body(row(1)))
    report = consume(pipeline).json
    assert (report["messages"], report["acked"], report["dead_lettered"], report["retried"]) == (3, 2, 1, 0)
    assert report["rows"]["inserted"] == 2
    assert report["rows"]["received"] == 2 + report["rows"]["rejected"]
    (told,) = report["reasons"]
    assert told.startswith(reason)

    (letter,) = pipeline("queues", "dlq", "list", "--json").json
    assert (letter["id"], letter["source"], letter["attempts"]) == (poison, QUEUE, 1)
    assert letter["reason"] == told
    shown = pipeline("queues", "dlq", "show", poison, "--json").json
    assert shown["body"] == text
    assert [candle["timestamp"] for candle in stored(pipeline)] == [FIRST_OPEN, FIRST_OPEN + 3600]
    assert backlog(pipeline) == 0


def test_poison_is_told_to_people_with_the_way_to_look_at_it(pipeline: CommandLine) -> None:
    send(pipeline, "garbage", body(row()))
    result = pipeline("consume")
    assert result.exit_code == 0
    assert result.out.startswith("Stored 1 new row from 2 messages in 1 batch, ")
    assert result.err.splitlines() == [
        "⚠ 1 message dead-lettered, 0 dropped:",
        "⚠   1 × the body is not JSON: JSON is malformed: invalid character (byte 0)",
        "",
        "  → coinswarm queues dlq list",
        "  → coinswarm d1 stats",
    ]


def test_the_good_rows_of_a_half_valid_message_are_stored_and_the_others_named(pipeline: CommandLine) -> None:
    send(pipeline, body(row(0), row(1, high=1.0), row(2), row(3, timeframe="7h"), row(4)))
    report = consume(pipeline).json
    assert report["rows"] == {"received": 5, "inserted": 3, "duplicate": 0, "rejected": 2}
    assert (report["acked"], report["dead_lettered"]) == (0, 1)
    assert [candle["timestamp"] for candle in stored(pipeline)] == [FIRST_OPEN + h * 3600 for h in (0, 2, 4)]
    (reason,) = reasons(pipeline)
    assert reason.startswith("row 1: open and close must lie between low and high (")
    assert reason.endswith("; row 3: unknown timeframe '7h'")


@pytest.mark.parametrize(("field", "text"), [("volumeFrom", "1e400"), ("symbol", r'"\ud800"')])
def test_a_row_that_only_json_can_hold_is_corrected_alone(pipeline: CommandLine, field: str, text: str) -> None:
    right = row(9)[field]
    sent = body(*map(row, range(9)), row(9, **{field: "HERE"})).replace('"HERE"', text)
    _, letter = send(pipeline, body(row(10)), sent)
    assert consume(pipeline).json["rows"] == {"received": 11, "inserted": 10, "duplicate": 0, "rejected": 1}
    for words in (("list",), ("list", "--json"), ("show", letter), ("export",), ("export", "--format", "csv")):
        assert pipeline("queues", "dlq", *words).exit_code == 0
    shown = pipeline("queues", "dlq", "show", letter, "--json")
    assert "Infinity" not in shown.out
    assert shown.json["body"] == sent
    resent = pipeline("queues", "dlq", "resend", letter, "--set", f"9.{field}={json.dumps(right)}")
    assert resent.exit_code == 0
    assert consume(pipeline).json["rows"] == {"received": 10, "inserted": 1, "duplicate": 9, "rejected": 0}


def test_a_correction_that_leaves_a_number_beyond_any_double_says_so(pipeline: CommandLine) -> None:
    sent = body(row(0, close="HERE"), row(1, high=1.0)).replace('"HERE"', "1e400")
    (letter,) = send(pipeline, sent)
    consume(pipeline)
    refused = pipeline("queues", "dlq", "resend", letter, "--set", "1.high=105")
    assert refused.exit_code == 2
    assert "a number of it is larger than any that can be stored" in refused.err


def test_a_redriven_message_is_refused_again_and_stores_nothing_twice(pipeline: CommandLine) -> None:
    send(pipeline, body(row(0), row(1, high=1.0)))
    consume(pipeline)
    before = digest(pipeline)
    assert pipeline("queues", "dlq", "redrive", "--json").json == {"redriven": 1, "orphans": {}, "missing": []}
    report = consume(pipeline).json
    assert report["rows"] == {"received": 2, "inserted": 0, "duplicate": 1, "rejected": 1}
    assert len(reasons(pipeline)) == 1
    assert digest(pipeline) == before


def test_the_bodies_of_other_producers_are_understood(pipeline: CommandLine) -> None:
    send(pipeline, json.dumps(row(0)), json.dumps(body(row(1))), body(row(2, unknown="field")))
    assert consume(pipeline).json["rows"] == {"received": 3, "inserted": 3, "duplicate": 0, "rejected": 0}
    assert reasons(pipeline) == []


def test_a_row_that_only_the_users_own_table_refuses_is_dead_lettered_with_d1s_words(coinswarm: CommandLine) -> None:
    prices = "open REAL, high REAL, low REAL, close REAL CHECK (close < 1000), volume_from REAL, volume_to REAL"
    key = "symbol TEXT, timestamp INTEGER, timeframe TEXT, source TEXT"
    table = f"CREATE TABLE price_data ({key}, {prices}, PRIMARY KEY (symbol, timestamp, timeframe, source))"
    assert coinswarm("d1", "execute", "--command", table).exit_code == 0
    send(coinswarm, body(row(0)), body(row(1), row(2, high=2000.0, close=1500.0)), body(row(3)))
    report = consume(coinswarm).json
    assert report["rows"] == {"received": 4, "inserted": 3, "duplicate": 0, "rejected": 1}
    (reason,) = reasons(coinswarm)
    assert reason.startswith("D1 refused a row: CHECK constraint failed: close < 1000")
    assert [candle["timestamp"] for candle in stored(coinswarm)] == [FIRST_OPEN + h * 3600 for h in (0, 1, 3)]


# --- the same candle again ---


def test_the_same_candle_again_is_counted_and_changes_nothing(pipeline: CommandLine) -> None:
    send(pipeline, body(row(0), row(1)))
    consume(pipeline)
    before = digest(pipeline)
    send(pipeline, body(row(1), row(2)), body(row(2)))
    report = consume(pipeline).json
    assert report["rows"] == {"received": 3, "inserted": 1, "duplicate": 2, "rejected": 0}
    assert (report["acked"], report["conflicts"]) == (2, 0)
    assert hashlib.sha256(json.dumps(stored(pipeline)[:2]).encode()).hexdigest() == before


def test_another_candle_for_a_place_that_is_taken_is_counted_named_and_not_stored(pipeline: CommandLine) -> None:
    send(pipeline, body(row(0), row(1)))
    consume(pipeline)
    before = digest(pipeline)

    send(pipeline, body(row(0), row(1, close=99.5, volumeFrom=None)))
    report = consume(pipeline).json
    assert report["rows"] == {"received": 2, "inserted": 0, "duplicate": 2, "rejected": 0}
    assert (report["acked"], report["conflicts"]) == (1, 1)
    (conflict,) = report["conflict_examples"]
    assert conflict["timestamp"] == FIRST_OPEN + 3600
    assert (conflict["stored"]["close"], conflict["offered"]["close"]) == (105.0, 99.5)
    assert digest(pipeline) == before

    send(pipeline, body(row(1, close=99.5, volumeFrom=None)))
    human = pipeline("consume")
    assert human.exit_code == 0
    assert "  1 row already there, not touched\n" in human.out
    assert human.err.splitlines()[:2] == [
        "⚠ 1 of those already there have other values than the row stored; it was kept:",
        f"⚠   BTC-USDC 1h binance {FIRST_OPEN + 3600}: close 105.0, offered 99.5; volume_from 1.5, offered None",
    ]
    assert digest(pipeline) == before


def test_of_two_candles_for_one_place_in_one_batch_the_first_one_wins(pipeline: CommandLine) -> None:
    send(pipeline, body(row(0, close=101.0)), body(row(0, close=102.0)))
    report = consume(pipeline).json
    assert report["rows"] == {"received": 2, "inserted": 1, "duplicate": 1, "rejected": 0}
    assert report["conflicts"] == 1
    assert [candle["close"] for candle in stored(pipeline)] == [101.0]


# --- sending ---


def from_stdin(coinswarm: CommandLine, monkeypatch: pytest.MonkeyPatch, data: bytes, *flags: str) -> Result:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        return coinswarm("queues", "send", QUEUE, "-", *flags, "--json")


def test_a_message_of_128_kb_is_the_largest(coinswarm: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    fits = from_stdin(coinswarm, monkeypatch, b"x" * (128_000 - 100))
    assert (fits.exit_code, fits.json["bytes"]) == (0, 127_900)
    refused = from_stdin(coinswarm, monkeypatch, b"x" * (128_000 - 99))
    assert refused.exit_code == 1
    kind, message, _ = refused.error
    assert kind == "MessageTooLarge"
    assert "128,000" in message
    assert "127,901" in message
    assert backlog(coinswarm) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "kind", "message"),
    [
        (["text", "--content-type", "json"], 2, "UsageError", "the body is not JSON"),
        (["text", "--content-type", "xml"], 2, "UsageError", "unknown content type 'xml'"),
        (["text", "--delay-secs", "86401"], 2, "DelayOutOfBounds", "86400"),
        (["text", "--delay-secs", "-1"], 2, "DelayOutOfBounds", "-1"),
    ],
)
def test_a_message_that_cannot_be_sent_is_not(
    coinswarm: CommandLine, arguments: list[str], code: int, kind: str, message: str
) -> None:
    result = coinswarm("queues", "send", QUEUE, *arguments, "--json")
    assert (result.exit_code, result.error[0]) == (code, kind)
    assert message in result.error[1]
    assert backlog(coinswarm) == 0


# --- queues ---


@pytest.mark.parametrize(
    "command",
    [
        ["info", "nope"],
        ["update", "nope", "--delivery-delay-secs", "1"],
        ["delete", "nope", "--force"],
        ["purge", "nope", "--force"],
        ["pause-delivery", "nope"],
        ["resume-delivery", "nope"],
        ["send", "nope", "text"],
        ["peek", "nope"],
        ["consumer", "list", "nope"],
        ["consumer", "worker", "add", "nope", "script"],
        ["consumer", "http", "add", "nope"],
        ["consumer", "remove", "nope", "script"],
        ["dlq", "list", "nope"],
        ["dlq", "redrive", "nope"],
        ["dlq", "purge", "nope", "--force"],
        ["dlq", "show", "0" * 32, "nope"],
    ],
)
def test_an_unknown_queue_is_told_everywhere_in_the_same_way(coinswarm: CommandLine, command: list[str]) -> None:
    human, as_json = coinswarm("queues", *command), coinswarm("queues", *command, "--json")
    assert (human.exit_code, human.out) == (1, "")
    assert human.err == f"✘ there is no queue 'nope'\n  {NO_QUEUE}\n"
    assert (as_json.exit_code, as_json.error) == (1, ("QueueNotFound", "there is no queue 'nope'", NO_QUEUE))
    assert "nope" not in [queue["queue_name"] for queue in coinswarm("queues", "list", "--json").json]


def test_a_queue_that_holds_messages_is_deleted_only_by_force(coinswarm: CommandLine) -> None:
    coinswarm("queues", "create", "mine")
    coinswarm("queues", "send", "mine", "one")
    result = coinswarm("queues", "delete", "mine")
    assert (result.exit_code, result.out) == (2, "")
    assert result.err == (
        "✘ mine still holds 1 message; nothing was deleted\n"
        "  To delete them too: coinswarm queues delete mine --force\n"
    )
    assert backlog(coinswarm, "mine") == 1
    forced = coinswarm("queues", "delete", "mine", "--force", "--json")
    assert forced.json == {"queue_name": "mine", "deleted_messages": 1}
    assert coinswarm("queues", "info", "mine").exit_code == 1


def test_nothing_is_purged_without_force(pipeline: CommandLine) -> None:
    send(pipeline, "garbage", "more")
    result = pipeline("queues", "purge", QUEUE)
    assert (result.exit_code, result.out) == (2, "")
    assert result.err == (
        f"✘ {QUEUE} was not purged: its messages would be deleted for good\n"
        f"  To go on: coinswarm queues purge {QUEUE} --force\n"
    )
    assert backlog(pipeline) == 2
    consume(pipeline)
    dead = pipeline("queues", "dlq", "purge", "--json")
    assert (dead.exit_code, dead.error[1]) == (2, "no dead letter was deleted: they would be gone for good")
    assert len(reasons(pipeline)) == 2
    assert pipeline("queues", "dlq", "purge", "--force", "--json").json == {"queue_name": DEAD, "purged": 2}
    send(pipeline, "three")
    assert pipeline("queues", "purge", QUEUE, "--force", "--json").json == {"queue_name": QUEUE, "purged": 1}


@pytest.mark.parametrize(
    ("command", "code", "kind"),
    [
        (["create", QUEUE], 1, "QueueExists"),
        (["create", "Not A Name"], 2, "InvalidQueueName"),
        (["create", "x" * 64], 2, "InvalidQueueName"),
        (["create", "../../etc/passwd"], 2, "InvalidQueueName"),
        (["create", "q", "--delivery-delay-secs", "86401"], 2, "InvalidQueueSettings"),
        (["create", "q", "--message-retention-period-secs", "59"], 2, "InvalidQueueSettings"),
        (["update", QUEUE], 2, "UsageError"),
        (["update", QUEUE, "--message-retention-period-secs", "1209601"], 2, "InvalidQueueSettings"),
        (["consumer", "add", QUEUE, "another"], 1, "ConsumerExists"),
        (["consumer", "add", DEAD, "script", "--batch-size", "101"], 2, "InvalidConsumerSettings"),
        (["consumer", "add", DEAD, "script", "--message-retries", "101"], 2, "InvalidConsumerSettings"),
        (["consumer", "add", DEAD, "script", "--dead-letter-queue", DEAD], 2, "InvalidConsumerSettings"),
        (["consumer", "remove", QUEUE, "another"], 1, "ConsumerNotFound"),
        (["consumer", "http", "remove", QUEUE], 1, "ConsumerNotFound"),
        (["dlq", "show", "0" * 32], 1, "DeadLetterNotFound"),
        (["dlq", "show", "no id"], 1, "DeadLetterNotFound"),
    ],
)
def test_what_cloudflare_would_refuse_is_refused_and_changes_nothing(
    coinswarm: CommandLine, command: list[str], code: int, kind: str
) -> None:
    before = coinswarm("queues", "list", "--json").json
    result = coinswarm("queues", *command, "--json")
    assert (result.exit_code, result.error[0]) == (code, kind)
    assert result.error[1]
    assert coinswarm("queues", "list", "--json").json == before


def test_a_paused_queue_is_left_alone_and_says_so(pipeline: CommandLine) -> None:
    send(pipeline, body(row()))
    pipeline("queues", "pause-delivery", QUEUE)
    human = pipeline("consume")
    assert human.exit_code == 0
    assert f"note: delivery from {QUEUE} is paused; what it holds is still there" in human.out
    report = consume(pipeline).json
    assert (report["messages"], report["batches"]) == (0, 0)
    assert report["notes"] == [f"delivery from {QUEUE} is paused; what it holds is still there"]
    assert (backlog(pipeline), stored(pipeline)) == (1, [])

    pipeline("queues", "resume-delivery", QUEUE)
    assert consume(pipeline).json["rows"]["inserted"] == 1


def test_what_is_asked_for_by_an_id_that_is_no_dead_letter_is_told(pipeline: CommandLine) -> None:
    (waiting,) = send(pipeline, body(row()))
    result = pipeline("queues", "dlq", "redrive", "--id", waiting, "--id", "nope", "--json")
    assert (result.exit_code, result.json) == (0, {"redriven": 0, "orphans": {}, "missing": [waiting, "nope"]})
    purged = pipeline("queues", "dlq", "purge", "--id", waiting, "--force", "--json")
    assert purged.json == {"queue_name": DEAD, "purged": 0, "missing": [waiting]}
    assert backlog(pipeline) == 1
