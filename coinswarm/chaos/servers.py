"""The exchanges and `coinswarm serve`, each in a process of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from coinswarm.chaos.process import Trigger, hold_back_the_end, wait_for_end
from coinswarm.chaos.witness import watch
from coinswarm.chaos.world import TOKEN, World
from coinswarm.server.app import create_app
from coinswarm.server.listening import Server
from coinswarm.server.opening import open_account
from coinswarm.simulator import Faults, Simulator

STALL_SECONDS: Final = 0.02
RATE: Final = 0.12
"""Share of the exchanges' replies that go wrong."""
_KINDS: Final = ("429", "429-bare", "418", "500", "502", "503", "html", "cut", "stall", "slow", "error", "no-result")


def exchanges(world: World) -> Callable[[Trigger], dict[str, Any]]:
    """Serves until SIGTERM; then tells what was asked, and ends with its process, held replies and all."""

    def run(trigger: Trigger) -> dict[str, Any]:
        hold_back_the_end()
        rates = {kind: RATE / len(_KINDS) for kind in (*_KINDS, "duplicate", "overlap")}
        faults = Faults(rates=rates, seed=world.market.seed, stall_seconds=STALL_SECONDS)
        simulator = Simulator(world.market, faults=faults).start()
        trigger.tell({"environment": simulator.environment})
        wait_for_end()
        seen = Counter(request.fault for request in simulator.requests)
        return {"requests": seen.total(), "faults": {kind: n for kind, n in seen.items() if kind != "ok"}}

    return run


def cloudflare(world: World) -> Callable[[Trigger], dict[str, Any]]:
    """`serve` over the episode's files, until it is killed or told to end."""

    def run(trigger: Trigger) -> dict[str, Any]:
        trigger.on_open = lambda opened: watch(opened, "serve", world.clock.now_ms)
        hold_back_the_end()
        port = urlsplit(world.api_url).port or 0
        with (
            world.queues() as store,
            open_account(world.stack, store, world.clock) as account,
            Server(create_app(account, token=TOKEN), port=port) as server,
        ):
            trigger.tell({"url": f"{server.url}/client/v4", "account": account.id})
            wait_for_end()
        return {}

    return run
