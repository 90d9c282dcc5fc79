"""What queues refuse, with Cloudflare's codes.

Source: https://developers.cloudflare.com/queues/reference/error-codes/. What a name or number of the user's breaks is
wrong usage (exit 2), here as on Cloudflare; what is there or is not there is a failure (exit 1)."""

from __future__ import annotations

from coinswarm.errors.api import CloudflareError
from coinswarm.errors.base import EXIT_USAGE


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

    exit_code = EXIT_USAGE
    code = 11003


class InvalidQueueSettings(QueueError):
    """The specified queue settings are invalid."""

    exit_code = EXIT_USAGE
    code = 100128


class InvalidConsumerSettings(QueueError):
    """The specified consumer settings are invalid."""

    exit_code = EXIT_USAGE
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


class QueuePlanLimit(QueueError):
    """The day's operations of the free plan are used up."""

    code = 10253
    http_status = 429
    default_hint = "Go on tomorrow (UTC), or with the Workers Paid plan."


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

    exit_code = EXIT_USAGE
    code = 10202
