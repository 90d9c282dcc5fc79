"""One wrangler file → what it says of D1, queues, crons and variables; every fault with its key path.

Rules and texts: https://developers.cloudflare.com/workers/wrangler/configuration/ and wrangler's own validation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from coinswarm.config.checks import Section
from coinswarm.config.diagnostics import Diagnostics
from coinswarm.config.keys import ENVIRONMENT, TOP_LEVEL_ONLY
from coinswarm.config.masking import shown
from coinswarm.config.queues import queue_bindings
from coinswarm.config.stack import Consumer, Cron, Producer
from coinswarm.config.variables import read_vars, warn_of_secrets
from coinswarm.cron.schedule import Schedule
from coinswarm.errors import ConfigError

NOT_INHERITED: Final = ("vars", "d1_databases", "queues")
OTHER_BINDINGS: Final = {
    "kv_namespaces": "KV Namespace",
    "r2_buckets": "R2 Bucket",
    "services": "Worker",
    "hyperdrive": "Hyperdrive Config",
    "vectorize": "Vectorize Index",
    "analytics_engine_datasets": "Analytics Engine Dataset",
}
DATABASE_KEYS: Final = (
    "binding",
    "database_name",
    "database_id",
    "preview_database_id",
    "migrations_dir",
    "migrations_table",
    "migrations_pattern",
    "database_internal_env",
    "remote",
)


@dataclass(frozen=True, slots=True)
class D1Binding:
    """One entry of `d1_databases`, not yet merged with those of other files."""

    field: str
    binding: str
    name: str | None
    id: str | None
    preview_id: str | None
    migrations_dir: str | None
    migrations_table: str | None
    migrations_pattern: str | None


@dataclass(slots=True)
class WranglerFile:
    """What one file says of one Worker, in the chosen environment."""

    path: Path | None
    """None for the built-in stack."""
    where: str
    worker: str
    account_id: str | None = None
    databases: list[D1Binding] = field(default_factory=list)
    producers: list[Producer] = field(default_factory=list)
    consumers: list[Consumer] = field(default_factory=list)
    crons: list[Cron] = field(default_factory=list)
    vars: dict[str, Any] = field(default_factory=dict)


def interpret(
    table: dict[str, Any], path: Path | None, where: str, env_name: str | None, diagnostics: Diagnostics
) -> WranglerFile:
    """Validate `table` and take from it what concerns this package."""
    diagnostics.unexpected(where, "top-level", table, TOP_LEVEL_ONLY | ENVIRONMENT)
    environments = _environments(table, where, diagnostics)
    warn_of_secrets(table, environments, where, diagnostics)
    chosen, prefix = _choose(table, environments, env_name, where, diagnostics)
    inherited = table | chosen if prefix else chosen
    section = Section(where, diagnostics, prefix)

    name = section.text(inherited, "name")
    if prefix and "name" not in chosen and name:
        name = f"{name}-{env_name}"
    file = WranglerFile(path, where, worker=name or (path.stem if path else "coinswarm"))
    file.account_id = section.text(inherited, "account_id")
    section.refuse_placeholder(file.account_id, "account_id")
    for field_name, entry in section.tables(chosen, "d1_databases"):
        database = _database(entry, field_name, section)
        if database is not None:
            file.databases.append(database)
    file.producers, file.consumers = queue_bindings(chosen, file.worker, section)
    file.crons = _crons(inherited, "" if "triggers" not in chosen else prefix, file, section)
    file.vars = read_vars(chosen, section)
    _unique_bindings(chosen, file, section)
    return file


def _environments(table: dict[str, Any], where: str, diagnostics: Diagnostics) -> dict[str, dict[str, Any]]:
    environments = table.get("env", {})
    if not isinstance(environments, dict):
        diagnostics.fault(where, f'The field "env" should be an object but got {shown(environments)}.')
        return {}
    for name, environment in environments.items():
        if not isinstance(environment, dict):
            diagnostics.fault(where, f'The field "env.{name}" should be an object but got {shown(environment)}.')
        else:
            diagnostics.unexpected(where, f"env.{name}", environment, ENVIRONMENT)
    return {name: environment for name, environment in environments.items() if isinstance(environment, dict)}


def _choose(
    table: dict[str, Any],
    environments: dict[str, dict[str, Any]],
    env_name: str | None,
    where: str,
    diagnostics: Diagnostics,
) -> tuple[dict[str, Any], str]:
    """The table whose sections count, and how its key paths begin."""
    if env_name is None:
        return table, ""
    if env_name not in environments:
        missing = f'No environment found in configuration with name "{env_name}".'
        if environments:
            known = ", ".join(f'"{name}"' for name in environments)
            diagnostics.fault(where, f"{missing} The available configured environment names are: [{known}]")
        else:
            diagnostics.warn(where, f"{missing} The top level is used; add a section [env.{env_name}].")
        return table, ""
    chosen = environments[env_name]
    for name in NOT_INHERITED:
        if name in table and name not in chosen:
            diagnostics.warn(
                where,
                f'"{name}" exists at the top level, but not on "env.{env_name}". This is not what you probably want,'
                f' since "{name}" is not inherited by environments. Please add "{name}" to "env.{env_name}".',
            )
    return chosen, f"env.{env_name}."


def _database(entry: dict[str, Any], field: str, section: Section) -> D1Binding | None:
    section.diagnostics.unexpected(section.where, field, entry, DATABASE_KEYS)
    binding = section.required(entry, field, "binding", "bindings should")
    if not isinstance(entry.get("database_id", ""), str):
        section.fault(f'"{field}" bindings must have a "database_id" field but got {shown(entry)}.')
    optional = {
        key: section.optional(entry, field, key, "bindings should")
        for key in DATABASE_KEYS
        if key not in ("binding", "database_id", "remote")
    }
    if not isinstance(entry.get("remote", False), bool):
        section.fault(f'"{field}" should, optionally, have a boolean "remote" field but got {shown(entry)}.')
    for key in ("database_id", "preview_database_id", "database_name"):
        section.refuse_placeholder(entry.get(key), f"{field}.{key}")
    pattern, folder = optional["migrations_pattern"], optional["migrations_dir"]
    if pattern and not folder:
        section.fault(f"{field}.migrations_pattern needs migrations_dir beside it")
    elif pattern and folder and not _below(pattern, folder):
        section.fault(f'{field}.migrations_pattern must start with migrations_dir ("{folder}"), got {shown(pattern)}')
    if binding is None:
        return None
    database_id = entry.get("database_id")
    return D1Binding(
        field=field,
        binding=binding,
        name=optional["database_name"] or None,
        id=database_id if isinstance(database_id, str) and database_id else None,
        preview_id=optional["preview_database_id"] or None,
        migrations_dir=folder,
        migrations_table=optional["migrations_table"],
        migrations_pattern=pattern,
    )


def _below(pattern: str, folder: str) -> bool:
    """Whether a glob, which starts at the wrangler file, lies below the migrations folder."""
    return PurePosixPath(pattern) != PurePosixPath(folder) and PurePosixPath(pattern).is_relative_to(folder)


def _crons(table: dict[str, Any], prefix: str, file: WranglerFile, section: Section) -> list[Cron]:
    triggers = table.get("triggers")
    if triggers is None:
        return []
    field = f"{prefix}triggers"
    if not isinstance(triggers, dict):
        section.fault(f'Expected "{field}" to be of type object but got {shown(triggers)}.')
        return []
    section.diagnostics.unexpected(section.where, field, triggers, ("crons", "events"))
    expressions = triggers.get("crons", [])
    if not isinstance(expressions, list):
        section.fault(f'Expected "{field}.crons" to be of type array, but got {shown(triggers)}.')
        return []
    found = []
    for index, expression in enumerate(expressions):
        problem = _cron_problem(expression)
        if problem:
            section.fault(f"{field}.crons[{index}] {problem}")
        else:
            found.append(Cron(" ".join(expression.split()), file.worker, file.where))
    return found


def _cron_problem(expression: object) -> str | None:
    if not isinstance(expression, str):
        return f"must be a string of five fields (minute hour day month weekday), got {shown(expression)}"
    try:
        Schedule.parse(expression)
    except ConfigError as error:
        return f"is wrong: {error.message} ({error.hint})"
    return None


def _unique_bindings(table: dict[str, Any], file: WranglerFile, section: Section) -> None:
    kinds: dict[str, list[str]] = {}
    for database in file.databases:
        kinds.setdefault(database.binding, []).append("D1 Database")
    for producer in file.producers:
        kinds.setdefault(producer.binding, []).append("Queue")
    for name in file.vars:
        kinds.setdefault(name, []).append("Environment Variable")
    for key, kind in OTHER_BINDINGS.items():
        entries = table.get(key)
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict) and isinstance(entry.get("binding"), str):
                kinds.setdefault(entry["binding"], []).append(kind)
    for binding, of in kinds.items():
        if len(of) > 1:
            distinct = list(dict.fromkeys(of))
            what = f"multiple {distinct[0]}" if len(distinct) == 1 else " and ".join(distinct)
            section.fault(f"{section.prefix}{binding} assigned to {what} bindings.")
