"""`coinswarm demo` and `coinswarm init`."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from coinswarm.commands.run import STACK, Run, command
from coinswarm.errors import EXIT_FAILED

app = typer.Typer(add_completion=False)


@command(app, "demo", unused=STACK)
def demo(
    run: Run,
    seed: Annotated[int, typer.Option("--seed", help="Another market.")] = 1,
    persist_to: Annotated[
        Path | None,
        typer.Option("--persist-to", metavar="DIR", help="Leave its files here; a new temporary folder unless said."),
    ] = None,
) -> None:
    """The whole pipeline against six simulated exchanges, offline; takes some seconds."""
    import tempfile

    from coinswarm import render
    from coinswarm.demo import demo as run_demo
    from coinswarm.storage import translated

    with translated(persist_to or Path(tempfile.gettempdir())):
        directory = persist_to or Path(tempfile.mkdtemp(prefix="coinswarm-demo-"))
        directory.mkdir(parents=True, exist_ok=True)
    report = run_demo(directory, run.clock, seed=seed, on_step=render.note)

    def show() -> None:
        render.table(
            ("source", "symbol", "timeframe", "rows stored", "as the market has them"),
            [
                (s.source, s.symbol, s.timeframe, s.stored, "✔ equal, row by row" if s.equal else "✘ differ")
                for s in report.series
            ],
        )
        render.line(
            f"{report.consumed.rows.inserted:,} candles came through {report.requests:,} requests, "
            f"{report.faults:,} of which went wrong; {report.consumed.rows_per_second:,.0f} rows/s drained."
        )

    replace(run, persist_to=directory / "state").report(
        report.as_json(),
        show,
        "coinswarm d1 stats",
        "coinswarm queues list",
        "coinswarm init my-candles   (then there: d1 migrations apply, fetch, consume)",
    )
    if not report.passed:
        raise typer.Exit(EXIT_FAILED)


_ON_GITHUB = ("gh secret set CLOUDFLARE_API_TOKEN   (then commit and push: deploy.yml begins)",)
_UNDER_SYSTEMD = (
    "sudo cp systemd/coinswarm* /etc/systemd/system/ && sudo systemctl daemon-reload",
    "sudo systemctl enable --now coinswarm coinswarm-alerts.timer",
)


@command(app, "init", unused=STACK)
def init(
    run: Run,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where; here unless said.")] = Path(),
    github: Annotated[
        bool, typer.Option("--github", help="Workflows, too: deploy, and collect every 30 minutes, no server needed.")
    ] = False,
    systemd: Annotated[
        bool, typer.Option("--systemd", help="Units for systemd, too: coinswarm dev, and a timer for its alerts.")
    ] = False,
) -> None:
    """Write wrangler.toml, coinswarm.toml and migrations/ to start from. What exists is left alone."""
    import getpass
    import sys

    from coinswarm import render
    from coinswarm.automation import Service
    from coinswarm.init import init as write_files

    service = Service(getpass.getuser(), (sys.executable, "-m", "coinswarm")) if systemd else None
    report = write_files(folder, github=github, service=service)

    def show() -> None:
        for path in report.written:
            render.line(f"wrote {path}")
        for path in report.kept:
            render.line(f"left alone {path}")

    change = [] if folder == Path() else [shlex.join(["cd", str(folder)])]
    run.report(
        report.as_json(),
        show,
        *change,
        "coinswarm d1 migrations apply",
        "coinswarm fetch BTC-USDC",
        "coinswarm consume",
        *(_ON_GITHUB if github else ()),
        *(_UNDER_SYSTEMD if systemd else ()),
    )
