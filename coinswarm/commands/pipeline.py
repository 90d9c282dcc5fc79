"""`coinswarm fetch` and `coinswarm consume`: the pipeline's two ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from coinswarm.candles import Pair, Timeframe
from coinswarm.commands.moments import moment
from coinswarm.commands.run import Run, Yes, command
from coinswarm.errors import CoinswarmError, StorageFull, UsageError

if TYPE_CHECKING:
    from coinswarm.consumer.report import ConsumeReport
    from coinswarm.fetchers.report import FetchReport


app = typer.Typer(add_completion=False)

ROWS_FOR_A_RATE = 1_000
"""Fewer rows take no time that says anything about speed."""


@command(app, "fetch")
def fetch(
    run: Run,
    pair: Annotated[str | None, typer.Argument(metavar="PAIR", help="Base and quote; BTC-USDC unless said.")] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source", help="cryptocompare, binance (unless said), binanceus, coingecko, kraken or coinbase."
        ),
    ] = None,
    timeframe: Annotated[
        str | None, typer.Option("--timeframe", "-t", help="1m 3m 5m 15m 30m 1h 2h … 1w; 1h unless said.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Candles a page; 2000 unless said.")] = None,
    to_ts: Annotated[
        str | None,
        typer.Option("--to-ts", metavar="T", help="Newest open wanted: unix seconds or ISO 8601; now unless said."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="T", help="Oldest open wanted; pages back until it is reached.")
    ] = None,
    pages: Annotated[int | None, typer.Option("--pages", metavar="N", help="Pages to fetch.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Page back until the source has no more.")] = False,
    rows_per_message: Annotated[int, typer.Option("--rows-per-message", help="Candles a message.")] = 10,
    remote: Annotated[
        bool, typer.Option("--remote", help="Into the queue on Cloudflare, not on this machine.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Fetch and count, queue nothing.")] = False,
    yes: Yes = False,
) -> None:
    """Queue closed candles of PAIR, newest first. Never writes to D1 itself."""
    from coinswarm import render, wiring
    from coinswarm.fetchers.producer import collect
    from coinswarm.fetchers.report import FetchRequest
    from coinswarm.interrupt import graceful
    from coinswarm.log.opening import open_log

    if everything and pages is not None:
        raise UsageError("--all and --pages exclude each other", hint="Give one of them.")
    now = run.clock.now_ms() // 1000
    until_done = everything or (since is not None and pages is None)
    defaults = run.stack.fetch
    source = source or defaults.source
    request = FetchRequest(
        pair=Pair.parse(pair or defaults.pair),
        timeframe=Timeframe.parse(timeframe or defaults.timeframe),
        limit=defaults.limit if limit is None else limit,
        to_ts=moment("--to-ts", to_ts, now),
        since=moment("--since", since, now),
        pages=None if until_done else 1 if pages is None else pages,
        rows_per_message=rows_per_message,
        dry_run=dry_run,
        flags=(*run.flags, *(["--remote"] if remote else [])),
    )
    if remote and not dry_run:
        run.confirm_remote(f"send candles to the queue {run.stack.queue()}", yes=yes)
    with (
        open_log(run.stack, run.clock) as log,
        wiring.fetcher(run.stack, source, run.clock, log) as fetcher,
        wiring.ingest_queue(run.stack, run.clock, remote=remote) as queue,
        graceful() as interrupt,
        render.progress(f"{source} {request.pair.symbol} {request.timeframe.value}", quiet=run.json) as bar,
    ):
        try:
            report = collect(
                fetcher,
                queue,
                request,
                clock=run.clock,
                on_page=lambda r: bar(r.queued, None, f"candles queued, back to {render.moment(r.oldest)}"),
                stop=interrupt,
                waiting=interrupt.waiting,
                log=log,
            )
        except CoinswarmError as error:
            if error.report is not None and error.report.queued and not run.json:
                _show_fetched(error.report)
            raise
    run.report(report.as_json(), lambda: _show_fetched(report), *_after_fetch(report))
    if interrupt.exit_code is not None:
        raise typer.Exit(interrupt.exit_code)
    if report.incomplete:
        raise typer.Exit(CoinswarmError.exit_code)


def _show_fetched(report: FetchReport) -> None:
    from coinswarm import render

    render.line(report.message + ".")
    if report.oldest is not None:
        render.line(
            f"  opens {render.moment(report.oldest)} to {render.moment(report.newest)} UTC, "
            f"{render.count(report.requests, 'request')}"
        )
    skipped = {
        "still running": report.skipped.unfinished,
        "before listing": report.skipped.before_listing,
        "invalid": report.skipped.invalid,
        "duplicate": report.skipped.duplicate,
        "outside what was asked for": report.skipped.outside,
    }
    if any(skipped.values()):
        render.line("  not queued: " + ", ".join(f"{n:,} {why}" for why, n in skipped.items() if n))
    for example in report.skipped.examples:
        render.line(f"    {example}")
    if report.missing:
        render.line(f"  gaps: {len(report.gaps):,}, {report.missing:,} candles that the source does not have")
    for note in report.notes:
        render.line(f"  note: {note}")
    if report.interrupted:
        render.warn("stopped when asked to: what is queued stays queued")
    if report.incomplete:
        render.warn(report.incomplete)


def _after_fetch(report: FetchReport) -> list[str]:
    """`--since` reached is the end of what was wanted: nobody is told to go on beyond it."""
    steps = [] if report.request.dry_run or not report.queued else ["coinswarm consume"]
    since, cursor = report.request.since, report.next_to_ts
    if report.next_trigger is None or (since is not None and cursor is not None and cursor < since):
        return steps
    return [*steps, report.next_trigger]


@command(app, "consume")
def consume(
    run: Run,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", min=1, max=250, help="Batches in flight; the stack's unless said.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", min=1, max=100, help="Messages a batch; the stack's unless said.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Keep going when the queue is empty.")] = False,
    max_batches: Annotated[
        int | None, typer.Option("--max-batches", min=1, metavar="N", help="Stop after N batches.")
    ] = None,
    remote_queue: Annotated[bool, typer.Option("--remote-queue", help="Pull from the queue on Cloudflare.")] = False,
    remote: Annotated[
        bool, typer.Option("--remote", help="Store in D1 on Cloudflare; with --remote-queue both ends are there.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Drain the queue into price_data: write, then acknowledge. Existing rows are never modified."""
    from coinswarm import render, wiring
    from coinswarm.consumer.worker import worker_for
    from coinswarm.interrupt import graceful
    from coinswarm.log.opening import open_log

    if remote:
        run.confirm_remote(f"write to price_data of the D1 database {run.stack.database().name}", yes=yes)
    with (
        open_log(run.stack, run.clock) as log,
        wiring.pipeline(run.stack, run.clock, remote_queue=remote_queue, remote=remote, log=log) as (queue, database),
    ):
        worker = worker_for(
            run.stack.consumer(), queue, database, run.clock, concurrency=concurrency, batch_size=batch_size, log=log
        )
        with graceful() as interrupt, render.progress("consume", quiet=run.json) as bar:
            try:
                report = worker.drain(
                    watch=watch,
                    max_batches=max_batches,
                    stop=interrupt,
                    on_batch=lambda r: bar(r.rows.received, None, f"rows, {r.rows.inserted:,} new"),
                )
            except CoinswarmError as error:
                if error.report is not None and error.report.messages and not run.json:
                    _show_consumed(error.report)
                if isinstance(error, StorageFull):
                    error.hint = f"{error.hint or ''} What was not stored is still queued.".strip()
                raise
    run.report(
        report.as_json(), lambda: _show_consumed(report), *_after_consume(report, queue.name, remote_queue=remote_queue)
    )
    if interrupt.exit_code is not None:
        raise typer.Exit(interrupt.exit_code)


def _show_consumed(report: ConsumeReport) -> None:
    from coinswarm import render

    rows = report.rows
    if report.messages or report.paused or report.interrupted:
        pace = f" ({report.rows_per_second:,.0f} rows/s)" if rows.received >= ROWS_FOR_A_RATE else ""
        render.line(
            f"Stored {render.count(rows.inserted, 'new row')} from {render.count(report.messages, 'message')} "
            f"in {render.count(report.batches, 'batch', plural='batches')}, {report.seconds:.1f} s{pace}."
        )
    else:
        render.line("Nothing is waiting: the queue is empty.")
    if report.interrupted:
        render.warn("stopped when asked to: what was not settled is still in the queue")
    for number, noun, text in (
        (rows.duplicate, "row", "already there, not touched"),
        (rows.rejected, "row", "rejected"),
        (report.retried, "message", "to be tried again"),
        (report.released, "message", "given back unread"),
        (report.stale, "message", "settled too late: to be delivered again"),
    ):
        if number:
            render.line(f"  {render.count(number, noun)} {text}")
    if report.conflicts:
        render.warn(f"{report.conflicts:,} of those already there have other values than the row stored; it was kept:")
        for conflict in report.as_json()["conflict_examples"]:
            stored, offered = conflict["stored"], conflict["offered"]
            where = f"{conflict['symbol']} {conflict['timeframe']} {conflict['source']} {conflict['timestamp']}"
            changed = [f"{k} {stored[k]!r}, offered {offered[k]!r}" for k in stored if stored[k] != offered[k]]
            render.warn(f"  {where}: {'; '.join(changed)}")
    if report.dead_lettered or report.dropped:
        render.warn(f"{render.count(report.dead_lettered, 'message')} dead-lettered, {report.dropped:,} dropped:")
        for reason, count in report.reasons.most_common(5):
            render.warn(f"  {count:,} × {reason}")
    if report.timed_out:
        render.warn(
            f"{render.count(report.timed_out, 'message')} taken over from a consumer that died or hangs: "
            "not settled within the visibility timeout, and delivered again"
        )
    if report.expired:
        render.warn(
            f"{render.count(report.expired, 'message')} expired undelivered and were deleted: "
            "fetch that span again, and consume within the queue's retention period"
        )
    for note in report.notes:
        render.line(f"  note: {note}")


def _after_consume(report: ConsumeReport, queue: str, *, remote_queue: bool) -> list[str]:
    where = " --remote" if remote_queue else ""
    steps = [f"coinswarm queues resume-delivery {queue}{where}"] if report.paused else []
    steps += [f"coinswarm queues dlq list{where}"] if report.dead_lettered else []
    return [*steps, *(["coinswarm consume"] if report.interrupted else []), "coinswarm d1 stats"]
