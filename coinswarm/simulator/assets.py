"""What the simulated exchanges list, and what each of them calls it."""

from __future__ import annotations

from typing import Final, NamedTuple

from coinswarm.candles import Pair


class Asset(NamedTuple):
    """A coin: CoinGecko's id, a typical price in US dollars, and the day it was first traded (unix seconds)."""

    coingecko_id: str
    usd: float
    first_traded: int


ASSETS: Final[dict[str, Asset]] = {
    "BTC": Asset("bitcoin", 30_000.0, 1_437_350_400),  # 2015-07-20
    "ETH": Asset("ethereum", 1_900.0, 1_463_529_600),  # 2016-05-18
    "LTC": Asset("litecoin", 90.0, 1_475_280_000),  # 2016-10-01
    "XRP": Asset("ripple", 0.52, 1_495_065_600),  # 2017-05-18
    "BNB": Asset("binancecoin", 240.0, 1_509_926_400),  # 2017-11-06
    "TRX": Asset("tron", 0.08, 1_528_675_200),  # 2018-06-11
    "ADA": Asset("cardano", 0.38, 1_523_923_200),  # 2018-04-17
    "LINK": Asset("chainlink", 7.4, 1_547_596_800),  # 2019-01-16
    "MATIC": Asset("matic-network", 0.71, 1_556_236_800),  # 2019-04-26
    "DOGE": Asset("dogecoin", 0.07, 1_562_284_800),  # 2019-07-05
    "SOL": Asset("solana", 24.0, 1_597_104_000),  # 2020-08-11
    "DOT": Asset("polkadot", 5.3, 1_597_708_800),  # 2020-08-18
    "AVAX": Asset("avalanche-2", 13.0, 1_600_732_800),  # 2020-09-22
    "CAKE": Asset("pancakeswap-token", 1.6, 1_613_692_800),  # 2021-02-19
    "RAY": Asset("raydium", 0.2, 1_628_553_600),  # 2021-08-10
    "GMX": Asset("gmx", 52.0, 1_664_928_000),  # 2022-10-05
    "OP": Asset("optimism", 1.4, 1_654_041_600),  # 2022-06-01
    "ARB": Asset("arbitrum", 1.1, 1_679_529_600),  # 2023-03-23
    "USDT": Asset("tether", 1.0, 1_493_596_800),  # 2017-05-01
    "USDC": Asset("usd-coin", 1.0, 1_544_832_000),  # 2018-12-15
}

QUOTES: Final[dict[str, Asset]] = {
    "USD": Asset("", 1.0, 0),
    "USDT": ASSETS["USDT"],
    "USDC": ASSETS["USDC"],
    "EUR": Asset("", 1.09, 0),
    "BTC": ASSETS["BTC"],
}

STABLE: Final = frozenset({"USD", "USDT", "USDC"})

PAIRS: Final = tuple(
    Pair(base, quote)
    for base in ASSETS
    for quote in QUOTES
    if base != quote and not (base in STABLE and quote in ("BTC", "USDC"))
)
"""Cross rates such as ETH-SOL are not traded, nor is anything against BUSD."""

VS_CURRENCIES: Final = {"usd": "USD", "eur": "EUR", "btc": "BTC"}
"""CoinGecko's quotes: it knows dollars, not dollar tokens."""

_KRAKEN_CODES: Final = {"BTC": "XBT", "DOGE": "XDG"}
_KRAKEN_PREFIXED_BASES: Final = frozenset({"ETC", "ETH", "LTC", "MLN", "REP", "XBT", "XLM", "XMR", "XRP", "ZEC"})
_KRAKEN_PREFIXED_QUOTES: Final = {"USD": "ZUSD", "EUR": "ZEUR", "XBT": "XXBT"}


class KrakenName(NamedTuple):
    """Kraken's three names of one market: `XBTUSD`, `XXBTZUSD`, `XBT/USD`. It answers to each, with the `key`."""

    altname: str
    key: str
    wsname: str


def kraken_name(pair: Pair) -> KrakenName:
    """Old assets against old currencies have prefixes in the key (X for crypto, Z for fiat), all others have none."""
    base = _KRAKEN_CODES.get(pair.base, pair.base)
    quote = _KRAKEN_CODES.get(pair.quote, pair.quote)
    key = base + quote
    prefixed = base in _KRAKEN_PREFIXED_BASES or (base, quote) == ("XDG", "XBT")
    if prefixed and quote in _KRAKEN_PREFIXED_QUOTES:
        key = f"X{base}{_KRAKEN_PREFIXED_QUOTES[quote]}"
    elif pair == ("USDT", "USD"):
        key = "USDTZUSD"
    return KrakenName(base + quote, key, f"{base}/{quote}")
