from __future__ import annotations

import numpy as np
import pytest

from e2e.demo.loop import read_rules
from e2e.demo.market import first_row_from, load_market
from e2e.demo.thresholds import ALARMS_A_YEAR, END, alarms, loss_threshold


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        pytest.param([1.0] * 30, 0, id="never above"),
        pytest.param([3.0] * 30, 3, id="always above: once each ten rows of rest"),
        pytest.param([1.0] * 10 + [9.0] + [1.0] * 19, 1, id="one spike is one alarm"),
        pytest.param([3.0] * 4, 0, id="less than a window is no evidence"),
    ],
)
def test_alarms_are_counted_with_a_rest_after_each(losses: list[float], expected: int) -> None:
    assert alarms(np.array(losses), window=5, bound=2.0, rest=10) == expected


def test_the_samples_bound_is_what_the_script_finds() -> None:
    rules = read_rules()
    found = loss_threshold(load_market(), rules)
    sample = next(t.loss.bound for t in rules.policy.triggers if t.loss is not None)
    assert float(sample or 0) == found.bound
    assert all(rate <= ALARMS_A_YEAR for bound, rate in found.table if bound >= found.bound)


def test_nothing_of_2007_or_later_is_looked_at() -> None:
    table, rules = load_market(), read_rules()
    before = table.take(np.arange(first_row_from(table, END)))
    assert loss_threshold(before, rules) == loss_threshold(table, rules)
