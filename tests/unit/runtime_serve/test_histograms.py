from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from modelcycle_runtime.bins import Baseline, Histogram
from modelcycle_runtime.model import Model, load_model
from modelcycle_runtime.serve.histograms import MAX_FEATURES, Histograms
from tests.support.models import linear_model
from tests.support.versions import write_version

BASELINE = Baseline(
    rows=2,
    features=(Histogram("a", (0.0,), (1, 1, 0)), Histogram("b", (), (1, 1))),
    predictions=(Histogram("y", (1.0,), (1, 1, 0)),),
)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return load_model(write_version(tmp_path))


def test_rows_are_counted_by_feature_and_prediction(model: Model) -> None:
    histograms = Histograms(model, BASELINE)
    histograms.count(np.array([[-1.0, 5.0], [1.0, np.nan]]), [np.array([[0.5], [2.0]], np.float32)])
    histograms.count(np.array([[2.0, 5.0]]), [np.array([[np.nan]], np.float32)])
    assert dict(((n, b), c) for n, b, c in histograms.feature_counts()) == {
        ("a", "0"): 1,
        ("a", "1"): 2,
        ("a", "null"): 0,
        ("b", "0"): 2,
        ("b", "null"): 1,
    }
    assert [count for _, _, count in histograms.prediction_counts()] == [1, 1, 1]


def test_every_series_is_there_before_the_first_row(model: Model) -> None:
    assert [count for _, _, count in Histograms(model, BASELINE).feature_counts()] == [0] * 5


def test_the_baseline_itself_can_be_read(model: Model) -> None:
    histograms = Histograms(model, BASELINE)
    assert list(histograms.feature_baseline()) == [
        ("a", "0", 1),
        ("a", "1", 1),
        ("a", "null", 0),
        ("b", "0", 1),
        ("b", "null", 1),
    ]
    assert list(histograms.prediction_baseline()) == [("y", "0", 1), ("y", "1", 1), ("y", "null", 0)]


def test_without_a_baseline_nothing_is_counted(model: Model) -> None:
    histograms = Histograms(model, None)
    histograms.count(np.zeros((1, 2)), [np.zeros((1, 1), np.float32)])
    assert not list(histograms.feature_counts())
    assert not list(histograms.prediction_counts())


def test_a_baseline_of_another_model_is_said_once_and_not_counted(
    model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    histograms = Histograms(model, BASELINE)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            histograms.count(np.zeros((1, 3)), [np.zeros((1, 1), np.float32)])
    assert len(caplog.records) == 1
    assert not list(histograms.feature_counts())
    assert not list(histograms.feature_baseline())


def test_the_number_of_features_is_bounded(tmp_path: Path) -> None:
    many = tuple(Histogram(f"f{i}", (), (1, 0)) for i in range(100))
    histograms = Histograms(load_model(write_version(tmp_path, linear_model((1.0,) * 100))), Baseline(1, many, ()))
    histograms.count(np.zeros((3, 100)), [np.zeros((3, 1), np.float32)])
    assert sum(count for _, _, count in histograms.feature_counts()) == 3 * MAX_FEATURES


def test_which_features_were_null_at_training(model: Model) -> None:
    histograms = Histograms(model, BASELINE)
    assert histograms.columns_with_nulls(None) is None
    nulls = histograms.columns_with_nulls(BASELINE)
    assert nulls is not None
    assert nulls.tolist() == [False, True]
