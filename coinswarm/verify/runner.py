"""Runs checks one after the other; none can stop, delay for ever or spoil another one."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from coinswarm.config.disguises import struck
from coinswarm.config.masking import MASK, names_a_secret
from coinswarm.errors import CoinswarmError, ConfigError, UsageError
from coinswarm.verify.check import Check, Outcome, Report, Result, Status, failed
from coinswarm.verify.subject import Subject

SECONDS: Final = 30.0
"""A check's time, as in the original script."""
GRACE_SECONDS: Final = 10.0
"""For cleaning up, once a check was told that its time is over."""
_CRASHED: Final = (
    "This is a fault of coinswarm itself: please report it with the output of the same command and --json."
)


def choose(checks: Sequence[Check], only: Collection[str]) -> list[Check]:
    """Those named by id or number (`canary`, `V15`); all where none is named. Raises `UsageError` for unknown names."""
    wanted = {name.lower() for name in only}
    chosen = [check for check in checks if not wanted or wanted & {check.id, check.number.lower()}]
    unknown = wanted - {name for check in chosen for name in (check.id, check.number.lower())}
    if unknown:
        known = " ".join(check.id for check in checks)
        raise UsageError(f"there is no check {', '.join(sorted(unknown))}", hint=f"Choose from: {known}")
    return chosen


def verify(
    subject: Subject,
    checks: Iterable[Check],
    *,
    seconds: float | None = None,
    on_result: Callable[[Result], None] = lambda _result: None,
) -> Report:
    """Run `checks` in order. `seconds` is what each may take; left out, `SECONDS`, and for patient ones no limit."""
    results: list[Result] = []
    bad: dict[str, str] = {}
    hide = _hider(subject)
    for check in checks:
        blame = next((need for need in check.needs if need in bad), None)
        if blame is not None:
            blame = bad[check.id] = bad[blame]
            result = _result(check, Outcome(Status.SKIPPED, f"not checked, because {blame} failed"), 0.0)
        else:
            limit = seconds if seconds is not None else None if check.patient else SECONDS
            started = subject.clock.monotonic()
            outcome = hide(_run(check, subject, limit))
            result = _result(check, outcome, subject.clock.monotonic() - started)
            if outcome.status is Status.FAILED:
                bad[check.id] = check.id
        results.append(result)
        on_result(result)
    return Report(subject.where, subject.remote, tuple(results))


def misconfigured(error: ConfigError, checks: Iterable[Check], *, remote: bool) -> Report:
    """The report where the configuration itself cannot be read: one failure, and nothing else could be checked."""
    hint = error.hint or "Correct what is named; docs/configuration.md has every key."
    first = Result("configuration", "", "Configuration", failed(error.message, hint))
    skipped = Outcome(Status.SKIPPED, "not checked, because configuration failed")
    where = "Cloudflare" if remote else "this machine"
    return Report(where, remote, (first, *(_result(check, skipped, 0.0) for check in checks)))


def _result(check: Check, outcome: Outcome, seconds: float) -> Result:
    return Result(check.id, check.number, check.title, outcome, seconds)


def _run(check: Check, subject: Subject, seconds: float | None) -> Outcome:
    """In a thread of its own, because a check that hangs cannot be ended, only left behind."""
    found: list[Outcome] = []
    subject.stop = threading.Event()

    def work() -> None:
        try:
            found.append(check.run(subject))
        except CoinswarmError as error:
            hint = error.hint or f"Run it alone with its details: {_again(check, subject, '--json')}"
            found.append(failed(error.message, hint, error=type(error).__name__))
        except Exception as error:  # the next check goes on; this one has failed
            found.append(failed(f"the check crashed: {type(error).__name__}: {error}", _CRASHED))

    thread = threading.Thread(target=work, name=f"verify-{check.id}", daemon=True)
    thread.start()
    try:
        thread.join(seconds)
    except BaseException:  # Ctrl-C: what the check has put somewhere is taken away again
        subject.stop.set()
        thread.join(GRACE_SECONDS)
        raise
    if thread.is_alive():
        subject.stop.set()
        thread.join(GRACE_SECONDS)
        more = math.ceil((seconds or SECONDS) * 4)
        hint = f"Give it more time: {_again(check, subject, f'--timeout {more}')}"
        return failed(f"not finished within {seconds:g} s", hint)
    return found[0]


def _again(check: Check, subject: Subject, flag: str) -> str:
    """The command that runs `check` alone; one that is not in the catalogue is there only with the flag it came by."""
    if not check.number:
        return f"the same command with {flag}"
    return f"coinswarm verify --only {check.id} {flag}{subject.flag}"


def _hider(subject: Subject) -> Callable[[Outcome], Outcome]:
    """Takes every secret of the stack out of an outcome, whoever's words it came with."""
    stack = subject.stack
    secrets = [secret.reveal() for secret in (stack.api_token, *stack.api_keys.values()) if secret is not None]
    secrets += [str(value) for name, value in stack.vars.items() if names_a_secret(name)]
    hidden = sorted({text for text in secrets if len(text) > 3}, key=len, reverse=True)

    def clean(value: Any) -> Any:
        for text in hidden:
            value = struck(value, text, MASK)
        return value

    def hide(outcome: Outcome) -> Outcome:
        return replace(
            outcome,
            message=clean(outcome.message),
            hint=clean(outcome.hint),
            evidence=clean(dict(outcome.evidence)),
        )

    return hide
