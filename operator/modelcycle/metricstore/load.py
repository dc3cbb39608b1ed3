"""How many requests each deployment has in flight: one set of queries for all deployments of an endpoint.

The mean number in flight is the time that requests take, per second (Little's law). A counter tells it exactly for any
stretch of time, where samples of a gauge would tell what was in flight at the moments of scrapes. A request counts when
it is answered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from modelcycle import constants as names
from modelcycle.core.plan import FactRequest
from modelcycle.metricstore.port import MetricQuery, Reading

PERIOD_SECONDS = 15
"""Between two readings, and between the points of the window."""
WINDOW_SECONDS = 300
_MEAN_SECONDS, _MEAN_SCRAPES = 60, 4
_BY = "namespace, deployment"
Deployment = tuple[str, str]


@dataclass(frozen=True, slots=True)
class InFlight(FactRequest):
    """Keep the load of a deployment fresh. Value: ``Load``, or None where nothing is known of its pods.

    ``deployment`` is the value of its pods' label.
    """

    endpoint: str
    namespace: str
    deployment: str


@dataclass(frozen=True, slots=True)
class Load:
    """Mean numbers of requests in flight over about a minute, in all pods.

    ``tracks``: (version, number now). ``peak``: the highest of all versions together in the last ``WINDOW_SECONDS``, of
    which ``seconds`` are known. ``pods``: how many told of it.
    """

    tracks: tuple[tuple[str, float], ...]
    peak: float
    seconds: int
    pods: int

    @property
    def now(self) -> float:
        return sum(number for _, number in self.tracks)

    def of(self, version: str) -> float:
        return next((number for name, number in self.tracks if name == version), 0.0)


@dataclass(frozen=True, slots=True)
class Questions:
    """The queries that give every ``Load`` of an endpoint."""

    tracks: MetricQuery
    peaks: MetricQuery
    points: MetricQuery
    pods: MetricQuery

    def all(self) -> tuple[MetricQuery, ...]:
        return self.tracks, self.peaks, self.points, self.pods


def questions(endpoint: str, scrape_seconds: int) -> Questions:
    """What to ask an endpoint that reads the pods every ``scrape_seconds``."""
    mean = max(_MEAN_SECONDS, _MEAN_SCRAPES * scrape_seconds)
    pods = f"rate({names.METRIC_REQUEST_SECONDS}_sum[{mean}s])"
    together = f"sum by ({_BY}) ({pods})[{WINDOW_SECONDS}s:{PERIOD_SECONDS}s]"
    return Questions(
        MetricQuery(endpoint, f"sum by ({_BY}, version) ({pods})"),
        MetricQuery(endpoint, f"max_over_time({together})"),
        MetricQuery(endpoint, f"count_over_time({together})"),
        MetricQuery(endpoint, f"count by ({_BY}) ({pods})"),
    )


def loads(asked: Questions, readings: Mapping[MetricQuery, Reading]) -> dict[Deployment, Load]:
    """The load of every deployment that all readings know of."""
    tracks: dict[Deployment, list[tuple[str, float]]] = defaultdict(list)
    for series in readings[asked.tracks].series:
        version, value = series.label("version") or "", series.points[-1][1]
        tracks[series.label("namespace") or "", series.label("deployment") or ""].append((version, _rounded(value)))
    peaks, points, pods = (_numbers(readings[query]) for query in (asked.peaks, asked.points, asked.pods))
    return {
        one: Load(
            tuple(sorted(tracks[one])), _rounded(peaks[one]), round(points[one] * PERIOD_SECONDS), round(pods[one])
        )
        for one in tracks.keys() & peaks.keys() & points.keys() & pods.keys()
    }


def _numbers(reading: Reading) -> dict[Deployment, float]:
    return {
        (series.label("namespace") or "", series.label("deployment") or ""): series.points[-1][1]
        for series in reading.series
    }


def _rounded(value: float) -> float:
    """To two digits: whoever wants to know a load is woken when it changed, not whenever it was measured."""
    return float(f"{value:.2g}")
