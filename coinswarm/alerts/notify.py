"""Telling somebody: a webhook, a command, or both."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import httpx

from coinswarm import __version__
from coinswarm.alerts.episodes import Episode
from coinswarm.clock import Clock
from coinswarm.config.alerts import AlertSettings
from coinswarm.errors import CoinswarmError, SourceError, SourceUnavailable
from coinswarm.log import NO_LOG, Log
from coinswarm.transport import RetryPolicy
from coinswarm.transport.retrying import patiently

WEBHOOK_SECONDS: Final = 5.0
COMMAND_SECONDS: Final = 30.0
_SAID_BYTES: Final = 4_000
"""Of a command's output, its end."""
POLICY: Final = RetryPolicy(attempts=3, first_wait=0.5, deadline=20.0)
"""Short: whoever waits for the check waits for this, and what cannot be told now is told by the next check."""


def document(episode: Episode) -> dict[str, Any]:
    """What is sent. `text` is what Slack and Mattermost show, `content` what Discord does."""
    mark = "✅ resolved" if episode.state == "resolved" else "❌ firing"
    text = f"{mark}: coinswarm {episode.finding.alert}: {episode.finding.message}"
    known = episode.as_json()
    known.pop("told")
    known.pop("undelivered")
    return {"text": text, "content": text} | known


@dataclass(frozen=True, slots=True)
class Notifier:
    """Tells all that the settings name. Where they name nobody, the exit code of the check is all there is."""

    settings: AlertSettings
    clock: Clock
    log: Log = NO_LOG
    client: Callable[[], httpx.Client] | None = None

    def __call__(self, episode: Episode) -> list[str]:
        """Why somebody could not be told; nothing of the webhook's URL but its host appears in it."""
        body = document(episode)
        problems = []
        if self.settings.webhook is not None:
            problems += self._post(self.settings.webhook.reveal(), body)
        if self.settings.command:
            problems += _run(self.settings.command, body)
        self.log.event(
            f"alert.{episode.state}",
            alert=episode.finding.alert,
            message=episode.finding.message,
            undelivered=problems or None,
        )
        return problems

    def _post(self, url: str, body: dict[str, Any]) -> list[str]:
        from coinswarm.transport import http_client

        with (self.client or http_client)() as client:
            try:
                patiently(lambda: _sent(client, url, body), policy=POLICY, clock=self.clock)
            except CoinswarmError as error:
                return [error.message]
        return []


def _sent(client: httpx.Client, url: str, body: dict[str, Any]) -> None:
    host = f"webhook at {httpx.URL(url).host}"
    headers = {"User-Agent": f"coinswarm/{__version__}"}
    try:
        with client.stream("POST", url, json=body, headers=headers, timeout=WEBHOOK_SECONDS) as reply:
            pass  # the status is all that is wanted: what it says, however long or packed, is not read
    except httpx.TimeoutException:
        raise SourceUnavailable(host, f"did not answer within {WEBHOOK_SECONDS:g} s") from None
    except httpx.RequestError as error:
        raise SourceUnavailable(host, f"cannot be reached ({type(error).__name__})") from None
    if reply.status_code >= 500 or reply.status_code in (408, 429):
        raise SourceUnavailable(host, f"answered HTTP {reply.status_code}")
    if not reply.is_success:
        raise SourceError(host, f"refused the alert with HTTP {reply.status_code}")


def _run(words: tuple[str, ...], body: dict[str, Any]) -> list[str]:
    """What it says goes into a file, for a pipe is also waited for when only a process that it left behind holds it."""
    name = words[0]
    try:
        with tempfile.TemporaryFile() as output:
            text = json.dumps(body).encode()
            done = subprocess.run(
                words, input=text, stdout=output, stderr=subprocess.STDOUT, timeout=COMMAND_SECONDS, check=False
            )
            output.seek(max(0, output.seek(0, 2) - _SAID_BYTES))
            said = output.read().decode(errors="replace").strip().splitlines()
    except subprocess.TimeoutExpired:
        return [f"the command {name} did not end within {COMMAND_SECONDS:g} s and was stopped"]
    except OSError as error:
        return [f"the command {name} cannot be run: {error.strerror}"]
    if done.returncode:
        return [f"the command {name} ended with exit code {done.returncode}" + (f": {said[-1][:200]}" if said else "")]
    return []
