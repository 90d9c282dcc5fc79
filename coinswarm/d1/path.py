"""Where wrangler keeps a local D1 database, so that both programs open the same file.

The rule is miniflare's: one SQLite file a Durable Object, named by a hash of the class and of the database's key
(https://github.com/cloudflare/workers-sdk, packages/miniflare/src/plugins/d1 and shared/d1.ts; tried with wrangler
4.86 in tests/test_d1_wrangler.py).
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from pathlib import Path
from typing import Final

PERSIST_TO: Final = Path(".wrangler/state")
"""wrangler's default of `--persist-to`."""

_CLASS: Final = "miniflare-D1DatabaseObject"


def database_key(binding: str, *, database_id: str | None = None, preview_database_id: str | None = None) -> str:
    """What wrangler names a binding's local database by: the preview id, else the id, else the binding."""
    return preview_database_id or database_id or binding


def database_path(key: str, persist_to: Path = PERSIST_TO) -> Path:
    """The file of the database with this key under `persist_to`, whether it exists or not."""
    class_key = hashlib.sha256(_CLASS.encode()).digest()
    name = hmac.digest(class_key, key.encode(), "sha256")[:16]
    check = hmac.digest(class_key, name, "sha256")[:16]
    return persist_to / "v3" / "d1" / _CLASS / f"{(name + check).hex()}.sqlite"


def database_uuid(database_id: str | None, key: str) -> str:
    """Its id on Cloudflare; a database that has none yet gets one of its own here, always the same."""
    return (database_id or str(uuid.uuid5(uuid.NAMESPACE_URL, f"coinswarm:d1:{key}"))).lower()
