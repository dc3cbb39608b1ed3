"""What a pod said with its last words: the JSON of docs/reference/pods.md, or the last lines of its log."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from modelcycle.api.v1alpha1.training import DataDigest


@dataclass(frozen=True, slots=True)
class LastWords:
    """``kind``: the class that the pod gave itself. ``data``: what it read, if it said so."""

    message: str = ""
    kind: str | None = None
    data: DataDigest | None = None


def parse(text: str | None) -> LastWords:
    """Read a termination message. Text of a user's own program can be anything, so nothing here raises."""
    if not text:
        return LastWords()
    document = _document(text)
    if document is None:
        return LastWords(message=text.strip())
    kind = document.get("class")
    return LastWords(
        message=str(document.get("message") or ""),
        kind=kind if isinstance(kind, str) else None,
        data=_data(document.get("data")),
    )


def _document(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) and value.get("modelcycle") == 1 else None


def _data(value: object) -> DataDigest | None:
    try:
        return DataDigest.model_validate(value)
    except ValidationError:
        return None
