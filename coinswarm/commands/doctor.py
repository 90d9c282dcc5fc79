"""`coinswarm doctor`: the walk through the stack, with a question before every change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from coinswarm.commands.run import Remote, Run, command
from coinswarm.errors import EXIT_FAILED

if TYPE_CHECKING:
    from coinswarm.doctor.report import Step

app = typer.Typer(add_completion=False)


@command(app, "doctor")
def doctor(
    run: Run,
    remote: Remote = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Answer every question with yes.")] = False,
) -> None:
    """Walk through the stack, mend what is missing and try one import, asking before each change.

    Without a terminal and without --yes nothing is changed.
    """
    from coinswarm import render
    from coinswarm.doctor.walk import examine
    from coinswarm.verify.subject import Subject

    run.on_cloudflare = remote
    subject = Subject(run.stack, run.clock, remote=remote, look_only=True, flags=run.flags)

    def agree(question: str) -> bool:
        if yes:
            render.note(f"yes: {question}")
        return yes or run.agreed(question)

    report = examine(
        subject,
        agree=agree,
        on_step=lambda step: None if run.json else _show(step),
        on_depth=lambda messages: render.note(f"    {messages:,} messages wait"),
    )
    report.next_steps = [run.here(step) for step in report.next_steps]
    run.report(report.as_json(), lambda: None, *report.next_steps)
    if not report.healthy:
        raise typer.Exit(EXIT_FAILED)


def _show(step: Step) -> None:
    from coinswarm import render
    from coinswarm.verify.formats import MARKS

    render.line(f"{step.number:>2}. {MARKS[step.status]} {step.title}: {step.message}")
    if step.did:
        render.line(f"      {step.did}")
    if step.hint and not step.did:
        render.line(f"      → {step.hint}")
