"""What D1 refuses, with Cloudflare's codes."""

from __future__ import annotations

from coinswarm.errors.api import CloudflareError


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
