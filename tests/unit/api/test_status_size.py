"""The largest status that the models let through stays well within what etcd, watches and people can carry."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from modelcycle.api.schema.kinds import KINDS, Kind
from modelcycle.api.schema.structural import Schema, structural

STATUS_LIMIT = 64 * 1024
FOUR_BYTES = "😀"
# What a pattern may let through at most, tried in this order.
ASCII = ("a", "A", "9", "/", "1")


def largest(schema: Schema) -> Any:
    """The longest value that ``schema`` allows."""
    if "enum" in schema:
        return max(schema["enum"], key=len)
    match schema["type"]:
        case "object":
            return {name: largest(child) for name, child in schema["properties"].items()}
        case "array":
            return [largest(schema["items"]) for _ in range(schema["maxItems"])]
        case "integer":
            return max(schema["minimum"], schema["maximum"], key=lambda bound: len(str(bound)))
        case "boolean":
            return False
    return longest_text(schema)


def longest_text(schema: Schema) -> str:
    if schema.get("format") == "date-time":
        return "2026-11-23T17:58:51Z"
    length, pattern = schema["maxLength"], schema.get("pattern")
    for character in (FOUR_BYTES, *ASCII):
        text = character * int(length)
        if pattern is None or re.fullmatch(pattern.strip("^$"), text):
            return text
    raise AssertionError(f"no character fills {pattern}")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_largest_status_is_below_64_kib(kind: Kind) -> None:
    status = kind.status.model_validate(largest(structural(kind.status, defaults=False)))
    size = len(json.dumps(status.manifest(), ensure_ascii=False, separators=(",", ":")).encode())
    parts = {name: len(json.dumps(part, ensure_ascii=False).encode()) for name, part in status.manifest().items()}
    assert size < STATUS_LIMIT, f"{size} bytes, of which {sorted(parts.items(), key=lambda item: -item[1])[:4]}"
