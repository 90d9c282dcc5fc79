"""Trying again: the one loop for every request that leaves this machine, whoever it goes to."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any, TypeVar, cast

import tenacity

from coinswarm.clock import Clock
from coinswarm.errors import CoinswarmError
from coinswarm.transport.pacing import RetryPolicy
from coinswarm.transport.telling import RequestLog

T = TypeVar("T")

_log = logging.getLogger(__name__)


def retryable(error: CoinswarmError) -> bool:
    return error.retryable


def patiently(
    attempt: Callable[[], T],
    *,
    policy: RetryPolicy,
    clock: Clock,
    again: Callable[[CoinswarmError], bool] = retryable,
    jitter: Callable[[], float] = random.random,
    request: RequestLog | None = None,
) -> T:
    """What `attempt` returns, tried once more after each error that `again` accepts, until the policy's end.

    `request` hears of each wait. Raises the last error, which then says how often it was tried.
    """
    begun = clock.monotonic()
    retrying = tenacity.Retrying(
        sleep=clock.sleep,
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, CoinswarmError) and again(error)),
        wait=lambda state: policy.wait(_error(state), state.attempt_number, jitter()),
        stop=lambda state: (
            state.attempt_number >= policy.attempts
            or clock.monotonic() - begun + state.upcoming_sleep > policy.deadline
        ),
        before_sleep=lambda state: _tell(state, policy, request),
        retry_error_callback=_give_up,
    )
    result: T = retrying(attempt)
    return result


def _tell(state: tenacity.RetryCallState, policy: RetryPolicy, request: RequestLog | None) -> None:
    error, wait, attempt = _error(state), state.upcoming_sleep, state.attempt_number
    _log.warning("%s; trying again in %.1f s (%d of %d)", error.message, wait, attempt, policy.attempts)
    if request is not None:
        request.retry(error, wait, policy.attempts)


def _error(state: tenacity.RetryCallState) -> CoinswarmError:
    # tenacity asks its callbacks only after an attempt has failed, and `retry` lets nothing but our errors through.
    return cast(CoinswarmError, cast(tenacity.Future, state.outcome).exception())


def _give_up(state: tenacity.RetryCallState) -> Any:
    error = _error(state)
    if state.attempt_number > 1:
        error.message = f"{error.message} (tried {state.attempt_number} times)"
        error.args = (error.message,)
    raise error
