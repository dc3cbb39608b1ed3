"""Pass, Fail or Unknown, from what both versions did in a step."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest
import scipy.special  # type: ignore[import-untyped]
import scipy.stats  # type: ignore[import-untyped]

from modelcycle.api.v1alpha1.deployment import Limits, ReplicasStep
from modelcycle.deployment.judgement import Case, judge
from modelcycle.deployment.metrics import Traffic, percentile, traffic
from modelcycle.deployment.welch import Losses, incomplete_beta, p_value, upper_tail
from modelcycle.metricstore.port import Reading, Series

FAST = ((0.01, 200.0), (0.1, 200.0), (inf, 200.0))
SLOW = ((0.01, 0.0), (0.1, 200.0), (inf, 200.0))
NONE = Losses(0, 0.0, 0.0)


def losses(mean: float, rows: int = 100, spread: float = 1.0) -> Losses:
    """``rows`` losses of ``mean`` with variance ``spread**2``."""
    return Losses(rows, mean * rows, spread**2 * (rows - 1) + mean**2 * rows)


def seen(
    requests: int = 200, errors: int = 0, buckets: tuple[tuple[float, float], ...] = FAST, loss: Losses = NONE
) -> Traffic:
    return Traffic(requests, errors, buckets, loss)


def case(candidate: Traffic, stable: Traffic | None, **step: Any) -> Case:
    return Case(Limits(), ReplicasStep(percent=50, **step), candidate, stable)


@pytest.mark.parametrize(
    ("case", "ruling"),
    [
        pytest.param(case(seen(), seen()), "Pass/WithinLimits", id="as good as the serving version"),
        pytest.param(case(seen(0, buckets=()), seen()), "Unknown/TooFewRequests", id="no requests"),
        pytest.param(case(seen(99), seen()), "Unknown/TooFewRequests", id="one request short"),
        pytest.param(case(seen(100), seen()), "Pass/WithinLimits", id="just enough requests"),
        pytest.param(case(seen(100, 1), seen()), "Pass/WithinLimits", id="errors at the limit"),
        pytest.param(case(seen(100, 2), seen()), "Fail/ErrorRate", id="errors above the limit"),
        pytest.param(case(seen(10, 1), seen()), "Unknown/TooFewRequests", id="an early error can still be made good"),
        pytest.param(case(seen(10, 2), seen()), "Fail/ErrorRate", id="early errors that can't be made good"),
        pytest.param(case(seen(buckets=()), seen()), "Unknown/NoLatency", id="requests without latencies"),
        pytest.param(case(seen(buckets=SLOW), seen()), "Fail/Latency", id="slower than the serving version"),
        pytest.param(case(seen(buckets=SLOW), seen(buckets=SLOW)), "Pass/WithinLimits", id="both are slow"),
        pytest.param(
            case(seen(buckets=SLOW), seen(19)), "Unknown/NothingToCompare", id="serving version had few requests"
        ),
        pytest.param(case(seen(), seen(0, buckets=())), "Pass/WithinLimits", id="below the floor nothing is compared"),
        pytest.param(
            case(seen(buckets=SLOW), None), "Pass/WithinLimits", id="nothing serves that it could be slower than"
        ),
        pytest.param(case(seen(), seen(), min_labels=1), "Unknown/TooFewLabels", id="no labels, one wanted"),
        pytest.param(case(seen(loss=losses(5)), seen(loss=losses(1))), "Fail/LossVeto", id="loss is certainly worse"),
        pytest.param(case(seen(loss=losses(1)), seen(loss=losses(5))), "Pass/WithinLimits", id="loss is better"),
        pytest.param(
            case(seen(loss=losses(1.1)), seen(loss=losses(1.0))), "Pass/WithinLimits", id="loss is not certainly worse"
        ),
        pytest.param(
            case(seen(loss=losses(5, 39)), seen(loss=losses(1))), "Pass/WithinLimits", id="too few labels for the veto"
        ),
        pytest.param(
            case(seen(loss=losses(5)), seen(loss=losses(1, 39))),
            "Pass/WithinLimits",
            id="too few labels of the serving version for the veto",
        ),
        pytest.param(
            case(seen(50, loss=losses(5)), seen(loss=losses(1))), "Fail/LossVeto", id="the veto waits for no requests"
        ),
        pytest.param(case(seen(loss=losses(-1)), seen(loss=losses(-5))), "Fail/LossVeto", id="losses may be negative"),
    ],
)
def test_ruling(case: Case, ruling: str) -> None:
    result = judge(case)
    assert f"{result.opinion}/{result.reason}" == ruling
    assert result.requests == case.candidate.requests


def test_what_fails_is_told_with_numbers() -> None:
    message = judge(case(seen(100, 2), seen())).message
    assert message == "2 of 100 requests failed (2.00%), at most 1.00% may"


# --- the test ---------------------------------------------------------------------------------------------------------
SAMPLES = [
    pytest.param([1.0, 2.0, 3.0, 4.0], [1.5, 2.5, 2.0], id="small"),
    pytest.param([5.0, 5.5, 6.1, 5.2, 4.9], [1.0, 9.0, 2.0, 8.0, 3.0, 3.5], id="unequal variances"),
    pytest.param([0.1] * 30 + [0.2] * 10, [0.1] * 35 + [0.3] * 5, id="skewed"),
    pytest.param([-3.0, -2.0, -1.0], [-9.0, -8.0, -7.5, -7.0], id="negative losses"),
]


@pytest.mark.parametrize(("candidate", "stable"), SAMPLES)
def test_welch_is_scipys(candidate: list[float], stable: list[float]) -> None:
    ours = p_value(*(Losses(len(x), sum(x), sum(v * v for v in x)) for x in (candidate, stable)))
    theirs = scipy.stats.ttest_ind(candidate, stable, equal_var=False, alternative="greater").pvalue
    assert ours == pytest.approx(theirs, rel=1e-8)


@pytest.mark.parametrize(
    ("candidate", "stable", "p"),
    [
        pytest.param(2.0, 1.0, 0.0, id="certainly worse"),
        pytest.param(1.0, 1.0, 1.0, id="equal"),
        pytest.param(0.5, 1.0, 1.0, id="certainly better"),
    ],
)
def test_constant_losses_have_no_variance(candidate: float, stable: float, p: float) -> None:
    assert p_value(losses(candidate, spread=0.0), losses(stable, spread=0.0)) == p


@pytest.mark.parametrize("degrees", [1.0, 2.5, 7.0, 40.0, 1000.0, 1e6])
@pytest.mark.parametrize("t", [-50.0, -2.0, -0.1, 0.0, 0.1, 1.0, 2.33, 10.0, 50.0])
def test_tail_of_students_t(t: float, degrees: float) -> None:
    assert upper_tail(t, degrees) == pytest.approx(scipy.stats.t.sf(t, degrees), rel=1e-7, abs=1e-300)


@pytest.mark.parametrize(("t", "tail"), [(inf, 0.0), (-inf, 1.0)])
def test_tail_at_the_ends(t: float, tail: float) -> None:
    assert upper_tail(t, 3.0) == tail


@pytest.mark.parametrize("x", [-0.5, 0.0, 0.001, 0.3, 0.7, 0.999, 1.0, 2.0])
def test_incomplete_beta(x: float) -> None:
    expected = scipy.special.betainc(3.5, 0.5, min(1.0, max(0.0, x)))
    assert incomplete_beta(3.5, 0.5, x) == pytest.approx(expected, rel=1e-9)


# --- the readings -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("buckets", "percent", "latency"),
    [
        pytest.param((), 90, None, id="no histogram"),
        pytest.param(((0.1, 0.0), (inf, 0.0)), 90, None, id="no requests"),
        pytest.param(((0.1, 100.0), (inf, 100.0)), 90, 0.09, id="interpolated from zero"),
        pytest.param(((0.1, 50.0), (0.2, 100.0), (inf, 100.0)), 90, 0.18, id="interpolated in its bucket"),
        pytest.param(((0.1, 50.0), (0.2, 60.0), (inf, 100.0)), 90, 0.2, id="above the last finite bound"),
    ],
)
def test_percentile(buckets: tuple[tuple[float, float], ...], percent: int, latency: float | None) -> None:
    assert percentile(buckets, percent) == (pytest.approx(latency) if latency is not None else None)


def series(name: str, *points: tuple[float, float], **labels: str) -> Series:
    return Series(tuple(sorted({"__name__": name, **labels}.items())), points)


def test_traffic_of_a_version_is_exact_over_pods_and_restarts() -> None:
    counters = Reading(
        time=200.0,
        start=80.0,
        step=5.0,
        series=(
            # lived before the step: its first value does not count
            series("modelcycle_requests_total", (80, 7), (100, 7), (200, 17), version="2", code="200", pod="a"),
            # started again in the middle: 5 before, 2 after
            series("modelcycle_requests_total", (80, 0), (150, 5), (200, 2), version="2", code="500", pod="a"),
            # born in the step: counts from its first value on; a label counted by a pod of the other version
            series("modelcycle_feedback_rows_total", (150, 2), (200, 5), version="2", pod="b"),
            series("modelcycle_feedback_loss_positive_total", (150, 1), (200, 6), version="2", pod="b"),
            series("modelcycle_feedback_loss_negative_total", (150, 0), (200, 2), version="2", pod="b"),
            series("modelcycle_feedback_loss_squared_total", (150, 1), (200, 9), version="2", pod="b"),
            series("modelcycle_requests_total", (80, 0), (200, 99), version="1", code="200", pod="c"),
        ),
    )
    buckets = Reading(
        time=200.0,
        start=80.0,
        step=5.0,
        series=(
            series("x", (80, 0), (200, 10), version="2", le="0.1", pod="a"),
            series("x", (80, 0), (200, 17), version="2", le="+Inf", pod="a"),
        ),
    )
    result = traffic(counters, buckets, "2", since=100.0)
    assert (result.requests, result.errors) == (17, 7)
    assert result.losses == Losses(5, 4.0, 9.0)
    assert result.buckets == ((0.1, 10.0), (inf, 17.0))


def test_variance_is_never_below_zero() -> None:
    assert Losses(3, 3e8, 3e16 - 64).variance == 0.0
    assert nan != Losses(2, 0.0, 0.0).variance
