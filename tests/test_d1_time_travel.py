"""Time Travel: states of the past, kept cheaply, and the way back to them."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from coinswarm.clock import ManualClock
from coinswarm.d1 import snapshots
from coinswarm.d1.catalogue import BoundDatabase, Catalogue
from coinswarm.d1.local import LocalDatabase
from coinswarm.d1.snapshots import Point, Snapshots
from coinswarm.d1.time_travel import EVERY_SECONDS, TimeTravel
from coinswarm.errors import DatabaseNotFound, InvalidRequest, StorageLocked
from coinswarm.storage import connect, transaction

ID = "ac4629b2-8240-4378-b3e3-e5262cd9b285"
HOUR = 3_600.0


class Past(NamedTuple):
    travel: TimeTravel
    database: LocalDatabase
    catalogue: Catalogue
    clock: ManualClock
    folder: Path

    def put(self, *values: object) -> None:
        for value in values:
            self.database.execute("INSERT INTO t VALUES (?)", (str(value),))

    @property
    def rows(self) -> list[object]:
        return [row[0] for row in self.database.execute("SELECT v FROM t ORDER BY rowid")[0].rows]

    @property
    def kept_bytes(self) -> int:
        return sum(file.stat().st_size for file in (self.folder / "time-travel").glob("*"))


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    clock = ManualClock()
    catalogue = Catalogue(
        tmp_path,
        configured=[BoundDatabase("prices", ID, "DB")],
        opener=lambda info, path: LocalDatabase(path, name=info.name, id=info.uuid, clock=clock),
        clock=clock,
    )
    travel = TimeTravel(catalogue, Snapshots(tmp_path / "time-travel", clock), clock)
    with closing(catalogue), catalogue.use("prices") as database:
        assert isinstance(database, LocalDatabase)
        database.execute("CREATE TABLE t (v)")
        yield Past(travel, database, catalogue, clock, tmp_path)


def test_a_bookmark_leads_back_and_its_predecessor_forth_again(past: Past) -> None:
    past.put("a")
    before = past.travel.now("prices")
    past.put("b")
    past.database.execute("CREATE TABLE other (x)")
    undo = past.travel.restore("prices", past.travel.named("prices", before.bookmark))
    assert past.rows == ["a"]
    past.travel.restore("prices", undo)
    assert past.rows == ["a", "b"]
    assert past.database.execute("SELECT * FROM other")[0].rows == []


def test_the_open_database_goes_on_after_a_restore(past: Past) -> None:
    start = past.travel.now("prices")
    past.put(*range(1000))
    past.travel.restore("prices", start)
    past.put("new")
    assert past.rows == ["new"]
    assert past.database.execute("PRAGMA quick_check")[0].rows == [("ok",)]


@pytest.mark.parametrize(("schema", "target_rows"), [(False, 0), (True, 0), (True, 3), (True, 30_000)])
def test_what_is_written_at_the_last_instant_before_a_restore_is_in_the_point_that_undoes_it(
    past: Past, monkeypatch: pytest.MonkeyPatch, schema: bool, target_rows: int
) -> None:
    if schema:
        past.database.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {target_rows}) "
            "INSERT INTO t SELECT printf('%0400d', i) FROM n WHERE i <= ?",
            (target_rows,),
        )
    else:
        with closing(connect(past.database.path)) as opened:
            opened.executescript("DROP TABLE t; VACUUM")
    before = past.rows if schema else []
    target = past.travel.now("prices")
    past.database.execute("CREATE TABLE IF NOT EXISTS t (v)")
    past.put("early")
    taken: list[Point] = []
    take = Snapshots.take

    def then_somebody_writes(self: Snapshots, database_id: str, path: Path) -> Point:
        taken.append(take(self, database_id, path))
        if len(taken) == 1:
            past.put("late")
        return taken[-1]

    monkeypatch.setattr(Snapshots, "take", then_somebody_writes)
    undo = past.travel.restore("prices", target)
    assert len(taken) == 2
    assert undo == taken[1]
    tables = past.database.execute("SELECT count(*) FROM sqlite_schema")[0].rows
    assert (past.rows if schema else tables) == (before if schema else [(0,)])
    past.travel.restore("prices", undo)
    assert past.rows == [*before, "early", "late"]


def test_nobody_can_write_between_the_last_look_and_the_restore(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    target = past.travel.now("prices")
    past.put("early")
    take, refused = Snapshots.take, []

    def then_somebody_writes(self: Snapshots, database_id: str, path: Path) -> Point:
        point = take(self, database_id, path)
        with closing(connect(path, busy_timeout=0)) as other:
            try:
                other.execute("INSERT INTO t VALUES ('late')")
            except sqlite3.OperationalError as error:
                refused.append(str(error))
        return point

    monkeypatch.setattr(Snapshots, "take", then_somebody_writes)
    undo = past.travel.restore("prices", target)
    assert refused == ["database is locked"]
    assert past.rows == []
    past.travel.restore("prices", undo)
    assert past.rows == ["early", "late"]


def test_a_restore_while_another_keeps_the_file_locked_says_so_and_changes_nothing(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "connect", partial(connect, busy_timeout=0.0))
    target = past.travel.now("prices")
    past.put("a")
    refusal = pytest.raises(StorageLocked, match="nothing was restored")
    with closing(connect(past.database.path)) as other, transaction(other), refusal:
        past.travel.restore("prices", target)
    assert past.rows == ["a"]


def test_a_point_that_ages_out_by_the_restore_to_it_is_restored_all_the_same(past: Past) -> None:
    first = past.travel.now("prices")
    past.clock.advance(60)
    past.put("a")
    past.travel.now("prices")  # the last of its day, for which alone the day is kept
    past.clock.advance(3 * 24 * HOUR)
    past.put("b")
    undo = past.travel.restore("prices", first)
    assert past.rows == []
    past.travel.restore("prices", undo)
    assert past.rows == ["a", "b"]


def test_copies_that_a_killed_process_left_go_a_day_later(past: Past) -> None:
    folder = past.folder / "time-travel"
    past.travel.now("prices")
    now = past.clock.now_ms() / 1000
    for name, age in ((".point-old", 90_000), (".restore-old", 90_000), (".point-new", 60)):
        (folder / name).mkdir()
        (folder / name / "copy.sqlite").write_bytes(b"x")
        os.utime(folder / name, (now - age, now - age))
    past.travel.now("prices")
    assert [path.name for path in folder.glob(".*")] == [".point-new"]


def test_a_copy_that_is_being_made_stays_though_a_clock_was_set_forward(past: Past) -> None:
    maker = Snapshots(past.folder / "time-travel", past.clock)
    past.travel.now("prices")
    with maker._scratch("point") as folder:
        past.clock.advance(10_000 * 86_400)
        past.put("a")
        past.travel.now("prices")
        assert folder.is_dir()
    assert not folder.exists()


def test_bookmarks_have_cloudflares_form_and_sort_by_time(past: Past) -> None:
    names = []
    for number in range(12):
        past.put(number)
        past.clock.advance(1)
        names.append(past.travel.now("prices").bookmark)
    assert names == sorted(names)
    assert len(set(names)) == 12
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}", name) for name in names)


def test_a_database_that_did_not_change_keeps_its_bookmark(past: Past) -> None:
    first = past.travel.now("prices")
    past.clock.advance(HOUR)
    assert past.travel.now("prices") == first


def test_a_moment_leads_to_the_last_point_by_then(past: Past) -> None:
    started = past.clock.now_ms()
    past.put("a")
    first = past.travel.now("prices")
    past.clock.advance(HOUR)
    past.put("b")
    second = past.travel.now("prices")
    past.clock.advance(HOUR)
    past.put("c")
    assert past.travel.at("prices", started) == first
    assert past.travel.at("prices", started + 3_599_999) == first
    assert past.travel.at("prices", started + 3_600_000) == second
    assert past.travel.at("prices", past.clock.now_ms()).number == 3
    with pytest.raises(InvalidRequest, match="no restore point at or before"):
        past.travel.at("prices", started - 1)


@pytest.mark.parametrize(
    "bookmark", ["", "nonsense", "00000001-00000001-00000001-" + "0" * 31, "'; DROP TABLE points; --"]
)
def test_what_is_no_bookmark_is_refused(past: Past, bookmark: str) -> None:
    with pytest.raises(InvalidRequest, match="not a bookmark"):
        past.travel.named("prices", bookmark)


def test_a_bookmark_of_another_database_is_refused(past: Past) -> None:
    other = past.catalogue.create("other")
    point = past.travel.now("prices")
    with pytest.raises(InvalidRequest, match="There is no restore point"):
        past.travel.named(other.name, point.bookmark)
    with pytest.raises(DatabaseNotFound):
        past.travel.now("neither")


def test_a_point_costs_what_changed_since_the_last(past: Past) -> None:
    past.put(*(os.urandom(30_000).hex() for _ in range(40)))
    past.travel.now("prices")
    one = past.kept_bytes
    past.put("a little more")
    past.travel.now("prices")
    assert one > 1_000_000
    assert past.kept_bytes < one * 1.25


def test_points_are_taken_before_changes_but_not_too_often(past: Past) -> None:
    past.put("a")
    first = past.travel.before_change("prices")
    past.put("b")
    assert first is not None
    assert past.travel.before_change("prices") is None
    past.clock.advance(EVERY_SECONDS)
    second = past.travel.before_change("prices")
    assert second is not None
    past.put("c")
    past.travel.restore("prices", second)
    assert past.rows == ["a", "b"]


def test_of_those_who_change_at_once_one_copies_and_none_waits_for_the_copy(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    past.put("a")
    other = past.catalogue.create("other")
    copied, go_on = threading.Event(), threading.Event()
    pieces = snapshots._pieces

    def slowly(path: Path) -> Iterator[bytes]:
        copied.set()
        assert go_on.wait(30)
        yield from pieces(path)

    with ThreadPoolExecutor(8) as pool:
        monkeypatch.setattr(snapshots, "_pieces", slowly)
        first = pool.submit(past.travel.before_change, "prices")
        assert copied.wait(30)
        monkeypatch.setattr(snapshots, "_pieces", pieces)
        try:
            others = [pool.submit(past.travel.before_change, "prices") for _ in range(6)]
            assert [each.result(10) for each in others] == [None] * 6
            assert pool.submit(past.travel.now, other.name).result(10).number == 1
        finally:
            go_on.set()
    assert first.result() == past.travel.now("prices")
    assert first.result() is not None


def test_what_is_written_once_a_point_is_begun_is_not_in_it(past: Past) -> None:
    past.put("a")
    points = Snapshots(past.folder / "time-travel", past.clock)
    point = points.take(ID, past.database.path, begun=lambda: past.put("b"))
    assert past.rows == ["a", "b"]
    past.travel.restore("prices", point)
    assert past.rows == ["a"]


def test_a_bookmark_given_out_before_names_the_state_that_is_taken_then(past: Past) -> None:
    past.put("a")
    unchanged = past.travel.now("prices")
    names = [past.travel.name("prices") for _ in range(2)]
    points = [past.travel.named_now("prices", name) for name in names]
    assert [point and point.bookmark for point in points] == names
    assert unchanged.bookmark < min(names)
    past.put("b")
    assert past.travel.now("prices").bookmark > max(names)
    for name in names:
        past.travel.restore("prices", past.travel.named("prices", name))
        assert past.rows == ["a"]


def test_a_point_that_failed_is_tried_again_at_the_next_change(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    past.put("a")
    with monkeypatch.context() as patched:
        patched.setattr(snapshots, "_pieces", _no_room)
        assert past.travel.before_change("prices") is None
    assert past.travel.before_change("prices") is not None


def test_a_point_that_cannot_be_kept_stands_in_no_ones_way(past: Past) -> None:
    (past.folder / "time-travel").write_text("in the way")
    assert past.travel.before_change("prices") is None
    assert past.travel.named_now("prices", past.travel.name("prices")) is None


def test_of_older_days_the_last_point_stays_and_after_thirty_days_none(past: Past) -> None:
    for number in range(4):  # at 22:13, and from the next day on at 10:13 and 22:13
        past.put(number)
        past.travel.now("prices")
        past.clock.advance(12 * HOUR)
    points = [past.travel.at("prices", past.clock.now_ms() - 43_200_000 * back) for back in (4, 3, 2, 1)]
    assert [point.number for point in points] == [1, 2, 3, 4]
    past.clock.advance(3 * 24 * HOUR)
    past.put("later")
    past.travel.now("prices")
    with pytest.raises(InvalidRequest):
        past.travel.named("prices", points[1].bookmark)
    assert past.travel.named("prices", points[2].bookmark) == points[2]
    past.travel.restore("prices", past.travel.named("prices", points[3].bookmark))
    assert past.rows == ["0", "1", "2", "3"]
    past.clock.advance(31 * 24 * HOUR)
    past.put("much later")
    past.travel.now("prices")
    with pytest.raises(InvalidRequest, match="kept for 30 days"):
        past.travel.named("prices", points[3].bookmark)


def test_the_past_of_a_deleted_database_goes_with_it(past: Past) -> None:
    info = past.catalogue.create("other")
    with past.catalogue.use("other") as other:
        other.execute("CREATE TABLE x (y)")
    past.travel.now("other")
    past.catalogue.delete("other")
    past.travel.forget(info.uuid)
    assert list((past.folder / "time-travel").glob(f"{info.uuid}*")) == []
    assert not past.catalogue.path(info).exists()


def test_nothing_is_left_lying_about(past: Past) -> None:
    past.put("a")
    point = past.travel.now("prices")
    past.put("b")
    past.travel.restore("prices", point)
    strays = [path for path in past.folder.rglob("*") if path.name.startswith((".point", ".restore"))]
    assert strays == []


def _no_room(path: Path) -> Iterator[bytes]:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
