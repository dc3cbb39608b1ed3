from __future__ import annotations

import numpy as np

from modelcycle_runtime.bins import Baseline, Histogram
from modelcycle_runtime.model import TensorSpec
from modelcycle_runtime.serve.histograms import histograms_of

BASELINE = Baseline(
    rows=2,
    features=(Histogram("a", (0.0,), (1, 1, 0)), Histogram("b", (), (1, 1))),
    predictions=(Histogram("y", (1.0,), (1, 1, 0)), Histogram("of another model", (), (1, 1))),
)
OUTPUTS = [TensorSpec(name, "FP32", ("n",), np.dtype("float32")) for name in ("z", "y")]
HISTOGRAMS = histograms_of(OUTPUTS, BASELINE)


def test_what_the_core_is_told() -> None:
    assert HISTOGRAMS.columns() == [("a", (0.0,), False), ("b", (), True)]
    assert HISTOGRAMS.outputs() == [(1, (1.0,))]


def test_counts_get_the_names_of_their_bins() -> None:
    assert list(HISTOGRAMS.feature_counts([[1, 2, 0], [2, 1]])) == [
        ("a", "0", 1),
        ("a", "1", 2),
        ("a", "null", 0),
        ("b", "0", 2),
        ("b", "null", 1),
    ]
    assert list(HISTOGRAMS.prediction_counts([[1, 1, 1]])) == [("y", "0", 1), ("y", "1", 1), ("y", "null", 1)]


def test_the_baseline_itself_can_be_read() -> None:
    assert list(HISTOGRAMS.feature_baseline([[0, 0, 0], [0, 0]])) == [
        ("a", "0", 1),
        ("a", "1", 1),
        ("a", "null", 0),
        ("b", "0", 1),
        ("b", "null", 1),
    ]
    assert list(HISTOGRAMS.prediction_baseline()) == [("y", "0", 1), ("y", "1", 1), ("y", "null", 0)]


def test_a_baseline_that_is_not_counted_is_not_shown() -> None:
    assert not list(HISTOGRAMS.feature_counts([]))
    assert not list(HISTOGRAMS.feature_baseline([]))


def test_without_a_baseline_there_is_nothing() -> None:
    histograms = histograms_of(OUTPUTS, None)
    assert (histograms.columns(), histograms.outputs()) == ([], [])
