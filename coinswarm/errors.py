"""Every error coinswarm raises on purpose, in one tree.

::

    CoinswarmError                     exit 1, not retryable
    ├── UsageError                     exit 2: a flag or argument is wrong
    ├── ConfigError                    a wrangler or coinswarm file has faults; lists all of them
    ├── InvalidPayload                 poison: a message body that does not hold candles
    ├── SourceError                    an exchange API said no
    │   ├── UnknownPair
    │   ├── UnsupportedTimeframe
    │   ├── SourceRefused              401, 403, 451: key, plan or country; permanent for the run
    │   ├── QuotaExhausted             the day's or month's allowance is used up
    │   ├── RateLimited                retryable, after `retry_after` seconds
    │   └── SourceUnavailable          retryable: network, time-out, 5xx, a body that is not what was asked for
    ├── FetchFailed                    a page failed; carries what was queued and the command that resumes
    ├── StorageError                   a local SQLite file
    │   ├── StorageLocked              retryable: another process holds the lock
    │   ├── StorageFull
    │   ├── StorageReadOnly
    │   ├── StorageCorrupt
    │   └── StorageTooNew
    └── CloudflareError                has Cloudflare's error `code` and `http_status`
        ├── ApiError                   the API refused the request before a queue or a database saw it
        │   ├── Unauthorized · AccountForbidden · HostRefused · NotRouted · MethodNotAllowed
        │   ├── InvalidRequest · InvalidWorkersRequest · RequestTooLarge · RequestTimeout
        │   └── TooManyRequests (retryable) · ApiUnavailable (retryable)
        ├── QueueError
        │   ├── QueueNotFound · QueueExists · InvalidQueueName · InvalidQueueSettings
        │   ├── ConsumerExists · ConsumerNotFound · InvalidConsumerSettings · InvalidQueueRequest
        │   ├── InvalidMessageBody · MalformedMessageBody · HttpPullDisabled
        │   ├── QueuePaused · QueueOverloaded (retryable) · QueueStorageLimit · DeadLetterNotFound
        │   └── InvalidMessage · MessageTooLarge · BatchTooLarge · BatchCountOutOfBounds · DelayOutOfBounds
        └── DatabaseError
            ├── DatabaseNotFound · DatabaseExists
            ├── SqlError               D1 refused or failed the statement: nothing was written
            ├── DatabaseUnavailable    retryable: D1's documented transient errors
            └── SchemaMismatch         price_data is missing or has other columns

`retryable` on the class is the single truth for transport and consumer. A message defaults to the first line of the
class's docstring, a hint (what to do next) to `default_hint`.
"""

from __future__ import annotations

from typing import Any, ClassVar

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class CoinswarmError(Exception):
    """Something failed."""

    exit_code: ClassVar[int] = EXIT_FAILED
    retryable: ClassVar[bool] = False
    default_hint: ClassVar[str | None] = None

    report: Any = None
    """What a command that reports had done before it failed: a dataclass with `as_json()`."""

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        self.message = message or (self.__doc__ or "").strip().splitlines()[0]
        self.hint = hint if hint is not None else self.default_hint
        super().__init__(self.message)

    def as_json(self) -> dict[str, Any]:
        """The command line's `{"error": {…}}` document (`--json`), with the report of what was done before, if any."""
        document = {"error": {"type": type(self).__name__, "message": self.message, "hint": self.hint}}
        return document if self.report is None else document | {"report": self.report.as_json()}


class UsageError(CoinswarmError):
    """The command was used wrongly."""

    exit_code = EXIT_USAGE


class ConfigError(CoinswarmError):
    """The configuration has faults."""


class InvalidPayload(CoinswarmError):
    """The message body does not hold candles."""


class SourceError(CoinswarmError):
    """An exchange API refused the request."""

    def __init__(self, source: str, message: str, *, hint: str | None = None) -> None:
        self.source = source
        super().__init__(f"{source}: {message}", hint=hint)


class UnknownPair(SourceError):
    """The source does not list this pair."""


class UnsupportedTimeframe(SourceError):
    """The source does not offer this timeframe."""


class SourceRefused(SourceError):
    """The source refuses this client: key, plan or country."""


class QuotaExhausted(SourceError):
    """The source's allowance for the day or month is used up."""


class RateLimited(SourceError):
    """The source asks to wait."""

    retryable = True

    def __init__(self, source: str, message: str, *, retry_after: float | None = None, hint: str | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(source, message, hint=hint)


class SourceUnavailable(SourceError):
    """The source did not answer, or answered something else than was asked for."""

    retryable = True


class FetchFailed(CoinswarmError):
    """A page could not be fetched; what was fetched before it is queued."""

    resume_to_ts: int | None = None
    """Unix seconds: a run with this as its newest open continues where this one failed."""


class StorageError(CoinswarmError):
    """A local database file cannot be used."""


class StorageLocked(StorageError):
    """Another process holds the lock on the file."""

    retryable = True
    default_hint = "Wait for the other process, or look for it with: fuser FILE"


class StorageFull(StorageError):
    """The disk is full."""

    default_hint = "Free some space and run the same command again: what was not stored is still queued."


class StorageReadOnly(StorageError):
    """The file or its folder cannot be written."""

    default_hint = "Check the owner and permissions, or choose another folder with --persist-to DIR."


class StorageCorrupt(StorageError):
    """The file is not a healthy SQLite database."""

    default_hint = "Keep a copy, then try: sqlite3 FILE .recover"


class StorageTooNew(StorageError):
    """The file was written by a newer coinswarm."""

    default_hint = "Upgrade coinswarm; a newer file is never downgraded."


class CloudflareError(CoinswarmError):
    """An error with Cloudflare's wire form.

    Sources: https://developers.cloudflare.com/queues/reference/error-codes/ and the D1 REST API.
    """

    code: int = 10000
    http_status: int = 400


class ApiError(CloudflareError):
    """The API refused the request."""


class Unauthorized(ApiError):
    """Authentication error"""

    http_status = 401
    default_hint = "Set CLOUDFLARE_API_TOKEN to a valid token."


class AccountForbidden(ApiError):
    """The given account is not valid or is not authorized to access this service"""

    code = 7403
    http_status = 403
    default_hint = "Check CLOUDFLARE_ACCOUNT_ID, and that the token may use this account."


class HostRefused(ApiError):
    """The server does not answer for this host."""

    code = 10403
    http_status = 403
    default_hint = "Use the address that `coinswarm serve` prints."


class NotRouted(ApiError):
    """No route for that URI"""

    code = 7003
    http_status = 404


class MethodNotAllowed(ApiError):
    """Method not available for that URI."""

    code = 7001
    http_status = 405


class InvalidRequest(ApiError):
    """The request's body or query is not what the endpoint takes."""

    code = 7400


class InvalidWorkersRequest(ApiError):
    """The request's body is not what the Workers API takes."""

    code = 10021


class RequestTooLarge(ApiError):
    """The request is larger than the API takes."""

    code = 10413
    http_status = 413


class RequestTimeout(ApiError):
    """The request's body did not arrive in time."""

    code = 10408
    http_status = 408


class TooManyRequests(ApiError):
    """Please wait and consider throttling your request speed"""

    code = 971
    http_status = 429
    retryable = True


class ApiUnavailable(ApiError):
    """The API could not answer for now."""

    code = 15000
    http_status = 500
    retryable = True


class QueueError(CloudflareError):
    """A queue refused the operation."""


class QueueNotFound(QueueError):
    """There is no such queue."""

    code = 11000
    http_status = 404


class QueueExists(QueueError):
    """The queue name is already taken."""

    code = 11009
    http_status = 409


class InvalidQueueName(QueueError):
    """The queue name is not allowed."""

    code = 11003


class InvalidQueueSettings(QueueError):
    """The specified queue settings are invalid."""

    code = 100128


class InvalidConsumerSettings(QueueError):
    """The specified consumer settings are invalid."""

    code = 100127


class ConsumerExists(QueueError):
    """The queue already has a consumer."""

    code = 11004
    http_status = 409


class ConsumerNotFound(QueueError):
    """The queue has no such consumer."""

    code = 11005
    http_status = 404


class InvalidQueueRequest(QueueError):
    """invalid request body"""

    code = 10026


class InvalidMessageBody(QueueError):
    """The messages are not in the form that the API takes."""

    code = 10207


class MalformedMessageBody(QueueError):
    """The request's body is not JSON."""

    code = 10208


class HttpPullDisabled(QueueError):
    """The queue has no http_pull consumer, so it cannot be pulled."""

    code = 10026
    http_status = 405
    default_hint = "Add one: wrangler queues consumer http add QUEUE"


class QueuePaused(QueueError):
    """Delivery from this queue is paused (queue_delivery_paused)."""

    code = 10252
    http_status = 409


class QueueOverloaded(QueueError):
    """The queue takes no more messages right now."""

    code = 10250
    http_status = 429
    retryable = True


class QueueStorageLimit(QueueError):
    """The queue's backlog has reached its storage limit."""

    code = 10251
    http_status = 429


class DeadLetterNotFound(QueueError):
    """There is no such dead letter."""

    http_status = 404


class InvalidMessage(QueueError):
    """The message's content type or metadata is not allowed."""

    code = 10203


class MessageTooLarge(QueueError):
    """The message is larger than a queue takes."""

    code = 10204
    http_status = 413


class BatchTooLarge(QueueError):
    """The messages together are larger than a batch may be."""

    code = 10205
    http_status = 413


class BatchCountOutOfBounds(QueueError):
    """A batch holds 1 to 100 messages."""

    code = 10206


class DelayOutOfBounds(QueueError):
    """A delay lies between 0 seconds and 24 hours."""

    code = 10202


class DatabaseError(CloudflareError):
    """D1 refused the operation."""

    code = 7500


class DatabaseNotFound(DatabaseError):
    """There is no such database."""

    code = 7404
    http_status = 404


class DatabaseExists(DatabaseError):
    """A database with that name already exists."""

    code = 7502


class SqlError(DatabaseError):
    """D1 refused the statement; nothing was written."""


class DatabaseUnavailable(DatabaseError):
    """D1 could not serve the request for now."""

    http_status = 503
    retryable = True


class SchemaMismatch(DatabaseError):
    """The table price_data is missing or has other columns."""

    default_hint = "Create it with: coinswarm d1 migrations apply"
