"""Fixtures that many tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from coinswarm.d1.local import LocalDatabase
from coinswarm.queue.sqlite import SqliteQueueStore
from tests.support.command_line import CommandLine, HastyClock


@pytest.fixture
def coinswarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """`coinswarm` run in an empty directory without configuration: the built-in stack."""
    return CommandLine(tmp_path, monkeypatch, capsys)


@pytest.fixture
def hasty_clock(monkeypatch: pytest.MonkeyPatch) -> HastyClock:
    """What commands take for the machine's clock: nothing waits."""
    clock = HastyClock()
    monkeypatch.setattr("coinswarm.clock.SystemClock", lambda: clock)
    return clock


@pytest.fixture
def impatient_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A locked file is given up at once instead of after five seconds."""
    for opener in (SqliteQueueStore.__init__, LocalDatabase.__init__):
        monkeypatch.setitem(opener.__kwdefaults__, "busy_timeout", 0.01)
