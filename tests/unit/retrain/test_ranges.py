"""The same counters, read over a longer range on a wider grid: what has been counted must not change by that."""

from __future__ import annotations

from datetime import timedelta

import pytest

from modelcycle import constants as names
from modelcycle.api.v1alpha1.deployment import DeploymentSpec, DeploymentStatus
from modelcycle.api.v1alpha1.retrain import LossTrigger
from modelcycle.api.v1alpha1.retrain_status import RetrainStatus
from modelcycle.core.observed import Resource
from modelcycle.core.plan import Fact, FactRequest
from modelcycle.metricstore.port import MetricQuery, Reading, Series
from modelcycle.retrain.losses import look_at_loss
from modelcycle.retrain.metrics import Source

from .world import NOW

SCRAPE = 1
PROMOTED = NOW.timestamp() + 57
LABELLED = (-10, -5, *range(5, 165, 10))
"""Seconds from the promotion to each row: two that the version answered as candidate, 16 since."""
TRIGGER = LossTrigger.model_validate({"window": {"rows": 60}, "reference": "Absolute", "bound": "1.5", "minRows": 40})


def rows_at(after: timedelta) -> int | None:
    """The trigger's rows so long after the promotion, once everything that it asks for has been read."""
    now = NOW + timedelta(seconds=57) + after
    facts: dict[FactRequest, Fact] = {}
    spec = DeploymentSpec.model_validate({"model": {"name": "quant.hedge"}})
    born = NOW - timedelta(minutes=5)
    deployment = Resource("quant", "hedge", "md", 1, "1", born, spec, DeploymentStatus(), {})
    while True:
        source = Source("default", SCRAPE, deployment, now, facts)
        finding, ask = look_at_loss(source, TRIGGER, "2", PROMOTED, RetrainStatus())
        unread = [one for one in ask.facts if isinstance(one, MetricQuery) and one not in facts]
        if not unread:
            return finding.rows
        facts |= {one: Fact(now, read(one, int(now.timestamp()))) for one in unread}


def read(query: MetricQuery, now: int) -> Reading:
    """As Prometheus answers: the counter at each multiple of the step."""
    assert query.start is not None
    assert query.step_seconds is not None
    start = query.start - query.start % query.step_seconds
    grid = range(start, now + 1, query.step_seconds)
    points = tuple((float(at), float(sum(PROMOTED + one <= at for one in LABELLED))) for at in grid)
    labels = (("__name__", names.METRIC_FEEDBACK_ROWS), ("pod", "a"), ("version", "2"))
    return Reading(now, (Series(labels, points),), start, query.step_seconds)


def test_rows_count_from_the_promotion() -> None:
    assert rows_at(timedelta(minutes=4)) == 16


@pytest.mark.xfail(reason="after a quarter or half of an hour the grid is 40 s wide: rows before the promotion count")
def test_later_they_are_as_many() -> None:
    assert rows_at(timedelta(minutes=45)) == 16
