"""A stack as `coinswarm init` and `d1 migrations apply` leave it, and what verifying it finds; here or behind HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from coinswarm import wiring
from coinswarm.clock import Clock, SystemClock
from coinswarm.config import Stack, load
from coinswarm.d1.local import LocalDatabase
from coinswarm.d1.migrate import apply
from coinswarm.init import init
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.queue.types import ConsumerSettings
from coinswarm.server.app import create_app
from coinswarm.server.listening import Server
from coinswarm.server.opening import open_account
from coinswarm.verify.catalogue import CHECKS
from coinswarm.verify.check import Check, Report, Status
from coinswarm.verify.runner import verify
from coinswarm.verify.subject import Subject

QUEUE, DEAD = "historical-data-queue", "historical-data-dlq"
DATABASE = (
    '[[d1_databases]]\nbinding = "DB"\ndatabase_name = "coinswarm-evolution"\n'
    'database_id = "ac4629b2-8240-4378-b3e3-e5262cd9b285"\n'
)
ACCOUNT = "0123456789abcdef0123456789abcdef"
TOKEN = "v1.0-a-token-nobody-may-see"
CLOCK = SystemClock()


class FreshStack:
    """A project in `folder`, changed by the tests that break it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ: dict[str, str] = {}
        self.files: list[Path] = []
        """The wrangler files; the one in the folder unless said."""
        init(folder)
        self.migrate()

    @property
    def stack(self) -> Stack:
        return load(self.files, cwd=self.folder, environ=self.environ)

    def migrate(self) -> None:
        with self.database() as database:
            apply(database, wiring.migrations_of(self.stack.database()))

    def edit(self, old: str, new: str) -> None:
        """Change the wrangler file."""
        path = self.folder / "wrangler.toml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def other(self, name: str, text: str) -> None:
        """Put the file of another Worker beside the wrangler file, and mean both."""
        (self.folder / f"{name}.toml").write_text(f'name = "{name}"\n{text}')
        self.files = [self.folder / "wrangler.toml", self.folder / f"{name}.toml"]

    def without(self, start: str, end: str) -> None:
        """Take out of the wrangler file what lies between."""
        path = self.folder / "wrangler.toml"
        text = path.read_text()
        path.write_text(text[: text.index(start)] + text[text.index(end) :])

    @contextmanager
    def database(self) -> Iterator[LocalDatabase]:
        stack = self.stack
        with closing(wiring.local_database(stack.database(), stack, CLOCK)) as opened:
            yield opened

    def sql(self, text: str) -> None:
        with self.database() as opened:
            opened.execute(text)

    def left_by_triggers(self) -> list[tuple[object, ...]]:
        """Rows that only a trigger of a test puts into the table, where there still is one."""
        with self.database() as opened:
            if not opened.execute("SELECT 1 FROM sqlite_master WHERE name = 'price_data'")[0].rows:
                return []
            return opened.execute("SELECT * FROM price_data WHERE source IN ('copy', 'gone')")[0].rows

    @contextmanager
    def queues(self) -> Iterator[SqliteQueueStore]:
        """As a command finds them that has just started."""
        with wiring.local_queues(self.stack, CLOCK) as store:
            yield store

    def verify(self, *only: str, **options: object) -> Report:
        return verified(self.stack, *only, **options)


def verified(
    stack: Stack,
    *only: str,
    remote: bool = False,
    checks: tuple[Check, ...] = CHECKS,
    clock: Clock = CLOCK,
    seconds: float | None = None,
    flags: Sequence[str] = (),
) -> Report:
    chosen = [check for check in checks if not only or check.id in only]
    return verify(Subject(stack, clock, remote=remote, flags=flags), chosen, seconds=seconds)


def statuses(report: Report) -> dict[str, Status]:
    """Of every check that did not pass."""
    return {result.id: result.status for result in report.results if result.status is not Status.PASSED}


def hint(report: Report, check_id: str) -> str:
    """The hint of a check that did not pass, which it has to have."""
    result = report.of(check_id)
    assert result is not None
    assert result.outcome.hint, result
    return result.outcome.hint


@contextmanager
def behind_http(fresh: FreshStack, *, pulled: bool = True) -> Iterator[SqliteQueueStore]:
    """The stack's queues and database served as Cloudflare's; `fresh.environ` leads there until the block ends."""
    stack = fresh.stack
    with fresh.queues() as queues:
        if pulled:
            worker = queues.info(QUEUE).consumers[0]
            queues.remove_consumer(QUEUE, worker.consumer_id)
            queues.add_consumer(QUEUE, ConsumerSettings(type="http_pull", dead_letter_queue=DEAD, batch_size=100))
        with open_account(stack, queues, CLOCK) as account:
            account.id = ACCOUNT
            with Server(create_app(account, token=TOKEN)) as server:
                fresh.environ |= {
                    "CLOUDFLARE_API_TOKEN": TOKEN,
                    "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
                    "CLOUDFLARE_API_BASE_URL": server.url + "/client/v4",
                }
                yield queues


Break = Callable[[FreshStack], None]
