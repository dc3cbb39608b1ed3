"""Drift on whole readings: live bins of several pods against the baseline that the pods export."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from modelcycle import constants as names
from modelcycle.api.v1alpha1.deployment import DeploymentSpec, DeploymentStatus
from modelcycle.api.v1alpha1.retrain import DriftTrigger
from modelcycle.api.v1alpha1.retrain_status import EvidenceState
from modelcycle.core.observed import Resource
from modelcycle.core.plan import Fact, FactRequest
from modelcycle.metricstore.port import MetricQuery, Reading, Series
from modelcycle.retrain.drift import look_for_drift
from modelcycle.retrain.metrics import Source

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BORN = NOW - timedelta(minutes=20)
REFERENCE = {"0": 250.0, "1": 250.0, "2": 250.0, "3": 250.0, "null": 0.0}


def _live(query: MetricQuery, pods: list[dict[str, float]]) -> Reading:
    """Each pod's counters grow from 0 at its birth to these counts a minute ago."""
    start, step = float(query.start or 0), float(query.step_seconds or 1)
    born, at = NOW.timestamp() - 600, NOW.timestamp() - 60
    series = tuple(
        Series((("bin", bin_), ("feature", "x"), ("pod", str(number))), ((born, 0.0), (at, count)))
        for number, counts in enumerate(pods)
        for bin_, count in counts.items()
    )
    return Reading(NOW.timestamp(), series, start, step)


def _look(pods: list[dict[str, float]], *, baseline: bool = True) -> tuple[EvidenceState, str, int | None]:
    spec = DeploymentSpec.model_validate({"model": {"name": "quant.hedge"}})
    deployment = Resource("quant", "hedge", "md", 1, "1", BORN, spec, DeploymentStatus(), {})
    trigger = DriftTrigger.model_validate({"of": "Features", "window": {"rows": 400}, "minRows": 200})
    facts: dict[FactRequest, Fact] = {}
    for _ in range(5):
        source = Source("default", 5, deployment, NOW, facts)
        finding, ask = look_for_drift(source, trigger, "1", BORN.timestamp())
        for request in ask.facts:
            if not isinstance(request, MetricQuery):
                continue
            if names.METRIC_BASELINE_FEATURE_BINS in request.query:
                counts = REFERENCE if baseline else {}
                series = tuple(
                    Series((("bin", b), ("feature", "x")), ((NOW.timestamp(), c),)) for b, c in counts.items()
                )
                facts[request] = Fact(NOW, Reading(NOW.timestamp(), series))
            else:
                facts[request] = Fact(NOW, _live(request, pods))
    return finding.state, finding.reason, finding.rows


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        pytest.param(
            [{"0": 50, "1": 50, "2": 50, "3": 50}, {"0": 50, "1": 50, "2": 50, "3": 50}],
            (EvidenceState.CLEAR, "DistributionAsTrained", 400),
            id="both pods together look as at training",
        ),
        pytest.param(
            [{"0": 200, "1": 0, "2": 0, "3": 0}, {"0": 0, "1": 0, "2": 0, "3": 200}],
            (EvidenceState.FIRING, "DistributionMoved", 400),
            id="the middle has emptied, and only both pods together show it",
        ),
        pytest.param(
            [{"0": 60, "1": 50, "2": 50, "3": 50, "null": 90}],
            (EvidenceState.FIRING, "DistributionMoved", 300),
            id="nulls that training never saw",
        ),
        pytest.param(
            [{"0": 10, "1": 90, "2": 1, "3": 1}],
            (EvidenceState.UNKNOWN, "TooFewRows", 102),
            id="too few rows to say anything",
        ),
        pytest.param([], (EvidenceState.UNKNOWN, "TooFewRows", 0), id="no rows at all"),
    ],
)
def test_the_bins_of_all_pods_are_judged_together(
    pods: list[dict[str, float]], expected: tuple[EvidenceState, str, int]
) -> None:
    assert _look(pods) == expected


def test_without_a_baseline_it_is_unknown() -> None:
    assert _look([{"0": 500.0}], baseline=False)[:2] == (EvidenceState.UNKNOWN, "NoBaseline")
