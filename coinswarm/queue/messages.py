"""How messages lie in the queue file: numbers, runs of numbers, and lease ids."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from coinswarm.queue.file import QueueFile
from coinswarm.queue.statements import load

SQL: Final = load("messages.sql")
STEP: Final = 5_000
"""Messages deleted in one statement when a queue is emptied: others get their turn in between."""

_LEASE_ID: Final = struct.Struct(">QQ")
_LEASE_DIGITS: Final = 2 * _LEASE_ID.size
_MESSAGE_ID: Final = re.compile(r"[0-9a-f]{32}")
_LARGEST: Final = 2**63 - 1


class Run(NamedTuple):
    """Consecutive message numbers, both ends inclusive."""

    first: int
    last: int


def runs(numbers: Sequence[int]) -> list[Run]:
    """Ascending, distinct `numbers` as runs: a batch is mostly one."""
    if not numbers:
        return []
    if numbers[-1] - numbers[0] == len(numbers) - 1:
        return [Run(numbers[0], numbers[-1])]
    found = []
    first = previous = numbers[0]
    for number in numbers:
        if number > previous + 1:
            found.append(Run(first, previous))
            first = number
        previous = number
    found.append(Run(first, previous))
    return found


def delete_bodies(file: QueueFile, deleted: Iterable[Run]) -> None:
    """All that is left of messages after their rows in `messages` are gone."""
    for run in deleted:
        file.execute(SQL["delete_bodies"], run)
        file.execute(SQL["delete_failures"], run)
        file.execute(SQL["delete_origins"], run)


def message_ids(first: int, count: int) -> list[str]:
    """32 hexadecimal digits each: 16 random ones, the same for a batch, and the message's number."""
    prefix = os.urandom(8).hex()
    return [f"{prefix}{number:016x}" for number in range(first, first + count)]


def number_in(message_id: str) -> int | None:
    """The message number in an id, or None if it is no id of ours."""
    number = int(message_id[16:], 16) if _MESSAGE_ID.fullmatch(message_id) else 0
    return number if 0 < number <= _LARGEST else None


def new_token() -> int:
    """What tells one lease from every other: random, never 0, and within SQLite's integers."""
    return int.from_bytes(os.urandom(8)) >> 1 or 1


def lease_ids(token: int, numbers: Iterable[int]) -> list[str]:
    """32 hexadecimal digits each: the lease's token and the message's number."""
    prefix = f"{token:016x}"
    return [f"{prefix}{number:016x}" for number in numbers]


def by_token(lease_ids: Sequence[str]) -> tuple[dict[int, dict[int, str]], list[str]]:
    """Lease ids sorted out: token → message number → lease id, and those that are none of ours or come twice."""
    known: dict[int, dict[int, str]] = {}
    strange: list[str] = []
    for lease_id, (token, number) in zip(lease_ids, _unpacked(lease_ids), strict=True):
        leases = known.get(token)
        if leases is None:
            leases = known[token] = {}
        if number in leases or token > _LARGEST or number > _LARGEST:
            strange.append(lease_id)
        else:
            leases[number] = lease_id
    return known, strange


def _unpacked(lease_ids: Sequence[str]) -> list[tuple[int, int]]:
    """Token and number of each, all at once if all are sound; of one that is not, numbers beyond SQLite's integers."""
    try:
        packed = bytes.fromhex("".join(lease_ids))
    except ValueError:
        packed = b""
    if len(packed) == _LEASE_ID.size * len(lease_ids) and {*map(len, lease_ids)} <= {_LEASE_DIGITS}:
        return list(_LEASE_ID.iter_unpack(packed))
    if len(lease_ids) == 1:
        return [(0, _LARGEST + 1)]
    return [pair for each in lease_ids for pair in _unpacked([each])]
