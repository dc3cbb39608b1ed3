"""The evidence of a mean loss: the query that gives it again. Against a real Prometheus: tests/contract."""

from __future__ import annotations

from datetime import timedelta

import pytest

from modelcycle import constants as names
from modelcycle.api.v1alpha1.deployment import DeploymentSpec, DeploymentStatus
from modelcycle.api.v1alpha1.retrain_status import QUERY_BYTES
from modelcycle.core.observed import Resource
from modelcycle.metricstore.curves import Window
from modelcycle.metricstore.port import Reading, Series
from modelcycle.retrain.evidence import fitting
from modelcycle.retrain.losses import mean_loss_query
from modelcycle.retrain.metrics import Source

from .world import NOW

START, STEP = 1_772_366_400, 15
WINDOW = Window(rows=4, sums=(), start=START + 4 * STEP, end=START + 9 * STEP)
EXPRESSION = (
    '(modelcycle_feedback_loss_positive_total{deployment="hedge",namespace="quant",version="3"}'
    " - modelcycle_feedback_loss_negative_total)"
)
AT_END = f"sum(last_over_time({EXPRESSION}[7500ms:15s] @ 1772366535))"
AT_START = f"sum(last_over_time({EXPRESSION}[7500ms:15s] @ 1772366460))"


def source(namespace: str = "quant", name: str = "hedge") -> Source:
    spec = DeploymentSpec.model_validate({"model": {"name": "quant.hedge"}})
    deployment = Resource(namespace, name, "md", 1, "1", NOW - timedelta(days=1), spec, DeploymentStatus(), {})
    return Source("default", STEP, deployment, NOW, {})


def counter(metric: str, version: str, values: tuple[float, ...]) -> Series:
    """Its last value is at the window's end."""
    first = START + (10 - len(values)) * STEP
    points = tuple((float(first + i * STEP), value) for i, value in enumerate(values))
    return Series((("__name__", metric), ("pod", "a"), ("version", version)), points)


def reading(positive: tuple[float, ...], negative: tuple[float, ...], version: str = "3") -> Reading:
    series = (
        counter(names.METRIC_LOSS_POSITIVE, version, positive),
        counter(names.METRIC_LOSS_NEGATIVE, version, negative),
        counter(names.METRIC_LOSS_POSITIVE, "2", (7, 0, 7, 0, 7, 0, 7, 0)),
    )
    return Reading(WINDOW.end, series, START, STEP)


@pytest.mark.parametrize(
    ("positive", "negative", "expected"),
    [
        pytest.param((1.0,) * 10, (0.0,) * 10, f"({AT_END} - {AT_START}) / 4", id="served before and after"),
        pytest.param((1.0,) * 3, (0.0,) * 3, f"({AT_END}) / 4", id="nothing was served before"),
        pytest.param(
            (*(2.5,) * 6, *(1.0,) * 4),
            (*(1.0,) * 6, *(0.5,) * 4),
            f"({AT_END} - {AT_START} + 1.5) / 4",
            id="a restart",
        ),
        pytest.param(
            (*(0.5,) * 6, *(0.25,) * 4),
            (*(1.0,) * 6, *(0.5,) * 4),
            f"({AT_END} - {AT_START} + -0.5) / 4",
            id="a restart of one whose losses were below zero",
        ),
        pytest.param((), (), None, id="no losses at all"),
    ],
)
def test_the_query_of_a_window(positive: tuple[float, ...], negative: tuple[float, ...], expected: str | None) -> None:
    assert mean_loss_query(source(), "3", reading(positive, negative), WINDOW) == expected


def test_no_rows_have_no_mean() -> None:
    empty = Window(rows=0, sums=(), start=WINDOW.start, end=WINDOW.end)
    assert mean_loss_query(source(), "3", reading((1.0,) * 10, (0.0,) * 10), empty) is None


@pytest.mark.parametrize(
    ("letters", "restarted", "has_room"),
    [
        pytest.param(63, False, True, id="the longest names"),
        pytest.param(50, True, True, id="long names and a restart"),
        pytest.param(63, True, False, id="the longest names and a restart"),
    ],
)
def test_long_names_have_room(letters: int, restarted: bool, has_room: bool) -> None:
    """With pods that went a month ago, on a grid of hours, and many rows."""
    version, step, month = "9" * 9, 7200, 30 * 86_400
    first = START // step * step
    end = first + 2 * month
    labels = (("__name__", names.METRIC_LOSS_POSITIVE), ("version", version))
    gone = Series(labels, ((first, 1.0),))
    alive = Series(labels, ((first, 1e9 / 3), (end - step, 1e9 / 3), (end, 1.0 if restarted else 1e9)))
    window = Window(rows=10**9, sums=(), start=end - month, end=end)
    read = Reading(end, (gone, alive), first, step)
    longest = mean_loss_query(source("n" * letters, "d" * letters), version, read, window)
    assert longest
    assert ("333333333.3333333" in longest) == restarted
    assert fitting(longest) == (longest if has_room else None)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("x" * QUERY_BYTES, "x" * QUERY_BYTES, id="just room"),
        pytest.param("x" * (QUERY_BYTES + 1), None, id="one too long: half a query is none"),
        pytest.param("ü" * QUERY_BYTES, None, id="bytes are counted"),
        pytest.param(None, None, id="none"),
    ],
)
def test_a_query_is_kept_whole_or_not_at_all(query: str | None, expected: str | None) -> None:
    assert fitting(query) == expected
