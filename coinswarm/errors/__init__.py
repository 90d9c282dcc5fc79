"""Every error coinswarm raises on purpose, in one tree.

::

    CoinswarmError                     exit 1, not retryable
    ├── UsageError                     exit 2: a flag or argument is wrong
    ├── OutputLost                     stdout cannot be written
    ├── CannotListen                   an address that a server should listen on is taken
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
        │   ├── InvalidRequest · InvalidWorkersRequest · WorkerNotFound · RequestTooLarge · RequestTimeout
        │   ├── HeadersTooLarge · MalformedHttp
        │   └── TooManyRequests (retryable) · ApiUnavailable (retryable)
        ├── QueueError
        │   ├── QueueNotFound · QueueExists · InvalidQueueName (exit 2) · InvalidQueueSettings (exit 2)
        │   ├── ConsumerExists · ConsumerNotFound · InvalidConsumerSettings (exit 2) · InvalidQueueRequest
        │   ├── InvalidMessageBody · MalformedMessageBody · HttpPullDisabled
        │   ├── QueuePaused · QueueOverloaded (retryable) · QueueStorageLimit · QueuePlanLimit
        │   ├── DeadLetterNotFound
        │   ├── InvalidMessage · MessageTooLarge · BatchTooLarge · BatchCountOutOfBounds
        │   └── DelayOutOfBounds (exit 2)
        └── DatabaseError
            ├── DatabaseNotFound · DatabaseExists
            ├── SqlError               D1 refused or failed the statement: nothing was written
            ├── DatabaseUnavailable    retryable: D1's documented transient errors
            └── SchemaMismatch         price_data is missing or has other columns

`retryable` on the class is the single truth for transport and consumer. A message defaults to the first line of the
class's docstring, a hint (what to do next) to `default_hint`.
"""

from __future__ import annotations

from coinswarm.errors.api import (
    AccountForbidden,
    ApiError,
    ApiUnavailable,
    CloudflareError,
    HeadersTooLarge,
    HostRefused,
    InvalidRequest,
    InvalidWorkersRequest,
    MalformedHttp,
    MethodNotAllowed,
    NotRouted,
    RequestTimeout,
    RequestTooLarge,
    TooManyRequests,
    Unauthorized,
    WorkerNotFound,
)
from coinswarm.errors.base import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    EXIT_USAGE,
    CannotListen,
    CoinswarmError,
    ConfigError,
    InvalidPayload,
    OutputLost,
    UsageError,
)
from coinswarm.errors.databases import (
    DatabaseError,
    DatabaseExists,
    DatabaseNotFound,
    DatabaseUnavailable,
    SchemaMismatch,
    SqlError,
)
from coinswarm.errors.queues import (
    BatchCountOutOfBounds,
    BatchTooLarge,
    ConsumerExists,
    ConsumerNotFound,
    DeadLetterNotFound,
    DelayOutOfBounds,
    HttpPullDisabled,
    InvalidConsumerSettings,
    InvalidMessage,
    InvalidMessageBody,
    InvalidQueueName,
    InvalidQueueRequest,
    InvalidQueueSettings,
    MalformedMessageBody,
    MessageTooLarge,
    QueueError,
    QueueExists,
    QueueNotFound,
    QueueOverloaded,
    QueuePaused,
    QueuePlanLimit,
    QueueStorageLimit,
)
from coinswarm.errors.sources import (
    FetchFailed,
    QuotaExhausted,
    RateLimited,
    SourceError,
    SourceRefused,
    SourceUnavailable,
    UnknownPair,
    UnsupportedTimeframe,
)
from coinswarm.errors.storage import (
    StorageCorrupt,
    StorageError,
    StorageFull,
    StorageLocked,
    StorageReadOnly,
    StorageTooNew,
)

__all__ = [
    "EXIT_DONE",
    "EXIT_FAILED",
    "EXIT_INTERRUPTED",
    "EXIT_TERMINATED",
    "EXIT_USAGE",
    "AccountForbidden",
    "ApiError",
    "ApiUnavailable",
    "BatchCountOutOfBounds",
    "BatchTooLarge",
    "CannotListen",
    "CloudflareError",
    "CoinswarmError",
    "ConfigError",
    "ConsumerExists",
    "ConsumerNotFound",
    "DatabaseError",
    "DatabaseExists",
    "DatabaseNotFound",
    "DatabaseUnavailable",
    "DeadLetterNotFound",
    "DelayOutOfBounds",
    "FetchFailed",
    "HeadersTooLarge",
    "HostRefused",
    "HttpPullDisabled",
    "InvalidConsumerSettings",
    "InvalidMessage",
    "InvalidMessageBody",
    "InvalidPayload",
    "InvalidQueueName",
    "InvalidQueueRequest",
    "InvalidQueueSettings",
    "InvalidRequest",
    "InvalidWorkersRequest",
    "MalformedHttp",
    "MalformedMessageBody",
    "MessageTooLarge",
    "MethodNotAllowed",
    "NotRouted",
    "OutputLost",
    "QueueError",
    "QueueExists",
    "QueueNotFound",
    "QueueOverloaded",
    "QueuePaused",
    "QueuePlanLimit",
    "QueueStorageLimit",
    "QuotaExhausted",
    "RateLimited",
    "RequestTimeout",
    "RequestTooLarge",
    "SchemaMismatch",
    "SourceError",
    "SourceRefused",
    "SourceUnavailable",
    "SqlError",
    "StorageCorrupt",
    "StorageError",
    "StorageFull",
    "StorageLocked",
    "StorageReadOnly",
    "StorageTooNew",
    "TooManyRequests",
    "Unauthorized",
    "UnknownPair",
    "UnsupportedTimeframe",
    "UsageError",
    "WorkerNotFound",
]
