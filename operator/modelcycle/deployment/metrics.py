"""Which metrics a step of a rollout asks for, and what each version did in it.

Counters are read as raw series over a range that begins a little before the step, and added up by
``modelcycle.metricstore.curves``: exact, also when pods come, go and start again in the middle of a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf

from modelcycle import constants as names
from modelcycle.api.v1alpha1.common import seconds
from modelcycle.api.v1alpha1.deployment import ReplicasStep
from modelcycle.core.names import label_value
from modelcycle.deployment.scene import Scene
from modelcycle.deployment.welch import Losses
from modelcycle.metricstore.curves import Curve, curves_by
from modelcycle.metricstore.port import MetricQuery, Reading, selector, selector_of_any

POINTS = 720
LEAD_STEPS = 4  # the first samples of a range are no increases, so it begins before what counts
COUNTERS = (
    names.METRIC_REQUESTS,
    names.METRIC_FEEDBACK_ROWS,
    names.METRIC_LOSS_POSITIVE,
    names.METRIC_LOSS_NEGATIVE,
    names.METRIC_LOSS_SQUARED,
)
BUCKETS = f"{names.METRIC_REQUEST_SECONDS}_bucket"


NO_LOSSES = Losses(0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one version did in a step. ``buckets``: (upper bound in seconds, requests at most as slow), ascending."""

    requests: int = 0
    errors: int = 0
    buckets: tuple[tuple[float, float], ...] = ()
    losses: Losses = NO_LOSSES


@dataclass(frozen=True, slots=True)
class Question:
    """The queries of a step, and how old an answer may be."""

    counters: MetricQuery
    buckets: MetricQuery
    since: float
    patience: timedelta


def question(scene: Scene, step: ReplicasStep, since: datetime) -> Question | None:
    """What to ask for a step that began at ``since``; the same for the whole step. None without an endpoint."""
    endpoint = scene.prometheus
    if endpoint is None:
        return None
    resolution = max(endpoint.scrape_seconds, seconds(step.max_wait) // POINTS)
    start = int(since.timestamp()) - LEAD_STEPS * resolution
    labels = {"namespace": scene.resource.namespace, "deployment": label_value(scene.resource.name)}
    return Question(
        MetricQuery(endpoint.name, selector_of_any(COUNTERS, **labels), start, resolution),
        MetricQuery(endpoint.name, selector(BUCKETS, **labels), start, resolution),
        since.timestamp(),
        timedelta(seconds=max(30, 6 * endpoint.scrape_seconds)),
    )


def answers(scene: Scene, asked: Question) -> tuple[Reading, Reading] | str:
    """Counters and buckets if both are fresh; otherwise why not."""
    readings: list[Reading] = []
    for query in (asked.counters, asked.buckets):
        fact = scene.observed.facts.get(query)
        if fact is None:
            return "the metrics of this step are not read yet"
        if not fact.fresh(scene.now, asked.patience) or not isinstance(fact.value, Reading):
            return f"Prometheus {query.endpoint} gives no fresh metrics: {fact.error or 'its last answer is too old'}"
        readings.append(fact.value)
    return readings[0], readings[1]


def traffic(counters: Reading, buckets: Reading, version: str, since: float) -> Traffic:
    """What ``version`` did since ``since`` (unix seconds)."""
    codes = _grown(curves_by(counters, "__name__", "version", "code"), counters, since)
    rows = {name: n for (name, of, _), n in codes.items() if of == version and name != names.METRIC_REQUESTS}
    requests = {code: n for (name, of, code), n in codes.items() if of == version and name == names.METRIC_REQUESTS}
    bounds = _grown(curves_by(buckets, "version", "le"), buckets, since)
    return Traffic(
        requests=round(sum(requests.values())),
        errors=round(sum(n for code, n in requests.items() if code.startswith("5"))),
        buckets=tuple(sorted((_bound(le), n) for (of, le), n in bounds.items() if of == version)),
        losses=Losses(
            rows=rows.get(names.METRIC_FEEDBACK_ROWS, 0.0),
            total=rows.get(names.METRIC_LOSS_POSITIVE, 0.0) - rows.get(names.METRIC_LOSS_NEGATIVE, 0.0),
            squared=rows.get(names.METRIC_LOSS_SQUARED, 0.0),
        ),
    )


def _grown(curves: dict[tuple[str, ...], Curve], reading: Reading, since: float) -> dict[tuple[str, ...], float]:
    return {key: curve.between(since, reading.time) for key, curve in curves.items()}


def _bound(le: str) -> float:
    return inf if le in ("+Inf", "Inf") else float(le)


def percentile(buckets: tuple[tuple[float, float], ...], percent: int) -> float | None:
    """Latency in seconds below which ``percent`` of the requests were, interpolated as ``histogram_quantile`` does.

    None without requests. Above the last finite bound it is that bound.
    """
    total = buckets[-1][1] if buckets else 0.0
    if total <= 0:
        return None
    rank, lower, below = total * percent / 100, 0.0, 0.0
    for upper, count in buckets:
        if count >= rank:
            return lower if upper == inf else lower + (upper - lower) * _share(rank - below, count - below)
        lower, below = upper, count
    return lower


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 1.0
