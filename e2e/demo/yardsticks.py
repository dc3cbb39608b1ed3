"""What the loop is compared with: no hedge, the first model for ever, and a ridge regression refitted every week."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from e2e.demo.fitting import Fit, ridge
from e2e.demo.market import day_of
from modelcycle_runtime.table import Table

Floats = NDArray[np.float64]
WEEK = 5
WEEKLY_ROWS = 500


def walk_forward(table: Table, fit: Fit, days: range, *, rows: int = WEEKLY_ROWS, every: int = WEEK) -> Floats:
    """Predict ``days`` with a model refitted every ``every`` days on the last ``rows`` that were known by then.

    The label of a day is known on the next trading day only, so that the day before is not yet trained on.
    """
    predictions = np.empty(len(days))
    for first in range(days.start, days.stop, every):
        last = min(first + every, days.stop)
        known = int(np.searchsorted(table.known[:first], table.time[first], side="left"))
        model = fit(max(known - rows, 0), known, 0)
        predictions[first - days.start : last - days.start] = model.answers[first:last]
    return predictions


def weekly(table: Table, days: range) -> Floats:
    """Predictions of the weekly ridge regression: a yardstick that costs 300 trainings in six years."""
    return walk_forward(table, ridge(table), days)


def quarter_of(day: str) -> str:
    """Quarter of a date, such as 2008-Q3."""
    return f"{day[:4]}-Q{(int(day[5:7]) + 2) // 3}"


def by_quarter(days: Sequence[str], losses: Mapping[str, Floats]) -> list[dict[str, object]]:
    """Mean loss of each series in each quarter, in order; every series has one loss a day."""
    quarters = np.array([quarter_of(day) for day in days])
    return [
        {"period": str(quarter), "days": int((quarters == quarter).sum())}
        | {name: round(float(values[quarters == quarter].mean()), 6) for name, values in losses.items()}
        for quarter in sorted(set(quarters.tolist()))
    ]


def dates(table: Table, days: range) -> list[str]:
    """The dates of the rows ``days``."""
    return [day_of(table, row) for row in days]
