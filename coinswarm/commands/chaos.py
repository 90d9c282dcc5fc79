"""`coinswarm chaos`: kill the pipeline again and again, and account for every candle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coinswarm.commands.run import STACK, Run, command
from coinswarm.errors import EXIT_FAILED

if TYPE_CHECKING:
    from coinswarm.chaos.report import ChaosReport

app = typer.Typer(add_completion=False)


@command(app, "chaos", unused=STACK)
def chaos(
    run: Run,
    seed: Annotated[int, typer.Option("--seed", help="Another plan; the same one for the same seed.")] = 1,
    kills: Annotated[int, typer.Option("--kills", min=1, max=100_000, help="How often a process is killed.")] = 50,
    candles: Annotated[
        int, typer.Option("--candles", min=1_000, max=100_000_000, help="How many come through in all.")
    ] = 50_000,
    episode: Annotated[
        int | None, typer.Option("--episode", metavar="N", min=0, help="Only this episode of the plan, to look closer.")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="DIR", help="Leave all files in DIR, which must be new or empty."),
    ] = None,
) -> None:
    """Kill and starve the pipeline by a plan, in a folder of its own, and account for every candle."""
    import tempfile

    from coinswarm import render
    from coinswarm.chaos.report import EpisodeReport
    from coinswarm.chaos.run import run as run_chaos
    from coinswarm.chaos.run import work_in

    def told(done: EpisodeReport, count: int) -> None:
        mark = "✘" if done.violations else "✔"
        render.note(
            f"{mark} episode {done.number + 1} of {count} ({done.mode}): {render.count(done.kills.total(), 'kill')}, "
            f"{render.count(done.account.fetched, 'candle')}, {done.seconds:.1f} s"
        )

    with work_in(keep, Path(tempfile.gettempdir())) as directory:
        report = run_chaos(
            directory,
            run.clock,
            seed=seed,
            kills=kills,
            candles=candles,
            episode=episode,
            keep=keep is not None,
            on_episode=told,
        )
    run.report(report.as_json(), lambda: _show(report, directory))
    if not report.passed:
        raise typer.Exit(EXIT_FAILED)


def _show(report: ChaosReport, directory: Path) -> None:
    from coinswarm import render

    late = report.kills_too_late
    render.table(("killed at", "times"), report.summed("kills").most_common())
    render.table(("fault", "times"), report.summed("faults").most_common())
    names = ("stored", "queued", "dead_lettered", "purged", "expired", "lost")
    where = ", ".join(f"{report.total(name):,} {name.replace('_', '-')}" for name in names)
    render.line(f"{report.total('fetched'):,} candles: {where}.")
    render.line(f"{report.total('doubled'):,} doubled, {report.total('altered'):,} altered.")
    render.line(
        f"{report.kills:,} kills in {render.count(len(report.episodes), 'episode')}: {report.kills - late:,} in the "
        f"middle of something, {late:,} when it had ended. Seed {report.seed}, {report.seconds:.0f} s, plan "
        f"{report.plan_sha256[:16]}."
    )
    for violation in report.violations:
        render.warn(violation)
    failed = [each.number for each in report.episodes if each.violations]
    if failed:
        render.warn(f"replay it: {report.replay(failed[0])} --keep DIR")
        render.warn(f"what it left is in {directory}")
