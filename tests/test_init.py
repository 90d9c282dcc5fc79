"""`coinswarm init`: files to start from, written beside whatever is there already and never over it."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from coinswarm.config import load
from coinswarm.d1.migrate import bundled_migrations, migrations_in
from coinswarm.errors import StorageError, StorageFull, UsageError
from coinswarm.init import init

MIGRATIONS = [migration.name for migration in migrations_in(bundled_migrations())]


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_new_folder_gets_everything_and_loads_without_a_warning_as_the_built_in_stack(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "project"
    report = init(folder)
    expected = ["wrangler.toml", "coinswarm.toml", *(f"migrations/{name}" for name in MIGRATIONS), ".gitignore"]
    assert [str(path.relative_to(folder)) for path in report.written] == expected
    assert report.kept == ()
    assert names(folder) == sorted(expected)

    stack = load(cwd=folder, environ={})
    built_in = load(cwd=tmp_path, environ={})
    assert stack.warnings == ()
    assert stack.files == (folder / "wrangler.toml",)
    assert (stack.database().name, stack.database().id) == (built_in.database().name, built_in.database().id)
    assert [c.settings for c in stack.consumers] == [c.settings for c in built_in.consumers]
    assert stack.queue_names == built_in.queue_names
    assert stack.fetch == built_in.fetch
    assert stack.database().migrations_dir == folder / "migrations"


def test_the_migration_that_creates_price_data_comes_along(tmp_path: Path) -> None:
    init(tmp_path)
    first = (tmp_path / "migrations" / MIGRATIONS[0]).read_text()
    assert MIGRATIONS[0].startswith("0001_")
    assert "price_data" in first
    assert (bundled_migrations() / MIGRATIONS[0]).read_text() == first


def test_state_and_secrets_are_kept_out_of_git(tmp_path: Path) -> None:
    init(tmp_path)
    assert (tmp_path / ".gitignore").read_text() == ".wrangler/\n.dev.vars*\n"


def test_a_second_run_changes_nothing_and_says_so(tmp_path: Path) -> None:
    first = init(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    second = init(tmp_path)
    assert second.written == ()
    assert set(second.kept) == set(first.written)
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before


def test_what_exists_is_left_alone_and_what_is_missing_is_added(tmp_path: Path) -> None:
    (tmp_path / "wrangler.toml").write_text("# mine\n")
    (tmp_path / ".gitignore").write_text("node_modules\n/.wrangler/")
    report = init(tmp_path)
    assert report.kept == (tmp_path / "wrangler.toml",)
    assert (tmp_path / "wrangler.toml").read_text() == "# mine\n"
    assert (tmp_path / ".gitignore").read_text() == "node_modules\n/.wrangler/\n.dev.vars*\n"
    assert tmp_path / "coinswarm.toml" in report.written
    assert report.as_json()["kept"] == [str(tmp_path / "wrangler.toml")]


@pytest.mark.parametrize("name", ["wrangler.json", "wrangler.jsonc"])
def test_a_wrangler_file_of_another_format_is_not_given_a_twin(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"name": "mine"}')
    report = init(tmp_path)
    assert tmp_path / name in report.kept
    assert not (tmp_path / "wrangler.toml").exists()


def test_a_series_of_migrations_is_not_mixed_with_ours(tmp_path: Path) -> None:
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "0001_users.sql").write_text("CREATE TABLE users (id);")
    report = init(tmp_path)
    assert tmp_path / "migrations" in report.kept
    assert names(tmp_path / "migrations") == ["0001_users.sql"]


def test_a_link_is_neither_followed_out_of_the_folder_nor_replaced(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "project"
    outside.mkdir()
    folder.mkdir()
    (folder / "wrangler.toml").symlink_to(outside / "stolen.toml")
    assert folder / "wrangler.toml" in init(folder).kept
    assert names(outside) == []

    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "migrations").symlink_to(outside)
    with pytest.raises(UsageError, match="migrations leads out of"):
        init(tmp_path / "second")
    (tmp_path / "third").mkdir()
    (tmp_path / "third" / ".gitignore").symlink_to(outside / "ignored")
    with pytest.raises(UsageError, match=r"\.gitignore leads out of"):
        init(tmp_path / "third")
    assert names(outside) == []


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert init(tmp_path / "link").written[0] == tmp_path / "link" / "wrangler.toml"
    assert (tmp_path / "real" / "wrangler.toml").exists()


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file is a file"):
        init(tmp_path / "file")
    with pytest.raises(StorageError, match="Not a directory"):
        init(tmp_path / "file" / "below")
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "migrations").touch()
    with pytest.raises(UsageError, match="migrations is a file"):
        init(tmp_path / "project")


def test_a_full_disk_leaves_no_half_written_file(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # the system refuses the hundred and first byte
    try:
        with pytest.raises(StorageFull, match=r"the disk is full: .*wrangler\.toml could not be written"):
            init(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == []
