"""Digests of structured values: canonical JSON, SHA-256."""

from __future__ import annotations

import hashlib
import json


def canonical(value: object) -> bytes:
    """The one JSON form of ``value``: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256(value: object) -> str:
    """SHA-256 of the canonical JSON, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def short_hash(value: object) -> str:
    return sha256(value)[:16]
