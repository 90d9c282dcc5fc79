"""The command blocks of a page: what a reader is told to type, and how a page says that a block is special."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.support.command_line import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(
    r"(?:<!-- (?P<how>not run|second terminal|exit code \d+)(?:: (?P<reason>[^>]+?))? -->\n+)?"
    r"^```(?:sh|console)(?P<info>[^\n]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


_FENCED = re.compile(r"^(?P<fence>`{3,})(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=fence)$", re.MULTILINE | re.DOTALL)
_TYPED = re.compile(
    r"^(?:\$ \S|(?:coinswarm|python3?|curl|wrangler|npx|npm|pip|make|git|sqlite3|export|cd|mkdir|sudo|systemctl)\s+\S)"
)


def typed_outside(page: Path) -> list[str]:
    """Commands in indented blocks, and in fences that are neither `sh` nor `console`, which nothing follows."""
    text, found = page.read_text(), []
    for fence in _FENCED.finditer(text):
        if fence["info"].split(" ")[0] not in ("sh", "console"):
            found += [line for line in fence["text"].splitlines() if _TYPED.match(line)]
    bare = _FENCED.sub("", text).splitlines()
    return found + [line for line in bare if line.startswith(("    ", "\t")) and _TYPED.match(line.strip())]


@dataclass(frozen=True)
class Block:
    """One fenced block of `sh` or `console`.

    A comment above it may say `not run: REASON`, `second terminal` (runs until Ctrl-C, beside what follows), or
    `exit code N: REASON`. `title="on Cloudflare"` in its first line says where it leads.
    """

    page: Path
    line: int
    script: str
    text: str
    """The whole block, with the output that is shown."""
    how: str
    reason: str
    on_cloudflare: bool

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def exit_code(self) -> int:
        return int(self.how.removeprefix("exit code ")) if self.how.startswith("exit code ") else 0


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(
            page,
            text.count("\n", 0, found.start("text")),
            _script(found["text"]),
            found["text"],
            found["how"] or "",
            found["reason"] or "",
            'title="on Cloudflare"' in found["info"],
        )
        for found in _BLOCK.finditer(text)
    ]


def _script(text: str) -> str:
    """What is typed: the lines after `$ ` where there are some, everything else is output then."""
    typed = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
    return "\n".join(typed) if typed else text
