"""The dead-letter desk: dead letters read as candles, chosen, corrected, archived and sent back, local and remote."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coinswarm.candles import Candle, fault
from coinswarm.clock import ManualClock
from coinswarm.consumer.inspection import inspect, offending_fields
from coinswarm.dead_letters import csv_lines, guarded
from coinswarm.errors import OutputLost
from coinswarm.payload import decode
from coinswarm.queue.letters import DeadLetterRecord, Selection
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.queue.types import ConsumerSettings, DeadLetter, OutgoingMessage, Settlement
from tests.support.candle_messages import FIRST_OPEN, body, row
from tests.support.cloudflare import TOKEN
from tests.support.command_line import CommandLine
from tests.support.local_cloudflare import LocalCloudflare, local_cloudflare
from tests.support.queues import fill, send, take

QUEUE, DEAD = "historical-data-queue", "historical-data-dlq"
DAY_MS = 86_400_000
LATER_MS = (FIRST_OPEN + 365 * 86_400) * 1000


class TestOffendingFields:
    @pytest.mark.parametrize(
        ("change", "fields"),
        [
            ({"close": 200.0}, ("close",)),
            ({"low": 120.0}, ("high", "low")),
            ({"open": -1.0}, ("open",)),
            ({"timeframe": "7h"}, ("timeframe",)),
            ({"timestamp": FIRST_OPEN + 1}, ("timestamp",)),
            ({"timestamp": FIRST_OPEN * 1000}, ("timestamp",)),
            ({"symbol": " BTC"}, ("symbol",)),
            ({"source": ""}, ("source",)),
            ({"volumeTo": -1.0}, ("volumeTo",)),
            ({"high": "much"}, ("high",)),
            ({"close": None}, ("close",)),
        ],
    )
    def test_the_field_that_breaks_a_rule_is_named(self, change: dict[str, Any], fields: tuple[str, ...]) -> None:
        found = inspect(body(row(), row(1, **change)).encode(), taken_ms=LATER_MS)
        assert (found.rows[0].fault, found.rows[0].offending) == (None, ())
        assert found.rows[1].offending == fields

    def test_a_missing_field_is_named(self) -> None:
        sound = row()
        del sound["timeframe"]
        assert inspect(json.dumps([sound]).encode(), taken_ms=LATER_MS).rows[0].offending == ("timeframe",)

    def test_a_running_candle_offends_by_its_time(self) -> None:
        found = inspect(body(row()).encode(), taken_ms=FIRST_OPEN * 1000)
        assert found.rows[0].offending == ("timestamp",)
        assert found.ends_after(FIRST_OPEN)
        assert not found.ends_after(FIRST_OPEN + 3_600)

    @pytest.mark.parametrize("change", [{}, {"close": 200.0}, {"timeframe": "7h"}, {"high": "much"}])
    def test_it_finds_the_faults_that_the_consumer_finds(self, change: dict[str, Any]) -> None:
        text = body(row(), row(1, **change)).encode()
        assert inspect(text, taken_ms=LATER_MS).faults == decode(text, taken_ms=LATER_MS).faults

    def test_every_fault_has_a_field(self) -> None:
        sound = Candle("BTC-USDC", FIRST_OPEN, "1h", 1.0, 2.0, 0.5, 1.0, None, None, "x")
        assert fault(sound) is None
        assert offending_fields(sound) == ("timestamp",)


class TestExporting:
    @pytest.mark.parametrize("text", ["=1+1", "+1", "-cmd", "@sum", " =1", "\t=1"])
    def test_a_spreadsheet_runs_nothing(self, text: str) -> None:
        assert guarded(text) == "'" + text
        assert guarded(-1.5) == -1.5

    def test_rows_that_are_no_candles_are_counted(self) -> None:
        text = body(row(symbol="=HYPERLINK(1)"), row(1, high="much")).encode()
        letter = DeadLetterRecord("i", False, "q", "=r", 1, 0, 0, 0, 0, LATER_MS, "json", len(text), text)
        written, left_out = csv_lines([letter], header=True)
        (first,) = csv.DictReader(io.StringIO(written))
        assert (first["symbol"], first["reason"], first["close"], left_out) == ("'=HYPERLINK(1)", "'=r", "105.0", 1)


class TestSteps:
    """What the store itself adds for the desk."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    def store(self, tmp_path: Path, clock: ManualClock) -> Iterator[SqliteQueueStore]:
        with SqliteQueueStore(tmp_path / "queues.sqlite", clock) as store:
            store.ensure("candles", consumer=ConsumerSettings(dead_letter_queue="dlq"))
            yield store

    def bury(self, store: SqliteQueueStore) -> None:
        self.bury_in(store, "candles")

    def bury_in(self, store: SqliteQueueStore, name: str) -> None:
        queue = store.open(name)
        while leased := queue.lease(100):
            queue.settle(Settlement(dead_letters=[DeadLetter(m.lease_id, "poison") for m in leased]))

    def test_a_rate_is_kept(self, store: SqliteQueueStore, clock: ManualClock) -> None:
        fill(store.open("candles"), 100)
        self.bury(store)
        before = clock.monotonic()
        assert store.dead_letters("dlq").redrive(rate=20).count == 100
        assert 4.0 <= clock.monotonic() - before <= 5.0

    def test_a_stop_ends_it_between_two_steps(self, store: SqliteQueueStore) -> None:
        fill(store.open("candles"), 250)
        self.bury(store)
        done = store.dead_letters("dlq").redrive(stop=lambda: True)
        assert (done.count, done.interrupted) == (100, True)
        assert store.dead_letters("dlq").count() == 150

    def test_a_dry_run_moves_nothing(self, store: SqliteQueueStore) -> None:
        fill(store.open("candles"), 250)
        self.bury(store)
        dead = store.dead_letters("dlq")
        assert (dead.redrive(dry_run=True).count, dead.purge(dry_run=True).count, dead.count()) == (250, 250, 250)

    def test_time_and_body_select(self, store: SqliteQueueStore, clock: ManualClock) -> None:
        send(store.open("candles"), "old")
        self.bury(store)
        middle = clock.now_ms() + 5_000
        clock.advance(10)
        send(store.open("candles"), "new", "other")
        self.bury(store)
        dead = store.dead_letters("dlq")
        assert dead.purge(selection=Selection(until_ms=middle), dry_run=True).count == 1
        assert dead.redrive(selection=Selection(since_ms=middle, matches=lambda r: r.body == b"new")).count == 1
        assert take(store.open("candles")) == ["new"]

    @pytest.mark.parametrize("words", ["redrive", "purge --force", "purge --dry-run", "export --output all.jsonl"])
    def test_an_id_that_is_none_is_named_by_whatever_was_to_be_done_with_it(
        self, coinswarm: CommandLine, words: str
    ) -> None:
        coinswarm("queues", "list")
        asked = coinswarm("queues", "dlq", *words.split(), "--id", "nonsense")
        assert asked.exit_code == 0
        assert "⚠ nonsense is no dead letter here" in asked.err
        (coinswarm.directory / "all.jsonl").unlink(missing_ok=True)
        assert coinswarm("queues", "dlq", *words.split(), "--id", "nonsense", "--json").json["missing"] == ["nonsense"]

    def test_ids_that_are_exported_are_not_missing(self, coinswarm: CommandLine) -> None:
        coinswarm("queues", "send", DEAD, "x")  # an ordinary message is no dead letter
        coinswarm("queues", "list")
        (path,) = coinswarm.directory.rglob("queues.sqlite")
        with SqliteQueueStore(path) as store:
            (wanted,) = send(store.open(QUEUE), "letter")
            self.bury_in(store, QUEUE)
        found = coinswarm("queues", "dlq", "export", "-o", "all.jsonl", "--id", wanted, "--id", "nonsense", "--json")
        assert (found.json["exported"], found.json["missing"]) == (1, ["nonsense"])

    def test_an_archive_of_nothing_is_no_file_and_leaves_the_name_for_the_next(self, coinswarm: CommandLine) -> None:
        coinswarm("queues", "list")
        for _ in range(2):
            done = coinswarm("queues", "dlq", "purge", "--archive", "purged.jsonl", "--json")
            assert (done.exit_code, done.json["purged"], "archive" in done.json) == (0, 0, False)
            assert not (coinswarm.directory / "purged.jsonl").exists()

    def test_a_pipe_is_no_archive(self, coinswarm: CommandLine) -> None:
        coinswarm("queues", "list")
        result = coinswarm("queues", "dlq", "purge", "--archive", "-", "--json")
        assert (result.exit_code, result.error[0]) == (2, "UsageError")

    def test_what_cannot_be_archived_is_not_deleted(self, store: SqliteQueueStore) -> None:
        fill(store.open("candles"), 3)
        self.bury(store)

        def full(_letters: object) -> None:
            raise OutputLost

        with pytest.raises(OutputLost):
            store.dead_letters("dlq").purge(archive=full)
        assert store.dead_letters("dlq").count() == 3

    def test_a_correction_keeps_id_origin_and_sending_time_and_the_counters_in_step(
        self, store: SqliteQueueStore, clock: ManualClock
    ) -> None:
        sent = clock.now_ms()
        (name,) = send(store.open("candles"), "wrong")
        self.bury(store)
        clock.advance(9)
        assert store.dead_letters("dlq").resend(name, OutgoingMessage(b"right it is", "text")) == "candles"
        queue = store.open("candles")
        assert (queue.metrics().bytes, store.open("dlq").metrics().bytes) == (11, 0)
        (back,) = queue.lease(1)
        assert (back.id, back.body, back.timestamp_ms, back.attempts) == (name, b"right it is", sent, 1)


@pytest.fixture
def cloud(tmp_path: Path, coinswarm: CommandLine) -> Iterator[LocalCloudflare]:
    with local_cloudflare(tmp_path / "cloud") as running:
        running.queues.create(QUEUE)
        consumer = ConsumerSettings(type="http_pull", dead_letter_queue=DEAD, max_retries=0)
        running.queues.add_consumer(QUEUE, consumer)
        coinswarm.environment = {
            "CLOUDFLARE_API_TOKEN": TOKEN,
            "CLOUDFLARE_ACCOUNT_ID": running.account.id,
            "CLOUDFLARE_API_BASE_URL": running.url,
        }
        yield running


class TestOnCloudflare:
    def dead(self, coinswarm: CommandLine, *flags: str) -> list[dict[str, Any]]:
        return list(coinswarm("queues", "dlq", "list", *flags, "--remote", "--json").json)

    def consume(self, coinswarm: CommandLine) -> dict[str, Any]:
        assert coinswarm("d1", "migrations", "apply").exit_code == 0
        result = coinswarm("consume", "--remote-queue", "--json")
        assert result.exit_code == 0, result
        return dict(result.json)

    def running_candle(self) -> str:
        now = LocalNow.hour()
        return body(row(timestamp=now))

    def test_the_reason_survives_and_a_corrected_letter_is_stored(
        self, cloud: LocalCloudflare, coinswarm: CommandLine
    ) -> None:
        cloud.queues.open(QUEUE).send_batch([OutgoingMessage(body(row(close=900.0)).encode())])
        report = self.consume(coinswarm)
        assert [(d["messages"], "between low and high" in d["reason"]) for d in report["dead_letters"]] == [(1, True)]
        (letter,) = self.dead(coinswarm)
        assert (letter["source"], letter["attempts"], letter["candles"]["symbols"]) == (QUEUE, 1, ["BTC-USDC"])
        resent = coinswarm("queues", "dlq", "resend", letter["id"], "--set", "0.close=100.5", "--remote", "--json")
        assert resent.exit_code == 0, resent
        assert self.dead(coinswarm) == []
        assert self.consume(coinswarm)["rows"]["inserted"] == 1

    def test_a_candle_that_was_running_when_it_was_sent_is_never_stored(
        self, cloud: LocalCloudflare, coinswarm: CommandLine
    ) -> None:
        cloud.queues.open(QUEUE).send_batch([OutgoingMessage(self.running_candle().encode())])
        assert self.consume(coinswarm)["dead_lettered"] == 1
        done = coinswarm("queues", "dlq", "redrive", "--remote", "--assume-closed", "--json").json
        assert (done["redriven"], list(done["kept"].values())) == (0, [1])
        assert len(self.dead(coinswarm)) == 1

    def test_what_cloudflare_moved_itself_stays_unless_the_user_vouches_for_it(
        self, cloud: LocalCloudflare, coinswarm: CommandLine
    ) -> None:
        recent = body(row(timestamp=LocalNow.hour() - 7_200))
        cloud.queues.open(DEAD).send_batch([OutgoingMessage(recent.encode()), OutgoingMessage(body(row()).encode())])
        done = coinswarm("queues", "dlq", "redrive", "--remote", "--json").json
        assert (done["redriven"], list(done["kept"].values())) == (1, [1])
        done = coinswarm("queues", "dlq", "redrive", "--remote", "--assume-closed", "--json").json
        assert (done["redriven"], done["kept"]) == (1, {})
        assert cloud.queues.open(QUEUE).metrics().backlog == 2

    def test_more_than_a_peek_shows_go_back_one_hundred_after_the_other(
        self, cloud: LocalCloudflare, coinswarm: CommandLine
    ) -> None:
        fill(cloud.queues.open(DEAD), 250, body(row()).encode())
        dry = coinswarm("queues", "dlq", "redrive", "--remote", "--dry-run", "--json").json
        assert (dry["redriven"], dry["hidden"]) == (100, 150)
        assert coinswarm("queues", "dlq", "redrive", "--remote", "--json").json["redriven"] == 250
        assert (cloud.queues.open(DEAD).metrics().backlog, cloud.queues.open(QUEUE).metrics().backlog) == (0, 250)

    def test_when_the_source_takes_nothing_they_all_stay(self, cloud: LocalCloudflare, coinswarm: CommandLine) -> None:
        fill(cloud.queues.open(DEAD), 3, body(row()).encode())
        assert coinswarm("queues", "dlq", "redrive", "--to", "nowhere", "--remote").exit_code == 1
        assert cloud.queues.open(DEAD).metrics().backlog == 3

    def test_a_purge_archives_first(self, cloud: LocalCloudflare, coinswarm: CommandLine) -> None:
        cloud.queues.open(DEAD).send_batch([OutgoingMessage(body(row()).encode())])
        assert coinswarm("queues", "dlq", "purge", "--remote").exit_code == 2
        assert coinswarm("queues", "dlq", "purge", "--remote", "--archive", "kept.jsonl").exit_code == 0
        (line,) = (coinswarm.directory / "kept.jsonl").read_text().splitlines()
        assert json.loads(line)["body"] == body(row())
        assert self.dead(coinswarm) == []


class LocalNow:
    """The hour that is running on the server's clock."""

    @staticmethod
    def hour() -> int:
        from coinswarm.clock import SystemClock

        now = SystemClock().now_ms() // 1000
        return now - now % 3_600
