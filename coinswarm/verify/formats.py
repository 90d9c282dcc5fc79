"""A report as people, GitHub and test dashboards read it. Pure: text out, nothing is written here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final
from xml.etree import ElementTree as ET

from coinswarm.verify.check import Report, Result, Status

MARKS: Final = {Status.PASSED: "✅", Status.WARNING: "⚠️", Status.FAILED: "❌", Status.SKIPPED: "⏭️"}
ANNOTATIONS: Final = 10
"""Of one kind a step; GitHub drops the rest without a word.

https://docs.github.com/actions/writing-workflows/choosing-what-your-workflow-does/workflow-commands-for-github-actions
"""
ANNOTATION_CHARACTERS: Final = 4_000
SUMMARY_BYTES: Final = 1_000_000
"""A step's summary may have 1 MiB; a larger one is refused as a whole."""


def text(report: Report) -> Iterator[str]:
    """The original script's lines: a mark and what was found, what to do about it, the counts, the verdict."""
    for result in report.results:
        about = f"{result.title}: " if result.status is Status.SKIPPED else ""
        yield f"{MARKS[result.status]} {about}{result.outcome.message}"
        if result.outcome.hint and result.status is not Status.PASSED:
            yield f"   → {result.outcome.hint}"
    yield ""
    yield f"📊 Verification Summary: {report.summary}"
    yield f"{_verdict_mark(report)} {report.verdict}"


def _verdict_mark(report: Report) -> str:
    if report.count(Status.FAILED):
        return MARKS[Status.FAILED]
    return MARKS[Status.WARNING if report.count(Status.WARNING) else Status.PASSED]


def junit(report: Report) -> str:
    """JUnit's XML: one test case a check. It knows no warnings: they pass, with what they say as output."""
    counts = {
        "tests": str(len(report.results)),
        "failures": str(report.count(Status.FAILED)),
        "errors": "0",
        "skipped": str(report.count(Status.SKIPPED)),
        "time": f"{sum(result.seconds for result in report.results):.3f}",
    }
    suites = ET.Element("testsuites", {"name": "coinswarm verify", **counts})
    suite = ET.SubElement(suites, "testsuite", {"name": f"coinswarm verify: {_xml(report.where)}", **counts})
    for result in report.results:
        attributes = {"classname": "coinswarm.verify", "name": result.id, "time": f"{result.seconds:.3f}"}
        case = ET.SubElement(suite, "testcase", attributes)
        message = _xml(result.outcome.message)
        if result.status is Status.FAILED:
            ET.SubElement(case, "failure", {"message": message}).text = _xml(_with_hint(result))
        elif result.status is Status.SKIPPED:
            ET.SubElement(case, "skipped", {"message": message})
        else:
            word = "WARNING: " if result.status is Status.WARNING else ""
            ET.SubElement(case, "system-out").text = word + _xml(_with_hint(result))
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _with_hint(result: Result) -> str:
    hint = result.outcome.hint
    return f"{result.outcome.message}\n{hint}" if hint else result.outcome.message


def _xml(words: str) -> str:
    """Without the characters that XML 1.0 cannot hold at all."""
    return "".join(c if _in_xml(c) else "�" for c in words)


def _in_xml(c: str) -> bool:
    return c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff"


def github(report: Report) -> Iterator[str]:
    """Lines for the log of a workflow: what `text` says, and an annotation for every warning and failure.

    Of more than ten of a kind GitHub shows ten, so that the tenth then stands for the rest.
    """
    for line in text(report):
        yield _harmless(line)
    for status, command in ((Status.FAILED, "error"), (Status.WARNING, "warning")):
        found = [result for result in report.results if result.status is status]
        several = len(found) > ANNOTATIONS
        for result in found[: ANNOTATIONS - 1] if several else found:
            yield _annotation(command, f"coinswarm verify: {result.id}", _with_hint(result))
        if several:
            rest = found[ANNOTATIONS - 1 :]
            lines = [f"{result.id}: {result.outcome.message}" for result in rest]
            yield _annotation(command, f"coinswarm verify: {len(rest)} more", "\n".join(lines))


def _harmless(line: str) -> str:
    """A line of the log that is no workflow command: one begins with `::`, or has `##[` anywhere in it.

    https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs
    """
    line = line.replace("\r", " ").replace("\n", " ").replace("##[", "#\u200b#[")
    return "\u200b" + line if line.lstrip().startswith("::") else line


def _annotation(command: str, title: str, message: str) -> str:
    message = message if len(message) <= ANNOTATION_CHARACTERS else message[: ANNOTATION_CHARACTERS - 1] + "…"
    return f"::{command} title={_property(title)}::{_data(message)}"


def _data(words: str) -> str:
    return words.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(words: str) -> str:
    return _data(words).replace(":", "%3A").replace(",", "%2C")


def summary(report: Report) -> str:
    """The job summary: a table in GitHub's Markdown, cut before it grows larger than a step may write."""
    lines = [
        f"### {_verdict_mark(report)} coinswarm verify: {_cell(report.where)}",
        "",
        f"📊 {report.summary}",
        "",
        "| | check | found |",
        "|---|---|---|",
    ]
    lines += [_row(result) for result in report.results]
    return "\n".join(_fitting(lines)) + "\n\n"


def _row(result: Result) -> str:
    found = _cell(result.outcome.message)
    if result.outcome.hint and result.status is not Status.PASSED:
        found += f"<br>→ {_cell(result.outcome.hint)}"
    return f"| {MARKS[result.status]} | {result.number} {_cell(result.title)} | {found} |"


def _cell(words: str) -> str:
    """Text in a table's cell: nothing in it is markup."""
    for character in "\\`*_[]|#~":
        words = words.replace(character, "\\" + character)
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", " ").replace("\n", " ")


def _fitting(lines: Sequence[str]) -> Iterator[str]:
    size = 0
    for line in lines:
        size += len(line.encode()) + 1
        if size > SUMMARY_BYTES:
            return
        yield line
