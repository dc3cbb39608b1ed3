"""Where the numbers of the sample's policy come from: data before 2007 only.

The bound of the loss trigger is the smallest step of 0.05 at which a sound model would have set off at most one false
alarm a trading year. A sound model is one that is refitted every week, before 2007, when there was nothing to find. A
false alarm costs one training, of a minute; the gate keeps its model away from the traffic. So one a year is cheap, and
a lower bound sees a change sooner. After an alarm the trigger rests for the policy's cooldown, as in the cluster.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from e2e.demo.loop import Rules, read_rules
from e2e.demo.market import first_row_from, load_market
from e2e.demo.yardsticks import WEEKLY_ROWS, weekly
from modelcycle_runtime.losses import squared
from modelcycle_runtime.table import Table

END = "2007-01-01"
ROWS_A_YEAR = 250
ALARMS_A_YEAR = 1.0
STEP = 0.05


@dataclass(frozen=True, slots=True)
class Threshold:
    """``table``: false alarms a year by bound."""

    bound: float
    rows: int
    mean_loss: float
    table: tuple[tuple[float, float], ...]


def loss_threshold(table: Table, rules: Rules) -> Threshold:
    """The loss trigger's bound from the rows before 2007."""
    trigger = next(t.loss for t in rules.policy.triggers if t.loss is not None)
    window, rest = trigger.window.rows or 0, rules.policy.cooldown.rows or 0
    days = range(WEEKLY_ROWS + 1, first_row_from(table, END))
    losses = squared(table.label[days.start : days.stop], weekly(table, days))
    bounds = [round(1 + STEP * k, 2) for k in range(1, 25)]
    rates = [(bound, alarms(losses, window, bound, rest) * ROWS_A_YEAR / len(losses)) for bound in bounds]
    return Threshold(_smallest(rates), len(losses), float(losses.mean()), tuple(rates))


def alarms(losses: NDArray[np.float64], window: int, bound: float, rest: int) -> int:
    """How often the mean of the last ``window`` losses is above the bound, with ``rest`` rows of silence after each."""
    count, quiet_until = 0, window
    sums = np.concatenate([[0.0], np.cumsum(losses)])
    for seen in range(window, len(losses) + 1):
        if seen >= quiet_until and (sums[seen] - sums[seen - window]) / window > bound:
            count, quiet_until = count + 1, seen + rest
    return count


def _smallest(rates: list[tuple[float, float]]) -> float:
    """The smallest bound from which on no higher one gives more alarms than allowed."""
    allowed = [rate <= ALARMS_A_YEAR for _, rate in rates]
    return next(bound for place, (bound, _) in enumerate(rates) if all(allowed[place:]))


def main() -> None:
    """Print the table, and what the sample has."""
    rules = read_rules()
    found = loss_threshold(load_market(), rules)
    print(f"{found.rows} rows before {END}, mean loss out of sample {found.mean_loss:.3f}")
    print("bound  false alarms a year")
    for bound, rate in found.table:
        print(f"{bound:5.2f}  {rate:.2f}" + ("  <- the sample's bound" if bound == found.bound else ""))


if __name__ == "__main__":
    main()
