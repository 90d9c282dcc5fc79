"""The durable queue alone, beside bare SQLite and the queues one would pick instead, in one run.

    python -m benchmarks.queue [--messages 60000] [--runs 3] [--no-deep]

Messages of 1.9 KB, as ten candles are. `sent` is until the messages are stored, `had` is taking and acknowledging them.
Peers are measured if they are installed (`pip install --group bench`), with fewer messages, for they take theirs one by
one. The machine is shared and drifts: every subject runs once per round, and the ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.results import save
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.queue.types import Message, OutgoingMessage, Settlement
from coinswarm.storage import connect

BODY_BYTES = 1_900
BATCH = 100
AHEAD = 4
"""Batches leased in one transaction, with the settlement of the last four."""
TARGETS = {"sent_per_second": ">= 60000", "had_per_second": ">= 60000", "metrics_ms_at_1000000": "<= 100"}


class Rates(NamedTuple):
    """Messages per second."""

    sent: float
    had: float


Measure = Callable[[Path, list[bytes]], Rates]


def timed(messages: int, act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return messages / (time.perf_counter() - started)


def coinswarm(folder: Path, bodies: list[bytes]) -> Rates:
    """Batches of 100, each sent, leased and settled in a transaction of its own."""
    with SqliteQueueStore(folder / "queues.sqlite") as store:
        store.create("candles")
        queue = store.open("candles")

        def send() -> None:
            for start in range(0, len(bodies), BATCH):
                queue.send_batch([OutgoingMessage(body) for body in bodies[start : start + BATCH]])

        def drain() -> None:
            had = 0
            while batch := queue.lease(BATCH):
                had += queue.settle(acks(batch)).acked
            assert had == len(bodies)

        return Rates(timed(len(bodies), send), timed(len(bodies), drain))


def coinswarm_grouped(folder: Path, bodies: list[bytes]) -> Rates:
    """Four batches in one transaction, and the settlement of one four with the lease of the next."""
    with SqliteQueueStore(folder / "queues.sqlite") as store:
        store.create("candles")
        queue = store.open("candles")

        def send() -> None:
            for start in range(0, len(bodies), BATCH * AHEAD):
                with queue.transaction():
                    for first in range(start, min(start + BATCH * AHEAD, len(bodies)), BATCH):
                        queue.send_batch([OutgoingMessage(body) for body in bodies[first : first + BATCH]])

        def drain() -> None:
            had = 0
            leased: list[Message] = []
            while True:
                with queue.transaction():
                    had += queue.settle(acks(leased)).acked
                    leased = [message for _ in range(AHEAD) for message in queue.lease(BATCH)]
                if not leased:
                    break
            assert had == len(bodies)

        return Rates(timed(len(bodies), send), timed(len(bodies), drain))


def coinswarm_singly(folder: Path, bodies: list[bytes]) -> Rates:
    """One message at a time, as the peers do it."""
    with SqliteQueueStore(folder / "queues.sqlite") as store:
        store.create("candles")
        queue = store.open("candles")

        def send() -> None:
            for body in bodies:
                queue.send_batch([OutgoingMessage(body)])

        def drain() -> None:
            had = 0
            while leased := queue.lease(1):
                had += queue.settle(acks(leased)).acked
            assert had == len(bodies)

        return Rates(timed(len(bodies), send), timed(len(bodies), drain))


def bare_sqlite(folder: Path, bodies: list[bytes]) -> Rates:
    """The floor: one table, 100 rows a transaction in, and read and deleted again; no lease, no metering."""
    connection = connect(folder / "bare.sqlite")
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute("CREATE TABLE bodies (id INTEGER PRIMARY KEY, body BLOB NOT NULL)")

    def send() -> None:
        for start in range(0, len(bodies), BATCH):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO bodies (body) VALUES (?)", [(b,) for b in bodies[start : start + BATCH]]
            )
            connection.execute("COMMIT")

    def drain() -> None:
        had = 0
        while True:
            connection.execute("BEGIN IMMEDIATE")
            rows = connection.execute("SELECT id, body FROM bodies ORDER BY id LIMIT ?", (BATCH,)).fetchall()
            if rows:
                connection.execute("DELETE FROM bodies WHERE id BETWEEN ? AND ?", (rows[0][0], rows[-1][0]))
            connection.execute("COMMIT")
            had += len(rows)
            if not rows:
                break
        assert had == len(bodies)

    rates = Rates(timed(len(bodies), send), timed(len(bodies), drain))
    connection.close()
    return rates


def huey(folder: Path, bodies: list[bytes]) -> Rates:
    """Durable with `fsync=True`. It deletes on reading: a crash loses what was read."""
    from huey.storage import SqliteStorage

    storage = SqliteStorage("bench", filename=str(folder / "huey.db"), fsync=True)
    taken: list[Any] = []

    def drain() -> None:
        while (data := storage.dequeue()) is not None:
            taken.append(data)

    rates = Rates(timed(len(bodies), lambda: [storage.enqueue(body) for body in bodies]), timed(len(bodies), drain))
    assert len(taken) == len(bodies)
    storage.close()
    return rates


def litequeue(folder: Path, bodies: list[bytes]) -> Rates:
    """`synchronous=NORMAL`: a power cut loses the last messages. Marks as done, keeps the rows."""
    from litequeue import LiteQueue

    queue = LiteQueue(str(folder / "lite.db"))
    texts = [body.decode() for body in bodies]
    taken: list[Any] = []

    def drain() -> None:
        while (message := queue.pop()) is not None:
            queue.done(message.message_id)
            taken.append(message)

    rates = Rates(timed(len(bodies), lambda: [queue.put(text) for text in texts]), timed(len(bodies), drain))
    assert len(taken) == len(bodies)
    queue.close()
    return rates


def persist_queue(folder: Path, bodies: list[bytes]) -> Rates:
    """Durable. Marks as acked, keeps the rows."""
    from persistqueue import SQLiteAckQueue

    queue = SQLiteAckQueue(str(folder / "persist"))
    taken: list[Any] = []

    def drain() -> None:
        for _ in bodies:
            item = queue.get(block=False)
            queue.ack(item)
            taken.append(item)

    rates = Rates(timed(len(bodies), lambda: [queue.put(body) for body in bodies]), timed(len(bodies), drain))
    assert len(taken) == len(bodies)
    queue.close()
    return rates


class Subject(NamedTuple):
    name: str
    measure: Measure
    share: float
    """Of the messages: slow ones get fewer."""
    module: str | None = None


SUBJECTS = (
    Subject("bare SQLite", bare_sqlite, 1),
    Subject("coinswarm", coinswarm, 1),
    Subject("coinswarm, 4 batches a commit", coinswarm_grouped, 1),
    Subject("coinswarm, one by one", coinswarm_singly, 0.05),
    Subject("huey", huey, 0.05, "huey"),
    Subject("litequeue", litequeue, 0.05, "litequeue"),
    Subject("persist-queue", persist_queue, 0.02, "persistqueue"),
)


def acks(messages: list[Message]) -> Settlement:
    return Settlement(acks=[message.lease_id for message in messages])


def measure(subject: Subject, bodies: list[bytes]) -> Rates:
    with tempfile.TemporaryDirectory(prefix="coinswarm-") as folder:
        return subject.measure(Path(folder), bodies[: max(BATCH, int(len(bodies) * subject.share))])


def deep_queue(messages: int = 1_000_000) -> dict[str, float]:
    """How long looking and leasing take before a backlog of a million, in milliseconds."""
    with (
        tempfile.TemporaryDirectory(prefix="coinswarm-") as folder,
        SqliteQueueStore(Path(folder) / "q.sqlite") as store,
    ):
        store.create("candles")
        queue = store.open("candles")
        batch = [OutgoingMessage(b"[]", delay_seconds=86_400 if i % 2 else 0) for i in range(BATCH)]
        for _ in range(messages // BATCH // 100):
            with queue.transaction():
                for _ in range(100):
                    queue.send_batch(batch)

        def milliseconds(act: Callable[[], object]) -> float:
            return statistics.median(1000 / timed(1, act) for _ in range(9))

        return {
            f"metrics_ms_at_{messages}": milliseconds(queue.metrics),
            f"lease_ms_at_{messages}": milliseconds(lambda: queue.lease(BATCH)),
            f"wait_hint_ms_at_{messages}": milliseconds(queue.wait_hint_ms),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=60_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--no-deep", action="store_true", help="skip the queue of a million messages")
    options = parser.parse_args()
    bodies = [(b'{"n":%08d}' % i).ljust(BODY_BYTES, b"x") for i in range(options.messages)]
    present = [s for s in SUBJECTS if s.module is None or importlib.util.find_spec(s.module)]
    rounds = [{s.name: measure(s, bodies) for s in present} for _ in range(options.runs)]
    print(f"{'':<30} {'sent/s':>9} {'had/s':>9}   of bare SQLite")
    table: dict[str, dict[str, float]] = {}
    for subject in present:
        name = subject.name
        sent, had = (statistics.median(r[name][i] for r in rounds) for i in (0, 1))
        shares = [statistics.median(r[name][i] / r["bare SQLite"][i] for r in rounds) for i in (0, 1)]
        best = [max(r[name][i] for r in rounds) for i in (0, 1)]
        table[name] = {
            "sent_per_second": sent,
            "had_per_second": had,
            "best_sent_per_second": best[0],
            "best_had_per_second": best[1],
            "sent_share_of_bare": shares[0],
            "had_share_of_bare": shares[1],
        }
        print(f"{name:<30} {sent:>9,.0f} {had:>9,.0f}   {shares[0]:.2f} / {shares[1]:.2f}")
    absent = [s.name for s in SUBJECTS if s not in present]
    if absent:
        print(f"not installed: {', '.join(absent)} (pip install --group bench)")
    deep = {} if options.no_deep else deep_queue()
    for name, value in deep.items():
        print(f"{name:<30} {value:>9.2f}")
    figures = {"messages": options.messages, "body_bytes": BODY_BYTES, "runs": options.runs, "targets": TARGETS}
    print(f"written to {save('queue', figures | {'queues': table} | deep)}")


if __name__ == "__main__":
    main()
