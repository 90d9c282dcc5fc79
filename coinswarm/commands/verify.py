"""`coinswarm verify`: whether the stack works, shown check by check."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coinswarm.commands.run import Remote, Run, command
from coinswarm.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coinswarm.verify.check import Check, Report

app = typer.Typer(add_completion=False)


class Format(StrEnum):
    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    GITHUB = "github"


@command(app, "verify")
def verify(
    run: Run,
    remote: Remote = False,
    form: Annotated[
        Format, typer.Option("--format", help="github: annotations and the job summary for GitHub Actions.")
    ] = Format.TEXT,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="ID", help="Run this check alone; may be repeated.")
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", metavar="FILE", help="Prove that no row it lists has changed; reads all rows."),
    ] = None,
    write_baseline: Annotated[
        Path | None, typer.Option("--write-baseline", metavar="FILE", help="List all rows there are, for --baseline.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="S", min=0.001, help="Seconds a check may take; 30 unless it reads all."),
    ] = None,
) -> None:
    """Whether the stack works: 19 checks of behaviour. Exits with 0: all passed, 1: warnings, 2: failures."""
    import os

    from coinswarm import render
    from coinswarm.verify.catalogue import CHECKS, with_baseline
    from coinswarm.verify.runner import choose

    run.on_cloudflare = remote
    run.json = run.json or form is Format.JSON
    if baseline is not None and not baseline.is_file():
        hint = f"Write one: coinswarm verify --write-baseline {baseline}"
        raise UsageError(f"there is no baseline {baseline}", hint=hint)
    extra = with_baseline(compare=baseline, write=write_baseline)
    chosen = choose([*CHECKS, *extra], only or ())
    checks = [*chosen, *(check for check in extra if check not in chosen)]
    if remote and any(check.id in ("canary", "first-write-wins") for check in checks):
        render.note("remote: two canary rows go into price_data and out again")
    with render.progress("verify", quiet=run.json or form is not Format.TEXT) as bar:
        report = _verified(run, checks, remote=remote, timeout=timeout, bar=bar)
    _show(run, report, form)
    if form is Format.GITHUB and (target := os.environ.get("GITHUB_STEP_SUMMARY")):
        _append_summary(report, Path(target))
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def _verified(run: Run, checks: Sequence[Check], *, remote: bool, timeout: float | None, bar: Any) -> Report:
    """A configuration that cannot be read is a failure like others, in every format."""
    from coinswarm.verify import runner
    from coinswarm.verify.subject import Subject

    try:
        subject = Subject(run.stack, run.clock, remote=remote, flags=run.flags)
    except ConfigError as error:
        return runner.misconfigured(error, checks, remote=remote)
    done = iter(range(1, len(checks) + 1))
    return runner.verify(
        subject, checks, seconds=timeout, on_result=lambda result: bar(next(done), len(checks), result.title)
    )


def _show(run: Run, report: Report, form: Format) -> None:
    from coinswarm import render
    from coinswarm.verify import formats

    if form is Format.JUNIT and not run.json:
        render.write(formats.junit(report), sys.stdout)
        return
    lines = formats.github(report) if form is Format.GITHUB else formats.text(report)

    def show() -> None:
        for line in lines:
            render.line(line)

    run.report(report.as_json(), show)


def _append_summary(report: Report, path: Path) -> None:
    """What GitHub shows on the page of the run; that it cannot be written is no fault of the stack."""
    from coinswarm import render
    from coinswarm.verify import formats

    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(formats.summary(report))
    except OSError as error:
        render.warn(f"the job summary could not be written to {path}: {error.strerror}")
