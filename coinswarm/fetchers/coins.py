"""CoinGecko's own ids of well-known assets. Tickers are not unique there, so each is written down and none is guessed.

https://docs.coingecko.com/reference/coins-list, https://docs.coingecko.com/reference/simple-supported-currencies
"""

from __future__ import annotations

from typing import Final

COIN_IDS: Final = {
    "BTC": "bitcoin",
    "ETH": "ethereum",
    "SOL": "solana",
    "BNB": "binancecoin",
    "XRP": "ripple",
    "ADA": "cardano",
    "DOGE": "dogecoin",
    "AVAX": "avalanche-2",
    "TRX": "tron",
    "LINK": "chainlink",
    "DOT": "polkadot",
    "LTC": "litecoin",
    "BCH": "bitcoin-cash",
    "ETC": "ethereum-classic",
    "XLM": "stellar",
    "XMR": "monero",
    "ATOM": "cosmos",
    "UNI": "uniswap",
    "AAVE": "aave",
    "FIL": "filecoin",
    "NEAR": "near",
    "APT": "aptos",
    "SUI": "sui",
    "TON": "the-open-network",
    "SHIB": "shiba-inu",
    "ARB": "arbitrum",
    "OP": "optimism",
    "MATIC": "matic-network",
    "CAKE": "pancakeswap-token",
    "RAY": "raydium",
    "ORCA": "orca",
    "JUP": "jupiter-exchange-solana",
    "GMX": "gmx",
    "VELO": "velodrome-finance",
    "QUICK": "quickswap",
    "AERO": "aerodrome-finance",
    "MSOL": "msol",
    "BONK": "bonk",
    "WIF": "dogwifcoin",
    "USDT": "tether",
    "USDC": "usd-coin",
}

# fmt: off
QUOTES: Final = frozenset({
    "USD", "EUR", "GBP", "JPY", "AUD", "CAD", "CHF", "CNY", "HKD", "INR", "KRW", "SGD", "NZD", "SEK", "NOK", "DKK",
    "PLN", "CZK", "HUF", "TRY", "BRL", "MXN", "ZAR", "THB", "IDR", "MYR", "PHP", "TWD", "VND", "ILS", "AED", "SAR",
    "UAH", "BTC", "ETH", "LTC", "BCH", "BNB", "XRP", "XLM", "LINK", "DOT", "SOL",
})
# fmt: on
"""Currencies it prices in. Dollar coins are not among them, and a dollar price is not a price in USDC."""
