"""Switch a cron trigger off and on in its wrangler file, keeping every comment and the layout around it.

A trigger that is off stays in its place as a comment, `# off: "*/30 * * * *"` (`//` in JSON), so that the file itself
tells what it was and `switch` finds it again.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from coinswarm.config.read import parse_table
from coinswarm.cron.schedule import Schedule
from coinswarm.errors import ConfigError, UsageError
from coinswarm.storage import translated

_STRING: Final = r'"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\''
_TOML_TOKENS: Final = re.compile(rf"(?P<string>{_STRING})|(?P<comment>\#[^\n]*)|(?P<other>.)", re.DOTALL)
_JSON_TOKENS: Final = re.compile(rf"(?P<string>{_STRING})|(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<other>.)", re.DOTALL)
_OFF: Final = re.compile(r"""(\#|//)\s*off:\s*["']([^"']*)["']\s*(.*)""")


@dataclass(frozen=True, slots=True)
class Switched:
    file: Path
    changed: tuple[str, ...]
    """The expressions that were switched."""
    active: tuple[str, ...]
    """Those that are on now in this file."""


@dataclass(slots=True)
class _Item:
    """A trigger or a comment in the array, in its order."""

    text: str
    """A trigger's expression, or a whole comment."""
    kind: str
    """`on`, `off` or `comment`."""
    after: str = ""
    """A comment on the same line."""

    def known_as(self, name: str | None) -> bool:
        return name is None or _plain(self.text) == _plain(name)


@dataclass(slots=True)
class _Triggers:
    """The array of triggers of one file."""

    file: Path
    text: str
    path: list[str]
    worker: str
    start: int
    """From its opening bracket …"""
    end: int
    """… to behind its closing one."""
    items: list[_Item]

    @property
    def is_toml(self) -> bool:
        return self.file.suffix.lower() == ".toml"

    def chosen(self, name: str | None, kind: str) -> list[_Item]:
        """The triggers of this kind that `name` means: all of a worker, or one by its expression."""
        everything = name is None or name == self.worker
        return [item for item in self.items if item.kind == kind and item.known_as(None if everything else name)]

    def rendered(self) -> str:
        """The array's text: in one line where nothing but triggers is in it."""
        active = [item for item in self.items if item.kind == "on"]
        if len(active) == len(self.items) and not any(item.after for item in self.items):
            return "[" + ", ".join(f'"{item.text}"' for item in active) + "]"
        line = self.text[self.text.rfind("\n", 0, self.start) + 1 : self.start]
        indent = line[: len(line) - len(line.lstrip())]
        marker, step = ("#", "    ") if self.is_toml else ("//", "  ")
        lines = []
        for item in self.items:
            shown = {"off": f'{marker} off: "{item.text}"', "comment": item.text}.get(item.kind)
            if shown is None:
                last = not self.is_toml and item is active[-1]
                shown = f'"{item.text}"{"" if last else ","}'
            lines.append(indent + step + shown + (f" {item.after}" if item.after else ""))
        return "\n".join(["[", *lines, indent + "]"])


def switch(files: Sequence[Path], name: str | None, *, env_name: str | None, on: bool) -> Switched:
    """Switch the triggers known by `name`: a worker, an expression, or None for the only file that has any.

    Raises `UsageError` where there is nothing to switch or more than one file to choose from, `ConfigError` where the
    file is written in a way that cannot be changed safely; then it is left as it is.
    """
    if not files:
        raise UsageError(
            "the built-in stack has no file to change", hint="`coinswarm init` writes a wrangler.toml to start from."
        )
    kind = "off" if on else "on"
    found = [triggers for file in files if (triggers := _read(file, env_name)) is not None]
    fitting = [triggers for triggers in found if triggers.chosen(name, kind)]
    if not fitting:
        which = f"no cron trigger {name!r} is" if name else "no cron trigger is"
        raise UsageError(f"{which} {kind} in {', '.join(file.name for file in files)}", hint="See: coinswarm cron list")
    if len(fitting) > 1:
        listed = "; ".join(f"{triggers.worker} ({triggers.file.name})" for triggers in fitting)
        raise UsageError("which cron trigger is not clear", hint=f"Say which one by its worker: {listed}")
    (triggers,) = fitting
    changed = triggers.chosen(name, kind)
    for item in changed:
        item.kind = "on" if on else "off"
    active = [item.text for item in triggers.items if item.kind == "on"]
    _write(triggers, active)
    return Switched(triggers.file, tuple(item.text for item in changed), tuple(active))


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
    start, end = _place(file, text, path)
    worker = str(environment.get("name") or table.get("name") or file.stem)
    if env_name and "name" not in environment:
        worker = f"{worker}-{env_name}"
    return _Triggers(file, text, path, worker, start, end, _items(file, text[start + 1 : end - 1]))


def _value(table: Any, path: Sequence[str]) -> Any:
    for key in path:
        table = table.get(key) if isinstance(table, dict) else None
    return table


def _place(file: Path, text: str, path: Sequence[str]) -> tuple[int, int]:
    """Where in the text that array stands: there where another array would be another value.

    So nothing has to be known of tables, dotted keys and inline tables.
    """
    for start, end in _arrays(file, text):
        table = parse_table(file, text[:start] + '["here"]' + text[end:])
        if _value(table, path) == ["here"]:
            return start, end
    raise ConfigError(
        f"{file.name}: cannot tell where {'.'.join(path)} stands", hint="Change it by hand: crons = [] is off."
    )


def _arrays(file: Path, text: str) -> Iterator[tuple[int, int]]:
    """Every pair of brackets with no other inside."""
    start = -1
    for token in _tokens(file, text):
        if token["other"] == "[":
            start = token.start()
        elif token["other"] == "]" and start >= 0:
            yield start, token.end()
            start = -1


def _tokens(file: Path, text: str) -> Iterator[re.Match[str]]:
    return (_TOML_TOKENS if file.suffix.lower() == ".toml" else _JSON_TOKENS).finditer(text)


def _items(file: Path, inside: str) -> list[_Item]:
    items: list[_Item] = []
    new_line = True
    for token in _tokens(file, inside):
        if token["string"]:
            items.append(_Item(token["string"].strip("\"'"), "on"))
            new_line = False
        elif token["comment"]:
            off = _OFF.match(token["comment"])
            if off:
                marker, expression, behind = off.groups()
                items.append(_Item(expression, "off", _as_comment(behind.rstrip(), marker)))
            elif items and not new_line:
                items[-1].after = token["comment"].rstrip()
            else:
                items.append(_Item(token["comment"].rstrip(), "comment"))
        elif token["other"] == "\n":
            new_line = True
    return items


def _as_comment(words: str, marker: str) -> str:
    return words if not words or words.startswith(marker) else f"{marker} {words}"


def _plain(expression: str) -> str:
    try:
        return Schedule.parse(expression).expression
    except ConfigError:
        return expression


def _write(triggers: _Triggers, active: list[str]) -> None:
    """Replace the file in one step, once the new text is known to say what it should and nothing else."""
    before = parse_table(triggers.file, triggers.text)
    text = triggers.text[: triggers.start] + triggers.rendered() + triggers.text[triggers.end :]
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
