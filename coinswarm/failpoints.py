"""Named places in the product at which a test may let the process die, and nothing else.

A failpoint does nothing until the process itself calls `arm`: no flag, file or environment variable does. Only the
children of `coinswarm chaos` and tests arm them. They stand once a batch or transaction, never once a message or row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

FAILPOINTS: Final = {
    "producer.queued": "a page's messages are durable, and nobody has been told",
    "consumer.leased": "a batch is leased, nothing of it is stored",
    "consumer.written": "a batch is stored in D1, nothing of it is acknowledged",
    "consumer.settled": "a batch is settled, and nobody has been told",
    "queue.upgrading": "the queue file has its new layout, uncommitted",
    "queue.committing": "a transaction of the queue, all done but its COMMIT",
    "queue.committed": "a transaction of the queue is durable, and nobody has been told",
    "queue.dead_lettering": "dead letters are recorded and moved, the transaction goes on",
    "queue.dead_letters_sent": "dead letters are sent to the remote dead-letter queue, their originals are not acked",
    "queue.purging": "a step of a purge is done, uncommitted",
    "queue.redriving": "a step of a redrive is done, uncommitted",
    "queue.closing": "the queue file is about to be closed, which checkpoints its write-ahead log",
    "migration.applying": "a migration is about to run",
    "migration.applied": "a migration and its record are in, the next one is not",
    "import.committing": "all statements of a file have run, uncommitted",
    "import.checkpoint": "the import is durable and its write-ahead log is about to be checkpointed",
    "d1.committing": "a transaction of D1, all done but its COMMIT",
    "d1.committed": "a transaction of D1 is durable, and nobody has been told",
    "d1.closing": "the D1 file is about to be closed, which checkpoints its write-ahead log",
}
"""What is true when a process stands there."""
OPENED: Final = "sqlite.opened"
"""Not a place to die at: hands over a connection that has just been opened, so that its statements can be counted."""

Handler = Callable[[str, object], None]

_handler: Handler | None = None


def failpoint(name: str, subject: object = None) -> None:
    """Tell the armed handler that the process is here."""
    if _handler is not None:
        _handler(name, subject)


def arm(handler: Handler | None) -> None:
    """From now on `handler` hears of every failpoint of this process, in whatever thread; None disarms."""
    global _handler
    _handler = handler
