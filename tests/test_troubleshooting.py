"""The page that is looked up by the text of an error, and the commands that pages name in passing: both are real."""

from __future__ import annotations

import ast
import re
import shlex
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from coinswarm.config import SOURCES
from coinswarm.verify.catalogue import CHECKS
from tests.support.command_line import ROOT, all_commands
from tests.support.documentation import PAGES, blocks

PAGE = ROOT / "docs" / "troubleshooting.md"
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
IDS = {name for check in CHECKS for name in (check.id, check.number)}


def keys() -> list[str]:
    """The errors of the page: its headings, and the first column of its table."""
    text = FENCE.sub("", PAGE.read_text())
    headings = [heading for heading in re.findall(r"^## (.+)$", text, re.MULTILINE) if heading != "Others"]
    rows = [row.split(" | ")[0].removeprefix("| ") for row in text.splitlines() if row.startswith("| ")]
    return headings + rows[1:]


@cache
def said_by_the_code() -> list[str]:
    """Every text in the code, docstrings among them, for they are the words of errors that have no others."""
    files = sorted((ROOT / "coinswarm").rglob("*.py"))
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def occurs(key: str) -> bool:
    """Whether each part between placeholders is in the code, or all of them in an error that a block shows."""
    shown = [block.text for block in blocks(PAGE)]
    parts = [part.strip(" .,:;()'") for part in key.split("…")]
    if any(all(part in line for part in parts) for text in shown for line in text.splitlines() if line.startswith("✘")):
        return True
    parts = [re.sub(f"^({'|'.join(SOURCES)}): ", "", part) for part in parts]
    return all(any(part in text for text in said_by_the_code()) for part in parts)


@pytest.mark.parametrize("key", keys())
def test_every_error_of_the_page_is_one_that_the_code_tells(key: str) -> None:
    told = key.strip("`")
    assert told != key or f"## {key}\n" in PAGE.read_text(), f"{key!r} is a description: quote what is told"
    assert occurs(told), told


def test_a_text_that_no_error_has_is_found_out() -> None:
    assert occurs("cannot connect to …: … (tried … times)")
    assert not occurs("the file may be damaged")


def inline(page: Path) -> list[str]:
    """The commands that a page names within its sentences and tables."""
    return re.findall(r"`(coinswarm [^`]+)`", FENCE.sub("", page.read_text()))


def fault(command: str) -> str | None:
    """What the command line would not understand; words in capitals stand for any."""
    words = shlex.split(command.replace("…", "X"))[1:]
    commands = all_commands()
    known = [n for n in range(len(words), 0, -1) if " ".join(words[:n]) in commands]
    if not known:
        named = " ".join(word for word in words if not word.startswith("-") and not word.isupper())
        begins = any(f"{one} ".startswith(f"{named} ".lstrip()) for one in commands)
        return None if begins else f"there is no command {named}"
    leaf, rest = commands[" ".join(words[: known[0]])], words[known[0] :]
    flags = {"-h", "--help"}.union(*([*parameter.opts, *parameter.secondary_opts] for parameter in leaf.params))
    for word, following in pairwise([*rest, ""]):
        if word.startswith("-") and word not in flags:
            return f"{' '.join(words[: known[0]])} has no flag {word}"
        if word == "--only" and following not in IDS and not following.isupper():
            return f"there is no check {following}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_names_exists_with_its_flags_and_checks(page: Path) -> None:
    assert [f"{command}: {told}" for command in inline(page) if (told := fault(command))] == []


def test_a_command_that_does_not_exist_is_found_out() -> None:
    assert fault("coinswarm verify --remote --only credentials") == "there is no check credentials"
    assert fault("coinswarm queues consumer list QUEUE") is None
    assert fault("coinswarm fetch --nope") == "fetch has no flag --nope"
    assert fault("coinswarm que dlq") == "there is no command que dlq"
