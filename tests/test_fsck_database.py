"""`coinswarm fsck` on databases: every hazard of the original system is found, named, and moved away on demand."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coinswarm.candles import COLUMNS as CANDLE
from coinswarm.candles import EARLIEST, LATEST, Candle, fault
from coinswarm.clock import ManualClock
from coinswarm.d1.migrate import bundled_migrations
from coinswarm.errors import StorageError
from coinswarm.fsck.check import check_database
from coinswarm.fsck.findings import Finding
from coinswarm.interrupt import Interrupted
from coinswarm.storage import connect
from tests.support.command_line import CommandLine
from tests.support.databases import ORIGINAL_TABLE
from tests.support.seed_system import (
    FIRST_OPEN,
    HAZARDS,
    LOCAL_TABLE,
    SOUND,
    STORED,
    Row,
    contents,
    insert_rows,
    run_sql,
    seed_database,
)

CLOCK = ManualClock((STORED + 86_400) * 1000)
OWN_TABLE = (bundled_migrations() / "0001_price_data.sql").read_text()
ROW_KINDS = [kind for kind in HAZARDS if kind != "relabelled"]


def findings(path: Path) -> dict[str, Finding]:
    return {found.kind: found for found in check_database(path, CLOCK).findings}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- finding ---


def test_a_sound_database_of_the_original_system_has_no_findings(tmp_path: Path) -> None:
    checked = check_database(seed_database(tmp_path / "seed.sqlite", []), CLOCK)
    assert (checked.findings, checked.rows, checked.clean) == ([], len(SOUND), True)


@pytest.mark.parametrize("kind", HAZARDS)
def test_each_hazard_is_found_by_its_name_and_counted_with_nothing_else(tmp_path: Path, kind: str) -> None:
    found = findings(seed_database(tmp_path / "seed.sqlite", [kind]))
    assert {kind: each.count for kind, each in found.items()} == {kind: len(HAZARDS[kind])}
    assert found[kind].severity == "error"
    assert found[kind].examples


def test_all_hazards_at_once_are_all_found(tmp_path: Path) -> None:
    found = findings(seed_database(tmp_path / "seed.sqlite"))
    assert {kind: each.count for kind, each in found.items()} == {kind: len(rows) for kind, rows in HAZARDS.items()}


def test_symbols_are_shown_with_what_they_perhaps_mean(tmp_path: Path) -> None:
    (found,) = findings(seed_database(tmp_path / "seed.sqlite", ["symbols"])).values()
    assert {e["symbol"]: e["perhaps"] for e in found.examples} == {
        "BITCOINUSDT": "BTC-USDT",
        "PANCAKESWAP-TOKENUSDT": "CAKE-USDT",
        "solusdt": "SOL-USDT",
    }


@pytest.mark.parametrize("symbol", ["BTCUSDT", "BITCOIN-USDT", "btc-usdt", "BTC/USDT", "BTC", "BTC-USDT-PERP", ""])
def test_what_no_pair_is_written_like_is_no_symbol(tmp_path: Path, symbol: str) -> None:
    insert_rows(tmp_path / "a.sqlite", [Row(symbol=symbol)], table=OWN_TABLE)
    assert list(findings(tmp_path / "a.sqlite")) == ["symbols"]


@pytest.mark.parametrize(
    "symbol", ["BTC-USDT", "MSOL-SOL", "BTC-ETH", "POLY*-USD", "1INCH-USDC", "ORCA-USD", "GMX-USD"]
)
def test_pairs_are_symbols(tmp_path: Path, symbol: str) -> None:
    insert_rows(tmp_path / "a.sqlite", [Row(symbol=symbol)], table=OWN_TABLE)
    assert findings(tmp_path / "a.sqlite") == {}


@pytest.mark.parametrize(
    "stored_at",
    [str(FIRST_OPEN + 600), str((FIRST_OPEN + 600) * 1000), "'2023-11-14 22:10:00'"],
    ids=["seconds", "milliseconds", "CURRENT_TIMESTAMP"],
)
def test_a_candle_stored_before_it_closed_is_frozen_however_the_time_is_written(tmp_path: Path, stored_at: str) -> None:
    path = seed_database(tmp_path / "seed.sqlite", [])
    run_sql(path, f"UPDATE price_data SET created_at = {stored_at} WHERE timestamp = {FIRST_OPEN}")
    assert {kind: each.count for kind, each in findings(path).items()} == {"frozen": 1}


def test_without_a_time_of_storing_only_candles_of_the_future_are_frozen_and_flat_ones_a_warning(
    tmp_path: Path,
) -> None:
    now = CLOCK.now_ms() // 1000 // 3600 * 3600
    flat = Row().at(0)._replace(open=100.0, high=100.0, low=100.0, close=100.0)
    insert_rows(tmp_path / "a.sqlite", [Row(timestamp=now), Row(timestamp=now - 3600), flat], table=OWN_TABLE)
    checked = check_database(tmp_path / "a.sqlite", CLOCK)
    assert [(f.kind, f.count, f.severity) for f in checked.findings] == [("frozen", 1, "error"), ("flat", 1, "warning")]
    insert_rows(tmp_path / "b.sqlite", [flat], table=OWN_TABLE)
    assert check_database(tmp_path / "b.sqlite", CLOCK).clean


def test_missing_columns_and_tables_are_findings_and_the_rest_is_still_checked(tmp_path: Path) -> None:
    poor, other = tmp_path / "poor.sqlite", tmp_path / "other.sqlite"
    with closing(connect(poor)) as database:
        database.executescript(
            "CREATE TABLE price_data "
            "(symbol TEXT, timestamp INTEGER, open REAL, high REAL, low REAL, close REAL, source TEXT);"
            f"INSERT INTO price_data VALUES ('BTC-USD', {FIRST_OPEN * 1000}, 1, 2, 3, 1, 'kraken')"
        )
    with closing(connect(other)) as database:
        database.executescript("CREATE TABLE historical_prices (symbol TEXT)")
    found = findings(poor)
    assert {kind: each.count for kind, each in found.items()} == {"schema": 3, "prices": 1, "milliseconds": 1}
    assert found["schema"].examples[0]["missing"] == "timeframe, volume_from, volume_to"
    assert [(f.kind, f.examples[0]["tables"]) for f in findings(other).values()] == [("schema", "historical_prices")]


def test_without_the_unique_key_duplicates_and_twins_are_counted(tmp_path: Path) -> None:
    table = LOCAL_TABLE.replace(",\n    PRIMARY KEY (symbol, timestamp, timeframe, source)", "")
    rows = [Row().at(0), Row().at(0)._replace(close=91.0), Row().at(1), *HAZARDS["twins"], *HAZARDS["milliseconds"]]
    insert_rows(tmp_path / "a.sqlite", rows, table=table)
    assert {kind: each.count for kind, each in findings(tmp_path / "a.sqlite").items()} == {
        "schema": 1,
        "duplicates": 1,
        "twins": 1,
        "milliseconds": 2,
    }


def test_a_damaged_file_is_a_finding_and_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    insert_rows(path, [Row().at(hour) for hour in range(2000)], table=ORIGINAL_TABLE)
    run_sql(path, "PRAGMA journal_mode=DELETE")
    with path.open("r+b") as file:
        for page in range(5, 20):
            file.seek(page * 4096)
            file.write(b"\xa5" * 4096)
    checked = check_database(path, CLOCK)
    assert checked.findings[0].kind == "integrity"
    assert not checked.clean


@pytest.mark.parametrize("make", ["absent", "folder", "text"])
def test_what_is_no_database_is_told(tmp_path: Path, make: str) -> None:
    path = tmp_path / "x"
    if make == "folder":
        path.mkdir()
    elif make == "text":
        path.write_text("no database at all, but long enough to have a header " * 50)
    with pytest.raises(StorageError, match=str(path)):
        check_database(path, CLOCK)


def test_a_check_alters_neither_the_file_nor_its_journal_mode(tmp_path: Path) -> None:
    path = seed_database(tmp_path / "seed.sqlite")
    run_sql(path, "PRAGMA journal_mode=DELETE")
    before = digest(path)
    check_database(path, CLOCK)
    assert digest(path) == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["seed.sqlite"]


def test_a_check_sees_one_state_and_keeps_no_writer_waiting(tmp_path: Path) -> None:
    path = seed_database(tmp_path / "seed.sqlite", [])
    with closing(connect(path, busy_timeout=0.0)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute(
            "INSERT INTO price_data (symbol, timestamp, timeframe, open, high, low, close, source) "
            "VALUES ('x', 1, 'x', 0, 0, 0, 0, 'x')"
        )
        assert findings(path) == {}
        writer.execute("COMMIT")
    assert set(findings(path)) >= {"prices", "symbols", "timeframes"}


def test_a_check_ends_when_told(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    insert_rows(path, [], table=OWN_TABLE)
    run_sql(
        path,
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) "
        "INSERT INTO price_data SELECT 'BTC-USDC', '1m', 'x', i * 60 + 1600000020, 1, 2, 1, 1, NULL, NULL FROM n",
    )
    with pytest.raises(Interrupted):
        check_database(path, CLOCK, stop=lambda: True)


# --- the rules in SQL are the rules of the pipeline ---

_number = st.sampled_from([100.0, 90.0, 110.0, 0.0, -1.0, float("inf"), 1e-9, 1e300, 105])
_candle = st.builds(
    Candle,
    symbol=st.just("BTC-USDC"),
    timestamp=st.one_of(
        st.sampled_from([FIRST_OPEN, FIRST_OPEN + 60, FIRST_OPEN * 1000, EARLIEST - 1, LATEST, 0, -3600]),
        st.integers(EARLIEST - 10, EARLIEST + 10),
        st.integers(0, 10**16),
    ),
    timeframe=st.sampled_from(["1h", "1m", "1w", "4h", "day", ""]),
    open=_number,
    high=_number,
    low=_number,
    close=_number,
    volume_from=st.one_of(st.none(), _number),
    volume_to=st.one_of(st.none(), _number),
    source=st.sampled_from(["binance", "kraken", " kraken", ""]),
)


@pytest.mark.parametrize("table", [OWN_TABLE, ORIGINAL_TABLE, LOCAL_TABLE], ids=["own", "original", "local"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(candle=_candle)
def test_fsck_finds_a_row_unsound_exactly_when_the_consumer_would_refuse_it(
    tmp_path_factory: pytest.TempPathFactory, table: str, candle: Candle
) -> None:
    path = tmp_path_factory.mktemp("rows") / "a.sqlite"
    insert_rows(path, [Row(**{name: getattr(candle, name) for name in CANDLE})], table=table)
    checked = check_database(path, CLOCK)
    closed_before = STORED if table is ORIGINAL_TABLE else CLOCK.now_ms() // 1000
    assert checked.clean == (fault(candle, closed_before=closed_before) is None), checked.findings


_kinds = st.lists(st.sampled_from(ROW_KINDS), min_size=1, unique=True)


@settings(max_examples=10, deadline=None)
@given(kinds=_kinds)
def test_any_mixture_of_hazards_is_repaired_from_archives_that_give_back_every_row(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str]
) -> None:
    from coinswarm.fsck.archive import restore
    from coinswarm.fsck.repair import repair

    folder = tmp_path_factory.mktemp("seed")
    path = seed_database(folder / "seed.sqlite", kinds)
    before = contents(path)
    rules = [found.rule for found in findings(path).values() if found.rule is not None]
    archives = repair(path, rules, folder / "archive", CLOCK)
    assert Counter({kept.kind: kept.rows for kept in archives}) == {kind: len(HAZARDS[kind]) for kind in kinds}
    assert findings(path) == {}
    assert [row for row in before if row in contents(path)] == contents(path)
    assert len(contents(path)) == len(SOUND)
    for kept in archives:
        assert restore(kept.path, path) == kept.rows
        assert restore(kept.path, path) == 0
    assert contents(path) == before


# --- the command ---


def fsck(coinswarm: CommandLine, *arguments: str | Path) -> Any:
    return coinswarm("fsck", *arguments, "--json")


def test_the_command_exits_1_with_findings_and_0_without(coinswarm: CommandLine, tmp_path: Path) -> None:
    path = seed_database(tmp_path / "seed.sqlite", ["twins"])
    result = fsck(coinswarm, "--database", path)
    assert (result.exit_code, result.err) == (1, "")
    (file,) = result.json["files"]
    (found,) = file["findings"]
    assert (file["rows"], found["kind"], found["count"]) == (51, "twins", 1)
    assert found["repair"] == f"coinswarm fsck --database {path} --repair twins --archive fsck-archive"
    human = coinswarm("fsck", "--database", path)
    assert "twins: 1 × candles stored twice" in human.out
    assert f"→ {found['repair']}" in human.err
    assert fsck(coinswarm, "--database", seed_database(tmp_path / "sound.sqlite", [])).exit_code == 0


def test_the_proposed_repair_moves_the_rows_and_its_undo_brings_them_back(
    coinswarm: CommandLine, tmp_path: Path
) -> None:
    path = seed_database(tmp_path / "seed.sqlite", ["twins", "prices"])
    before = contents(path)
    refused = fsck(coinswarm, "--database", path, "--repair", "twins", "--archive", "kept")
    assert (refused.exit_code, refused.error[:2]) == (2, ("UsageError", "nothing was changed"))
    assert contents(path) == before
    assert not (tmp_path / "kept").exists()

    done = fsck(coinswarm, "--database", path, "--repair", "twins", "--archive", "kept", "--yes")
    assert done.exit_code == 1, "the prices are still unsound"
    (kept,) = done.json["repaired"]
    assert (kept["kind"], kept["rows"]) == ("twins", 1)
    assert [f["kind"] for f in done.json["files"][0]["findings"]] == ["prices"]
    assert len(contents(path)) == len(before) - 1
    assert (tmp_path / kept["archive"]).stat().st_mode & 0o777 == 0o600

    back = fsck(coinswarm, *kept["restore"].split()[2:])
    assert (back.exit_code, back.json["rows"]) == (0, 1)
    assert contents(path) == before


def test_any_sqlite_shell_can_run_an_archive(coinswarm: CommandLine, tmp_path: Path) -> None:
    path = seed_database(tmp_path / "seed.sqlite", ["types", "not-finite"])
    before = contents(path)
    fsck(coinswarm, "--database", path, "--repair", "types", "--repair", "not-finite", "--archive", "kept", "--yes")
    assert len(contents(path)) == len(SOUND)
    for archive in (tmp_path / "kept").iterdir():
        run_sql(path, archive.read_text())
    assert contents(path) == before


def test_of_two_names_for_one_market_the_one_that_is_named_is_taken_out(coinswarm: CommandLine, tmp_path: Path) -> None:
    path = seed_database(tmp_path / "seed.sqlite", ["relabelled"])
    (found,) = fsck(coinswarm, "--database", path).json["files"][0]["findings"]
    assert (found["count"], found["repair"]) == (5, None)
    assert {found["examples"][0]["series"], found["examples"][0]["equal_to"]} == {
        "BTC-USDC 1h binance",
        "BTC-USDT 1h binance",
    }
    flags: list[str | Path] = ["--database", path, "--repair", "relabelled", "--archive", "kept", "--yes"]
    assert fsck(coinswarm, *flags).error[1] == "--repair relabelled needs --symbol S"
    done = fsck(coinswarm, *flags, "--symbol", "BTC-USDT")
    assert (done.exit_code, done.json["clean"]) == (0, True)
    assert len(contents(path)) == len(SOUND)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--repair", "twins"], "--repair needs --archive DIR"),
        (["--repair", "nonsense", "--archive", "kept", "--yes"], "there is no finding nonsense to repair"),
        (["--repair", "twins", "--repair", "nope", "--archive", "kept", "--yes"], "there is no finding nope to repair"),
        (["--symbol", "X"], "--symbol belongs to --repair relabelled"),
        (["--restore", "seed.sqlite"], "seed.sqlite is not an archive of coinswarm fsck"),
        (["--restore", "nope.sql"], "nope.sql cannot be read"),
    ],
)
def test_wrong_use_changes_nothing(coinswarm: CommandLine, tmp_path: Path, flags: list[str], message: str) -> None:
    path = seed_database(tmp_path / "seed.sqlite", ["twins"])
    before = contents(path)
    result = fsck(coinswarm, "--database", path, *flags)
    assert (result.exit_code, result.error[0]) == (2, "UsageError")
    assert result.error[1].startswith(message)
    assert contents(path) == before
    assert not (tmp_path / "kept").exists()


def test_a_repair_that_a_trigger_of_the_table_foils_is_undone(coinswarm: CommandLine, tmp_path: Path) -> None:
    path = seed_database(tmp_path / "seed.sqlite", ["twins"])
    run_sql(path, "CREATE TRIGGER keep BEFORE DELETE ON price_data BEGIN SELECT RAISE(IGNORE); END")
    before = contents(path)
    result = fsck(coinswarm, "--database", path, "--repair", "twins", "--archive", "kept", "--yes")
    assert (result.exit_code, result.error[0]) == (1, "StorageError")
    assert contents(path) == before
    assert list((tmp_path / "kept").iterdir()) == []


_INDICATORS = "CREATE TABLE indicators (symbol, timestamp, value"
_FOLLOWERS = {
    "trigger": (
        f"{_INDICATORS})",
        "CREATE TRIGGER follow AFTER DELETE ON price_data BEGIN DELETE FROM indicators WHERE symbol = old.symbol; END",
    ),
    "trigger on the table itself": (
        f"{_INDICATORS})",
        "CREATE TRIGGER follow AFTER DELETE ON price_data BEGIN DELETE FROM price_data WHERE symbol = old.symbol; END",
    ),
    "trigger that keeps a journal": (
        f"{_INDICATORS})",
        "CREATE TRIGGER follow AFTER DELETE ON price_data BEGIN INSERT INTO indicators VALUES (old.symbol, 0, 0); END",
    ),
    "cascade": (f"{_INDICATORS}, candle REFERENCES price_data (id) ON DELETE CASCADE)",),
    "set null": (f"{_INDICATORS}, candle REFERENCES price_data (id) ON DELETE SET NULL)",),
}


@pytest.mark.parametrize("follower", _FOLLOWERS)
def test_a_repair_that_would_change_other_rows_than_those_it_archives_is_undone_and_foretold(
    coinswarm: CommandLine, tmp_path: Path, follower: str
) -> None:
    path = seed_database(tmp_path / "seed.sqlite", ["misaligned"])
    for sql in _FOLLOWERS[follower]:
        run_sql(path, sql)
    with closing(connect(path)) as database:
        (wrong,) = database.execute("SELECT id FROM price_data WHERE timestamp % 3600 <> 0").fetchone()
        extra = ", ?" if "candle" in _FOLLOWERS[follower][0] else ""
        values = ("BTC-USDC", FIRST_OPEN, 1.5, *((wrong,) if extra else ()))
        database.execute(f"INSERT INTO indicators VALUES (?, ?, ?{extra})", values)
    found = findings(path)
    assert set(found) == {"misaligned", "on-delete"}
    assert found["on-delete"].severity == "warning"

    def everything() -> list[Any]:
        with closing(connect(path)) as database:
            return [database.execute(f"SELECT * FROM {table}").fetchall() for table in ("price_data", "indicators")]

    before = everything()
    result = fsck(coinswarm, "--database", path, "--repair", "misaligned", "--archive", "kept", "--yes")
    assert (result.exit_code, result.error[0]) == (1, "StorageError")
    assert "more rows with it, which no archive holds" in result.error[1]
    assert everything() == before
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_repair_that_would_leave_another_row_without_the_candle_it_refers_to_is_undone(
    coinswarm: CommandLine, tmp_path: Path
) -> None:
    path = seed_database(tmp_path / "seed.sqlite", ["misaligned"])
    run_sql(path, "CREATE TABLE indicators (candle REFERENCES price_data (id))")
    run_sql(path, "INSERT INTO indicators SELECT id FROM price_data WHERE timestamp % 3600 <> 0")
    before = contents(path)
    result = fsck(coinswarm, "--database", path, "--repair", "misaligned", "--archive", "kept", "--yes")
    assert (result.exit_code, result.error[0]) == (1, "StorageError")
    assert contents(path) == before
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_trigger_that_does_nothing_to_the_rows_that_move_stops_no_repair(
    coinswarm: CommandLine, tmp_path: Path
) -> None:
    path = seed_database(tmp_path / "seed.sqlite", ["misaligned"])
    for sql in _FOLLOWERS["trigger"]:
        run_sql(path, sql)
    run_sql(path, "INSERT INTO indicators VALUES ('ETH-USDC', 0, 0)")
    result = fsck(coinswarm, "--database", path, "--repair", "misaligned", "--archive", "kept", "--yes")
    assert (result.exit_code, result.json["clean"]) == (0, True)
    with closing(connect(path)) as database:
        assert database.execute("SELECT count(*) FROM indicators").fetchone() == (1,)


def test_an_archive_that_does_not_fit_on_the_disk_leaves_the_rows_where_they_are(
    coinswarm: CommandLine, tmp_path: Path
) -> None:
    path = seed_database(tmp_path / "seed.sqlite", ["twins"])
    (tmp_path / "kept").write_text("a file, where a folder should be")
    before = contents(path)
    result = fsck(coinswarm, "--database", path, "--repair", "twins", "--archive", "kept", "--yes")
    assert result.exit_code == 1
    assert contents(path) == before


def test_a_restored_archive_may_hold_nothing_but_rows(tmp_path: Path, coinswarm: CommandLine) -> None:
    path = seed_database(tmp_path / "seed.sqlite", [])
    header = json.dumps({"file": str(path), "kind": "twins", "table": "price_data", "rows": 1})
    (tmp_path / "evil.sql").write_text(f"-- coinswarm fsck archive: {header}\nDROP TABLE price_data;\n")
    result = fsck(coinswarm, "--restore", "evil.sql")
    assert result.error[1].endswith("holds more than rows to put back: DROP TABLE price_data;")
    assert len(contents(path)) == len(SOUND)


def test_an_archive_folder_that_cannot_be_is_named_with_the_flag_that_chooses_another(
    coinswarm: CommandLine, tmp_path: Path
) -> None:
    path = seed_database(tmp_path / "seed.sqlite", ["twins"])
    for folder in ("/dev/null/x", path):
        result = fsck(coinswarm, "--database", path, "--repair", "twins", "--archive", folder, "--yes")
        assert result.error[1].startswith(f"the archive folder {folder} cannot be made: "), result
        assert "--archive DIR" in result.json["error"]["hint"]


@pytest.mark.parametrize("lines", [1, 2])
def test_an_archive_that_is_cut_short_puts_nothing_back(coinswarm: CommandLine, tmp_path: Path, lines: int) -> None:
    path = seed_database(tmp_path / "seed.sqlite", ["types"])
    fsck(coinswarm, "--database", path, "--repair", "types", "--archive", "kept", "--yes")
    (archive,) = (tmp_path / "kept").iterdir()
    text = archive.read_text().splitlines(keepends=True)
    assert len(text) == 3
    (tmp_path / "cut.sql").write_text("".join(text[:lines]))
    result = fsck(coinswarm, "--restore", "cut.sql")
    assert (result.exit_code, result.error[0]) == (2, "UsageError")
    assert result.error[1].startswith("cut.sql is cut short")
    assert len(contents(path)) == len(SOUND)


def test_a_row_whose_place_another_has_taken_stays_in_the_archive_and_that_is_told(
    coinswarm: CommandLine, tmp_path: Path
) -> None:
    path = seed_database(tmp_path / "seed.sqlite", ["prices"])
    before = contents(path)
    fsck(coinswarm, "--database", path, "--repair", "prices", "--archive", "kept", "--yes")
    (archive,) = (tmp_path / "kept").iterdir()
    missing = [row for row in before if row not in contents(path)]
    run_sql(path, archive.read_text().splitlines()[1])
    with closing(connect(path)) as database:
        database.execute("UPDATE price_data SET open = 1, high = 2, low = 1 WHERE id = ?", (missing[0][0],))
    corrected = contents(path)
    human = coinswarm("fsck", "--restore", str(archive))
    assert f"1 of {len(missing)} are there already, or another row has their place" in human.err
    assert [row for row in corrected if row in contents(path)] == corrected
    again = fsck(coinswarm, "--restore", archive)
    assert (again.json["rows"], again.json["left"]) == (0, len(missing))


def test_a_name_that_is_no_text_at_all_is_moved_too(coinswarm: CommandLine, tmp_path: Path) -> None:
    path = seed_database(tmp_path / "seed.sqlite", [])
    run_sql(path, f"UPDATE price_data SET symbol = CAST(X'80FF41' AS TEXT) WHERE timestamp = {FIRST_OPEN}")
    done = fsck(coinswarm, "--database", path, "--repair", "symbols", "--archive", "kept", "--yes")
    assert (done.exit_code, done.json["repaired"][0]["rows"]) == (0, 1), done
    assert len(contents(path)) == len(SOUND) - 1
    assert fsck(coinswarm, *done.json["repaired"][0]["restore"].split()[2:]).json["rows"] == 1
    with closing(connect(path)) as database:
        kept = database.execute("SELECT CAST(symbol AS BLOB) FROM price_data WHERE timestamp = ?", (FIRST_OPEN,))
        assert kept.fetchall() == [(b"\x80\xffA",)]


def test_a_name_that_is_neither_file_nor_database_is_told(coinswarm: CommandLine) -> None:
    result = fsck(coinswarm, "--database", "nope")
    assert (result.exit_code, result.error[0]) == (2, "UsageError")
    assert result.error[1].startswith("nope is neither a file nor a database")


def test_without_flags_the_stacks_own_files_are_checked(coinswarm: CommandLine) -> None:
    assert fsck(coinswarm).json == {"clean": True, "files": [], "repaired": []}
    coinswarm("d1", "migrations", "apply")
    coinswarm("queues", "list")
    result = fsck(coinswarm)
    assert (result.exit_code, [file["kind"] for file in result.json["files"]]) == (0, ["queues", "d1"])
    assert fsck(coinswarm, "--database", "DB").json["files"][0]["rows"] == 0


@pytest.mark.slow
def test_a_million_rows_are_checked_within_flat_memory(tmp_path: Path) -> None:
    import resource

    path = tmp_path / "large.sqlite"
    insert_rows(path, [], table=OWN_TABLE)
    run_sql(
        path,
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999999) INSERT INTO price_data "
        "SELECT 'BTC-USDC', '1m', 'binance', i * 60 + 1600000020, 100 + i, 102.5 + i, 99.5 + i, 101 + i, 1, 2 FROM n",
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    checked = check_database(path, CLOCK)
    assert (checked.rows, checked.findings) == (1_000_000, [])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000
