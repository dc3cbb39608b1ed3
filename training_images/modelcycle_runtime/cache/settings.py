"""The cache's settings: the JSON of ``MODELCYCLE_CACHE``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from modelcycle_runtime.contract import PORT_HTTP, PORT_METRICS
from modelcycle_runtime.errors import UserError

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


@dataclass(frozen=True, slots=True)
class Settings:
    """``size``: bytes that all files may take together. A port of 0 is any that is free."""

    folder: Path
    size: int
    port: int = PORT_HTTP
    metrics_port: int = PORT_METRICS


def parse_settings(text: str) -> Settings:
    """The settings in the JSON ``text``.

    Raises:
        UserError: they are not as the contract has them.
    """
    try:
        record = json.loads(text)
        return Settings(
            Path(record["dir"]),
            quantity(record["size"]),
            int(record.get("port", PORT_HTTP)),
            int(record.get("metricsPort", PORT_METRICS)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"MODELCYCLE_CACHE is not as agreed: {type(error).__name__} {error}") from error


def quantity(text: str) -> int:
    """Bytes of a quantity as Kubernetes writes it, such as ``10Gi``. Raises ValueError."""
    number = text.rstrip("kKMGTi")
    unit = text[len(number) :]
    try:
        size = int(Decimal(number) * _UNITS[unit])
    except (InvalidOperation, KeyError, OverflowError, ValueError) as error:
        raise ValueError(f"{text!r} is no quantity of bytes such as 10Gi") from error
    if size <= 0:
        raise ValueError(f"{text!r} is no room for files")
    return size
