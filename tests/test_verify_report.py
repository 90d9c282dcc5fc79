"""The runner and the five ways to show what it found: text, JSON, JUnit, annotations, job summary."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from coinswarm.config import load
from coinswarm.errors import DatabaseUnavailable, UsageError
from coinswarm.verify import formats, runner
from coinswarm.verify.catalogue import CHECKS
from coinswarm.verify.check import Check, Outcome, Report, Result, Status, failed, passed, warned
from coinswarm.verify.subject import Subject
from tests.support.command_line import CommandLine
from tests.support.verified import CLOCK


def check(name: str, run: Callable[[Subject], Outcome], *needs: str) -> Check:
    return Check(name, f"V-{name}", name.title(), run, needs)


def subject_in(folder: Path, **environ: str) -> Subject:
    return Subject(load(cwd=folder, environ=environ), CLOCK)


def report_of(*outcomes: Outcome) -> Report:
    results = (Result(f"check-{n}", f"V{n}", "Title", outcome) for n, outcome in enumerate(outcomes))
    return Report("this machine", False, tuple(results))


# Running


def test_a_check_that_raises_or_crashes_is_a_failure_of_its_own(tmp_path: Path) -> None:
    def unavailable(_subject: Subject) -> Outcome:
        raise DatabaseUnavailable("D1 is overloaded")

    def crash(_subject: Subject) -> Outcome:
        raise ZeroDivisionError("by zero")

    checks = [check("one", unavailable), check("two", crash), check("three", lambda _: passed("fine"))]
    report = runner.verify(subject_in(tmp_path), checks)
    assert [result.status.value for result in report.results] == ["failed", "failed", "passed"]
    assert report.results[0].outcome.message == "D1 is overloaded"
    assert "ZeroDivisionError: by zero" in report.results[1].outcome.message
    assert all(result.outcome.hint for result in report.results[:2])


def test_a_check_that_hangs_is_told_to_stop_and_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "GRACE_SECONDS", 0.01)
    ended = threading.Event()
    told: list[bool] = []

    def hang(subject: Subject) -> Outcome:
        told.append(subject.stop.wait(5))
        ended.wait(5)
        return passed("late")

    report = runner.verify(
        subject_in(tmp_path), [check("slow", hang), check("next", lambda _: passed("fine"))], seconds=0.01
    )
    ended.set()
    assert [result.status.value for result in report.results] == ["failed", "passed"]
    assert report.results[0].outcome.message == "not finished within 0.01 s"
    assert report.results[0].outcome.hint == "Give it more time: coinswarm verify --only slow --timeout 1"
    assert told == [True]


def test_what_needs_a_failed_check_is_skipped_and_the_first_cause_is_named(tmp_path: Path) -> None:
    checks = [
        check("root", lambda _: failed("broken", "mend it")),
        check("stem", lambda _: passed("never run"), "root"),
        check("leaf", lambda _: passed("never run"), "stem"),
        check("other", lambda _: warned("so so", "look at it")),
        check("after-a-warning", lambda _: passed("fine"), "other"),
    ]
    report = runner.verify(subject_in(tmp_path), checks)
    assert [result.status.value for result in report.results] == ["failed", "skipped", "skipped", "warning", "passed"]
    assert report.results[2].outcome.message == "not checked, because root failed"
    assert report.summary == "1 Passed, 1 Warnings, 1 Failed, 2 Skipped"
    assert f"⏭️ {report.results[2].title}: not checked, because root failed" in list(formats.text(report))


def test_secrets_are_masked_whoever_says_them(tmp_path: Path) -> None:
    (tmp_path / ".dev.vars").write_text("MY_API_KEY=variable-value-9\n")
    subject = subject_in(tmp_path, CLOUDFLARE_API_TOKEN="token-value-1", CRYPTOCOMPARE_API_KEY="key-value-2")

    def blab(_subject: Subject) -> Outcome:
        return failed("token-value-1", "key-value-2", seen=["variable-value-9", {"x": "token-value-1"}])

    def crash(_subject: Subject) -> Outcome:
        raise ValueError("key-value-2")

    report = runner.verify(subject, [check("one", blab), check("two", crash)])
    shown = [
        str(report.as_json()),
        *formats.text(report),
        formats.junit(report),
        *formats.github(report),
        formats.summary(report),
    ]
    for secret in ("token-value-1", "key-value-2", "variable-value-9"):
        assert secret not in "".join(shown)


def test_checks_are_chosen_by_id_or_number_and_unknown_ones_refused() -> None:
    assert [c.id for c in runner.choose(CHECKS, ["v14", "queue"])] == ["queue", "cron"]
    assert len(runner.choose(CHECKS, [])) == 19
    with pytest.raises(UsageError, match="no check nonsense") as caught:
        runner.choose(CHECKS, ["queue", "nonsense"])
    assert "first-write-wins" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("outcomes", "code", "verdict"),
    [
        ([passed("a")], 0, "✅ DEPLOYMENT VERIFIED SUCCESSFULLY!"),
        ([passed("a"), warned("b", "c")], 1, "⚠️ DEPLOYMENT VERIFIED WITH WARNINGS"),
        ([passed("a"), warned("b", "c"), failed("d", "e")], 2, "❌ DEPLOYMENT VERIFICATION FAILED"),
    ],
)
def test_the_exit_code_and_the_verdict_follow_from_the_worst(outcomes: list[Outcome], code: int, verdict: str) -> None:
    report = report_of(*outcomes)
    assert (report.exit_code, list(formats.text(report))[-1]) == (code, verdict)


# Showing


def test_text_has_a_mark_and_a_hint_for_each_and_counts_that_add_up() -> None:
    report = report_of(passed("fine"), warned("so so", "look"), failed("broken", "mend"))
    assert list(formats.text(report)) == [
        "✅ fine",
        "⚠️ so so",
        "   → look",
        "❌ broken",
        "   → mend",
        "",
        "📊 Verification Summary: 1 Passed, 1 Warnings, 1 Failed",
        "❌ DEPLOYMENT VERIFICATION FAILED",
    ]


def test_junit_is_xml_with_one_case_a_check_whatever_the_messages_hold() -> None:
    skipped = Outcome(Status.SKIPPED, "not checked")
    report = report_of(passed("a < b & \x00\x1b[31m"), warned('"so" so', "look"), failed("]]> broken", "mend"), skipped)
    suites = ET.fromstring(formats.junit(report))
    (suite,) = suites
    assert {name: suite.get(name) for name in ("tests", "failures", "skipped")} == {
        "tests": "4",
        "failures": "1",
        "skipped": "1",
    }
    assert [[child.tag for child in case] for case in suite] == [
        ["system-out"],
        ["system-out"],
        ["failure"],
        ["skipped"],
    ]
    assert suite[1][0].text == 'WARNING: "so" so\nlook'


def annotations(report: Report) -> list[str]:
    return [line for line in formats.github(report) if line.startswith("::")]


def test_annotations_are_escaped_so_that_no_message_becomes_a_command() -> None:
    report = report_of(failed("100 %\n::error::forged\r", "a, b: c"), passed("::set-output name=x::y"))
    assert annotations(report) == ["::error title=coinswarm verify%3A check-0::100 %25%0A::error::forged%0D%0Aa, b: c"]
    assert not any("\n" in line or "\r" in line for line in formats.github(report))


def test_no_line_of_the_log_holds_the_old_form_of_a_command() -> None:
    """The runner looks for `##[` anywhere in a line, for `::` at its beginning alone."""
    report = report_of(failed("a ##[add-mask]x in it", "and ##[group] in its hint"), passed("  ::debug::x"))
    lines = [line for line in formats.github(report) if not line.startswith("::error")]
    assert not any("##[" in line or line.lstrip().startswith("::") for line in lines)


@pytest.mark.parametrize("count", [9, 10, 11, 25])
def test_of_more_annotations_than_github_shows_the_tenth_stands_for_the_rest(count: int) -> None:
    report = report_of(*[failed(f"broken {n}", "mend") for n in range(count)], *[warned("w", "h")] * 3)
    errors = [line for line in annotations(report) if line.startswith("::error")]
    assert len(errors) == min(count, 10)
    assert all(f"broken {n}" in "".join(errors) for n in range(count))
    assert len(annotations(report)) - len(errors) == 3


def test_the_job_summary_is_a_table_in_which_nothing_is_markup() -> None:
    text = formats.summary(report_of(failed("a|b <script> *x* `y`", "see https://x.test/?a=1&b=2"), passed("fine")))
    rows = [line for line in text.splitlines() if line.startswith("| ❌")]
    assert rows == ["| ❌ | V0 Title | a\\|b &lt;script&gt; \\*x\\* \\`y\\`<br>→ see https://x.test/?a=1&amp;b=2 |"]
    assert len(formats.summary(report_of(*[failed("x" * 5_000, "y")] * 400)).encode()) < 1_048_576


# On the command line


def test_json_has_one_document_and_the_exit_code(coinswarm: CommandLine) -> None:
    result = coinswarm("verify", "--only", "queue", "--only", "database", "--format", "json")
    assert result.exit_code == result.json["exit_code"] == 2
    assert [found["status"] for found in result.json["checks"]] == ["passed", "failed"]
    assert result.json == coinswarm("verify", "--only", "V3", "--only", "V8", "--json").json | {
        "checks": result.json["checks"]
    }


def test_the_github_format_appends_to_the_job_summary(coinswarm: CommandLine) -> None:
    target = coinswarm.directory / "summary.md"
    target.write_text("before\n")
    coinswarm.environment["GITHUB_STEP_SUMMARY"] = str(target)
    result = coinswarm("verify", "--only", "database", "--format", "github")
    assert result.exit_code == 2
    assert "::error title=coinswarm verify%3A database::D1 database coinswarm-evolution has no file yet" in result.out
    assert target.read_text().startswith("before\n### ❌ coinswarm verify: this machine\n")
    coinswarm("verify", "--only", "database")
    assert target.read_text().count("###") == 1


def test_a_summary_that_cannot_be_written_does_not_change_the_verdict(coinswarm: CommandLine) -> None:
    coinswarm.environment["GITHUB_STEP_SUMMARY"] = str(coinswarm.directory / "no" / "such" / "folder")
    result = coinswarm("verify", "--only", "queue", "--format", "github")
    assert result.exit_code == 0
    assert "could not be written" in result.err


@pytest.mark.parametrize("form", ["text", "json", "junit", "github"])
def test_a_configuration_with_faults_is_a_failure_in_every_format(coinswarm: CommandLine, form: str) -> None:
    (coinswarm.directory / "wrangler.toml").write_text('name = "x"\n[triggers]\ncrons = ["*/30 25 * * *"]\n')
    result = coinswarm("verify", "--format", form)
    assert result.exit_code == 2
    assert "25 is not 0 to 23" in result.out


def test_junit_on_the_command_line_is_xml_and_nothing_else(coinswarm: CommandLine) -> None:
    coinswarm("d1", "migrations", "apply")
    result = coinswarm("verify", "--format", "junit")
    assert result.exit_code == 0, result.out
    assert len(ET.fromstring(result.out.split("\n", 1)[1])[0]) == 19


def test_an_unknown_check_is_a_wrong_use(coinswarm: CommandLine) -> None:
    result = coinswarm("verify", "--only", "nonsense", "--json")
    assert result.exit_code == 2
    assert result.error[1] == "there is no check nonsense"
