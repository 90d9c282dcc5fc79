"""`python -m coinswarm.simulator`: the exchanges on a port, until Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from coinswarm.candles import Pair, Span, Timeframe
from coinswarm.clock import Clock, ManualClock, SystemClock
from coinswarm.errors import EXIT_INTERRUPTED, EXIT_TERMINATED, CoinswarmError, UsageError
from coinswarm.simulator.faults import KINDS, Faults
from coinswarm.simulator.files import FileMarket
from coinswarm.simulator.market import Market
from coinswarm.simulator.server import SOURCES, Simulator
from coinswarm.simulator.synthetic import SyntheticMarket

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_KINDS = ", ".join(KINDS)


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes any that is free.")] = 8600,
    csv: Annotated[
        list[Path] | None,
        typer.Option(help="Serve this candle file (Kraken's OHLCVT dump or CryptoDataDownload). Repeatable."),
    ] = None,
    pair: Annotated[str | None, typer.Option(help="What the file holds, if its name does not tell: BTC-USD.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Likewise: 1h.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed, another market and other faults.")] = 0,
    idle: Annotated[float, typer.Option(help="Share of buckets without a trade.")] = 0.0,
    halt: Annotated[
        list[str] | None, typer.Option(help="FROM/TO without any trade, unix seconds or ISO 8601. Repeatable.")
    ] = None,
    now: Annotated[
        str | None,
        typer.Option(
            help="Stop the exchanges' clock at this moment, unix seconds or ISO 8601. With --csv it stands at the end "
            "of the files unless told otherwise."
        ),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(help=f"KIND:RATE or SOURCE/KIND:RATE, as 429:0.1. Repeatable. Kinds: {_KINDS}, any 5xx."),
    ] = None,
    script: Annotated[
        list[str] | None, typer.Option(help="SOURCE:KIND,KIND,… for its first requests, as binance:ok,429,cut.")
    ] = None,
    retry_after: Annotated[int, typer.Option(help="Seconds told in Retry-After.")] = 1,
    stall_seconds: Annotated[float, typer.Option(help="How long `stall` and `slow` hold a reply.")] = 30.0,
    ban_impatient: Annotated[
        bool, typer.Option("--ban-impatient", help="418 for who asks again before Retry-After is over.")
    ] = False,
) -> None:
    """Six exchange APIs on loopback, over a market made of arithmetic or over candle files.

    Paste the printed lines into the shell in which coinswarm runs.
    """
    faults = Faults.parse(
        fault or (),
        script=_scripts(script or ()),
        seed=seed,
        retry_after=retry_after,
        stall_seconds=stall_seconds,
        ban_impatient=ban_impatient,
    )
    market = _market(csv or (), pair, timeframe, seed, idle, halt or ())
    raise typer.Exit(_run(Simulator(market, faults=faults, clock=_clock(now, market), port=port)))


def _run(simulator: Simulator) -> int:
    """Until a signal; returns the exit code."""
    stop = threading.Event()
    received: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    with simulator:
        for name, value in simulator.environment.items():
            sys.stdout.write(f"export {name}={value}\n")
        sys.stdout.flush()
        sys.stderr.write(
            f"{len(simulator.market.pairs)} pairs; GET /_requests tells what was asked, POST /_faults changes the "
            "faults; Ctrl-C stops.\n"
        )
        stop.wait()
    return EXIT_INTERRUPTED if received[0] == signal.SIGINT else EXIT_TERMINATED


def _market(
    files: list[Path] | tuple[Path, ...],
    pair: str | None,
    timeframe: str | None,
    seed: int,
    idle: float,
    halts: list[str] | tuple[str, ...],
) -> Market:
    if files:
        if idle or halts:
            raise UsageError("--idle and --halt are for the synthetic market", hint="Leave them out beside --csv.")
        named_timeframe = Timeframe.parse(timeframe) if timeframe else None
        return FileMarket.load(*files, pair=Pair.parse(pair) if pair else None, timeframe=named_timeframe)
    if pair or timeframe:
        raise UsageError("--pair and --timeframe tell what a file holds", hint="Add --csv FILE, or leave them out.")
    return SyntheticMarket(seed, idle=idle, halts=[_halt(text) for text in halts])


def _clock(now: str | None, market: Market) -> Clock:
    """Of a market that ended long ago, an exchange's newest 720 rows or last 30 days would hold nothing."""
    if now is not None:
        return ManualClock(_moment(now) * 1000)
    if isinstance(market, FileMarket):
        return ManualClock(max(market.ends_at(pair) for pair in market.pairs) * 1000)
    return SystemClock()


def _scripts(texts: list[str] | tuple[str, ...]) -> dict[str, list[str]]:
    scripts: dict[str, list[str]] = {}
    for text in texts:
        source, _, kinds = text.partition(":")
        if source not in (*SOURCES, "*"):
            raise UsageError(f"{text!r}: unknown source {source!r}", hint="Choose from: " + " ".join((*SOURCES, "*")))
        scripts[source] = kinds.split(",")
    return scripts


def _halt(text: str) -> Span:
    first, separator, last = text.partition("/")
    if not separator:
        raise UsageError(f"{text!r} is no span", hint="For example: --halt 2020-06-28T02:00Z/2020-06-28T05:00Z")
    return Span(_moment(first), _moment(last))


def _moment(text: str) -> int:
    """Unix seconds out of themselves or ISO 8601, UTC where no zone is told."""
    try:
        moment = datetime.fromtimestamp(int(text), UTC) if text.isdecimal() else datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{text!r} is no moment", hint="Unix seconds or ISO 8601: 2024-01-31T12:00Z") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def main() -> None:
    try:
        app(prog_name="python -m coinswarm.simulator")
    except CoinswarmError as error:
        sys.stderr.write(f"error: {error.message}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
