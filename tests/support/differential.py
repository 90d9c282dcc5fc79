"""The same SQL in our local D1 and in Cloudflare's engine: reading the cases, running them, naming what differs.

A file of `tests/differential` is a group with a database of its own, and each paragraph of it a case, run in order:

    --# what the case is called; without this line its SQL is its name
    --? the parameters of the statement above, as JSON
    --+ the next statement of a batch

Everything else is SQL. `{{x*100}}` stands for a hundred times x; x may hold \\n, \\r, \\t and \\uXXXX, so
`{{\\n*1}}` is a newline. The second paragraph with the same text is called `… (2)`.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from coinswarm.d1 import wire
from coinswarm.d1.local import LocalDatabase
from coinswarm.d1.types import Statement
from coinswarm.errors import CoinswarmError

ROOT: Final = Path(__file__).parents[2]
CASES: Final = ROOT / "tests" / "differential"
NODE: Final = ROOT / "tests" / "node"

EXACT_META: Final = ("changes", "last_row_id", "changed_db", "rows_written")
READ_TOLERANCE: Final = 0.5
"""`rows_read` is an estimate: it counts as met within half of the engine's figure,"""
READ_SLACK: Final = 5
"""or within so many rows."""
METERED: Final = "reads"
"""The group in which `rows_read` is held to that case by case; elsewhere most cases have to meet it."""

_REPEATED: Final = re.compile(r"\{\{(.+?)\*(\d+)\}\}", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(?:[nrt]|u[0-9a-f]{4})")


@dataclass(frozen=True, slots=True)
class Case:
    """One call: SQL text that may hold several statements, or a batch of single ones."""

    group: str
    name: str
    statements: tuple[Statement, ...]

    @property
    def id(self) -> str:
        return f"{self.group}: {self.name}"

    @property
    def request(self) -> Any:
        """What the engine's endpoint takes."""
        entries = [{"sql": sql, "params": list(params)} for sql, params in self.statements]
        return entries if len(entries) > 1 else entries[0]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case: a result a statement, or an error's text."""

    results: tuple[dict[str, Any], ...] = ()
    error: str | None = None


@dataclass(slots=True)
class Comparison:
    """The parts in which two outcomes differ, with both sides of each."""

    case: Case
    parts: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    def __str__(self) -> str:
        sides = "".join(
            f"\n    {part}\n      Cloudflare: {_short(theirs)}\n      here:       {_short(ours)}"
            for part, (theirs, ours) in self.parts.items()
        )
        return f"{self.case.id}{sides}"


# Cases


def groups() -> dict[str, list[Case]]:
    """All cases by group, in the order in which they run."""
    return {path.stem: list(_cases(path.stem, path.read_text())) for path in sorted(CASES.glob("*.sql"))}


def _cases(group: str, text: str) -> Iterator[Case]:
    taken: Counter[str] = Counter()
    for paragraph in re.split(r"\n[ \t]*\n", text.strip("\n")):
        name = " ".join(paragraph.split())
        entries: list[list[str]] = [[]]
        params: dict[int, list[Any]] = {}
        for line in paragraph.splitlines():
            if line.startswith("--#"):
                name = line[3:].strip()
            elif line.startswith("--?"):
                params[len(entries) - 1] = json.loads(_expanded(line[3:]))
            elif line.startswith("--+"):
                entries.append([])
            else:
                entries[-1].append(line)
        taken[name] += 1
        yield Case(
            group,
            name if taken[name] == 1 else f"{name} ({taken[name]})",
            tuple(Statement(_expanded("\n".join(lines)), params.get(n, ())) for n, lines in enumerate(entries)),
        )


def _expanded(text: str) -> str:
    return _REPEATED.sub(lambda match: _ESCAPED.sub(_character, match[1]) * int(match[2]), text)


def _character(escape: re.Match[str]) -> str:
    return str(json.loads(f'"{escape[0]}"'))


# Both engines

_PRELUDE: Final = [
    Case("prelude", name, (Statement(sql),))
    for name, sql in {
        "the engine inserts its own book-keeping": "SELECT 1",
        "last_row_id is ours again": "CREATE TABLE prelude (a); INSERT INTO prelude VALUES (1); DROP TABLE prelude;",
    }.items()
]
"""Runs before every group; until it has, the engine's `last_row_id` is that of a row of its own."""


def run_here(cases: list[Case], path: Path) -> list[Outcome]:
    """The cases in a fresh local D1, as our server runs and sends them."""
    with closing(LocalDatabase(path, name="differential", id="0", bind_numbers_as_double=True)) as database:
        return [_run_here(database, case) for case in [*_PRELUDE, *cases]][len(_PRELUDE) :]


def _run_here(database: LocalDatabase, case: Case) -> Outcome:
    request = case.request
    try:
        query = wire.decode_request(json.dumps({"batch": request} if isinstance(request, list) else request).encode())
        results = database.batch(query.statements) if query.batch else database.execute(*query.statements[0])
    except CoinswarmError as error:
        return Outcome(error=error.message)
    encoded = json.loads(msgspec.json.encode(wire.encode_results(results, raw=True)))
    return Outcome(tuple({**each["results"], "meta": each["meta"]} for each in encoded))


def run_cloudflare(cases: list[list[Case]]) -> list[list[Outcome]]:
    """The outcomes of all groups in Cloudflare's engine, in one process."""
    process = subprocess.run(
        ["node", "miniflare_d1.mjs"],
        cwd=NODE,
        input=json.dumps({"groups": [[case.request for case in [*_PRELUDE, *group]] for group in cases]}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if process.returncode:
        raise AssertionError(f"Miniflare failed: {process.stderr[-3000:]}")
    return [
        [Outcome(tuple(each.get("results", ())), each.get("error")) for each in group[len(_PRELUDE) :]]
        for group in json.loads(process.stdout)
    ]


# Comparing


def compare(case: Case, theirs: Outcome, ours: Outcome) -> Comparison:
    """Where the outcomes differ: `refused`, `accepted`, `error`, `columns`, `rows`, `results` or a field of meta."""
    found = Comparison(case)
    if theirs.error is not None or ours.error is not None:
        if theirs.error is None:
            found.parts["refused"] = ("accepts it", ours.error)
        elif ours.error is None:
            found.parts["accepted"] = (theirs.error, "accepts it")
        elif theirs.error != ours.error:
            found.parts["error"] = (theirs.error, ours.error)
        return found
    sides = list(zip(theirs.results, ours.results, strict=False))
    if len(theirs.results) != len(ours.results):
        # Of a text with several statements Miniflare's endpoint gives the last result alone; the REST API gives all.
        if len(theirs.results) > 1 or len(case.statements) > 1:
            found.parts["results"] = (len(theirs.results), len(ours.results))
        sides = [(theirs.results[-1], _as_one(ours.results))]
    for their, our in sides:
        for part in ("columns", "rows"):
            _note(found, part, their[part], our[part])
        for name in EXACT_META:
            _note(found, name, their["meta"][name], our["meta"][name])
    if case.group == METERED and not all(met for met in reads_met(theirs, ours)):
        found.parts["rows_read"] = tuple([r["meta"]["rows_read"] for r in o.results] for o in (theirs, ours))
    return found


def reads_met(theirs: Outcome, ours: Outcome) -> list[bool]:
    """Of each pair of results, whether our estimate of `rows_read` is near enough."""
    pairs = zip(reversed(theirs.results), reversed(ours.results), strict=False)
    reads = [(their["meta"]["rows_read"], our["meta"]["rows_read"]) for their, our in pairs]
    return [abs(their - our) <= max(READ_SLACK, READ_TOLERANCE * their) for their, our in reads]


def _note(found: Comparison, part: str, their: Any, our: Any) -> None:
    if json.dumps(their) != json.dumps(our):
        found.parts.setdefault(part, (their, our))


def _as_one(results: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """The last result, with the changes of the whole text, which is how Miniflare's endpoint measures them."""
    metas = [each["meta"] for each in results]
    changes, changed = sum(meta["changes"] for meta in metas), any(meta["changed_db"] for meta in metas)
    return {**results[-1], "meta": {**metas[-1], "changes": changes, "changed_db": changed}}


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 300 else f"{text[:300]}… ({len(text)} characters)"
