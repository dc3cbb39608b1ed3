"""The termination message: the last words of a container, JSON of at most 4096 bytes, which the operator reads.

The kubelet makes the file before the container starts. Where there is none (a developer's machine) the record goes to
standard error alone.
"""

from __future__ import annotations

import json
import os
import sys
from bisect import bisect_right
from collections.abc import Mapping
from pathlib import Path

from modelcycle_runtime.contract import TERMINATION_LOG
from modelcycle_runtime.errors import Failure

LIMIT = 4096
CONTRACT_VERSION = 1
ENV_PATH = "MODELCYCLE_TERMINATION_LOG"
_ELLIPSIS = " […] "


def write_failure(failure: Failure, **fields: object) -> None:
    """Tells the operator of ``failure``; the caller then exits with ``failure.exit_code``."""
    write_record({"class": failure.kind, "message": str(failure), **fields})


def write_record(fields: Mapping[str, object]) -> None:
    """Writes ``fields`` as the container's termination message, its ``message`` shortened to fit.

    Raises:
        ValueError: the fields other than ``message`` alone are too long, or hold NaN or infinity.
    """
    record = encode({"modelcycle": CONTRACT_VERSION, **fields})
    sys.stderr.write(f"{record.decode()}\n")
    sys.stderr.flush()
    path = Path(os.environ.get(ENV_PATH, TERMINATION_LOG))
    if path.exists():
        path.write_bytes(record)


def encode(record: Mapping[str, object], limit: int = LIMIT) -> bytes:
    """``record`` as JSON in at most ``limit`` bytes; a long ``message`` loses its middle."""
    encoded = _dump(record)
    if len(encoded) <= limit:
        return encoded
    message = str(record.get("message", ""))
    if len(_dump({**record, "message": ""})) > limit:
        raise ValueError(f"a termination message has at most {limit} bytes; this one has more without its text")

    def shortened(kept: int) -> bytes:
        return _dump({**record, "message": _shorten(message, kept)})

    return shortened(bisect_right(range(1, len(message)), limit, key=lambda kept: len(shortened(kept))))


def _shorten(message: str, kept: int) -> str:
    if kept == 0:
        return ""
    head = kept // 3
    return message[:head] + _ELLIPSIS + message[len(message) - (kept - head) :]


def _dump(record: Mapping[str, object]) -> bytes:
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode(errors="replace")
