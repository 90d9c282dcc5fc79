"""Errors with Cloudflare's wire form, and those of its REST API at large."""

from __future__ import annotations

from coinswarm.errors.base import CoinswarmError


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


class WorkerNotFound(ApiError):
    """This Worker does not exist on your account."""

    code = 10007
    http_status = 404


class MalformedHttp(ApiError):
    """The request is not HTTP."""

    code = 10400


class HeadersTooLarge(ApiError):
    """The request's line and headers are larger than the API takes."""

    code = 10431
    http_status = 431


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
