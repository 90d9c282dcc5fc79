"""A lease settles once: what holds when a settlement names it twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from coinswarm.queue.types import Settlement

T = TypeVar("T")


def once(settlement: Settlement) -> tuple[Settlement, list[str]]:
    """`settlement` with each lease named once, and the leases left out, as often as they were.

    The first of ack, dead letter, retry and release holds, as in the local queue.
    """
    seen: set[str] = set()
    again: list[str] = []

    def first(items: Iterable[T], lease_of: Callable[[T], str]) -> list[T]:
        kept = []
        for item in items:
            lease = lease_of(item)
            if lease in seen:
                again.append(lease)
            else:
                seen.add(lease)
                kept.append(item)
        return kept

    acks = first(settlement.acks, str)
    dead_letters = first(settlement.dead_letters, lambda letter: letter.lease_id)
    retries = first(settlement.retries, lambda retry: retry.lease_id)
    releases = first(settlement.releases, str)
    return Settlement(acks, retries, dead_letters, releases), again
