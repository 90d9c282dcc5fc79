"""The exchange APIs on loopback: a deterministic market, each exchange's quirks, and faults on request."""

from coinswarm.simulator.app import SeenRequest
from coinswarm.simulator.expectation import expected
from coinswarm.simulator.faults import Faults
from coinswarm.simulator.files import FileMarket
from coinswarm.simulator.market import Market, MarketCandle
from coinswarm.simulator.server import SOURCES, Simulator
from coinswarm.simulator.synthetic import SyntheticMarket

__all__ = [
    "SOURCES",
    "Faults",
    "FileMarket",
    "Market",
    "MarketCandle",
    "SeenRequest",
    "Simulator",
    "SyntheticMarket",
    "expected",
]
