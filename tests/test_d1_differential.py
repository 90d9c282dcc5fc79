"""Our local D1 against Cloudflare's own engine: the same SQL, the same results but for what is listed.

The SQL lies in tests/differential, a file a topic; the listed differences in known.toml there and, for people, in
docs/compatibility.md.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.differences import BEGIN, COMPATIBILITY, END, known, page, sqlite_build
from tests.support.differential import (
    METERED,
    NODE,
    Case,
    Outcome,
    compare,
    groups,
    reads_met,
    run_cloudflare,
    run_here,
)

GROUPS = groups()
READS_MET = 0.9
"""The share of statements whose estimate of `rows_read` has to be near the engine's figure."""


@pytest.fixture(scope="module")
def cloudflare() -> dict[str, list[Outcome]]:
    """What Cloudflare's engine says to every case, in one process."""
    if shutil.which("node") is None:
        pytest.skip("Node is not here: nothing to run Cloudflare's engine with")
    if not (NODE / "node_modules" / "miniflare").exists():
        pytest.skip("miniflare is not installed: run `make test` where npm is")
    return dict(zip(GROUPS, run_cloudflare(list(GROUPS.values())), strict=True))


@pytest.mark.wrangler
@pytest.mark.parametrize("group", GROUPS)
def test_both_answer_alike_but_for_the_listed_differences(
    group: str, cloudflare: dict[str, list[Outcome]], tmp_path: Path
) -> None:
    ours = run_here(GROUPS[group], tmp_path / "d1.sqlite")
    listed: dict[str, set[str]] = {}
    for difference in known():
        if difference.applies(*sqlite_build()):
            for case in difference.cases:
                listed.setdefault(case, set()).update(difference.differs)

    compared = [compare(*sides) for sides in zip(GROUPS[group], cloudflare[group], ours, strict=True)]
    unexplained = [str(c) for c in compared if set(c.parts) - listed.get(c.case.id, set())]
    gone = [f"{c.case.id}: {sorted(left)}" for c in compared if (left := listed.get(c.case.id, set()) - set(c.parts))]

    assert not unexplained, "not in tests/differential/known.toml:\n" + "\n".join(unexplained)
    assert not gone, "listed in tests/differential/known.toml and gone:\n" + "\n".join(gone)


@pytest.mark.wrangler
def test_the_estimate_of_rows_read_is_near_for_nearly_all_statements(
    cloudflare: dict[str, list[Outcome]], tmp_path: Path
) -> None:
    met = [
        near
        for group, cases in GROUPS.items()
        for theirs, ours in zip(cloudflare[group], run_here(cases, tmp_path / f"{group}.sqlite"), strict=True)
        for near in reads_met(theirs, ours)
    ]
    assert len(met) > 600
    assert sum(met) / len(met) >= READS_MET


def test_the_cases_are_many_and_each_has_a_name_of_its_own() -> None:
    names = [case.id for cases in GROUPS.values() for case in cases]
    assert len(names) >= 1_000
    assert len(set(names)) == len(names)


def test_every_listed_difference_is_of_a_case_there_is_and_has_its_reason() -> None:
    names = {case.id for cases in GROUPS.values() for case in cases}
    for difference in known():
        assert difference.cases, difference.title
        assert set(difference.cases) <= names, difference.title
        assert difference.why.endswith("."), difference.title


def test_the_documentation_shows_the_listed_differences() -> None:
    shown = COMPATIBILITY.read_text().partition(BEGIN)[2].partition(END)[0]
    assert shown.strip() == page().strip(), "run: python -m tests.support.differences"


# The comparison itself


def outcome(**changes: object) -> Outcome:
    meta = {"changes": 0, "last_row_id": 0, "changed_db": False, "rows_written": 0, "rows_read": 0}
    return Outcome(
        (
            {
                "columns": changes.pop("columns", ["a"]),
                "rows": changes.pop("rows", [[1]]),
                "meta": {**meta, **changes},
            },
        )
    )


@pytest.mark.parametrize(
    ("theirs", "ours", "differs"),
    [
        (outcome(), outcome(), set()),
        (outcome(), outcome(rows=[[2]]), {"rows"}),
        (outcome(), outcome(rows=[["1"]]), {"rows"}),
        (outcome(rows=[[1]]), outcome(rows=[[True]]), {"rows"}),
        (outcome(rows=[[1], [2]]), outcome(rows=[[2], [1]]), {"rows"}),
        (outcome(), outcome(columns=["b"]), {"columns"}),
        (outcome(), outcome(changes=1, changed_db=True), {"changes", "changed_db"}),
        (outcome(), outcome(last_row_id=1, rows_written=1), {"last_row_id", "rows_written"}),
        (outcome(), Outcome(error="no such table"), {"refused"}),
        (Outcome(error="no such table"), outcome(), {"accepted"}),
        (Outcome(error="no such table"), Outcome(error="no such column"), {"error"}),
        (Outcome(error="no such table"), Outcome(error="no such table"), set()),
        (outcome(rows_read=100), outcome(rows_read=50), set()),
        (outcome(rows_read=100), outcome(rows_read=49), {"rows_read"}),
        (outcome(rows_read=0), outcome(rows_read=6), {"rows_read"}),
    ],
)
def test_a_difference_is_seen(theirs: Outcome, ours: Outcome, differs: set[str]) -> None:
    assert set(compare(Case(METERED, "x", ()), theirs, ours).parts) == differs


def test_a_batch_with_fewer_results_is_a_difference(tmp_path: Path) -> None:
    two = Outcome(outcome().results * 2)
    assert set(compare(Case("x", "x", ()), two, outcome()).parts) == {"results"}
