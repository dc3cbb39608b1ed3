from __future__ import annotations

import random

import pytest

from modelcycle.retrain.statistics import chi_squared_quantile, drift_floor, population_stability_index


@pytest.mark.parametrize(
    ("probability", "degrees", "exact"),
    [(0.95, 9, 16.919), (0.99, 9, 21.666), (0.999, 9, 27.877), (0.999, 3, 16.266), (0.9999, 11, 37.367)],
)
def test_quantiles_agree_with_the_tables_within_two_percent(probability: float, degrees: int, exact: float) -> None:
    assert chi_squared_quantile(probability, degrees) == pytest.approx(exact, rel=0.02)


def test_equal_histograms_have_no_drift_and_moved_ones_do() -> None:
    assert population_stability_index([10, 20, 30], [10, 20, 30]) == 0
    assert population_stability_index([10, 20, 30], [30, 20, 10]) > 0.5


def test_an_empty_bin_is_finite_and_bins_empty_in_both_are_left_out() -> None:
    assert population_stability_index([10, 0], [0, 10]) < 10
    assert population_stability_index([10, 10, 0], [10, 10, 0]) == 0


@pytest.mark.parametrize("rows", [50, 200, 1000])
def test_the_floor_is_seldom_exceeded_when_nothing_moved(rows: int) -> None:
    """Without the floor PSI > 0.1 would fire in most windows of 50 rows (anchors: 86 %)."""
    source = random.Random(7)
    floor = drift_floor(10, 5000, rows, alpha=0.01)
    alarms = 0
    for _ in range(400):
        counts = [0] * 10
        for _ in range(rows):
            counts[source.randrange(10)] += 1
        alarms += population_stability_index([500] * 10, counts) > floor
    assert alarms / 400 <= 0.04


def test_without_rows_nothing_can_exceed_the_floor() -> None:
    assert drift_floor(10, 0, 100, 0.01) == float("inf")
    assert drift_floor(1, 100, 100, 0.01) == float("inf")
