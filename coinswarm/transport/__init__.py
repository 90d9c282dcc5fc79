"""HTTP to an exchange: paced, patient, cut off when it takes too long, and plain about what went wrong.

Retries over HTTP live here (`retrying.py`) and nowhere else. `retryable` of the error decides, whether the error came
from the network, from the status or, as exchanges like to do, from inside a body with HTTP 200.
"""

from coinswarm.transport.client import Transport, checked_url, http_client
from coinswarm.transport.pacing import RateLimiter, RetryPolicy
from coinswarm.transport.reply import Reply

__all__ = ["RateLimiter", "Reply", "RetryPolicy", "Transport", "checked_url", "http_client"]
