"""The tools that repair, move, copy and restore, killed before any statement, step of a copy and file operation, run on
a full disk, and twice at once: what was there is there, once, and running the tool again finishes its work.

The pipeline itself is treated so in `test_crash`.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coinswarm.chaos.plan import Kill
from coinswarm.chaos.process import Child, Trigger, listen
from coinswarm.clock import ManualClock
from coinswarm.commands.archive import archive
from coinswarm.cron.runner import Job, Runner
from coinswarm.cron.schedule import Schedule
from coinswarm.cron.state import CronState
from coinswarm.d1.backup import backup
from coinswarm.d1.ingest import statements
from coinswarm.d1.migrate import apply, bundled_migrations, migrations_in
from coinswarm.d1.snapshots import Snapshots
from coinswarm.errors import UsageError
from coinswarm.fsck.archive import Archive
from coinswarm.fsck.check import check_database, check_queue_file
from coinswarm.fsck.repair import repair
from coinswarm.interrupt import Interrupted, StoppedAtOnce
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.queue.types import ConsumerSettings, OutgoingMessage
from tests.support.command_line import CommandLine
from tests.support.databases import migrated, open_database, stored
from tests.support.queues import retry
from tests.support.verified import FreshStack

NOW = 1_800_000_000_000
POINT = "here"
SPREAD = 5
"""So many places of a tool are killed at by default; all of them in the slow part."""
MOST = 150
_FILE_EVENTS = ("open", "os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.truncate")


class Stepped(sqlite3.Connection):
    """A connection whose statements and steps of a copy are places to die at."""

    here: Callable[[], None] = staticmethod(lambda: None)

    def backup(self, target: sqlite3.Connection, *, pages: int = -1, progress: Any = None, **options: Any) -> None:
        def step(status: int, remaining: int, total: int) -> None:
            self.here()
            if progress is not None:
                progress(status, remaining, total)

        super().backup(target, pages=min(pages, 3) if pages > 0 else 3, progress=step, **options)


def watched(trigger: Trigger) -> None:
    """In a child: from now on every statement, step and file operation is told to `trigger`."""

    def here() -> None:
        trigger(POINT)

    original = sqlite3.connect

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        opened = original(*arguments, factory=Stepped, **options)
        opened.set_trace_callback(lambda _sql: here())
        return opened

    Stepped.here = staticmethod(here)
    sqlite3.connect = connect  # type: ignore[assignment]
    sys.addaudithook(lambda event, _: here() if event in _FILE_EVENTS else None)


class Tool:
    """A tool over files in a folder: how they were made, what it does, and what has to be true whatever happened."""

    expected: tuple[str, ...] = ()
    """Errors that it may end with beside others, or when all is done already."""

    def make(self, folder: Path) -> None: ...
    def run(self, folder: Path) -> None: ...
    def account(self, folder: Path) -> None:
        """Nothing is lost or altered, however far it came."""

    def finished(self, folder: Path) -> None:
        """All of its work is done, once."""


def clock() -> ManualClock:
    return ManualClock(now_ms=NOW)


def rows_of(path: Path) -> Counter[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return Counter(connection.execute("SELECT symbol, timestamp, timeframe, close, source FROM price_data"))


def archived(folder: Path) -> Counter[tuple[Any, ...]]:
    """The candles in all archives, as SQLite reads them."""
    found: Counter[tuple[Any, ...]] = Counter()
    for path in folder.glob("archive/*.sql"):
        with closing(migrated(folder / "scratch.sqlite")):
            pass
        with closing(sqlite3.connect(folder / "scratch.sqlite")) as scratch, path.open("rb") as source:
            for statement in statements(source):
                scratch.execute(statement)
            scratch.commit()
        found += rows_of(folder / "scratch.sqlite")
        (folder / "scratch.sqlite").unlink()
    return found


class Repair(Tool):
    def make(self, folder: Path) -> None:
        with closing(migrated(folder / "prices.sqlite")) as database:
            stored(database, list(range(120)))
            stored(database, list(range(40, 60)), symbol="BTCUSDT")
            stored(database, list(range(10)), close=-1.0, source="coinbase")
        self.before = rows_of(folder / "prices.sqlite")

    def run(self, folder: Path) -> None:
        path = folder / "prices.sqlite"
        rules = [found.rule for found in check_database(path, clock()).findings if found.rule is not None]
        repair(path, rules, folder / "archive", clock())

    def account(self, folder: Path) -> None:
        kept, out = rows_of(folder / "prices.sqlite"), archived(folder)
        assert not kept - self.before
        assert (kept | out) & self.before == self.before
        assert set(out) <= set(self.before)

    def finished(self, folder: Path) -> None:
        assert check_database(folder / "prices.sqlite", clock()).findings == []
        assert rows_of(folder / "prices.sqlite").total() == 120


QUEUE, DEAD = "candles", "dead"
WRONG_ROW = (
    "INSERT INTO price_data (symbol, timestamp, timeframe, open, high, low, close, volume_from, source) "
    "VALUES ('BTC-USDC', 1699999200, '1h', 1, 1, 1, -1, 1, 'binance')"
)
LETTERS = [b'{"letter":%d}' % number for number in range(230)]


def queues(folder: Path) -> SqliteQueueStore:
    return SqliteQueueStore(folder / "queues.sqlite", clock())


def bodies(folder: Path) -> dict[str, Counter[bytes]]:
    """By queue, as plain SQL finds them."""
    with closing(sqlite3.connect(folder / "queues.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found = connection.execute(
            "SELECT q.name, b.body FROM messages m JOIN bodies b USING (seq) JOIN queues q ON q.number = m.queue"
        ).fetchall()
    return {name: Counter(body for queue, body in found if queue == name) for name in (QUEUE, DEAD)}


class Desk(Tool):
    def make(self, folder: Path) -> None:
        with queues(folder) as store:
            for name in (QUEUE, DEAD):
                store.create(name)
            store.add_consumer(QUEUE, ConsumerSettings(max_retries=0, dead_letter_queue=DEAD))
            queue = store.open(QUEUE)
            for start in range(0, len(LETTERS), 100):
                queue.send_batch([OutgoingMessage(body) for body in LETTERS[start : start + 100]])
                while messages := queue.lease(100):
                    retry(queue, messages, reason="a fault")
        assert bodies(folder)[DEAD] == Counter(LETTERS)

    def account(self, folder: Path) -> None:
        found = bodies(folder)
        assert found[QUEUE] + found[DEAD] == Counter(LETTERS)
        self.bookkeeping(folder)

    def bookkeeping(self, folder: Path) -> None:
        kinds = {found.kind for found in check_queue_file(folder / "queues.sqlite", clock()).findings}
        assert kinds <= {"bodies"}


class Redrive(Desk):
    def run(self, folder: Path) -> None:
        with queues(folder) as store:
            store.dead_letters(DEAD).redrive()

    def finished(self, folder: Path) -> None:
        assert bodies(folder)[QUEUE] == Counter(LETTERS)


class Resend(Desk):
    expected = ("DeadLetterNotFound",)
    corrected = b'{"letter":"corrected"}'

    def make(self, folder: Path) -> None:
        super().make(folder)
        with queues(folder) as store:
            self.id = store.dead_letters(DEAD).records()[7].id

    def run(self, folder: Path) -> None:
        with queues(folder) as store:
            store.dead_letters(DEAD).resend(self.id, OutgoingMessage(self.corrected))

    def account(self, folder: Path) -> None:
        found = bodies(folder)
        went = found[QUEUE] == Counter([self.corrected]) and found[DEAD] == Counter(LETTERS) - Counter([LETTERS[7]])
        assert went or (not found[QUEUE] and found[DEAD] == Counter(LETTERS))
        self.bookkeeping(folder)

    def finished(self, folder: Path) -> None:
        assert bodies(folder)[QUEUE] == Counter([self.corrected])


class Purge(Desk):
    def run(self, folder: Path) -> None:
        number = len(list(folder.glob("archive-*.jsonl")))
        name = f"archive-{number}-{os.getpid()}.jsonl"
        with queues(folder) as store, archive(str(folder / name), "jsonl") as target:
            store.dead_letters(DEAD).purge(archive=target.keep)

    def account(self, folder: Path) -> None:
        found = bodies(folder)
        whole = [
            line
            for path in folder.glob("archive-*.jsonl")
            for line in path.read_text().splitlines(keepends=True)
            if line.endswith("\n")
        ]
        kept = {json.loads(line)["body"].encode() for line in whole}
        assert not found[QUEUE]
        assert found[DEAD] <= Counter(LETTERS)
        assert kept | set(found[DEAD]) == set(LETTERS)
        self.bookkeeping(folder)

    def finished(self, folder: Path) -> None:
        assert not bodies(folder)[DEAD]


class Restore(Tool):
    def make(self, folder: Path) -> None:
        path = folder / "prices.sqlite"
        with closing(migrated(path)) as database:
            stored(database, list(range(300)))
            self.then = rows_of(path)
            self.point = self.points(folder).take("d", path)
            stored(database, list(range(300, 600)))
            database.execute("DELETE FROM price_data WHERE timestamp % 7 = 0")
        self.before = rows_of(path)

    @staticmethod
    def points(folder: Path) -> Snapshots:
        return Snapshots(folder / "points", clock())

    def run(self, folder: Path) -> None:
        points = self.points(folder)
        points.restore("d", folder / "prices.sqlite", points.named("d", self.point.bookmark))

    def account(self, folder: Path) -> None:
        found = rows_of(folder / "prices.sqlite")
        assert found in (self.then, self.before)
        if found == self.then:
            self.undone(folder)

    def undone(self, folder: Path) -> None:
        """What was replaced can be had again."""
        shutil.copytree(folder, folder / "undone")
        undone = folder / "undone"
        with closing(sqlite3.connect(undone / "points" / "d.sqlite")) as connection:
            marks = [mark for (mark,) in connection.execute("SELECT bookmark FROM points")]
        points = self.points(undone)
        states = []
        for mark in marks:
            points.restore("d", undone / "prices.sqlite", points.named("d", mark))
            states.append(rows_of(undone / "prices.sqlite"))
        shutil.rmtree(undone)
        assert self.before in states

    def finished(self, folder: Path) -> None:
        assert rows_of(folder / "prices.sqlite") == self.then


class Backup(Tool):
    expected = ("UsageError",)

    def make(self, folder: Path) -> None:
        with closing(migrated(folder / "prices.sqlite")) as database:
            stored(database, list(range(600)))
        self.before = rows_of(folder / "prices.sqlite")

    def run(self, folder: Path) -> None:
        backup(folder / "prices.sqlite", folder / "copy.sqlite")

    def account(self, folder: Path) -> None:
        assert rows_of(folder / "prices.sqlite") == self.before
        if (folder / "copy.sqlite").exists():
            assert rows_of(folder / "copy.sqlite") == self.before

    def finished(self, folder: Path) -> None:
        assert rows_of(folder / "copy.sqlite") == self.before


class Migrate(Tool):
    expected = ("SqlError",)
    """Where another was quicker: nothing of the file was applied twice."""

    def make(self, folder: Path) -> None:
        shutil.copytree(bundled_migrations(), folder / "migrations")
        (folder / "migrations" / "0100_count.sql").write_text("CREATE TABLE n (v); INSERT INTO n VALUES (0);")
        for number in range(101, 105):
            (folder / "migrations" / f"0{number}_more.sql").write_text("UPDATE n SET v = v + 1;")
        with closing(migrated(folder / "prices.sqlite")) as database:
            stored(database, list(range(20)))
        self.before = rows_of(folder / "prices.sqlite")

    def run(self, folder: Path) -> None:
        with closing(open_database(folder / "prices.sqlite")) as database:
            apply(database, migrations_in(folder / "migrations"))

    def account(self, folder: Path) -> None:
        assert rows_of(folder / "prices.sqlite") == self.before
        with closing(sqlite3.connect(folder / "prices.sqlite")) as connection:
            more = connection.execute("SELECT count(*) FROM d1_migrations WHERE name LIKE '%more%'").fetchone()
            if connection.execute("SELECT 1 FROM d1_migrations WHERE name LIKE '%count%'").fetchone():
                assert connection.execute("SELECT v FROM n").fetchall() == [more]

    def finished(self, folder: Path) -> None:
        with closing(sqlite3.connect(folder / "prices.sqlite")) as connection:
            assert connection.execute("SELECT v FROM n").fetchall() == [(4,)]


class Canary(Tool):
    def make(self, folder: Path) -> None:
        fresh = FreshStack(folder)
        with fresh.database() as database:
            stored(database, list(range(20)))
        self.before = self.rows(folder)

    @staticmethod
    def stack(folder: Path) -> FreshStack:
        opened = FreshStack.__new__(FreshStack)
        opened.folder, opened.environ, opened.files = folder, {}, []
        return opened

    def rows(self, folder: Path) -> Counter[tuple[Any, ...]]:
        (path,) = [p for p in folder.rglob("*.sqlite") if "D1Database" in str(p)]
        return rows_of(path)

    def run(self, folder: Path) -> None:
        report = self.stack(folder).verify("canary", "first-write-wins", seconds=60.0)
        if report.exit_code == 2:
            raise UsageError("; ".join(result.outcome.message for result in report.results))

    expected = ("UsageError",)

    def account(self, folder: Path) -> None:
        found = self.rows(folder)
        assert all(symbol.startswith("COINSWARM-CANARY-") for symbol, *_ in found - self.before)
        assert not self.before - found

    def finished(self, folder: Path) -> None:
        assert self.rows(folder) == self.before
        with self.stack(folder).queues() as store:
            assert not [queue for queue in store.queues() if queue.name.startswith("coinswarm-canary")]


class CronRun(Tool):
    expected = ("CronBusy",)
    job = Job("collector", Schedule.parse("*/30 * * * *"), "wrangler.toml")
    fire = NOW - NOW % 1_800_000

    def make(self, folder: Path) -> None:
        with CronState(folder / "cron.sqlite") as state:
            state.begin(self.job.key, self.fire - 1)
        with queues(folder) as store:
            store.create(QUEUE)
            store.create(DEAD)

    def run(self, folder: Path) -> None:
        def action(_job: Job, fire: int) -> Any:
            with queues(folder) as store:
                store.open(QUEUE).send_batch([OutgoingMessage(b"%d" % fire)])
            return Done()

        with CronState(folder / "cron.sqlite") as state:
            Runner([self.job], state, clock(), action, missed="all").run_due()

    def account(self, folder: Path) -> None:
        with CronState(folder / "cron.sqlite") as state:
            seen, last = state.seen(self.job.key), state.last(self.job.key)
        assert (seen == self.fire) == (last is not None)
        if seen == self.fire:
            assert bodies(folder)[QUEUE]

    def finished(self, folder: Path) -> None:
        with CronState(folder / "cron.sqlite") as state:
            assert state.seen(self.job.key) == self.fire
        assert set(bodies(folder)[QUEUE]) == {b"%d" % self.fire}


class Done:
    interrupted, ok, message = False, True, "done"

    def as_json(self) -> dict[str, Any]:
        return {}


TOOLS = (Repair, Redrive, Resend, Purge, Restore, Backup, Migrate, Canary, CronRun)
each_tool = pytest.mark.parametrize("kind", TOOLS, ids=lambda kind: kind.__name__.lower())


@dataclass
class Bench:
    """Fresh copies of one tool's files."""

    tool: Tool
    template: Path
    copies: int = 0

    def copy(self) -> Path:
        self.copies += 1
        return Path(shutil.copytree(self.template, self.template.with_name(f"copy-{self.copies}")))

    def child(self, folder: Path, kill: Kill | None = None, *, size: int = 0) -> Child:
        def work(trigger: Trigger) -> dict[str, Any]:
            watched(trigger)
            if size:
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            self.tool.run(folder)
            return {"places": trigger._seen[POINT]}

        return Child(type(self.tool).__name__, work, kill)

    def ended(self, *children: Child, killed: bool = False, may: tuple[str, ...] = ()) -> None:
        while any(child.running for child in children):
            listen(children)
        for child in children:
            assert child.said("bug") is None, child.said("bug")
            assert child.said("hangs") is None
            assert (child.killed_at is not None) == killed
            if not killed and may != ("*",):
                assert child.said("error") in (None, *may), child.heard

    def places(self) -> int:
        child = self.child(self.copy())
        self.ended(child)
        return int(child.said("done")["places"])

    def finish(self, folder: Path) -> None:
        """Account for everything, run it again, and account for everything again."""
        self.tool.account(folder)
        self.ended(self.child(folder), may=self.tool.expected)
        self.tool.account(folder)
        self.tool.finished(folder)
        shutil.rmtree(folder)


@pytest.fixture
def bench(kind: type[Tool], tmp_path: Path) -> Bench:
    template = tmp_path / "template"
    template.mkdir()
    tool = kind()
    tool.make(template)
    return Bench(tool, template)


def killed_at(bench: Bench, places: list[int]) -> None:
    for place in places:
        folder = bench.copy()
        bench.ended(bench.child(folder, Kill(POINT, place)), killed=True)
        bench.finish(folder)


@each_tool
def test_killed_somewhere_a_tool_loses_nothing_and_is_simply_run_again(bench: Bench) -> None:
    places = bench.places()
    assert places > SPREAD
    killed_at(bench, sorted({1 + (places - 1) * number // SPREAD for number in range(SPREAD + 1)}))


@pytest.mark.slow
@each_tool
def test_so_it_is_killed_anywhere(bench: Bench) -> None:
    places = bench.places()
    killed_at(bench, list(range(1, places + 1, 1 + places // MOST)))


@each_tool
@pytest.mark.parametrize("size", [1, 30_000, pytest.param(60_000, marks=pytest.mark.slow)])
def test_a_full_disk_stops_a_tool_says_so_and_takes_nothing_away(bench: Bench, size: int) -> None:
    folder = bench.copy()
    bench.ended(bench.child(folder, size=size), may=("*",))
    bench.finish(folder)


@each_tool
def test_two_at_once_do_each_thing_once(bench: Bench) -> None:
    for _ in range(2):
        folder = bench.copy()
        bench.ended(bench.child(folder), bench.child(folder), may=bench.tool.expected)
        bench.finish(folder)


# --- a repair that is stopped ---


def test_a_repair_stopped_while_it_commits_keeps_the_only_copy_of_what_it_took_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Impatient(sqlite3.Connection):
        """The user asks a second time while the disk is slow: Python raises once SQLite has returned."""

        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            done = super().execute(sql, *parameters)
            if sql == "COMMIT":
                raise StoppedAtOnce(130)
            return done

    tool = Repair()
    tool.make(tmp_path)
    original = sqlite3.connect
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", lambda *args, **options: original(*args, factory=Impatient, **options))
        with pytest.raises(StoppedAtOnce):
            tool.run(tmp_path)
    tool.finished(tmp_path)
    tool.account(tmp_path)


def test_a_repair_that_ends_between_two_files_says_what_it_has_moved(
    coinswarm: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    coinswarm("d1", "migrations", "apply")
    coinswarm("queues", "list")
    assert coinswarm("d1", "execute", "--command", WRONG_ROW).exit_code == 0
    (queue_file,) = coinswarm.directory.rglob("queues.sqlite")
    with closing(sqlite3.connect(queue_file)) as connection:
        connection.execute("UPDATE queues SET backlog = 3")
        connection.commit()
    calls: list[Path] = []

    def one_only(path: Path, *arguments: Any, **options: Any) -> list[Archive]:
        calls.append(path)
        if len(calls) > 1:
            raise Interrupted
        return repair(path, *arguments, **options)

    monkeypatch.setattr("coinswarm.fsck.repair.repair", one_only)
    stopped = coinswarm("fsck", "--repair", "counters", "--repair", "prices", "--archive", "kept", "--yes")
    assert "nothing else was changed" in stopped.err
    assert "Moved" in stopped.err
    (kept,) = (coinswarm.directory / "kept").iterdir()
    assert kept.name in stopped.err.replace("\n", "")
