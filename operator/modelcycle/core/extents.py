"""Stretches of rows or time in the form that pods read."""

from __future__ import annotations

from modelcycle.api.v1alpha1.common import Extent, seconds


def withheld(extent: Extent, gap: Extent | None) -> dict[str, int]:
    """``MODELCYCLE_HOLDOUT``: rows or seconds that are withheld, and the gap before them; for both sides."""
    return _extent(extent, "rows", "seconds") | (_extent(gap, "gapRows", "gapSeconds") if gap else {})


def _extent(extent: Extent, rows: str, time: str) -> dict[str, int]:
    return {rows: extent.rows} if extent.rows else {time: seconds(extent.time or "1s")}
