"""Fixtures that many tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import CommandLine


@pytest.fixture
def coinswarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """`coinswarm` run in an empty directory without configuration: the built-in stack."""
    return CommandLine(tmp_path, monkeypatch, capsys)
