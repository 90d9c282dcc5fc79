"""`[plan]` of coinswarm.toml: what the producer collects at every fire."""

from __future__ import annotations

from pathlib import Path

import pytest

import coinswarm
from coinswarm.config import Stack, load
from coinswarm.config.plan import Plan, messages_per_run
from coinswarm.errors import ConfigError


def stack(folder: Path, text: str) -> Stack:
    (folder / "coinswarm.toml").write_text(text)
    return load(cwd=folder, environ={})


def test_the_built_in_plan_is_the_seeds_195_points_in_20_messages() -> None:
    plan = Plan()
    assert (len(plan.tokens), len(plan.sources), plan.candles) == (13, 3, 5)
    assert plan.points == 195
    assert messages_per_run(plan) == 20
    assert [str(series) for series in plan.series][::13] == [
        "binance BTC-USDT 30m",
        "cryptocompare BTC-USD 30m",
        "coingecko BTC-USD 30m",
    ]


def test_without_a_plan_the_stack_has_the_built_in_one(tmp_path: Path) -> None:
    assert stack(tmp_path, "").plan == Plan()


def test_init_writes_out_the_built_in_plan(tmp_path: Path) -> None:
    template = Path(coinswarm.__file__).parent / "templates" / "coinswarm.toml"
    found = stack(tmp_path, template.read_text())
    assert found.plan == Plan()
    assert found.warnings == ()


def test_every_part_can_be_said_and_the_rest_stays(tmp_path: Path) -> None:
    plan = stack(
        tmp_path,
        """
        [plan]
        tokens = ["btc", "eth", "ETH-BTC"]
        sources = { kraken = "eur", binance = "USDC" }
        timeframes = ["1h", "1d"]
        """,
    ).plan
    assert [str(series) for series in plan.series] == [
        *("kraken BTC-EUR 1h", "kraken BTC-EUR 1d", "kraken ETH-EUR 1h", "kraken ETH-EUR 1d"),
        *("kraken ETH-BTC 1h", "kraken ETH-BTC 1d"),
        *("binance BTC-USDC 1h", "binance BTC-USDC 1d", "binance ETH-USDC 1h", "binance ETH-USDC 1d"),
        *("binance ETH-BTC 1h", "binance ETH-BTC 1d"),
    ]
    assert (plan.points, plan.missed, messages_per_run(plan), messages_per_run(plan, 1)) == (60, "skip", 6, 60)


def test_more_tokens_are_one_line(tmp_path: Path) -> None:
    tokens = [f"T{number}" for number in range(40)]
    assert stack(tmp_path, f"[plan]\ntokens = {tokens}").plan.points == 40 * 3 * 5


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("plan = 5", 'The field "plan" should be an object but got 5.'),
        ("[plan]\ntokens = []", "plan.tokens must be a list of tokens such as BTC, or of pairs such as ETH-BTC"),
        ('[plan]\ntokens = ["BTC", 5]', "plan.tokens must be a list of tokens"),
        ('[plan]\ntokens = ["BTC USD"]', 'plan.tokens has "BTC USD", which is neither a token'),
        ('[plan]\ntokens = ["BTC", "btc"]', "plan.tokens lists BTC twice"),
        ('[plan]\ntokens = ["USD"]', "plan.sources.cryptocompare: USD cannot be priced in itself"),
        ('[plan]\nsources = ["binance"]', "plan.sources must be a table of sources and their quotes"),
        ('[plan]\nsources = { mtgox = "USD" }', 'plan.sources has "mtgox"; the sources are cryptocompare, binance'),
        ('[plan]\nsources = { kraken = "U S" }', "plan.sources must give kraken a quote"),
        ("[plan]\nsources = { kraken = 5.5 }", "plan.sources must give kraken a quote"),
        ('[plan]\ntimeframes = ["7m"]', "plan.timeframes must be a list of 1m, 3m, 5m"),
        ("[plan]\ncandles = 0", "plan.candles must be a whole number from 1 to 2000, got 0"),
        ("[plan]\ncandles = true", "plan.candles must be a whole number"),
        ('[plan]\nmissed = "never"', "plan.missed must be one of skip, once, all"),
        ("[plan]\nmissed = []", "plan.missed must be one of skip, once, all"),
    ],
)
def test_a_fault_names_the_key_and_what_is_allowed(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        stack(tmp_path, text)
    assert f"coinswarm.toml: {told}" in caught.value.message


def test_a_misspelt_key_is_warned_about(tmp_path: Path) -> None:
    assert stack(tmp_path, '[plan]\ntoken = ["BTC"]').warnings == (
        'coinswarm.toml: Unexpected fields found in plan field: "token" (did you mean tokens?)',
    )
