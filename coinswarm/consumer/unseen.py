"""What leaves a queue while a consumer runs, and no settlement of its own tells of: too old, or delivered too often."""

from __future__ import annotations

from typing import Final

from coinswarm.consumer.report import ConsumeReport
from coinswarm.log import Log
from coinswarm.queue.types import Queue

UNSETTLED: Final = "delivered as often as allowed and never settled, or settled so by another consumer"


class Unseen:
    """Adds such messages to the report and the log, whenever it is asked to look."""

    def __init__(self, queue: Queue, report: ConsumeReport, log: Log) -> None:
        self.queue, self.report, self.log = queue, report, log
        self._seen = queue.departures()
        self._dropped, self._dead_lettered = report.dropped, report.dead_lettered

    def note(self) -> None:
        """Account for what has left since the last look."""
        before, now, report = self._seen, self.queue.departures(), self.report
        expired = now.expired - before.expired
        dropped = max(0, now.dropped - before.dropped - (report.dropped - self._dropped))
        letters = max(0, now.dead_lettered - before.dead_lettered - (report.dead_lettered - self._dead_lettered))
        report.expired += expired
        report.dropped += dropped
        report.dead_lettered += letters
        self._seen, self._dropped, self._dead_lettered = now, report.dropped, report.dead_lettered
        if letters:
            report.add_reason(UNSETTLED, letters)
        if dropped:
            report.add_reason(UNSETTLED, dropped, dropped=True)
        self._tell("messages.expired", expired, "older than the queue's retention period")
        self._tell("messages.dropped", dropped, UNSETTLED)
        self._tell("messages.dead_lettered", letters, UNSETTLED)

    def _tell(self, event: str, count: int, reason: str) -> None:
        if count > 0:
            self.log.event(event, queue=self.queue.name, messages=count, reason=reason)
