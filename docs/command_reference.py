"""docs/commands.md, written from the code: `python -m docs.command_reference`, or `make docs`."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Final

from typer.core import TyperArgument

from coinswarm import cli

PAGE: Final = Path(__file__).parent / "commands.md"
_EVERYWHERE: Final = "Everywhere"
_HEAD: Final = """# Commands

<!-- Written by `make docs` from the code; a test compares. Change the help texts, not this page. -->

`coinswarm COMMAND -h` shows the same in the terminal. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 and 143 stopped
by Ctrl-C and SIGTERM. `verify` alone: 0 all passed, 1 warnings, 2 failures.

These flags work with every command that has them in its `-h`, nearly all:

"""


def reference() -> str:
    """The whole page."""
    return _HEAD + _table(_shared_options()) + "".join(_command(words, each) for words, each in _all_commands())


def _all_commands() -> Iterator[tuple[str, Any]]:
    for name in cli.CONTENTS:
        yield from _below(name, cli.load(name))


def _below(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _below(f"{words} {name}", inner)


def _command(words: str, command: Any) -> str:
    level = "##" if " " not in words else "###"
    text = f"\n{level} coinswarm {words}\n\n{_prose(command.help)}\n"
    if hasattr(command, "commands"):
        return text
    arguments = [each for each in command.params if isinstance(each, TyperArgument)]
    own = [each for each in command.params if not isinstance(each, TyperArgument) and not _is_shared(each)]
    usage = ["coinswarm", words, *(_argument(each) for each in arguments), "[OPTIONS]" if own else ""]
    text += f"\n```text\n{' '.join(filter(None, usage))}\n```\n"
    rows = [(f"`{_argument(each)}`", each.help) for each in arguments]
    rows += [(_names(each), _meaning(each)) for each in own]
    return text + ("\n" + _table(rows) if rows else "")


def _shared_options() -> list[tuple[str, str | None]]:
    return [(_names(each), each.help) for each in cli.load("fetch").params if _is_shared(each)]


def _is_shared(parameter: Any) -> bool:
    return getattr(parameter, "rich_help_panel", None) == _EVERYWHERE


def _argument(argument: Any) -> str:
    name = (argument.metavar or argument.name.upper()).strip("[]{}")
    return name if argument.required else f"[{name}]"


def _names(option: Any) -> str:
    names = " ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    takes = "" if option.is_flag else f" {_value(option)}"
    return names + takes + (", repeatable" if option.multiple else "")


def _value(option: Any) -> str:
    kind = option.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " or ".join(f"`{choice.value}`" for choice in kind)
    return option.metavar or ("N" if kind in (int, float) else "TEXT")


def _meaning(option: Any) -> str:
    default = option.default.value if isinstance(option.default, Enum) else option.default
    plain = isinstance(default, str | int | float) and not isinstance(default, bool) and default != ""
    return (option.help or "") + (f" Default: `{default}`." if plain else "")


def _table(rows: list[tuple[str, str | None]]) -> str:
    lines = [f"| {name} | {_prose(text or '').replace('|', '&#124;')} |" for name, text in rows]
    return "\n".join(["| | |", "|---|---|", *lines, ""])


def _prose(text: str | None) -> str:
    return " ".join((text or "").split()).replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
