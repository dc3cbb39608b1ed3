"""What a replay gave, and ``report.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from e2e.demo.market import day_of
from e2e.demo.yardsticks import by_quarter, weekly
from modelcycle_runtime.losses import squared
from modelcycle_runtime.table import Table

Floats = NDArray[np.float64]
Json = dict[str, Any]
SERIES = ("none", "static", "loop", "weekly")


@dataclass(frozen=True, slots=True)
class Results:
    """One value a replayed day in ``days``, ``losses`` (by :data:`SERIES`), ``correlation`` and ``versions``.

    ``correlation``: of oil's and the S&P 500's returns over the 250 days before, in units of volatility for oil.
    ``retrains``: one record for each cycle, oldest first, with ``date``, ``trigger``, ``evidence``, ``verdict``,
    ``versions``. ``stages``: seconds. ``counts``: requests and labels as the serving counters have them.
    """

    days: tuple[str, ...]
    losses: Mapping[str, Floats]
    correlation: Floats
    versions: tuple[str, ...]
    retrains: tuple[Json, ...]
    stages: Mapping[str, float] = field(default_factory=dict)
    events: tuple[Json, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    replayed: Mapping[str, Any] = field(default_factory=dict)

    def totals(self) -> dict[str, float]:
        """Mean squared hedging error over all days."""
        return {name: round(float(self.losses[name].mean()), 6) for name in SERIES}

    def periods(self) -> list[dict[str, Any]]:
        """Mean squared hedging error by quarter."""
        return by_quarter(self.days, self.losses)


def assemble(
    table: Table,
    days: range,
    *,
    static: Floats,
    loop: Floats,
    versions: Sequence[str],
    retrains: Sequence[Json],
    **more: Any,  # noqa: ANN401  (the remaining fields of Results)
) -> Results:
    """Put predictions [days] of the first model and of the loop beside the two yardsticks."""
    rows = slice(days.start, days.stop)
    label = table.label[rows]
    predictions = {"none": np.zeros(len(label)), "static": static, "loop": loop, "weekly": weekly(table, days)}
    return Results(
        days=tuple(day_of(table, row) for row in days),
        losses={name: squared(label, values) for name, values in predictions.items()},
        correlation=correlations(table.features[:, 0], table.label)[rows],
        versions=tuple(versions),
        retrains=tuple(retrains),
        **more,
    )


def correlations(stocks: Floats, oil: Floats, window: int = 250) -> Floats:
    """Correlation over the last ``window`` rows at each row; NaN where there are fewer."""
    found = np.full(len(oil), np.nan)
    for last in range(window, len(oil) + 1):
        found[last - 1] = np.corrcoef(stocks[last - window : last], oil[last - window : last])[0, 1]
    return found


def as_json(results: Results) -> Json:
    """The content of report.json."""
    return {
        "periods": results.periods(),
        "totals": results.totals(),
        "retrains": list(results.retrains),
        "stages": dict(results.stages),
        "events": list(results.events),
        "counts": dict(results.counts),
        "replayed": dict(results.replayed) | {"first": results.days[0], "last": results.days[-1]},
    }


def promoted(results: Results) -> list[Json]:
    """The retrainings whose version came to serve."""
    return [one for one in results.retrains if one["verdict"] == "Promoted"]
