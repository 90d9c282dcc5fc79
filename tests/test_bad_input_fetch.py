"""`coinswarm fetch` given what it cannot do, and exchanges that do not do their part.

A clear line, the right exit code, nothing queued that is not told, and a command that goes on exactly where it ended.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from coinswarm.candles import COLUMNS, Candle, Pair, Timeframe
from coinswarm.simulator import SOURCES, Faults, Simulator, SyntheticMarket, expected
from tests.support.command_line import CommandLine, HastyClock, Result

QUEUE = "historical-data-queue"
BTC = Pair("BTC", "USDC")
NEWEST = 1_700_000_000 // 3600 * 3600
SINCE = NEWEST - 2999 * 3600
SERIES = ["--to-ts", str(NEWEST), "--since", str(SINCE), "--limit", "1000"]
"""3,000 hours in three pages, each one request of Binance's."""
HOW_TO_WRITE = "Write unix seconds, 2024-01-31 or 2024-01-31T12:00:00Z."


@pytest.fixture(scope="module")
def market() -> Iterator[Simulator]:
    with Simulator(SyntheticMarket(seed=5)) as running:
        yield running


@pytest.fixture
def simulator(market: Simulator, coinswarm: CommandLine) -> Simulator:
    market.faults = Faults()
    coinswarm.environment = market.environment
    return market


def backlog(coinswarm: CommandLine) -> int:
    result = coinswarm("queues", "info", QUEUE, "--json")
    assert result.exit_code == 0, result
    count: int = result.json["backlog"]
    return count


def both(coinswarm: CommandLine, *command: str) -> tuple[Result, Result]:
    """The command as people see it and in JSON mode; the latter says the same with the same exit code."""
    human, as_json = coinswarm(*command), coinswarm(*command, "--json")
    assert human.exit_code == as_json.exit_code
    message, hint = as_json.error[1:]
    assert human.err.startswith(f"✘ {message}\n")
    for line in (hint or "").splitlines():
        assert f"\n  {line}\n" in human.err
    return human, as_json


# --- arguments ---


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["NOPE"], "'NOPE' is not a pair", "Write base and quote with a hyphen, for example BTC-USDC."),
        (["BTCUSDC"], "'BTCUSDC' is not a pair", "Write base and quote with a hyphen, for example BTC-USDC."),
        (["BTC-USDC-X"], "'BTC-USDC-X' is not a pair", "Write base and quote with a hyphen, for example BTC-USDC."),
        (["BTC-BTC"], "'BTC-BTC' has the same base and quote", "For example: BTC-USDC."),
        (["B C-USD"], "'B C-USD' is not a pair", "Write base and quote with a hyphen, for example BTC-USDC."),
        (
            ["--source", "mtgox"],
            "unknown source 'mtgox'",
            "Choose one of: cryptocompare binance binanceus coingecko kraken coinbase",
        ),
        (
            ["--timeframe", "7m"],
            "unknown timeframe '7m'",
            "Choose one of: 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 1w",
        ),
        (["--limit", "0"], "--limit must be at least 1, not 0", None),
        (["--limit", "-5"], "--limit must be at least 1, not -5", None),
        (["--pages", "0"], "--pages must be at least 1, not 0", None),
        (["--rows-per-message", "0"], "--rows-per-message must be at least 1, not 0", None),
        (["--all", "--pages", "2"], "--all and --pages exclude each other", "Give one of them."),
        (
            ["--since", "2024-01-02", "--to-ts", "2024-01-01"],
            "--since (2024-01-02T00:00:00Z) is later than --to-ts (2024-01-01T00:00:00Z)",
            None,
        ),
    ],
)
def test_an_argument_that_cannot_be_meant_is_refused_before_anything_happens(
    coinswarm: CommandLine, simulator: Simulator, arguments: list[str], message: str, hint: str | None
) -> None:
    before = len(simulator.requests)
    human, as_json = both(coinswarm, "fetch", *arguments)
    assert human.exit_code == 2
    assert as_json.error == ("UsageError", message, hint)
    assert (human.out, as_json.err) == ("", "")
    assert len(simulator.requests) == before
    assert backlog(coinswarm) == 0


@pytest.mark.parametrize("flag", ["--to-ts", "--since"])
@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("1700000000000", "1700000000000 is not in unix seconds", "Milliseconds? Then: {flag} 1700000000"),
        ("1700000000000000", "1700000000000000 is not in unix seconds", "Microseconds? Then: {flag} 1700000000"),
        ("1700000000000000000", "1700000000000000000 is not in unix seconds", "Nanoseconds? Then: {flag} 1700000000"),
        ("9" * 40, f"{'9' * 40} is not in unix seconds", HOW_TO_WRITE),
        ("-5", "-5 is not in unix seconds", HOW_TO_WRITE),
        ("yesterday", "'yesterday' is not a time", HOW_TO_WRITE),
        ("", "'' is not a time", HOW_TO_WRITE),
        ("1e9", "'1e9' is not a time", HOW_TO_WRITE),
        ("2024-13-01", "'2024-13-01' is not a time", HOW_TO_WRITE),
        ("9" * 5000, f"'{'9' * 5000}' is not a time", HOW_TO_WRITE),
        ("2999-01-01", "2999-01-01 lies in the future", "Candles are only stored once they are closed."),
        (
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59Z lies in the future",
            "Candles are only stored once they are closed.",
        ),
        ("32000000000", "32000000000 lies in the future", "Candles are only stored once they are closed."),
    ],
)
def test_a_time_in_another_unit_in_the_future_or_of_no_sense_is_never_guessed_at(
    coinswarm: CommandLine, simulator: Simulator, flag: str, text: str, message: str, hint: str
) -> None:
    before = len(simulator.requests)
    result = coinswarm("fetch", f"{flag}={text}", "--json")
    assert (result.exit_code, result.err) == (2, "")
    assert result.error == ("UsageError", f"{flag} {message}", hint.format(flag=flag))
    assert len(simulator.requests) == before


def test_a_time_before_all_candles_is_refused(coinswarm: CommandLine, simulator: Simulator) -> None:
    result = coinswarm("fetch", "--to-ts", "1970-01-02", "--json")
    assert (result.exit_code, result.error[1]) == (2, "--to-ts 86400 (1970-01-02T00:00:00Z) is older than any candle")


@pytest.mark.parametrize(
    "text", ["1700000000", "2023-11-14T22:13:20", "2023-11-14T22:13:20Z", "2023-11-15T00:13:20+02:00"]
)
def test_the_same_moment_may_be_written_in_several_ways(
    coinswarm: CommandLine, simulator: Simulator, text: str
) -> None:
    result = coinswarm("fetch", "--to-ts", text, "--limit", "1", "--dry-run", "--json")
    assert (result.exit_code, result.json["newest"]) == (0, NEWEST)


# --- what the source does not have ---


@pytest.mark.parametrize("source", SOURCES)
def test_a_pair_the_source_does_not_list_is_an_error_and_asked_for_once(
    coinswarm: CommandLine, simulator: Simulator, caplog: pytest.LogCaptureFixture, source: str
) -> None:
    timeframe = "4h" if source == "coingecko" else "1h"
    result = coinswarm("fetch", "NOPE-USD", "--source", source, "--timeframe", timeframe, "--json")
    assert result.exit_code == 1
    kind, message, _ = result.error
    assert kind == "UnknownPair"
    assert message.startswith(f"{source}: ")
    assert "NOPE" in message
    assert result.json["report"]["inserted"] == 0
    assert caplog.records == []
    assert backlog(coinswarm) == 0


@pytest.mark.parametrize(
    ("source", "timeframe", "offered"),
    [
        ("kraken", "3m", "1m 5m 15m 30m 1h 4h 1d 1w"),
        ("kraken", "12h", "1m 5m 15m 30m 1h 4h 1d 1w"),
        ("coinbase", "4h", "1m 5m 15m 1h 6h 1d"),
        ("coingecko", "1h", "30m 4h"),
    ],
)
def test_a_timeframe_the_source_lacks_is_an_error_that_names_those_it_has(
    coinswarm: CommandLine, simulator: Simulator, source: str, timeframe: str, offered: str
) -> None:
    before = len(simulator.requests)
    human, as_json = both(coinswarm, "fetch", "BTC-USD", "--source", source, "--timeframe", timeframe)
    assert human.exit_code == 1
    kind, message, hint = as_json.error
    assert (kind, message) == ("UnsupportedTimeframe", f"{source}: does not offer the timeframe {timeframe}")
    assert hint is not None
    assert offered in hint
    assert len(simulator.requests) == before
    assert backlog(coinswarm) == 0


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        ("401", "SourceRefused", "wants an API key, or refuses the one it got (HTTP 401"),
        ("403", "SourceRefused", "refuses this address (HTTP 403"),
        ("451", "SourceRefused", "HTTP 451"),
    ],
)
def test_a_source_that_refuses_us_is_asked_once_and_told_plainly(
    coinswarm: CommandLine, simulator: Simulator, fault: str, kind: str, says: str
) -> None:
    simulator.faults = Faults(rates={fault: 1.0})
    before = len(simulator.requests)
    result = coinswarm("fetch", "--json")
    assert result.exit_code == 1
    assert result.error[0] == kind
    assert says in result.error[1]
    assert len(simulator.requests) == before + 1
    assert backlog(coinswarm) == 0


def test_cryptocompare_without_a_key_says_where_one_comes_from(coinswarm: CommandLine, simulator: Simulator) -> None:
    simulator.faults = Faults(rates={"401": 1.0})
    result = coinswarm("fetch", "--source", "cryptocompare", "--json")
    assert result.exit_code == 1
    assert result.error[0] == "SourceRefused"
    assert "CRYPTOCOMPARE_API_KEY" in f"{result.error[1]} {result.error[2]}"


@pytest.mark.parametrize("url", ["ftp://x", "127.0.0.1:8600", "http://", "https://user:secret@example.com/x y"])
def test_an_address_that_is_none_is_a_fault_of_the_configuration(coinswarm: CommandLine, url: str) -> None:
    coinswarm.environment = {"COINSWARM_BINANCE_URL": url}
    result = coinswarm("fetch")
    assert result.exit_code in (1, 2)
    assert result.err.startswith("✘ ")
    assert "secret" not in result.err
    assert "Traceback" not in result.err


# --- a source that does not answer, or answers something else ---


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is given up after half a second instead of twenty."""
    monkeypatch.setattr("coinswarm.transport.http_client", lambda: httpx.Client(timeout=0.5, trust_env=False))


def test_without_a_network_the_command_ends_within_twenty_seconds_and_says_so(
    coinswarm: CommandLine, hasty_clock: HastyClock
) -> None:
    address = closed_port()
    coinswarm.environment = {"COINSWARM_BINANCE_URL": address}
    started = time.monotonic()
    result = coinswarm("fetch", *SERIES)
    assert time.monotonic() - started < 5
    assert sum(hasty_clock.slept) < 20
    assert (result.exit_code, result.out) == (1, "")
    assert result.err.splitlines() == [
        f"✘ binance: nothing answers at {address.removeprefix('http://')} (tried 6 times). Nothing was queued.",
        "  Check the network connection and proxy settings. Without a network: coinswarm demo",
        f"  Continue with: coinswarm fetch BTC-USDC --source binance --timeframe 1h {' '.join(SERIES)}",
    ]
    assert backlog(coinswarm) == 0


@pytest.mark.parametrize(
    "fault", [pytest.param("stall", marks=pytest.mark.slow), "html", "cut", "503", "error", "no-result", "429"]
)
def test_what_fails_half_way_is_told_and_the_printed_command_completes_the_series(
    coinswarm: CommandLine, simulator: Simulator, hasty_clock: HastyClock, short_timeouts: None, fault: str
) -> None:
    assert coinswarm("d1", "migrations", "apply").exit_code == 0
    simulator.faults = Faults(script={"binance": ["ok", "ok", *[fault] * 50]}, stall_seconds=1.0, retry_after=30)
    failed = coinswarm("fetch", *SERIES)
    assert failed.exit_code == 1
    told = next(line for line in failed.err.splitlines() if line.startswith("✘ "))
    assert told.endswith(" (tried 6 times). Queued 2000 candles for BTC-USDC in 200 messages before that.")
    assert failed.out.startswith("Queued 2000 candles for BTC-USDC in 200 messages.\n")
    series = f"--to-ts {NEWEST - 2000 * 3600} --since {SINCE} --limit 1000"
    assert failed.continues_with == f"fetch BTC-USDC --source binance --timeframe 1h {series}".split()
    assert backlog(coinswarm) == 200

    simulator.faults = Faults()
    assert coinswarm(*failed.continues_with).exit_code == 0
    assert_complete(coinswarm, simulator)


def test_the_json_of_a_failure_holds_the_report_and_the_same_command(
    coinswarm: CommandLine, simulator: Simulator, hasty_clock: HastyClock
) -> None:
    simulator.faults = Faults(script={"binance": ["ok", *["502"] * 50]})
    result = coinswarm("fetch", *SERIES, "--json", "--persist-to", "there")
    assert result.exit_code == 1
    kind, _, hint = result.error
    report = result.json["report"]
    assert (kind, report["inserted"], report["messages"], report["pages"]) == ("FetchFailed", 1000, 100, 1)
    assert hint == f"Continue with: {report['next_trigger']}"
    assert report["next_trigger"].endswith(
        f"--to-ts {NEWEST - 1000 * 3600} --since {SINCE} --limit 1000 --persist-to there"
    )
    assert report["next_toTs"] == NEWEST - 1000 * 3600


def test_a_dry_run_that_fails_goes_on_as_a_dry_run(
    coinswarm: CommandLine, simulator: Simulator, hasty_clock: HastyClock
) -> None:
    simulator.faults = Faults(script={"binance": ["ok", *["502"] * 50]})
    failed = coinswarm("fetch", *SERIES, "--dry-run")
    assert failed.exit_code == 1
    assert "Would queue 1000 candles for BTC-USDC in 100 messages before that." in failed.err
    simulator.faults = Faults()
    assert coinswarm(*failed.continues_with).exit_code == 0
    assert backlog(coinswarm) == 0


def test_a_source_that_wants_an_hour_of_silence_is_left_alone(
    coinswarm: CommandLine, simulator: Simulator, hasty_clock: HastyClock
) -> None:
    simulator.faults = Faults(script={"binance": ["ok", *["418"] * 50]}, retry_after=3600)
    result = coinswarm("fetch", *SERIES)
    assert result.exit_code == 1
    assert sum(hasty_clock.slept) < 10
    assert "it wants silence for 60 minutes" in result.err
    assert backlog(coinswarm) == 100


def test_trouble_that_passes_is_waited_for_and_costs_nothing(
    coinswarm: CommandLine, simulator: Simulator, hasty_clock: HastyClock, caplog: pytest.LogCaptureFixture
) -> None:
    assert coinswarm("d1", "migrations", "apply").exit_code == 0
    trouble = ["429", "html", "ok", "cut", "503", "error", "ok", "no-result", "418", "duplicate", "overlap"]
    simulator.faults = Faults(script={"binance": trouble}, retry_after=30)
    result = coinswarm("fetch", *SERIES)
    assert result.exit_code == 0, result
    assert ["trying again" in record.getMessage() for record in caplog.records] == [True] * 7
    assert_complete(coinswarm, simulator)


def assert_complete(coinswarm: CommandLine, simulator: Simulator) -> None:
    """Drained, the table holds every candle of `SERIES` with the exchange's own numbers, each once."""
    consumed = coinswarm("consume", "--json")
    assert (consumed.exit_code, consumed.json["rows"]["inserted"]) == (0, 3000), consumed
    sql = f"SELECT {', '.join(COLUMNS)} FROM price_data ORDER BY timestamp"
    rows = coinswarm("d1", "execute", "--command", sql, "--json").json[0]["results"]
    truth = expected(simulator.market, "binance", BTC, Timeframe.H1, SINCE, NEWEST, simulator.clock.now_ms() / 1000)
    assert [Candle(**row) for row in rows] == truth
