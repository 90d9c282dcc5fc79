"""From a configuration to its log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from coinswarm.clock import Clock
from coinswarm.config import Stack
from coinswarm.log.file import FileLog, log_folder


@contextmanager
def open_log(stack: Stack, clock: Clock) -> Iterator[FileLog]:
    """The log in the state folder. None of the secrets that the configuration knows appears in it."""
    secrets = [*stack.api_keys.values(), *filter(None, (stack.api_token, stack.alerts.webhook))]
    with closing(FileLog(log_folder(stack.state_dir), clock, hidden=[secret.reveal() for secret in secrets])) as log:
        yield log
