"""The listed differences between our local D1 and Cloudflare's engine, and the page of the documentation about them.

python -m tests.support.differences writes the list into docs/compatibility.md.
"""

from __future__ import annotations

import sqlite3
import tomllib
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from tests.support.differential import CASES, ROOT

KNOWN: Final = CASES / "known.toml"
COMPATIBILITY: Final = ROOT / "docs" / "compatibility.md"
BEGIN: Final = "<!-- from tests/differential/known.toml, by: python -m tests.support.differences -->"
END: Final = "<!-- end -->"


@dataclass(frozen=True, slots=True)
class Difference:
    """A listed difference: which cases differ in what, and why."""

    topic: str
    title: str
    cloudflare: str
    here: str
    why: str
    differs: frozenset[str]
    cases: tuple[str, ...]
    sqlite_from: tuple[int, ...] = ()
    """It is one only where Python's SQLite is not older than this,"""
    sqlite_below: tuple[int, ...] = (1000,)
    """and older than this,"""
    compiled_with: str | None = None
    """and was built with this option,"""
    compiled_without: str | None = None
    """and without this one."""

    def applies(self, version: tuple[int, ...], options: frozenset[str]) -> bool:
        return (
            self.sqlite_from <= version < self.sqlite_below
            and (self.compiled_with is None or self.compiled_with in options)
            and (self.compiled_without is None or self.compiled_without not in options)
        )

    @property
    def condition(self) -> str:
        """When it is one, in words; empty if always."""
        parts = []
        if self.sqlite_from:
            parts.append(f"from SQLite {_dotted(self.sqlite_from)}")
        if self.sqlite_below < (1000,):
            parts.append(f"below SQLite {_dotted(self.sqlite_below)}")
        if self.compiled_with:
            parts.append(f"built with `{self.compiled_with}`")
        if self.compiled_without:
            parts.append(f"built without `{self.compiled_without}`")
        return ", ".join(parts)


def known() -> list[Difference]:
    """The differences listed in `known.toml`."""
    return [
        Difference(
            **{
                **entry,
                "differs": frozenset(entry["differs"]),
                "cases": tuple(entry["cases"]),
                **{
                    name: tuple(map(int, entry[name].split(".")))
                    for name in ("sqlite_from", "sqlite_below")
                    if name in entry
                },
            }
        )
        for entry in tomllib.loads(KNOWN.read_text())["difference"]
    ]


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def sqlite_build() -> tuple[tuple[int, ...], frozenset[str]]:
    """The version of Python's SQLite and the options it was compiled with."""
    with closing(sqlite3.connect(":memory:")) as connection:
        options = frozenset(row[0] for row in connection.execute("PRAGMA compile_options"))
    return sqlite3.sqlite_version_info, options


def page() -> str:
    """What docs/compatibility.md shows of the differences: a table a topic."""
    topics: dict[str, list[Difference]] = {}
    for difference in known():
        topics.setdefault(difference.topic, []).append(difference)
    return "\n".join(_table(topic, found) for topic, found in topics.items())


def _table(topic: str, differences: list[Difference]) -> str:
    rows = [f"| {d.title} | {d.cloudflare} | {d.here} | {d.why} | {d.condition or 'always'} |" for d in differences]
    return "\n".join(
        [f"### {topic}\n", "| what | Cloudflare's engine | here | why | when |", "|---|---|---|---|---|", *rows, ""]
    )


def main() -> None:
    """Write the tables into docs/compatibility.md."""
    before, _, after = COMPATIBILITY.read_text().partition(BEGIN)
    COMPATIBILITY.write_text(f"{before}{BEGIN}\n\n{page()}\n{END}{after.partition(END)[2]}")


if __name__ == "__main__":
    main()
