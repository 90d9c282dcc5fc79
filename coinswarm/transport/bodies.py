"""How bodies may be packed: a few kilobytes must not become gigabytes before anybody can count them."""

from __future__ import annotations

from typing import Final

import httpx

ACCEPTED: Final = "gzip, deflate"
"""Both unpack 64 KB, which is what one read takes from the network, to 68 MB at most; brotli and zstd have no such end.
https://zlib.net/zlib_tech.html (1032:1)"""
_PLAIN: Final = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})


def unpackable(headers: httpx.Headers) -> bool:
    """Whether a body is packed at most once, and in a way that was accepted. Packed twice, each step multiplies."""
    return headers.get("content-encoding", "").strip().lower() in _PLAIN
