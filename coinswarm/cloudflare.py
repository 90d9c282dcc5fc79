"""Cloudflare's REST API: one client for D1 and Queues, within the account's rate, with every refusal explained.

Threads share it. What a request means, its path, body and reply, is the business of `d1/remote.py` and
`queue/cloudflare.py`; retries are those of `transport`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec

from coinswarm import __version__, envelope
from coinswarm.clock import Clock
from coinswarm.config.disguises import SHORTEST, struck
from coinswarm.config.masking import Secret
from coinswarm.envelope import Reply
from coinswarm.errors import (
    AccountForbidden,
    ApiError,
    ApiUnavailable,
    CloudflareError,
    CoinswarmError,
    NotRouted,
    TooManyRequests,
    Unauthorized,
)
from coinswarm.limits import API
from coinswarm.log import NO_LOG, Log
from coinswarm.transport import RetryPolicy, checked_url
from coinswarm.transport.bodies import unpackable
from coinswarm.transport.reply import retry_after_seconds
from coinswarm.transport.retrying import patiently
from coinswarm.transport.telling import RequestLog
from coinswarm.transport.window import WindowLimiter

BASE_URL: Final = "https://api.cloudflare.com/client/v4"
BODY_BYTES: Final = 256_000_000
"""No reply is larger; one that is would fill the memory."""
POLICY: Final = RetryPolicy(attempts=5, patience=API.window_seconds + 60)
"""Five attempts, as D1's documentation advises; a block of the account lasts one window and is waited for."""
_NO_TURNS: Final = nullcontext()
_CLOCKS_DIFFER: Final = 1.0
"""Seconds our window is longer than Cloudflare's."""
_SILENT_429: Final = 5.0
"""Seconds everybody waits after a 429 that does not say how long."""

_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class CloudflareApi:
    """The API as one account sees it through one token. The token leaves this object in one header only.

    `requests` bounds what this client sends in five minutes; several machines that share a token divide the 1,200
    among them, or are told by the API's `Ratelimit` header and by 429, both of which are obeyed.
    """

    def __init__(
        self,
        account_id: str,
        token: Secret,
        *,
        client: httpx.Client,
        clock: Clock,
        base_url: str = BASE_URL,
        requests: int = API.requests,
        window_seconds: float = API.window_seconds + _CLOCKS_DIFFER,
        policy: RetryPolicy = POLICY,
        jitter: Callable[[], float] = random.random,
        log: Log = NO_LOG,
    ) -> None:
        _check(token)
        self.account_id = account_id
        self.base_url = checked_url("Cloudflare's API", base_url)
        self.clock = clock
        self.limiter = WindowLimiter(requests, window_seconds, clock)
        self._token, self._client, self._policy, self._jitter = token, client, policy, jitter
        self._log = log

    def __repr__(self) -> str:
        return f"CloudflareApi({self.account_id!r}, {self.base_url!r})"

    @property
    def account(self) -> str:
        """The path of the account, to which every path of D1 and Queues is appended."""
        return f"/accounts/{segment(self.account_id)}"

    def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes | Mapping[str, Any] | None = None,
        params: Mapping[str, str | int] | None = None,
        repeatable: bool | None = None,
        seconds: float = 30.0,
        limiter: WindowLimiter | None = None,
        cost: int = 1,
        decode: Callable[[bytes, int], Reply] = envelope.decode,
        turns: AbstractContextManager[object] = _NO_TURNS,
    ) -> Reply:
        """One request and its reply, tried again while that can help.

        `repeatable`: sending it twice does no harm; GET, PUT and PATCH unless said otherwise. What is not, is sent
        again only after an answer or a fault that proves it was not carried out. `limiter` takes the place of the
        account's for calls that are exempt from it, `seconds` bounds the wait for a reply, `decode` knows the errors
        of the service, `turns` is held while a request is under way.

        Raises the `CloudflareError` that `decode` finds, `ApiUnavailable` where no reply came.
        """
        if repeatable is None:
            repeatable = method in ("GET", "PUT", "PATCH")
        content = body if isinstance(body, bytes) else None if body is None else msgspec.json.encode(body)
        request = self._client.build_request(
            method,
            self.base_url + path,
            params=params,
            content=content,
            headers=self._headers(content is not None),
            timeout=httpx.Timeout(seconds, connect=10.0),
        )

        pace = self.limiter if limiter is None else limiter

        told = RequestLog(self._log, self.clock, method, self.base_url + path, source="cloudflare")

        def attempt() -> Reply:
            with ExitStack() as turn:
                turn.enter_context(turns)
                with told.attempt():
                    try:
                        with pace.slot(cost):
                            told.sent()
                            status, reply = self._send(request, pace)
                        turn.close()  # somebody else may send while this reply is read
                        told.answered(status)
                        return self._told(method, decode(self._quotable(reply), status))
                    except CloudflareError as error:
                        open_outcome = error.retryable and not (repeatable or _not_carried_out(error))
                        self._explain(error, path, open_outcome=open_outcome)
                        raise

        def again(error: CoinswarmError) -> bool:
            return error.retryable and (repeatable or _not_carried_out(error))

        return patiently(attempt, policy=self._policy, clock=self.clock, again=again, jitter=self._jitter, request=told)

    def pages(self, path: str, **params: str | int) -> Iterator[Any]:
        """The items of a paged list, until the total the replies name, else until a page is empty or comes again."""
        page, seen, before = 1, 0, None
        while True:
            reply = self.call("GET", path, params={**params, "page": page})
            items = reply.result if isinstance(reply.result, list) else []
            if not items or items == before:
                return
            yield from items
            seen, before, page = seen + len(items), items, page + 1
            total = reply.result_info.get("total_count")
            if isinstance(total, int) and seen >= total:
                return

    def _quotable(self, reply: bytes) -> bytes:
        """Of what is no envelope an error shows the beginning: half a token would not be known for one afterwards."""
        if b'"success"' in reply:
            return reply
        return str(struck(reply[:_QUOTED_FROM].decode(errors="replace"), self._token.reveal(), "***")).encode()

    def _told(self, method: str, reply: Reply) -> Reply:
        """What a GET says is of queues and databases, and never the token; what they hold is the user's, as it is."""
        token = self._token.reveal()
        if method != "GET" or len(token) < SHORTEST:
            return reply
        return replace(reply, result=struck(reply.result, token, "***"))

    def _headers(self, has_body: bool) -> dict[str, str]:
        headers = {
            "Authorization": f"Bearer {self._token.reveal()}",
            "User-Agent": f"coinswarm/{__version__}",
            "Accept": "application/json",
        }
        return headers | {"Content-Type": "application/json"} if has_body else headers

    def _send(self, request: httpx.Request, pace: WindowLimiter) -> tuple[int, bytes]:
        host = request.url.netloc.decode()
        chunks, size = [], 0
        try:
            response = self._client.send(request, stream=True)
            try:
                if not unpackable(response.headers):
                    raise ApiError(f"{host} packed its reply in a way that was not asked for, or twice")
                for chunk in response.iter_bytes():
                    chunks.append(chunk)
                    if (size := size + len(chunk)) > BODY_BYTES:
                        raise ApiError(f"{host} sent more than {BODY_BYTES // 1_000_000} MB in one reply")
            finally:
                response.close()
        except _NEVER_SENT as error:
            raise ApiUnavailable(f"cannot connect to {host}: {error}", hint="Check the network connection.") from error
        except httpx.TimeoutException as error:
            raise ApiUnavailable(f"{host} did not answer in time") from error
        except httpx.RequestError as error:
            raise ApiUnavailable(f"the connection to {host} broke off: {str(error) or type(error).__name__}") from error
        self._obey(response, pace)
        return response.status_code, b"".join(chunks)

    def _obey(self, response: httpx.Response, pace: WindowLimiter) -> None:
        """What the reply says about the rate goes to everybody who shares the allowance."""
        if response.is_redirect:
            raise ApiError(
                f"{response.url.host} redirects to {response.headers['location']}, which is not followed",
                hint="Check CLOUDFLARE_API_BASE_URL, and whether this network wants a login.",
            )
        if response.status_code == 429:
            wait = retry_after_seconds(response.headers.get("retry-after"), self.clock.now_ms() / 1000)
            wait = _SILENT_429 if wait is None else wait
            if wait > self._policy.patience:
                hint = "Run the same command again after that."
                error = ApiError(f"Cloudflare asks to wait for {wait / 60:.0f} minutes", hint=hint)
                error.http_status = 429
                raise error
            pace.hold(wait)
        elif pace is self.limiter and (left := _allowance(response.headers.get("ratelimit", ""))):
            pace.told(*left)

    def _explain(self, error: CloudflareError, path: str, *, open_outcome: bool) -> None:
        error.message = struck(error.message, self._token.reveal(), "***")
        service = "D1" if "/d1/" in path else "Queues" if "/queues" in path else None
        if isinstance(error, Unauthorized | AccountForbidden):
            needs = f" with the permission {service}: Edit" if service else ""
            error.hint = f"CLOUDFLARE_API_TOKEN has to be a valid token{needs} for account {self.account_id}."
        elif isinstance(error, NotRouted):
            error.hint = (
                f"Check CLOUDFLARE_ACCOUNT_ID ({self.account_id}) and CLOUDFLARE_API_BASE_URL ({self.base_url})."
            )
        elif open_outcome:
            error.message += "; whether the request was carried out is not known, so it was not sent again"
        error.args = (error.message,)


def _not_carried_out(error: CoinswarmError) -> bool:
    """Whether the request certainly had no effect: refused for the rate, or never sent."""
    return isinstance(error, TooManyRequests) or isinstance(error.__cause__, _NEVER_SENT)


def _check(token: Secret) -> None:
    text = token.reveal()
    if not text:
        raise Unauthorized("there is no API token")
    if not re.fullmatch(r"[!-~]+", text, re.ASCII):
        raise Unauthorized("the API token holds a space, line break or other character that no token has")


_QUOTED_FROM: Final = 4_000
_RATELIMIT_ITEM: Final = re.compile(r";\s*r=(\d{1,9})\s*;\s*t=(\d{1,9})", re.ASCII)


def _allowance(header: str) -> tuple[int, float] | None:
    """The tightest of the remaining allowances: how many requests, for how many seconds.

    `Ratelimit: "default";r=50;t=30`, https://developers.cloudflare.com/fundamentals/api/reference/limits/
    """
    found = [(int(r), min(float(t), API.window_seconds) + _CLOCKS_DIFFER) for r, t in _RATELIMIT_ITEM.findall(header)]
    return min(found, default=None)


def segment(text: str) -> str:
    """`text` as one segment of a path."""
    return quote(text, safe="")
