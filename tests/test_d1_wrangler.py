"""wrangler and coinswarm on one local D1: both see the same rows, whoever made the file."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from coinswarm.d1.local import LocalDatabase
from coinswarm.d1.migrate import applied, apply, bundled_migrations, migrations_in, pending
from coinswarm.d1.path import database_path
from tests.support.databases import migrated, open_database, row, stored, value
from tests.support.wrangler import wrangler

pytestmark = pytest.mark.wrangler

UUID = "ac4629b2-8240-4378-b3e3-e5262cd9b285"
COUNT = "SELECT count(*) AS rows FROM price_data"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "wrangler.toml").write_text(
        f"""name = "prices"
compatibility_date = "2025-01-01"
[[d1_databases]]
binding = "DB"
database_name = "coinswarm-evolution"
database_id = "{UUID}"
migrations_dir = "migrations"
"""
    )
    folder = tmp_path / "migrations"
    folder.mkdir()
    for migration in migrations_in(bundled_migrations()):
        (folder / migration.name).write_text(migration.sql())
    return tmp_path


def file(project: Path, persist_to: str = ".wrangler/state") -> Path:
    return database_path(UUID, project / persist_to)


def execute(project: Path, sql: str, *options: str) -> list[dict[str, Any]]:
    ran = wrangler(
        *("d1", "execute", "coinswarm-evolution", "--local", "--json", "--command", sql, *options), cwd=project
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    results: list[dict[str, Any]] = json.loads(ran.stdout)[-1]["results"]
    return results


def test_wrangler_reads_what_we_wrote_while_we_hold_the_file_and_the_other_way_round(project: Path) -> None:
    with closing(migrated(file(project))) as ours:
        stored(ours, [0, 1, 2])
        assert execute(project, COUNT) == [{"rows": 3}]
        names = (
            "symbol",
            "timestamp",
            "timeframe",
            "open",
            "high",
            "low",
            "close",
            "volume_from",
            "volume_to",
            "source",
        )
        assert execute(project, "SELECT * FROM price_data ORDER BY timestamp")[0] == dict(
            zip(names, row(0), strict=True)
        )
        execute(
            project, "INSERT INTO price_data VALUES ('ETH-USDC', '1h', 'kraken', 1699999200, 1, 2, 1, 2, NULL, 0.5)"
        )
        seen = ours.execute("SELECT open, volume_from, volume_to FROM price_data WHERE source = 'kraken'")[0].rows
        assert seen == [(1.0, None, 0.5)]
        stored(ours, [3])
        assert execute(project, COUNT) == [{"rows": 5}]


@pytest.mark.slow
def test_a_file_that_wrangler_made_is_ours_too_and_its_migrations_count(project: Path) -> None:
    ran = wrangler("d1", "migrations", "apply", "coinswarm-evolution", "--local", cwd=project)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert file(project).exists()
    with closing(open_database(file(project), create=False)) as ours:
        assert applied(ours) == ["0001_price_data.sql"]
        assert pending(ours, migrations_in(project / "migrations")) == []
        stored(ours, [0, 0, 1])
        assert value(ours, COUNT) == 2
        assert execute(project, COUNT) == [{"rows": 2}]


def test_wrangler_sees_the_migrations_that_we_applied(project: Path) -> None:
    with closing(LocalDatabase(file(project), name="prices", id=UUID)) as ours:
        apply(ours, migrations_in(project / "migrations"))
    ran = wrangler("d1", "migrations", "list", "coinswarm-evolution", "--local", cwd=project)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "No migrations to apply" in ran.stdout


@pytest.mark.slow
def test_persist_to_moves_the_file_as_in_wrangler(project: Path) -> None:
    execute(project, "CREATE TABLE t (a); INSERT INTO t VALUES (7)", "--persist-to", "elsewhere")
    with closing(open_database(file(project, "elsewhere"), create=False)) as ours:
        assert value(ours, "SELECT a FROM t") == 7
