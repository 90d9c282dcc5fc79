"""V10 to V12: who plays each part. Here it is the configuration that says so; on Cloudflare, the latest deployment."""

from __future__ import annotations

from typing import Any, Final

from coinswarm.cloudflare import segment
from coinswarm.errors import CloudflareError, UsageError
from coinswarm.fetchers import SOURCES
from coinswarm.verify.check import Outcome, failed, passed, warned
from coinswarm.verify.subject import Subject

BINDING: Final = "DB"
"""Under which the original's Workers know the database."""
KEY_REQUIRED: Final = frozenset({"cryptocompare"})
"""Sources that answer nobody without a key."""


def queue_consumer(subject: Subject) -> Outcome:
    recorded, declared = subject.consumer()
    if subject.remote and recorded is not None and recorded.settings.type == "http_pull":
        return passed("Queue consumer: pulled by coinswarm consume --remote-queue; needs no Worker")
    if subject.remote:
        script = (recorded.settings.script_name if recorded else None) or (declared.worker if declared else "")
        return _deployed(subject, "Queue consumer", script, failed)
    if declared is None:
        return passed("Queue consumer: attached by hand; coinswarm consume runs it")
    bindings = [b for d in subject.stack.databases if declared.worker in d.workers for b in d.bindings]
    if not bindings:
        hint = f'Give it one: [[d1_databases]] with binding = "{BINDING}" in {declared.file}.'
        return failed(f"Queue consumer {declared.worker} binds no D1 database", hint)
    if BINDING not in bindings:
        hint = f"The original Workers read env.{BINDING}: rename the binding in {declared.file}, or the code."
        return warned(f"Queue consumer {declared.worker} binds D1 as {', '.join(bindings)}", hint, bindings=bindings)
    return passed(f"Queue consumer configured: {declared.worker}, D1 bound as {BINDING}")


def producer(subject: Subject) -> Outcome:
    workers = _producers(subject)
    if not workers:
        hint = f'Put [[queues.producers]] with queue = "{subject.stack.queue()}" into the wrangler file.'
        return failed("no producer is configured", hint)
    if not subject.remote:
        return passed(f"Producer configured: {', '.join(workers)}", workers=workers)
    if _is_pulled(subject):
        return passed("Producer: coinswarm fetch --remote; a pulled queue needs no Worker")
    return _deployed(subject, "Producer", workers[0], failed)


def importer(subject: Subject) -> Outcome:
    """What fetches on demand: the original's Python Worker, `coinswarm fetch` here."""
    workers = _producers(subject)
    if subject.remote and len(workers) > 1 and not _is_pulled(subject):
        return _deployed(subject, "Importer", workers[-1], warned)
    wanted = subject.stack.fetch
    if wanted.source not in SOURCES:
        raise UsageError(f"Importer: unknown source {wanted.source!r}", hint=f"Choose one of: {' '.join(SOURCES)}")
    if wanted.source in KEY_REQUIRED and wanted.source not in subject.stack.api_keys:
        hint = f"Put {wanted.source.upper()}_API_KEY into .dev.vars, or choose another source in coinswarm.toml."
        return warned(f"Importer: {wanted.source} answers nobody without an API key", hint)
    return passed(f"Importer configured: {wanted.pair} {wanted.timeframe} from {wanted.source}")


def _producers(subject: Subject) -> list[str]:
    """Each once; those with a cron first, since those with none are triggered by hand."""
    scheduled = {cron.worker for cron in subject.stack.crons}
    names = dict.fromkeys(producer.worker for producer in subject.stack.producers)
    return sorted(names, key=lambda name: name not in scheduled)


def _is_pulled(subject: Subject) -> bool:
    recorded, _ = subject.consumer()
    return recorded is not None and recorded.settings.type == "http_pull"


def _deployed(subject: Subject, role: str, script: str, otherwise: Any) -> Outcome:
    """The latest deployment of a Worker.

    https://developers.cloudflare.com/api/resources/workers/subresources/scripts/subresources/deployments/
    """
    hint = subject.how_to_deploy(script)
    with subject.api() as api:
        try:
            found = api.call("GET", f"{api.account}/workers/scripts/{segment(script)}/deployments").result
        except CloudflareError as error:
            if error.http_status != 404:
                raise
            outcome: Outcome = otherwise(f"{role}: the Worker {script or '(unnamed)'} is not deployed", hint)
            return outcome
    records = found.get("deployments") if isinstance(found, dict) else None
    dates = sorted(str(r["created_on"]) for r in records or () if isinstance(r, dict) and r.get("created_on"))
    if not dates:
        missing: Outcome = otherwise(f"{role}: the Worker {script} has no deployment", hint)
        return missing
    when = dates[-1][:16].replace("T", " ")
    return passed(f"{role} deployed: {script}, {when} UTC", script=script, created_on=dates[-1])
