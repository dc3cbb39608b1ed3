"""Which metrics a policy asks for, and how far it has to look back.

The store is asked for a short time first; only where that does not hold the rows that are wanted, for a longer one.
Ranges start at round times, so that the same question stays the same fact from one pass to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from modelcycle import constants as names
from modelcycle.core.names import label_value
from modelcycle.core.plan import FactRequest, Facts
from modelcycle.metricstore.curves import Curve, curves_by, sure_from
from modelcycle.metricstore.port import MetricQuery, Reading, selector, selector_of_any
from modelcycle.retrain.observed import Deployment

LADDER_SECONDS = (15 * 60, 4 * 3600, 2 * 86_400, 30 * 86_400)
POINTS = 720
UNAVAILABLE = "MetricsUnavailable"
UNREAD = "NotReadYet"
CurveOf = Callable[[Reading], Curve]
FEEDBACK = (
    names.METRIC_FEEDBACK_ROWS,
    names.METRIC_LOSS_POSITIVE,
    names.METRIC_LOSS_NEGATIVE,
    names.METRIC_WATERMARK,
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a deployment's metrics are: the endpoint, how often it scrapes, and the labels of its series."""

    endpoint: str
    scrape_seconds: int
    deployment: Deployment
    now: datetime
    facts: Facts

    @property
    def labels(self) -> dict[str, str]:
        return {"namespace": self.deployment.namespace, "deployment": label_value(self.deployment.name)}

    @property
    def patience(self) -> timedelta:
        """How old a reading may be: a few scrapes."""
        return timedelta(seconds=max(30, 6 * self.scrape_seconds))

    def rungs(self, query: str, *, coarse: int = 1) -> Iterator[MetricQuery]:
        """The same query over longer and longer times, none of them before the deployment was made."""
        born = int(self.deployment.created.timestamp())
        for reach in LADDER_SECONDS:
            start = (int(self.now.timestamp()) // reach - 1) * reach
            step = max(self.scrape_seconds, reach * 2 // POINTS) * coarse
            yield MetricQuery(self.endpoint, query, max(start, born - 4 * step), step)
            if start <= born:
                return


@dataclass(frozen=True, slots=True)
class Ask:
    """What was read, if it could be, and every fact that has to be kept fresh for it; or why it could not."""

    facts: frozenset[FactRequest]
    reading: Reading | None = None
    error: str | None = None
    reason: str = UNAVAILABLE


def feedback_query(source: Source) -> str:
    return selector_of_any(FEEDBACK, **source.labels)


def bins_query(source: Source, version: str, metric: str) -> str:
    return selector(metric, version=version, **source.labels)


def baseline_reading(source: Source, version: str, metric: str, label: str) -> Ask:
    """The baseline that the version's pods export; all of them the same, so one of them is enough."""
    query = f"max by ({label}, bin) ({selector(metric, version=version, **source.labels)})"
    return _read(source, MetricQuery(source.endpoint, query))


def loss_expression(source: Source, version: str) -> str:
    """The sum of a version's losses in each pod; the second metric is matched by all labels of the first."""
    positive = selector(names.METRIC_LOSS_POSITIVE, version=version, **source.labels)
    return f"({positive} - {names.METRIC_LOSS_NEGATIVE})"


def first_reading(source: Source, query: str) -> Ask:
    """The shortest range."""
    return _read(source, next(source.rungs(query)))


def reading_that_holds(source: Source, query: str, curve_of: CurveOf, wanted: Wanted, *, coarse: int = 1) -> Ask:
    """The shortest range whose curve satisfies ``wanted``, or the longest there is; or why it can't be read."""
    asked: frozenset[FactRequest] = frozenset()
    latest = Ask(asked)
    for rung in source.rungs(query, coarse=coarse):
        latest = _read(source, rung)
        asked |= latest.facts
        if latest.reading is None or wanted.satisfied(curve_of(latest.reading), latest.reading):
            break
    return replace(latest, facts=asked)


def _read(source: Source, query: MetricQuery) -> Ask:
    fact = source.facts.get(query)
    asked: frozenset[FactRequest] = frozenset({query})
    if fact is None:
        return Ask(asked, error="not read yet", reason=UNREAD)
    if not fact.fresh(source.now, source.patience):
        return Ask(asked, error=fact.error or "the last reading is too old")
    return Ask(asked, reading=fact.value)


def rows_of(version: str | None) -> CurveOf:
    """The curve of labelled rows: of one version, or of all."""

    def curve(reading: Reading) -> Curve:
        if version is None:
            return curves_by(reading, "__name__").get((names.METRIC_FEEDBACK_ROWS,), Curve())
        return curves_by(reading, "__name__", "version").get((names.METRIC_FEEDBACK_ROWS, version), Curve())

    return curve


@dataclass(frozen=True, slots=True)
class Wanted:
    """Rows since some time, or everything back to that time; ``since`` in unix seconds."""

    since: float
    rows: int | None = None

    def satisfied(self, curve: Curve, reading: Reading) -> bool:
        if (reading.start or 0.0) + 3 * (reading.step or 0.0) <= self.since:
            return True
        return self.rows is not None and curve.between(sure_from(reading), reading.time) >= self.rows
