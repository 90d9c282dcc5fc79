"""Faults on request: what exchanges and the network between do to a client, deterministic from a seed and a counter."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from coinswarm.errors import UsageError

OK: Final = "ok"

RECOVERABLE: Final[Mapping[str, str]] = {
    "429": "too many requests, with Retry-After",
    "429-bare": "too many requests, without Retry-After",
    "429-html": "too many requests, told by an HTML page",
    "418": "banned for a while, with Retry-After",
    "500": "internal error (any status from 500 to 599 is a kind)",
    "502": "bad gateway",
    "503": "unavailable",
    "html": "an HTML page with status 200",
    "cut": "the connection closes in the middle of the body",
    "stall": "the reply is held for `stall_seconds`",
    "slow": "half of the body, then `stall_seconds` of nothing, then the rest",
    "error": "an error inside HTTP 200, in the exchange's own way",
    "no-result": "a success without its data",
    "duplicate": "some rows come twice",
    "overlap": "the page begins with rows from before what was asked for",
}
"""A client that tries again, and sorts what it gets, still has every candle in the end."""

LOSSY: Final[Mapping[str, str]] = {
    "empty": "no rows, as if nothing had been traded",
    "misaligned": "one row opens off the grid",
    "us": "stamps in microseconds",
    "stub": "the last row closes above its high",
}
"""Rows are wrong or missing in a reply that is formally in order: a client can count them, not get them."""

FINAL: Final[Mapping[str, str]] = {
    "401": "the key is missing, or not good for this",
    "403": "forbidden by the firewall",
    "451": "refused in this country",
    "quota": "the allowance of the day is used up (CryptoCompare's way; elsewhere as 429)",
}
"""Trying again does not help; a client stops and says why."""

KINDS: Final = {**RECOVERABLE, **LOSSY, **FINAL}

_MILD: Final = ("429", "503", "html", "cut", "error", "no-result", "duplicate", "overlap")


@dataclass(frozen=True)
class Faults:
    """Which replies go wrong, and how.

    `rates`: share of replies by kind, `{"429": 0.1}`, or for one source, `{"kraken/error": 0.2}`. `script`: what
    happens to a source's first requests in order, `{"binance": ["ok", "429", "cut"]}`; `"*"` is for all sources
    together. After the script's end the rates apply. Raises `UsageError` for an unknown kind or rates above 1.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    script: Mapping[str, Sequence[str]] = field(default_factory=dict)
    seed: int = 0
    retry_after: int = 1
    """Seconds told in Retry-After."""
    stall_seconds: float = 30.0
    """Real time, whatever the market's clock says."""
    ban_impatient: bool = False
    """Binance's rule for everyone: who asks before Retry-After is over gets 418 instead of 429."""

    def __post_init__(self) -> None:
        kinds = [key.rpartition("/")[2] for key in self.rates]
        for kind in (*kinds, *(kind for kinds in self.script.values() for kind in kinds)):
            if kind not in KINDS and kind != OK and not _is_server_error(kind):
                raise UsageError(f"unknown fault {kind!r}", hint="Choose from: " + " ".join(KINDS))
        for source in {key.rpartition("/")[0] for key in self.rates}:
            shares = [rate for key, rate in self.rates.items() if key.rpartition("/")[0] in ("", source)]
            if min(shares) < 0 or sum(shares) > 1:
                raise UsageError(
                    f"the rates of all faults together are {sum(shares):g}", hint="Keep each at 0 or more, all below 1."
                )

    @classmethod
    def parse(cls, texts: Iterable[str], **others: object) -> Self:
        """From `429:0.1` or `kraken/error:0.2` each. Raises `UsageError`."""
        rates: dict[str, float] = {}
        for text in texts:
            kind, _, share = text.partition(":")
            try:
                rates[kind] = float(share)
            except ValueError:
                raise UsageError(f"{text!r} is no fault with its rate", hint="For example: --fault 429:0.1") from None
        return cls(rates=rates, **others)  # type: ignore[arg-type]

    @classmethod
    def mild(cls, rate: float, *, seed: int = 0, retry_after: int = 1) -> Self:
        """Together `rate` of faults that cost a client no long waits and, if it tries again, no candle."""
        return cls(rates={kind: rate / len(_MILD) for kind in _MILD}, seed=seed, retry_after=retry_after)


class FaultPlan:
    """Decides request by request; knows how many there were. Safe to share between threads."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._lock = threading.Lock()
        self._asked: Counter[str] = Counter()
        self._patience: dict[str, float] = {}

    def next(self, source: str, now: float) -> tuple[int, str]:
        """The number of this request to `source`, first = 1, and the fault it meets, `ok` for none."""
        with self._lock:
            self._asked[source] += 1
            serial = self._asked[source]
            kind = self._choose(source, serial)
            if self.faults.ban_impatient and now < self._patience.get(source, 0):
                kind = "418"
            if kind in ("429", "418"):
                self._patience[source] = now + self.faults.retry_after
        return serial, kind

    def _choose(self, source: str, serial: int) -> str:
        own = self.faults.script.get(source, ())
        if serial <= len(own):
            return own[serial - 1]
        common = self.faults.script.get("*", ())
        total = self._asked.total()
        if total <= len(common):
            return common[total - 1]
        if not self.faults.rates:
            return OK
        mark = random.Random(f"{self.faults.seed}/{source}/{serial}").random()
        for key, rate in self.faults.rates.items():
            whose, _, kind = key.rpartition("/")
            if whose in ("", source):
                mark -= rate
                if mark < 0:
                    return kind
        return OK


def _is_server_error(kind: str) -> bool:
    return len(kind) == 3 and kind.isdigit() and kind.startswith("5")
