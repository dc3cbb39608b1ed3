from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from modelcycle_runtime.evaluate.paired_test import MIN_ROWS, p_value, student_t_above


@pytest.mark.parametrize(
    ("t", "degrees", "expected"),
    [
        pytest.param(0.0, 3, 0.5, id="the middle"),
        pytest.param(1.0, 1, 0.25, id="Cauchy"),
        pytest.param(1.533206, 4, 0.1, id="4 degrees, from a table"),
        pytest.param(-1.533206, 4, 0.9, id="below"),
        pytest.param(1.646379, 1_000, 0.05, id="nearly normal"),
        pytest.param(1e6, 4, 0.0, id="far out"),
    ],
)
def test_student_t(t: float, degrees: int, expected: float) -> None:
    assert student_t_above(t, degrees) == pytest.approx(expected, abs=1e-5)


def _autoregressive(rng: np.random.Generator, rows: int, correlation: float) -> NDArray[np.float64]:
    noise = rng.normal(size=rows + 100)
    series = np.zeros(rows + 100)
    for i in range(1, len(series)):
        series[i] = correlation * series[i - 1] + noise[i]
    return series[100:]


@pytest.mark.parametrize(
    ("rows", "correlation", "at_most"),
    [
        pytest.param(60, 0.0, 0.13, id="independent rows"),
        pytest.param(60, 0.5, 0.15, id="correlated rows"),
        pytest.param(250, 0.7, 0.15, id="many strongly correlated rows"),
    ],
)
def test_a_challenger_that_is_no_better_rarely_passes(rows: int, correlation: float, at_most: float) -> None:
    rng = np.random.default_rng(1)
    passed = [p_value(_autoregressive(rng, rows, correlation)) < 0.1 for _ in range(800)]
    assert 0.05 < np.mean(passed) < at_most


def test_a_challenger_that_is_better_passes() -> None:
    rng = np.random.default_rng(2)
    passed = [p_value(rng.normal(size=60) + 0.5) < 0.1 for _ in range(200)]
    assert np.mean(passed) > 0.95


def test_a_worse_challenger_has_a_large_p() -> None:
    assert p_value(np.random.default_rng(3).normal(size=60) - 1) > 0.99


@pytest.mark.parametrize(("value", "expected"), [(1.0, 0.0), (0.0, 1.0), (-1.0, 1.0)])
def test_differences_without_any_variance(value: float, expected: float) -> None:
    assert p_value(np.full(10, value)) == expected


def test_a_shift_of_scale_changes_nothing() -> None:
    series = np.random.default_rng(4).normal(size=40) + 0.2
    assert math.isclose(p_value(series), p_value(series * 1e6), rel_tol=1e-9)


def test_too_few_rows_are_no_test() -> None:
    with pytest.raises(ValueError, match=f"needs {MIN_ROWS} rows, has 4"):
        p_value(np.ones(4))


@pytest.mark.parametrize("scale", [1e-300, 1e-161, 1e140])
def test_nor_does_one_whose_squares_can_not_be_told_from_zero_or_infinity(scale: float) -> None:
    differences = np.array([1.0, 2.0, 0.5, 1.5, 1.0, 0.0, 1.0, 3.0])
    assert p_value(differences * scale) == pytest.approx(p_value(differences))
