"""Queues: control plane and messages. https://developers.cloudflare.com/api/resources/queues/"""

from __future__ import annotations

from typing import Final

from coinswarm.errors import (
    BatchCountOutOfBounds,
    BatchTooLarge,
    ConsumerExists,
    ConsumerNotFound,
    DelayOutOfBounds,
    HttpPullDisabled,
    InvalidConsumerSettings,
    InvalidMessage,
    InvalidMessageBody,
    InvalidQueueName,
    InvalidQueueRequest,
    InvalidQueueSettings,
    InvalidRequest,
    MalformedMessageBody,
    MessageTooLarge,
    QueueExists,
    QueueOverloaded,
    QueuePaused,
    QueueStorageLimit,
)
from coinswarm.server.openapi import forms
from coinswarm.server.openapi.forms import listed, mapped, or_null, ref, sent, told
from coinswarm.server.openapi.operations import (
    NO_QUEUE,
    NO_QUEUE_OF_MESSAGES,
    OF_AN_ACCOUNT,
    Operation,
    fault,
    in_query,
)

_QUEUES: Final = "/accounts/{account}/queues"
_QUEUE: Final = _QUEUES + "/{queue}"
_CONSUMERS: Final = _QUEUE + "/consumers"
_MESSAGES: Final = _QUEUE + "/messages"

_FAULTS: Final = (*NO_QUEUE, *OF_AN_ACCOUNT)
_BODY_FAULTS: Final = (fault(InvalidQueueRequest),)
_SETTINGS_FAULTS: Final = (
    *_BODY_FAULTS,
    fault(InvalidQueueName),
    fault(InvalidQueueSettings),
    fault(QueueExists),
)
_CHANGE_FAULTS: Final = (
    *_FAULTS,
    *_SETTINGS_FAULTS,
    fault(InvalidConsumerSettings),  # a new name that is its own dead-letter queue's
)
_CONSUMER_FAULTS: Final = (
    *_FAULTS,
    *_BODY_FAULTS,
    fault(InvalidQueueName),
    fault(InvalidConsumerSettings),
    fault(ConsumerExists),
)
_MESSAGE_FAULTS: Final = (*NO_QUEUE_OF_MESSAGES, *OF_AN_ACCOUNT)
_PUSH_FAULTS: Final = (
    *_MESSAGE_FAULTS,
    fault(MalformedMessageBody),
    fault(InvalidMessageBody),
    fault(InvalidMessage),
    fault(MessageTooLarge),
    fault(BatchTooLarge),
    fault(BatchCountOutOfBounds),
    fault(DelayOutOfBounds),
    fault(QueueOverloaded),
    fault(QueueStorageLimit),
)
_CHANGES: Final = sent({"queue_name": or_null(ref("QueueName")), "settings": ref("QueueSettings")})

OPERATIONS: Final = {
    f"GET {_QUEUES}": Operation(
        "List the queues",
        listed(ref("Queue")),
        query=(in_query("name", listed(forms.TEXT), "The exact name; may be repeated."),),
        paged=True,
        faults=(*OF_AN_ACCOUNT, fault(InvalidRequest)),
    ),
    f"POST {_QUEUES}": Operation(
        "Create a queue",
        ref("Queue"),
        sent({"queue_name": ref("QueueName"), "settings": ref("QueueSettings")}, "queue_name"),
        faults=(*OF_AN_ACCOUNT, *_SETTINGS_FAULTS),
    ),
    f"GET {_QUEUE}": Operation("Describe a queue", ref("Queue"), faults=_FAULTS),
    f"PUT {_QUEUE}": Operation(
        "Replace the settings; what is not named goes back to its default",
        ref("Queue"),
        _CHANGES,
        body_required=False,
        faults=_CHANGE_FAULTS,
    ),
    f"PATCH {_QUEUE}": Operation(
        "Change settings; what is not named stays",
        ref("Queue"),
        _CHANGES,
        body_required=False,
        faults=_CHANGE_FAULTS,
    ),
    f"DELETE {_QUEUE}": Operation("Delete a queue with its messages and its consumer", faults=_FAULTS),
    f"POST {_QUEUE}/purge": Operation(
        "Delete what waits or is delayed",
        ref("PurgeStatus"),
        sent({"delete_messages_permanently": {"const": True}}, "delete_messages_permanently"),
        faults=(*_FAULTS, *_BODY_FAULTS, fault(InvalidRequest)),
    ),
    f"GET {_QUEUE}/purge": Operation("When the queue was purged last", ref("PurgeStatus"), faults=_FAULTS),
    f"GET {_CONSUMERS}": Operation("The queue's consumer, if it has one", listed(ref("Consumer")), faults=_FAULTS),
    f"POST {_CONSUMERS}": Operation(
        "Add a consumer; a queue has one", ref("Consumer"), ref("ConsumerRequest"), faults=_CONSUMER_FAULTS
    ),
    f"GET {_CONSUMERS}/{{consumer}}": Operation(
        "Describe a consumer", ref("Consumer"), faults=(*_FAULTS, fault(ConsumerNotFound))
    ),
    f"PUT {_CONSUMERS}/{{consumer}}": Operation(
        "Replace a consumer, or add it to a queue that has none",
        ref("Consumer"),
        ref("ConsumerRequest"),
        faults=(*_CONSUMER_FAULTS, fault(ConsumerNotFound)),
    ),
    f"DELETE {_CONSUMERS}/{{consumer}}": Operation("Remove a consumer", faults=(*_FAULTS, fault(ConsumerNotFound))),
    f"POST {_MESSAGES}": Operation(
        "Send a message", told({"metadata": ref("Metadata")}), ref("Push"), faults=_PUSH_FAULTS
    ),
    f"POST {_MESSAGES}/batch": Operation(
        "Send up to 100 messages, all or none",
        told({"metadata": ref("Metadata")}),
        ref("PushBatch"),
        faults=_PUSH_FAULTS,
    ),
    f"POST {_MESSAGES}/pull": Operation(
        "Lease messages; what the body leaves out, the http_pull consumer says",
        told(
            {
                "message_backlog_count": forms.COUNT,
                "metadata": ref("Metadata"),
                "messages": listed(ref("PulledMessage")),
            }
        ),
        ref("Pull"),
        body_required=False,
        faults=(*_MESSAGE_FAULTS, *_BODY_FAULTS, fault(HttpPullDisabled), fault(QueuePaused)),
    ),
    f"POST {_MESSAGES}/ack": Operation(
        "Settle leased messages; leases that settle nothing any more, or are named twice, are warned about",
        told({"ackCount": forms.COUNT, "retryCount": forms.COUNT, "warnings": mapped(forms.TEXT)}),
        ref("Ack"),
        body_required=False,
        faults=(*_MESSAGE_FAULTS, *_BODY_FAULTS, fault(HttpPullDisabled)),
    ),
    f"POST {_MESSAGES}/peek": Operation(
        "Look at messages without leasing them",
        told({"messages": listed(ref("PeekedMessage"))}),
        ref("Pull"),
        body_required=False,
        faults=(*_MESSAGE_FAULTS, *_BODY_FAULTS),
    ),
    f"POST {_MESSAGES}/purge": Operation(
        "Delete the messages that a peek referred to",
        told({"warnings": mapped(forms.TEXT)}),
        sent({"refs": listed(sent({"ref": forms.TEXT}, "ref"), minItems=1)}, "refs"),
        faults=(*_MESSAGE_FAULTS, *_BODY_FAULTS),
    ),
    f"GET {_QUEUE}/metrics": Operation("How full the queue is", ref("Metrics"), faults=_FAULTS),
}
