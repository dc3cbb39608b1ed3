"""Which rows may be trained on, and which are withheld for the gate.

Both sides call :func:`split` with the same ``asOf`` and :class:`Holdout`; what is not refused is, in the order of time,
trained on, left out as a gap, or withheld.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelcycle_runtime.errors import DataError
from modelcycle_runtime.table import Table, nanoseconds, timestamp

_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Holdout:
    """The latest rows up to asOf, so many or so many seconds of them, and the gap before them. All zero: none."""

    rows: int = 0
    seconds: int = 0
    gap_rows: int = 0
    gap_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Split:
    train: Table
    withheld: Table
    refused: int
    """Rows that became known after asOf, or have no label yet."""
    purged: int
    """Rows of the gap, in neither part."""


def parse_holdout(text: str | None) -> Holdout:
    """Holdout of the JSON of ``MODELCYCLE_HOLDOUT``; none when it is absent.

    Raises:
        DataError: it is not as the contract has it.
    """
    if not text:
        return Holdout()
    try:
        return holdout_of(json.loads(text))
    except ValueError as error:
        raise DataError(f"holdout: not JSON: {error}") from error


def holdout_of(record: dict[str, Any] | None) -> Holdout:
    """Holdout of ``{"rows" | "seconds": n, "gapRows" | "gapSeconds": n}``.

    Raises:
        DataError: it is not as the contract has it.
    """
    fields = {"rows": "rows", "seconds": "seconds", "gapRows": "gap_rows", "gapSeconds": "gap_seconds"}
    if record is None:
        return Holdout()
    if not set(record) <= set(fields) or not all(type(value) is int and value >= 0 for value in record.values()):
        raise DataError(f"holdout: may have {', '.join(fields)}, each a whole number of 0 or more; has {record}")
    if ("rows" in record) == ("seconds" in record) or {"gapRows", "gapSeconds"} <= set(record):
        raise DataError(f"holdout: needs one of rows and seconds, at most one of gapRows and gapSeconds; has {record}")
    return Holdout(**{fields[name]: value for name, value in record.items()})


def parse_as_of(text: str | None) -> int | None:
    """Nanoseconds since 1970 of ``MODELCYCLE_AS_OF``; None when it is absent.

    Raises:
        DataError: it is no RFC 3339 time.
    """
    try:
        return nanoseconds(text) if text else None
    except ValueError as error:
        raise DataError(f"asOf: {text!r} is no RFC 3339 time") from error


def split(table: Table, as_of: int | None, holdout: Holdout) -> Split:
    """Splits ``table`` at ``as_of`` (nanoseconds since 1970) and at the holdout.

    A row counts as known at ``table.known``. Withheld are the last ``holdout.rows`` rows, or those of the last
    ``holdout.seconds`` before asOf (without asOf: before the last known row). Training ends before the first of them:
    rows of the same time, the ``gap_rows`` before, or those less than ``gap_seconds`` before, are in neither part.
    """
    allowed = table if as_of is None else table.take(table.known <= as_of)
    allowed = allowed.take(~np.isnan(allowed.label))
    refused = len(table) - len(allowed)
    first = _first_withheld(allowed, as_of, holdout)
    last = min(_end_of_training(allowed, first, holdout), first)
    places = np.arange(len(allowed))
    return Split(allowed.take(places[:last]), allowed.take(places[first:]), refused, first - last)


def _first_withheld(allowed: Table, as_of: int | None, holdout: Holdout) -> int:
    if not len(allowed) or not (holdout.rows or holdout.seconds):
        return len(allowed)
    if holdout.rows:
        return max(len(allowed) - holdout.rows, 0)
    end = int(allowed.time[-1]) if as_of is None else as_of
    return int(np.searchsorted(allowed.time, end - holdout.seconds * _NANOSECONDS, side="right"))


def _end_of_training(allowed: Table, first: int, holdout: Holdout) -> int:
    if first == len(allowed):
        return first
    before = int(allowed.time[first]) - holdout.gap_seconds * _NANOSECONDS
    earlier = int(np.searchsorted(allowed.time, before, side="right" if holdout.gap_seconds else "left"))
    return max(min(earlier, first - holdout.gap_rows), 0)


def dataset_record(parts: Split) -> dict[str, Any]:
    """``dataset.json`` of a training on ``parts.train``."""
    train = parts.train
    return {
        "version": 1,
        "digest": train.digest(),
        "rows": len(train),
        "first": timestamp(int(train.time[0])) if len(train) else None,
        "last": timestamp(int(train.time[-1])) if len(train) else None,
        "refused": parts.refused,
        "withheld": len(parts.withheld),
        "columns": list(train.feature_names),
    }
