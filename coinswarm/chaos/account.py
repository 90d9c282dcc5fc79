"""The account: what the market holds against rows, queue and dead letters. Pure; it knows nothing of how they came."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from coinswarm.candles import COLUMNS, Row
from coinswarm.chaos.evidence import Evidence
from coinswarm.chaos.witness import EXPIRED, PURGED

EXAMPLES: Final = 5
"""Of each kind of violation; the rest is counted."""
Key = tuple[str, str, str, int]
_SYMBOL, _TIMESTAMP, _TIMEFRAME, _SOURCE = (COLUMNS.index(n) for n in ("symbol", "timestamp", "timeframe", "source"))


@dataclass(slots=True)
class Expected:
    """What has to be accounted for."""

    market: Sequence[Row]
    """Candles fetched completely, each once."""
    existing: Sequence[Row]
    """Rows that were there before; they hold their places against the market's."""
    poison: dict[bytes, int]
    """Messages that cannot be stored, with how often sending each was tried."""
    sound: Sequence[Row]
    """Good rows inside poison: they may be stored, and need not be where their message lies in the dead letters."""
    purged: int | None = 0
    """Messages that purges said they deleted; None when one was killed before it could say."""
    copies: bool = False
    """Whether a dead letter may be there twice: over HTTP it is copied first and acknowledged then."""
    notes: int = 0
    migrations: Sequence[str] = ()


@dataclass(slots=True)
class Account:
    """Candles by where they are, and what is wrong. Nothing is wrong when `violations` is empty."""

    fetched: int = 0
    stored: int = 0
    queued: int = 0
    dead_lettered: int = 0
    """Only there, not in D1 as well."""
    purged: int = 0
    expired: int = 0
    lost: int = 0
    doubled: int = 0
    altered: int = 0
    letters: int = 0
    poison: int = 0
    violations: list[str] = field(default_factory=list)

    def blame(self, kind: str, what: Iterable[Any]) -> int:
        """Note a violation for all of `what`, if there is any; how many."""
        found = list(what)
        if found:
            shown = "; ".join(str(each)[:200] for each in found[:EXAMPLES])
            self.violations.append(f"{len(found):,} {kind}: {shown}")
        return len(found)


def key_of(row: Row) -> Key:
    return row[_SYMBOL], row[_TIMEFRAME], row[_SOURCE], row[_TIMESTAMP]


def keys_in(bodies: Iterable[bytes]) -> set[Key]:
    """The candles that message bodies name, decoded by nothing of the product."""
    found: set[Key] = set()
    for body in bodies:
        try:
            items = json.loads(body)
        except ValueError:
            continue
        for item in items if isinstance(items, list) else [items]:
            if isinstance(item, dict) and {"symbol", "timeframe", "source", "timestamp"} <= item.keys():
                found.add((item["symbol"], item["timeframe"], item["source"], item["timestamp"]))
    return found


def settle_accounts(expected: Expected, evidence: Evidence) -> Account:
    account = Account(fetched=len(expected.market), letters=len(evidence.letters))
    stored = _check_rows(expected, evidence, account)
    _check_candles(expected, evidence, stored, account)
    _check_departures(expected, evidence, stored, account)
    _check_poison(expected, evidence, account)
    account.blame("faults of the files", evidence.faults)
    account.blame("messages left in the queue after the last drain", evidence.queued)
    if evidence.notes != expected.notes:
        account.violations.append(f"a migration was carried out in part: {evidence.notes} of {expected.notes} notes")
    if list(evidence.migrations) != list(expected.migrations):
        account.violations.append(f"migrations recorded: {evidence.migrations}, not {list(expected.migrations)}")
    return account


def _check_rows(expected: Expected, evidence: Evidence, account: Account) -> set[Key]:
    """Every row is one that was there, or the market's to the last digit, and stands once; the keys of all."""
    allowed = {key_of(row): row for row in (*expected.sound, *expected.market, *expected.existing)}
    counted = Counter(map(key_of, evidence.rows))
    account.doubled = account.blame("stored twice", (key for key, count in counted.items() if count > 1))
    account.altered = account.blame(
        "altered", (row for row in evidence.rows if not _same(row, allowed.get(key_of(row))))
    )
    missing = [row for row in expected.existing if key_of(row) not in counted]
    account.altered += account.blame("rows that were there before and are gone", missing)
    return set(counted)


def _same(row: Row, allowed: Row | None) -> bool:
    """Equal in value and in type, as bytes in the file are."""
    if allowed is None:
        return False
    return all(a == b and type(a) is type(b) for a, b in zip(row, allowed, strict=True))


def _check_candles(expected: Expected, evidence: Evidence, stored: set[Key], account: Account) -> None:
    left = {key_of(row) for row in expected.market}
    account.stored = len(left & stored)
    left -= stored
    for name, bodies in (
        ("queued", evidence.queued),
        ("dead_lettered", [letter.body for letter in evidence.letters]),
        ("purged", [gone.body for gone in evidence.gone if gone.why == PURGED]),
        ("expired", [gone.body for gone in evidence.gone if gone.why == EXPIRED]),
    ):
        found = left & keys_in(bodies)
        setattr(account, name, len(found))
        left -= found
    account.lost = account.blame("lost", sorted(left))


def _check_departures(expected: Expected, evidence: Evidence, stored: set[Key], account: Account) -> None:
    """Each message that left was stored, copied to the dead letters, purged or too old; the last two are counted."""
    reasons = Counter(gone.why for gone in evidence.gone)
    if expected.purged is not None and reasons[PURGED] != expected.purged:
        account.violations.append(f"purges say they deleted {expected.purged} messages; {reasons[PURGED]} are gone")
    if reasons[EXPIRED] != evidence.expired:
        account.violations.append(f"{evidence.expired} messages are counted as expired; {reasons[EXPIRED]} did")
    unexplained = Counter(
        gone.body
        for gone in evidence.gone
        if gone.why not in (PURGED, EXPIRED) and not _is_stored(gone.body, stored, expected)
    )
    for place in (evidence.letters, evidence.gone):
        unexplained -= Counter(each.body for each in place if each.copy)
    account.blame("messages gone although not stored", unexplained.elements())


def _is_stored(body: bytes, stored: set[Key], expected: Expected) -> bool:
    return body not in expected.poison and keys_in([body]) <= stored


def _check_poison(expected: Expected, evidence: Evidence, account: Account) -> None:
    bodies = Counter(letter.body for letter in evidence.letters)
    excused = {gone.body for gone in evidence.gone if gone.why in (PURGED, EXPIRED)}
    account.poison = sum(bodies[body] for body in expected.poison)
    account.blame("poison nowhere", (b for b in expected.poison if not bodies[b] and b not in excused))
    account.blame("dead letters without a reason", (each.body for each in evidence.letters if not each.reason))
    if not expected.copies:
        too_often = (body for body, tries in expected.poison.items() if bodies[body] > tries)
        account.doubled += account.blame("poison dead-lettered twice", too_often)
