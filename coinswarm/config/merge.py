"""Several wrangler files → one stack: what they say of the same thing is put together and must agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from coinswarm.config.diagnostics import Diagnostics
from coinswarm.config.masking import Vars, is_placeholder
from coinswarm.config.stack import Consumer, D1Database
from coinswarm.config.wrangler import D1Binding, WranglerFile

MIGRATIONS_DIR = "migrations"
MIGRATIONS_TABLE = "d1_migrations"
MIGRATIONS_GLOB = "*.sql"

Bound = tuple[WranglerFile, D1Binding]


def merge_databases(files: Sequence[WranglerFile], cwd: Path, diagnostics: Diagnostics) -> tuple[D1Database, ...]:
    """One entry for each database, whatever Workers bind it; an id is what makes two of them the same.

    A name with two ids is a fault, for nobody can say which one is meant. An id with two names is a warning: D1 and
    wrangler go by the id, but one of the names is wrong.
    """
    groups: dict[tuple[str | None, str], list[Bound]] = {}
    for file in files:
        for database in file.databases:
            key = (None, database.id) if database.id else (file.where, database.name or database.binding)
            groups.setdefault(key, []).append((file, database))
    ids_of_name: dict[str, list[Bound]] = {}
    for group in groups.values():
        _one_name(group, diagnostics)
        for file, database in group:
            if database.id and database.name:
                ids_of_name.setdefault(database.name, []).append((file, database))
    for name, bound in ids_of_name.items():
        if len({database.id for _, database in bound}) > 1:
            said = "; ".join(f"{file.where}: {database.field}.database_id is {database.id}" for file, database in bound)
            diagnostics.fault(_files(bound), f'the D1 database "{name}" has two ids ({said})')
    return tuple(_merged(group, cwd, diagnostics) for group in groups.values())


def _one_name(group: Sequence[Bound], diagnostics: Diagnostics) -> None:
    names = list(dict.fromkeys(database.name for _, database in group if database.name))
    if len(names) > 1:
        listed = " and ".join(f'"{name}"' for name in names)
        diagnostics.warn(
            _files(group), f"the D1 database with the id {group[0][1].id} is called {listed}; one of them is wrong"
        )


def _merged(group: Sequence[Bound], cwd: Path, diagnostics: Diagnostics) -> D1Database:
    first_file, first = group[0]
    base = first_file.path.parent if first_file.path else cwd
    folders = {
        (file.path.parent if file.path else cwd) / database.migrations_dir
        for file, database in group
        if database.migrations_dir
    }
    folder = next(
        (
            (file.path.parent if file.path else cwd) / database.migrations_dir
            for file, database in group
            if database.migrations_dir
        ),
        base / MIGRATIONS_DIR,
    )
    if len(folders) > 1:
        diagnostics.warn(_files(group), f"migrations_dir differs between files; {folder} is used")
    name = next((d.name for _, d in group if d.name), None)
    # A pattern that does not lie below its own folder has been told as a fault; no stack is built then.
    patterns = ((d.migrations_pattern, d.migrations_dir) for _, d in group if d.migrations_pattern and d.migrations_dir)
    pattern, below = next((p for p in patterns if PurePosixPath(p[0]).is_relative_to(p[1])), (None, None))
    return D1Database(
        binding=first.binding,
        # Without id and name, wrangler provisions a database called like this.
        name=name or (first.binding if first.id else f"{first_file.worker}-{first.binding.lower().replace('_', '-')}"),
        id=first.id,
        preview_id=next((d.preview_id for _, d in group if d.preview_id), None),
        migrations_dir=folder,
        migrations_table=next((d.migrations_table for _, d in group if d.migrations_table), MIGRATIONS_TABLE),
        migrations_pattern=pattern,
        migrations_glob=str(PurePosixPath(pattern).relative_to(below)) if pattern and below else MIGRATIONS_GLOB,
        bindings=tuple(dict.fromkeys(d.binding for _, d in group)),
        workers=tuple(dict.fromkeys(file.worker for file, _ in group)),
        files=tuple(dict.fromkeys(file.where for file, _ in group)),
        migrations_dir_given=bool(folders),
    )


def _files(group: Sequence[Bound]) -> str:
    return ", ".join(dict.fromkeys(file.where for file, _ in group))


def check_consumers(files: Sequence[WranglerFile], diagnostics: Diagnostics) -> tuple[Consumer, ...]:
    """A queue has at most one consumer. https://developers.cloudflare.com/queues/reference/how-queues-works/"""
    consumers = [consumer for file in files for consumer in file.consumers]
    by_queue: dict[str, list[Consumer]] = {}
    for consumer in consumers:
        by_queue.setdefault(consumer.queue, []).append(consumer)
    for queue, several in by_queue.items():
        if len(several) > 1:
            where = ", ".join(dict.fromkeys(c.file for c in several))
            diagnostics.fault(where, f'Multiple consumers defined for queue "{queue}"')
    return tuple(consumers)


def check_crons(files: Sequence[WranglerFile], diagnostics: Diagnostics) -> None:
    """Two Workers whose crons feed one queue or one database write everything twice: usually one is a left-over."""
    active = [file for file in files if file.crons]
    for one, other in combinations(active, 2):
        shared = _fed(one) & _fed(other)
        if shared:
            diagnostics.warn(
                f"{one.where}, {other.where}",
                f"both have active cron triggers and feed {' and '.join(sorted(shared))};"
                " set crons = [] in the one that is no longer meant",
            )


def _fed(file: WranglerFile) -> set[str]:
    queues = {f'queue "{producer.queue}"' for producer in file.producers}
    if file.consumers and not queues:  # it stores what others send; its own cron keeps house
        return set()
    return queues | {f"D1 database {database.id}" for database in file.databases if database.id}


def merge_vars(files: Sequence[WranglerFile], dev_vars: dict[str, str]) -> Vars:
    """`.dev.vars` over `[vars]`, a real value over a placeholder, an earlier file over a later one."""
    values = dict(dev_vars)
    for file in files:
        for name, value in file.vars.items():
            if name not in values or (_is_filler(values[name]) and not _is_filler(value)):
                values[name] = value
    return Vars(values)


def _is_filler(value: object) -> bool:
    return isinstance(value, str) and (not value.strip() or is_placeholder(value))


def merge_workers(files: Sequence[WranglerFile]) -> Mapping[str, str]:
    """By Worker, its file; the first one where several are of the same."""
    found: dict[str, str] = {}
    for file in files:
        found.setdefault(file.worker, file.where)
    return MappingProxyType(found)


def merge_account_id(files: Sequence[WranglerFile], diagnostics: Diagnostics) -> str | None:
    """The account the files name; all of them must name the same."""
    named = [(file.where, file.account_id) for file in files if file.account_id]
    if len({account for _, account in named}) > 1:
        said = "; ".join(f"{where}: {account}" for where, account in named)
        diagnostics.fault(", ".join(where for where, _ in named), f"account_id differs between files ({said})")
    return named[0][1] if named else None
