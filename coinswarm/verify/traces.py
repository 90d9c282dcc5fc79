"""What canaries of runs that were killed have left: taken away, or told of where another run may be using it now."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from coinswarm import wiring
from coinswarm.d1.schema import TABLE
from coinswarm.d1.types import Database, SqlValue
from coinswarm.errors import QueueNotFound
from coinswarm.storage import translated
from coinswarm.verify.ledger import MARK_SOURCE
from coinswarm.verify.subject import Subject

SYMBOL: Final = "COINSWARM-CANARY-"
QUEUE: Final = "coinswarm-canary-"
"""How the canary's names begin; eight digits follow, so that several runs do not meet."""
LEFT_BEHIND_SECONDS: Final = 3_600
"""So old, it cannot be of a run that is still under way."""
_BEYOND: Final = 2**62
_WHERE: Final = "WHERE symbol >= ?1 AND symbol < ?2 AND source = ?3"
"""By the beginning of the key, so that little is read."""
_MARKED: Final[tuple[SqlValue, ...]] = (SYMBOL, SYMBOL[:-1] + chr(ord(SYMBOL[-1]) + 1), MARK_SOURCE)


@contextmanager
def swept(subject: Subject, database: Database) -> Iterator[str | None]:
    """Take away what was left behind, and keep others from taking away what is put there until the block ends. Gives
    what had to stay, in words.

    Here, a lock tells whether another canary is in flight; if none is, all there is was left behind. On Cloudflare only
    age can tell.
    """
    if subject.remote:
        _sweep(subject, database, subject.clock.now_ms() // 1000 - LEFT_BEHIND_SECONDS)
        yield _left(subject, database)
        return
    path = wiring.queue_file(subject.stack).with_name("canary.lock")
    with translated(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        held = path.open("a")
        path.chmod(0o600)
    with held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            _sweep(subject, database, _BEYOND)
        fcntl.flock(held, fcntl.LOCK_SH)
        yield None


def _sweep(subject: Subject, database: Database, before: int) -> None:
    """Take away what is older than that moment, in unix seconds."""
    database.execute(f"DELETE FROM {TABLE} {_WHERE} AND timestamp < ?4", (*_MARKED, before))
    with subject.queues() as store:
        for left in [q.name for q in store.queues() if q.name.startswith(QUEUE) and q.created_on_ms < before * 1000]:
            with suppress(QueueNotFound):  # another run was quicker
                store.delete(left)


def _left(subject: Subject, database: Database) -> str | None:
    rows = int(database.execute(f"SELECT count(*) FROM {TABLE} {_WHERE}", _MARKED)[0].rows[0][0] or 0)
    with subject.queues() as store:
        queues = [q.name for q in store.queues() if q.name.startswith(QUEUE)]
    found = [f"{rows} row{'' if rows == 1 else 's'} in {TABLE}"] * bool(rows) + queues
    return " and ".join(found) or None
