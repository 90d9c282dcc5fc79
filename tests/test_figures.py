"""The figures in the documentation are those that were measured, as `benchmarks/results` has them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support.command_line import ROOT

RESULTS = {path.stem: json.loads(path.read_text()) for path in (ROOT / "benchmarks" / "results").glob("*.json")}
OWN, ORIGINAL, QUEUES = "pipeline.own_table", "pipeline.original_table", "queue.queues"
MINIFLARE, DRAIN, FORMS = "miniflare.own_table", "remote.drain", "remote.forms"
MEMORY, SERVER, IN_FLIGHT = "pipeline.peak_memory.kb", "server.messages_per_second", "server.in_flight"
PEERS = ("coinswarm", "huey", "litequeue", "persist-queue")

TABLES: dict[str, dict[str, list[str]]] = {
    "README.md": {
        "drain 500,000": [f"{OWN}.drain_rows_per_second", f"{OWN}.drain_share_of_bare"],
        "the same into": [f"{ORIGINAL}.drain_rows_per_second", f"{ORIGINAL}.drain_share_of_bare"],
        "the same drain": [
            f"{MINIFLARE}.miniflare_single_rows_rows_per_second",
            f"{MINIFLARE}.miniflare_json_each_rows_per_second",
            f"{MINIFLARE}.coinswarm_rows_per_second",
        ],
        "enqueue": [f"{OWN}.enqueue_rows_per_second"],
        "drain over HTTP": [f"{DRAIN}.rows_per_second", f"{DRAIN}.share", f"{DRAIN}.allowed_by_latency"],
        "queue alone, sent": [f"{QUEUES}.{name}.sent_per_second" for name in PEERS],
        "queue alone, leased": [f"{QUEUES}.{name}.had_per_second" for name in PEERS],
        "`coinswarm serve`": [f"{SERVER}.batch"],
        "… `pull`": [f"{SERVER}.pull_and_ack"],
        "… 200 queries": [f"{IN_FLIGHT}.requests_per_second", f"{IN_FLIGHT}.failed"],
        "… `d1 import`": ["server.import.seconds", "server.import.peak_memory_mb"],
        "peak memory": [f"{MEMORY}_1000000_candles/1000", f"{MEMORY}_50000_candles/1000"],
        "billed": [f"{OWN}.billed_rows_per_candle", f"{ORIGINAL}.billed_rows_per_candle"],
        "`coinswarm --help`": ["startup.coinswarm_ms", "startup.ratio"],
    },
    "docs/pipeline.md": {
        row: [f"{OWN}.{key}", f"{ORIGINAL}.{key}"]
        for row, key in {
            "enqueue": "enqueue_rows_per_second",
            "drain: ": "drain_rows_per_second",
            "bare": "bare_rows_per_second",
            "drain / bare": "drain_share_of_bare",
            "messages of 20": "interleaved_share_of_in_order",
            "messages in random": "shuffled_share_of_in_order",
            "all of it": "duplicates_rows_per_second",
            "billed": "billed_rows_per_candle",
        }.items()
    },
    "docs/queue.md": {
        row: [f"{QUEUES}.{name}.sent_per_second", f"{QUEUES}.{name}.had_per_second"]
        for row, name in {
            "bare SQLite": "bare SQLite",
            "coinswarm, batches": "coinswarm",
            "coinswarm, four": "coinswarm, 4 batches a commit",
            "coinswarm, one": "coinswarm, one by one",
            "huey": "huey",
            "litequeue": "litequeue",
            "persist-queue": "persist-queue",
        }.items()
    },
    "docs/remote.md": {
        row: [
            f"{FORMS}.{form}.{key}"
            for key in ("request_bytes/1000", "ms_of_our_processor", "ms_in_database", "ms_in_all")
        ]
        for row, form in {
            "100 statements ×": "100 statements",
            "`json_each`, arrays": "json_each of arrays",
            "`json_each`, objects": "json_each of objects",
        }.items()
    },
    "docs/server.md": {
        "`messages/batch`": [f"{SERVER}.batch", f"{SERVER}.echo"],
        "`pull` and `ack`": [f"{SERVER}.pull_and_ack"],
        "200 queries": [
            f"{IN_FLIGHT}.{key}" for key in ("requests_per_second", "failed", "memory_mb.before", "memory_mb.after")
        ],
        "`d1 import` of": ["server.import.seconds", "server.import.peak_memory_mb"],
    },
    "docs/chaos.md": {
        "kills": ["chaos.kills"],
        "in D1": ["chaos.candles.stored"],
        "in the dead-letter queue alone": ["chaos.candles.dead_lettered"],
        "purged, as": ["chaos.candles.purged"],
        "too old": ["chaos.candles.expired"],
        "**lost": ["chaos.candles.lost", "chaos.candles.doubled"],
    },
}
"""By page, by how a row of a table begins: what its figures are, from the left; `/1000`, in thousands."""


def measured(place: str) -> float:
    name, _, divisor = place.partition("/")
    value: Any = RESULTS
    for key in name.split("."):
        value = value[key]
    return float(value) / float(divisor or 1)


def number(text: str) -> float:
    return float(text.replace(",", ""))


@pytest.mark.parametrize(("page", "row"), [(page, row) for page, rows in TABLES.items() for row in rows])
def test_a_row_of_figures_holds_those_that_were_measured(page: str, row: str) -> None:
    """A number is the last measurement, rounded; a range of several runs has it between its ends."""
    (line,) = (line for line in (ROOT / page).read_text().splitlines() if line.startswith(f"| {row}"))
    figures = re.findall(r"(?<![-\w])(\d[\d,.]*)(?: to (\d[\d,.]*))?", line.split("|", 2)[2])
    places = TABLES[page][row]
    assert len(figures) >= len(places), line
    for (low, high), place in zip(figures, places, strict=False):
        least, most = number(low), number(high or low)
        assert least * 0.975 <= measured(place) <= most * 1.025, f"{place} is {measured(place):g}: {line}"


def test_the_numbers_of_back_pressure_are_those_that_were_measured() -> None:
    found = re.findall(r"([\d,.]+)[^|\n]*<!-- ([\w. ,]+) -->", (ROOT / "docs" / "back-pressure.md").read_text())
    assert len(found) >= 6
    for figure, place in found:
        assert number(figure) == pytest.approx(measured(place), rel=0.01), place


def test_the_full_chaos_run_is_told_as_it_was() -> None:
    run = RESULTS["chaos"]
    assert run["passed"]
    story = " ".join((ROOT / "README.md").read_text().split())
    assert f"{run['kills']:,} times in {run['jobs']:,} jobs and {run['seconds']:.0f} seconds" in story
    assert f"{run['jobs']:,} jobs, {run['seconds']:.0f} seconds" in (ROOT / "docs" / "chaos.md").read_text()
