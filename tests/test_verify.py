"""`coinswarm verify`: green on a fresh stack, and where one thing is broken exactly that one is named."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from coinswarm import wiring
from coinswarm.candles import COLUMNS, Candle
from coinswarm.clock import SystemClock
from coinswarm.consumer.worker import Worker
from coinswarm.cron.switch import switch
from coinswarm.payload import pack
from coinswarm.queue.types import OutgoingMessage, QueueSettings
from coinswarm.verify import canary, fetching, traces
from coinswarm.verify.catalogue import CHECKS
from coinswarm.verify.check import Status
from coinswarm.verify.fetching import Trial
from coinswarm.verify.subject import Subject
from tests.support.verified import DATABASE, DEAD, QUEUE, Break, FreshStack, hint, statuses

PASSED, WARNING, FAILED, SKIPPED = Status.PASSED, Status.WARNING, Status.FAILED, Status.SKIPPED
TRIAL = Trial("binance", "BTC-USDC", candles=2000, messages=200, depth=200, calls=2, wrote_to_d1=False)


@pytest.fixture
def fresh(tmp_path: Path) -> FreshStack:
    return FreshStack(tmp_path / "project")


@pytest.fixture
def no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fetch of V17 and V19 is taken as done: it has tests of its own and starts six exchanges."""
    monkeypatch.setattr(fetching, "try_out", lambda _subject: TRIAL)


def test_a_fresh_stack_is_all_green_and_the_checks_are_the_originals_nineteen(fresh: FreshStack) -> None:
    report = fresh.verify()
    assert statuses(report) == {}
    assert [result.number for result in report.results] == [f"V{number}" for number in range(1, 20)]
    assert report.summary == "19 Passed, 0 Warnings, 0 Failed"
    assert report.exit_code == 0


def test_verifying_again_is_green_and_leaves_no_trace(fresh: FreshStack) -> None:
    def everything() -> list[Any]:
        with fresh.database() as database, fresh.queues() as queues:
            rows = database.execute("SELECT * FROM price_data")[0].rows
            return [rows, [(q.name, queues.open(q.name).metrics().backlog) for q in queues.queues()]]

    with fresh.queues() as queues:
        queues.open(QUEUE).send_batch([OutgoingMessage(b'"of the user"')])
    before = everything()
    for _ in range(2):
        assert statuses(fresh.verify()) == {}
    assert everything() == before


# What is broken: how, what then is found, and which checks cannot be made without it.

_NO_TABLE = ["canary", "first-write-wins"]
_NO_CONSUMER = ["batch-size", "concurrency", "queue-consumer", *_NO_TABLE]
_NO_QUEUE = ["dead-letter-queue", "consumer", "producer", "backlog", "queue-binding", *_NO_CONSUMER]
_TRIGGER = "CREATE TRIGGER made_by_somebody"


def _delete_queue(fresh: FreshStack) -> None:
    with fresh.queues() as queues:
        queues.delete(QUEUE)
        queues.create(QUEUE + "-old")  # the original's check was satisfied by this one


def _delete_dead_letter_queue(fresh: FreshStack) -> None:
    with fresh.queues() as queues:
        queues.delete(DEAD)
        queues.create(DEAD + "-2")


def _remove_consumer(fresh: FreshStack) -> None:
    with fresh.queues() as queues:
        queues.remove_consumer(QUEUE, queues.info(QUEUE).consumers[0].consumer_id)


def _pause(fresh: FreshStack) -> None:
    with fresh.queues() as queues:
        queues.update(QUEUE, QueueSettings(delivery_paused=True))


def _fill(fresh: FreshStack) -> None:
    with fresh.queues() as queues:
        for _ in range(10):
            queues.open(QUEUE).send_batch([OutgoingMessage(b"1")] * 100)


def _second_cron_worker(fresh: FreshStack) -> None:
    fresh.other("old", '[triggers]\ncrons = ["0 * * * *"]\n' + DATABASE)


def _cron_elsewhere(fresh: FreshStack) -> None:
    fresh.edit('crons = ["*/30 * * * *"]', "crons = []")
    fresh.other("other", '[triggers]\ncrons = ["0 * * * *"]\n')


def _table_without_key(fresh: FreshStack) -> None:
    fresh.sql(f"DROP TABLE price_data; CREATE TABLE price_data ({', '.join(COLUMNS)})")


def _on_fetch(text: str) -> Break:
    return lambda fresh: (fresh.folder / "coinswarm.toml").write_text(f"[fetch]\n{text}\n") and None


def _edit(old: str, new: str) -> Break:
    return lambda fresh: fresh.edit(old, new)


def _sql(text: str) -> Break:
    return lambda fresh: fresh.sql(text)


def _drop_file(fresh: FreshStack) -> None:
    with fresh.database() as database:
        path = database.path
    path.unlink()


BROKEN: list[tuple[str, Break, str, Status, Sequence[str]]] = [
    ("the queue is not there, only one with a longer name", _delete_queue, "queue", FAILED, _NO_QUEUE),
    ("the dead-letter queue is not there", _delete_dead_letter_queue, "dead-letter-queue", FAILED, ()),
    (
        "no dead-letter queue is named",
        _edit('dead_letter_queue = "historical-data-dlq"', ""),
        "dead-letter-queue",
        WARNING,
        (),
    ),
    ("the consumer was removed", _remove_consumer, "consumer", FAILED, _NO_CONSUMER),
    (
        "no consumer is configured",
        lambda fresh: fresh.without("[[queues.consumers]]", "# API keys"),
        "consumer",
        FAILED,
        ["dead-letter-queue", *_NO_CONSUMER],
    ),
    ("delivery is paused", _pause, "consumer", FAILED, _NO_CONSUMER),
    ("batches of 10", _edit("max_batch_size = 100", "max_batch_size = 10"), "batch-size", WARNING, ()),
    ("concurrency 15", _edit("max_concurrency = 5", "max_concurrency = 15"), "concurrency", WARNING, ()),
    ("concurrency 250", _edit("max_concurrency = 5", "max_concurrency = 250"), "concurrency", WARNING, ()),
    ("no concurrency", _edit("max_concurrency = 5", ""), "concurrency", WARNING, ()),
    ("the database was deleted", _drop_file, "database", FAILED, ("price-data", *_NO_TABLE)),
    ("the table was dropped", _sql("DROP TABLE price_data"), "price-data", FAILED, _NO_TABLE),
    ("the table has no unique key", _table_without_key, "price-data", FAILED, _NO_TABLE),
    (
        "a column is missing",
        _sql("ALTER TABLE price_data RENAME COLUMN volume_to TO volume"),
        "price-data",
        FAILED,
        _NO_TABLE,
    ),
    (
        "the database is bound as the original's configuration did, not as its code reads it",
        _edit('binding = "DB"', 'binding = "DB_CONSUMER"'),
        "queue-consumer",
        WARNING,
        (),
    ),
    (
        "no producer is configured",
        lambda fresh: fresh.without("[[queues.producers]]", "[[queues.consumers]]"),
        "producer",
        FAILED,
        ("cron", "queue-binding"),
    ),
    ("the source needs a key that is not set", _on_fetch('source = "cryptocompare"'), "importer", WARNING, ()),
    ("a thousand messages wait", _fill, "backlog", WARNING, ()),
    ("no cron trigger", _edit('crons = ["*/30 * * * *"]', "crons = []"), "cron", FAILED, ()),
    ("a cron trigger that is commented out", _edit("crons =", "# crons ="), "cron", FAILED, ()),
    ("a Worker that sends nothing has a cron trigger, the producer none", _cron_elsewhere, "cron", FAILED, ()),
    ("two Workers with cron triggers feed the table", _second_cron_worker, "cron", FAILED, ()),
    (
        "a trigger alters what is stored",
        _sql(f"{_TRIGGER} AFTER INSERT ON price_data BEGIN UPDATE price_data SET volume_to = 0; END"),
        "canary",
        FAILED,
        ("first-write-wins",),
    ),
    (
        "a trigger refuses what comes",
        _sql(f"{_TRIGGER} BEFORE INSERT ON price_data BEGIN SELECT RAISE(ABORT, 'no more'); END"),
        "canary",
        FAILED,
        ("first-write-wins",),
    ),
    (
        "a trigger lets the last write win",
        _sql(
            f"{_TRIGGER} BEFORE INSERT ON price_data BEGIN UPDATE price_data SET close = NEW.close WHERE "
            "symbol = NEW.symbol AND timeframe = NEW.timeframe AND source = NEW.source AND timestamp = NEW.timestamp;"
            " END"
        ),
        "first-write-wins",
        FAILED,
        (),
    ),
    (
        "a trigger changes other rows",
        _sql(
            "INSERT INTO price_data VALUES ('A-B', '1h', 'kraken', 3600000000, 1, 1, 1, 1, 1, 1);"
            f"{_TRIGGER} AFTER INSERT ON price_data BEGIN UPDATE price_data SET close = 9 WHERE symbol = 'A-B'; END"
        ),
        "first-write-wins",
        FAILED,
        (),
    ),
    (
        "a trigger deletes other rows",
        _sql(
            "INSERT INTO price_data VALUES ('A-B', '1h', 'kraken', 3600000000, 1, 1, 1, 1, 1, 1);"
            f"{_TRIGGER} AFTER DELETE ON price_data BEGIN DELETE FROM price_data WHERE symbol = 'A-B'; END"
        ),
        "first-write-wins",
        FAILED,
        (),
    ),
    (
        "a trigger adds rows of its own",
        _sql(
            f"{_TRIGGER} AFTER INSERT ON price_data WHEN NEW.source <> 'copy' BEGIN INSERT INTO price_data SELECT "
            "'A-B', timeframe, 'copy', timestamp, 1, 1, 1, 1, 1, 1 FROM price_data WHERE symbol = NEW.symbol; END"
        ),
        "canary",
        FAILED,
        ("first-write-wins",),
    ),
    (
        "a trigger keeps what is deleted",
        _sql(
            f"{_TRIGGER} AFTER DELETE ON price_data BEGIN INSERT INTO price_data "
            "VALUES ('A-B', '1m', 'gone', OLD.timestamp, 1, 1, 1, 1, 1, 1); END"
        ),
        "canary",
        FAILED,
        ("first-write-wins",),
    ),
    (
        "a trigger keeps a diary",
        _sql(
            "CREATE TABLE diary (what); "
            f"{_TRIGGER} AFTER INSERT ON price_data BEGIN INSERT INTO diary VALUES (NEW.symbol); END"
        ),
        "first-write-wins",
        WARNING,
        (),
    ),
    (
        "nothing can be deleted",
        _sql(f"{_TRIGGER} BEFORE DELETE ON price_data BEGIN SELECT RAISE(ABORT, 'kept'); END"),
        "first-write-wins",
        FAILED,
        (),
    ),
    (
        "the producer is bound to another queue",
        _edit('binding = "HISTORICAL_DATA_QUEUE"\nqueue = "historical-data-queue"', 'binding = "Q"\nqueue = "other"'),
        "queue-binding",
        FAILED,
        (),
    ),
]


@pytest.mark.parametrize(
    ("breaking", "check", "status", "skipped"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN]
)
@pytest.mark.usefixtures("no_trial")
def test_exactly_what_is_broken_is_named(
    fresh: FreshStack, breaking: Break, check: str, status: Status, skipped: Sequence[str]
) -> None:
    breaking(fresh)
    report = fresh.verify()
    assert statuses(report) == {check: status} | dict.fromkeys(skipped, SKIPPED)
    assert report.exit_code == {WARNING: 1, FAILED: 2}[status]
    assert fresh.left_by_triggers() == []
    assert len(hint(report, check)) > 15
    for name in skipped:
        result = report.of(name)
        assert result is not None
        assert result.outcome.message == f"not checked, because {check} failed"


def test_every_check_that_can_fail_here_is_broken_above_or_below() -> None:
    broken = {check for _, _, check, _, _ in BROKEN} | {"fetch-queue", "batch-sending"}
    assert broken == {check.id for check in CHECKS} - {"token", "account"}


# V17 to V19, with a real fetch from the simulated exchange


@pytest.mark.parametrize("source", ["kraken", "coingecko", "cryptocompare"])
def test_fetching_is_tried_with_the_stacks_own_settings(fresh: FreshStack, source: str) -> None:
    fresh.environ["CRYPTOCOMPARE_API_KEY"] = "a-key-of-the-user"
    pair = "ETH-USD" if source != "coingecko" else "NOSUCH-USD"
    (fresh.folder / "coinswarm.toml").write_text(f'[fetch]\nsource = "{source}"\npair = "{pair}"\ntimeframe = "4h"\n')
    report = fresh.verify("fetch-queue", "batch-sending")
    assert statuses(report) == {}
    result = report.of("fetch-queue")
    assert result is not None
    assert result.outcome.evidence["source"] == source
    assert result.outcome.evidence["depth"] == -(-result.outcome.evidence["candles"] // 10) > 10


def test_one_candle_a_message_is_not_how_fetch_uses_the_queue(
    fresh: FreshStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = fetching.collect

    def one_by_one(fetcher: Any, queue: Any, request: Any, **how: Any) -> Any:
        from dataclasses import replace

        return honest(fetcher, queue, replace(request, rows_per_message=1, limit=50), **how)

    monkeypatch.setattr(fetching, "collect", one_by_one)
    report = fresh.verify("fetch-queue", "queue-binding", "batch-sending")
    assert statuses(report) == {"fetch-queue": FAILED, "batch-sending": SKIPPED}


def test_a_fetch_that_writes_to_d1_is_a_failure(fresh: FreshStack, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = fetching.collect

    def past_the_queue(fetcher: Any, queue: Any, request: Any, **how: Any) -> Any:
        from coinswarm.d1.path import database_path

        state = Path(queue._inner._file.path).parent.parent.parent
        path = database_path(fresh.stack.database().local_id, state)
        path.parent.mkdir(parents=True)
        path.touch()
        return honest(fetcher, queue, request, **how)

    monkeypatch.setattr(fetching, "collect", past_the_queue)
    assert statuses(fresh.verify("fetch-queue")) == {"fetch-queue": FAILED}


def test_messages_sent_one_by_one_are_a_warning(fresh: FreshStack, monkeypatch: pytest.MonkeyPatch) -> None:
    class OneByOne(fetching.Counted):
        def send_batch(self, messages: Any, *, delay_seconds: int | None = None) -> list[str]:
            return [super(OneByOne, self).send_batch([message])[0] for message in messages]

    monkeypatch.setattr(fetching, "Counted", OneByOne)
    assert statuses(fresh.verify("fetch-queue", "batch-sending")) == {"batch-sending": WARNING}


def test_the_next_three_fires_are_told(fresh: FreshStack) -> None:
    fresh.edit("*/30 * * * *", "30 * * * *")
    result = fresh.verify("cron").results[0]
    times = result.outcome.evidence["next"]["30 * * * *"]
    assert len(times) == 3
    assert all(time.endswith(":30:00Z") for time in times)
    assert "30 * * * *" in result.outcome.message


def test_a_consumer_whose_cron_keeps_house_feeds_nothing(fresh: FreshStack) -> None:
    consumer = (fresh.folder / "wrangler.toml").read_text()
    fresh.without("[[queues.producers]]", "[[queues.consumers]]")
    fresh.edit("*/30 * * * *", "0 4 * * *")
    binding = consumer[consumer.index("[[queues.producers]]") : consumer.index("[[queues.consumers]]")]
    fresh.other("producer", f'[triggers]\ncrons = ["*/30 * * * *"]\n{binding}')
    assert fresh.stack.warnings == ()
    report = fresh.verify("cron")
    assert statuses(report) == {}
    assert "*/30 * * * *" in report.results[0].outcome.message


@pytest.mark.parametrize("own", [False, True], ids=["the default file", "a file that was named"])
def test_a_producer_whose_trigger_was_switched_off_is_told_how_to_switch_it_on(fresh: FreshStack, own: bool) -> None:
    switch([fresh.folder / "wrangler.toml"], None, env_name=None, on=False)
    report = fresh.verify("cron", flags=["--config", "my wrangler.toml"] if own else [])
    flags = " --config 'my wrangler.toml'" if own else ""
    assert hint(report, "cron").endswith(f"is switched off. Switch it on again: coinswarm cron enable coinswarm{flags}")


def test_the_evidence_of_every_check_is_plain_json(fresh: FreshStack) -> None:
    json.dumps(fresh.verify().as_json())


def test_other_consumers_and_producers_at_work_do_not_disturb_the_proof(fresh: FreshStack) -> None:
    with fresh.queues():  # a stack that has run before
        pass
    over = threading.Event()
    candles = [
        Candle(f"C{series}-USD", 1_500_001_200 + hour * 3_600, "1h", 1.5, 2.0, 1.0, 1.5, None, 3.0, "kraken")
        for series in range(20)
        for hour in range(200)
    ]
    bodies = [OutgoingMessage(body) for body, _ in pack(candles)]

    def work() -> None:
        stack = fresh.stack
        with wiring.pipeline(stack, SystemClock(), remote_queue=False, remote=False) as (queue, database):
            for start in range(0, len(bodies), 10):
                queue.send_batch(bodies[start : start + 10])
                Worker(queue, database, SystemClock()).drain()
        over.set()

    thread = threading.Thread(target=work)
    thread.start()
    reports = [fresh.verify("canary", "first-write-wins")]
    while not over.is_set():
        reports.append(fresh.verify("canary", "first-write-wins"))
    thread.join()
    assert [r.outcome for report in reports for r in report.results if r.status is not PASSED] == []
    with fresh.database() as database:
        assert database.execute("SELECT count(*) FROM price_data")[0].rows == [(len(candles),)]


def test_what_a_run_killed_in_the_middle_left_behind_is_taken_away_by_the_next(fresh: FreshStack) -> None:
    kill = (
        "import os, signal; from coinswarm.verify import canary;"
        "canary._row = lambda *_: os.kill(os.getpid(), signal.SIGKILL);"
        "from pathlib import Path; from coinswarm.config import load; from tests.support.verified import verified;"
        "verified(load([], cwd=Path.cwd(), environ={}), 'canary')"
    )
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    died = subprocess.run([sys.executable, "-c", kill], cwd=fresh.folder, env=environ, check=False)
    assert died.returncode == -signal.SIGKILL
    with fresh.queues() as queues, fresh.database() as database:
        assert len([q for q in queues.queues() if q.name.startswith(traces.QUEUE)]) == 1
        assert database.execute("SELECT count(*) FROM price_data")[0].rows == [(1,)]
    assert statuses(fresh.verify("canary", "first-write-wins")) == {}
    with fresh.queues() as queues, fresh.database() as database:
        assert [q.name for q in queues.queues()] == [DEAD, QUEUE]
        assert database.execute("SELECT count(*) FROM price_data")[0].rows == [(0,)]


def test_a_canary_in_flight_is_left_alone_by_another_run(fresh: FreshStack) -> None:
    subject = Subject(fresh.stack, SystemClock())
    with subject.database() as database, traces.swept(subject, database), subject.queues() as queues:
        queues.create(f"{traces.QUEUE}0000beef")
        fresh.sql(
            "INSERT INTO price_data VALUES "
            f"('{traces.SYMBOL}0000beef', '1m', '{canary.MARK_SOURCE}', 1600000020, 1, 1, 1, 1, 1, 1)"
        )
        assert statuses(fresh.verify("canary", "first-write-wins")) == {}
        assert queues.info(f"{traces.QUEUE}0000beef").name
        assert database.execute("SELECT count(*) FROM price_data")[0].rows == [(1,)]
