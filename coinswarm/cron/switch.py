"""Switch a cron trigger off and on in its wrangler file, of which nothing else changes.

A trigger that is off stays in its place as a comment, `# off: "*/30 * * * *"` (`//` in JSON), so that the file itself
tells what it was and `switch` finds it again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from coinswarm.config.read import parse_table
from coinswarm.cron.schedule import Schedule
from coinswarm.cron.triggers import TriggerArray, tokens
from coinswarm.errors import ConfigError, UsageError
from coinswarm.storage import translated


@dataclass(frozen=True, slots=True)
class Switched:
    file: Path
    changed: tuple[str, ...]
    """The expressions that were switched."""
    active: tuple[str, ...]
    """Those that are on now in this file."""


@dataclass(frozen=True, slots=True)
class _Triggers:
    """The triggers of one file."""

    file: Path
    path: list[str]
    worker: str
    array: TriggerArray

    def chosen(self, name: str | None, *, on: bool) -> list[int]:
        """The numbers of the triggers in that state that `name` means: all of a worker, or one by its expression."""
        everything = name is None or name == self.worker
        return [
            number
            for number, trigger in enumerate(self.array.triggers)
            if trigger.on is on and (everything or _plain(trigger.expression) == _plain(name or ""))
        ]

    def switched(self, numbers: Sequence[int], *, on: bool) -> TriggerArray:
        """Lines that were made for triggers go again if those are taken in the right order, which has fewer lines."""
        if not on:
            return reduce(TriggerArray.off, numbers, self.array)
        orders = (numbers, numbers[::-1])
        return min((reduce(TriggerArray.on, order, self.array) for order in orders), key=lambda a: a.text.count("\n"))


def switch(files: Sequence[Path], name: str | None, *, env_name: str | None, on: bool) -> Switched:
    """Switch the triggers known by `name`: a worker, an expression, or None for the only file that has any.

    Raises `UsageError` where there is nothing to switch or more than one file to choose from, `ConfigError` where the
    file is written in a way that cannot be changed safely; then it is left as it is.
    """
    if not files:
        raise UsageError(
            "the built-in stack has no file to change", hint="`coinswarm init` writes a wrangler.toml to start from."
        )
    fitting = [found for file in files if (found := _read(file, env_name)) and found.chosen(name, on=not on)]
    if not fitting:
        which = f"no cron trigger {name!r} is" if name else "no cron trigger is"
        state = "off" if on else "on"
        raise UsageError(
            f"{which} {state} in {', '.join(file.name for file in files)}", hint="See: coinswarm cron list"
        )
    if len(fitting) > 1:
        listed = "; ".join(f"{triggers.worker} ({triggers.file.name})" for triggers in fitting)
        raise UsageError("which cron trigger is not clear", hint=f"Say which one by its worker: {listed}")
    (triggers,) = fitting
    numbers = triggers.chosen(name, on=not on)
    array = triggers.switched(numbers, on=on)
    changed = tuple(triggers.array.triggers[number].expression for number in numbers)
    active = tuple(trigger.expression for trigger in array.triggers if trigger.on)
    _write(triggers, array.text, list(active))
    return Switched(triggers.file, changed, active)


def switched_off(files: Sequence[Path], env_name: str | None) -> dict[str, str]:
    """By Worker, an expression that `switch` could switch on again."""
    read = [found for file in files if (found := _read(file, env_name))]
    return {found.worker: one.expression for found in read for one in found.array.triggers if not one.on}


def _read(file: Path, env_name: str | None) -> _Triggers | None:
    """The triggers that count for the environment; None where the file has none at all."""
    with translated(file):
        text = file.read_bytes().decode("utf-8")
    table = parse_table(file, text) or {}
    path = ["triggers", "crons"]
    environment = table.get("env", {}).get(env_name or "", {})
    if "triggers" in environment:
        path = ["env", str(env_name), *path]
    if not isinstance(_value(table, path), list):
        return None
    array = TriggerArray(text, _place(file, text, path), toml=_is_toml(file))
    worker = str(environment.get("name") or table.get("name") or file.stem)
    if env_name and "name" not in environment:
        worker = f"{worker}-{env_name}"
    return _Triggers(file, path, worker, array)


def _value(table: Any, path: Sequence[str]) -> Any:
    for key in path:
        table = table.get(key) if isinstance(table, dict) else None
    return table


def _place(file: Path, text: str, path: Sequence[str]) -> int:
    """Where in the text that array begins: there where another array would be another value.

    So nothing has to be known of tables, dotted keys and inline tables.
    """
    for start, end in _arrays(file, text):
        table = parse_table(file, text[:start] + '["here"]' + text[end:])
        if _value(table, path) == ["here"]:
            return start
    raise ConfigError(
        f"{file.name}: cannot tell where {'.'.join(path)} stands", hint="Change it by hand: crons = [] is off."
    )


def _arrays(file: Path, text: str) -> Iterator[tuple[int, int]]:
    """Every pair of brackets with no other inside."""
    start = -1
    for token in tokens(text, toml=_is_toml(file)):
        if token["other"] == "[":
            start = token.start()
        elif token["other"] == "]" and start >= 0:
            yield start, token.end()
            start = -1


def _is_toml(file: Path) -> bool:
    return file.suffix.lower() == ".toml"


def _plain(expression: str) -> str:
    try:
        return Schedule.parse(expression).expression
    except ConfigError:
        return expression


def _write(triggers: _Triggers, text: str, active: list[str]) -> None:
    """Replace the file in one step, once the new text is known to say what it should and nothing else."""
    before = parse_table(triggers.file, triggers.array.text)
    after = parse_table(triggers.file, text)
    if _value(after, triggers.path) != active or _without(after, triggers.path) != _without(before, triggers.path):
        raise ConfigError(
            f"{triggers.file.name} cannot be changed safely", hint="Change it by hand: crons = [] is off."
        )
    target = triggers.file.resolve()
    new = target.with_name(target.name + ".new")
    with translated(triggers.file):
        new.write_bytes(text.encode())
        shutil.copymode(target, new)
        new.replace(target)


def _without(table: Any, path: Sequence[str]) -> Any:
    """The table but for one value."""
    if not isinstance(table, dict):
        return table
    inner = {path[0]: _without(table.get(path[0]), path[1:]) if len(path) > 1 else None}
    return table | inner
