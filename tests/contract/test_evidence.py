"""The query of a decision's evidence, pasted into a real Prometheus long after, gives the decision's value again."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelcycle import constants as names
from modelcycle.api.v1alpha1.deployment import DeploymentSpec, DeploymentStatus
from modelcycle.api.v1alpha1.retrain import DriftTrigger, LossTrigger
from modelcycle.api.v1alpha1.retrain_status import EvidenceState, RetrainStatus
from modelcycle.core.observed import Resource
from modelcycle.core.plan import Fact, FactRequest
from modelcycle.metricstore.port import MetricQuery, Reading
from modelcycle.metricstore.prometheus import SETTLE_SECONDS, PrometheusPoller
from modelcycle.retrain.drift import look_for_drift
from modelcycle.retrain.evidence import Finding
from modelcycle.retrain.losses import look_at_loss
from modelcycle.retrain.metrics import Ask, Source
from modelcycle.retrain.statistics import population_stability_index
from modelcycle.settings import PrometheusEndpoint
from tests.support.prometheus_server import backfill, prometheus_binary, prometheus_server

SCRAPE = 15
# An odd second of yesterday: on no grid.
NOW = datetime.fromtimestamp(int(time.time()) // 86_400 * 86_400 - 40_000 + 7, UTC)
COUNTERS = (names.METRIC_FEEDBACK_ROWS, names.METRIC_LOSS_POSITIVE, names.METRIC_LOSS_NEGATIVE)
BASELINE = (100.0, 300.0, 500.0, 100.0)
STATUS = RetrainStatus()


@dataclass(frozen=True)
class Pod:
    """Lives from so many minutes before NOW until so many; ``restarts`` likewise, down for ``down`` seconds each."""

    born: float
    gone: float = 0.0
    restarts: tuple[float, ...] = ()
    down: float = 0.0
    seconds_a_row: float = 10.0


DEPLOYMENTS = {
    "one-pod": (Pod(born=600),),
    "three-pods": (Pod(born=600), Pod(born=500, seconds_a_row=4), Pod(born=400, seconds_a_row=30)),
    "gone": (Pod(born=600), Pod(born=600, gone=3), Pod(born=600, gone=100)),
    "born": (Pod(born=600), Pod(born=4), Pod(born=30, gone=2)),
    "replaced": (Pod(born=600, gone=5), Pod(born=5)),
    "restarted": (Pod(born=600, restarts=(4, 2)), Pod(born=600, restarts=(80,))),
    "down-and-up": (Pod(born=600, restarts=(5,), down=40), Pod(born=600, restarts=(20,), down=400)),
    "quiet": (Pod(born=600, seconds_a_row=60),),
    "just-there": (Pod(born=7),),
    "d" + "x" * 62: (Pod(born=600, restarts=(3,)), Pod(born=600, gone=4)),
}
LOSSES = {"1": lambda chance: chance.expovariate(1.0), "2": lambda chance: chance.gauss(0.3, 1.0)}


def samples(deployment: str, version: str, number: int, pod: Pod) -> Iterator[tuple[str, str, float, float]]:
    """(metric, labels, unix seconds, value) of every scrape of a pod."""
    chance = random.Random(f"{deployment} {version} {number}")
    born, gone = (NOW.timestamp() - 60 * minutes for minutes in (pod.born, pod.gone))
    restarts = [NOW.timestamp() - 60 * minutes for minutes in sorted(pod.restarts, reverse=True)]
    common = f'namespace="quant",deployment="{deployment}",version="{version}",pod="p{number}"'
    counts, bins = dict.fromkeys(COUNTERS, 0.0), [0.0] * len(BASELINE)
    row, scrape = born, born + chance.uniform(0, SCRAPE)
    while scrape < gone:
        while row < scrape:
            row += chance.expovariate(1 / pod.seconds_a_row)
            loss = LOSSES[version](chance)
            counts[names.METRIC_FEEDBACK_ROWS] += 1
            counts[names.METRIC_LOSS_POSITIVE] += max(loss, 0)
            counts[names.METRIC_LOSS_NEGATIVE] += max(-loss, 0)
            bins[chance.choices(range(len(bins)), (1, 2, 2, 5))[0]] += 1
        if restarts and scrape > restarts[0]:
            counts, bins, scrape = dict.fromkeys(COUNTERS, 0.0), [0.0] * len(BASELINE), restarts.pop(0) + pod.down
            row = scrape
        for metric, value in counts.items():
            yield metric, common, scrape, value
        for bin_, count in enumerate(bins):
            labels = f'{common},feature="oil",bin="{bin_}"'
            yield names.METRIC_FEATURE_BINS, labels, scrape, count
            yield names.METRIC_BASELINE_FEATURE_BINS, labels, scrape, BASELINE[bin_]
        scrape += SCRAPE


def history() -> str:
    """Of all deployments, in OpenMetrics' text."""
    by_metric: dict[str, list[str]] = {}
    for deployment, pods in DEPLOYMENTS.items():
        for version in LOSSES:
            for number, pod in enumerate(pods):
                for metric, labels, at, value in samples(deployment, version, number, pod):
                    by_metric.setdefault(metric, []).append(f"{metric}{{{labels}}} {value!r} {at:.3f}")
    return "\n".join([*(line for lines in by_metric.values() for line in lines), "# EOF\n"])


@pytest.fixture(scope="module")
def prometheus_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    binary = prometheus_binary()
    if binary is None:
        pytest.skip("no prometheus: install Debian's package, or run where apt-get can download it")
    folder: Path = tmp_path_factory.mktemp("evidence")
    (folder / "targets.json").write_text("[]")
    backfill(binary, folder, history())
    with prometheus_server(binary, folder) as url:
        yield url


@pytest.fixture
async def poller(prometheus_url: str) -> AsyncIterator[PrometheusPoller]:
    poller = PrometheusPoller(PrometheusEndpoint(name="default", url=prometheus_url, scrape_seconds=SCRAPE))
    yield poller
    await poller.close()


class Look:
    """A policy's looks at a deployment whose pods are older than itself, until no further fact is asked for."""

    def __init__(self, poller: PrometheusPoller, deployment: str) -> None:
        self._poller = poller
        self._facts: dict[FactRequest, Fact] = {}
        spec = DeploymentSpec.model_validate({"model": {"name": "quant.hedge"}})
        born = NOW - timedelta(hours=11)
        self._deployment = Resource("quant", deployment, "md", 1, "1", born, spec, DeploymentStatus(), {})

    @property
    def source(self) -> Source:
        return Source("default", SCRAPE, self._deployment, NOW, self._facts)

    async def know(self, ask: Ask) -> bool:
        """Whether something of ``ask`` was not known yet."""
        unknown = [fact for fact in ask.facts if fact not in self._facts and isinstance(fact, MetricQuery)]
        for query in unknown:
            reading = await self._poller.ask(query, int(NOW.timestamp() - SETTLE_SECONDS))
            self._facts[query] = Fact(NOW, reading)
        return bool(unknown)

    async def at_loss(self, version: str, since: datetime, **trigger: object) -> Finding:
        wanted = LossTrigger.model_validate({"reference": "Absolute", "bound": "0", "minRows": 1} | trigger)
        finding, ask = look_at_loss(self.source, wanted, version, since.timestamp(), STATUS)
        while await self.know(ask):
            finding, ask = look_at_loss(self.source, wanted, version, since.timestamp(), STATUS)
        return finding

    async def for_drift(self, version: str, since: datetime, **trigger: object) -> tuple[Finding, Reading]:
        wanted = DriftTrigger.model_validate({"of": "Features", "minRows": 10} | trigger)
        finding, ask = look_for_drift(self.source, wanted, version, since.timestamp())
        while await self.know(ask):
            finding, ask = look_for_drift(self.source, wanted, version, since.timestamp())
        baseline = next(q for q in self._facts if isinstance(q, MetricQuery) and q.start is None)
        return finding, self._facts[baseline].value


async def pasted(poller: PrometheusPoller, query: str | None) -> Reading:
    """As a person asks: at a time of their own."""
    assert query
    return await poller.ask(MetricQuery("default", query), int(time.time()))


WINDOWS = [
    pytest.param({"rows": 20}, timedelta(hours=9), id="20 rows"),
    pytest.param({"rows": 100}, timedelta(hours=9), id="100 rows"),
    pytest.param({"rows": 1000}, timedelta(hours=9), id="1000 rows, read on a wider grid"),
    pytest.param({"rows": 100_000}, timedelta(hours=9), id="all since the promotion"),
    pytest.param({"rows": 100_000}, timedelta(minutes=6, seconds=3), id="all since a promotion of a moment ago"),
    pytest.param({"time": "7m"}, timedelta(hours=9), id="seven minutes"),
    pytest.param({"time": "3h"}, timedelta(hours=9), id="three hours"),
]


@pytest.mark.parametrize(("window", "served"), WINDOWS)
@pytest.mark.parametrize("version", [pytest.param("1", id="loss"), pytest.param("2", id="signed loss")])
@pytest.mark.parametrize("deployment", DEPLOYMENTS)
async def test_the_mean_loss_comes_out_again(
    poller: PrometheusPoller, deployment: str, version: str, window: dict[str, object], served: timedelta
) -> None:
    finding = await Look(poller, deployment).at_loss(version, NOW - served, window=window)
    assert finding.state is not EvidenceState.UNKNOWN
    assert finding.rows
    (series,) = (await pasted(poller, finding.query)).series
    assert series.points[0][1] == pytest.approx(finding.value, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("window", "served"), WINDOWS)
@pytest.mark.parametrize("deployment", ["one-pod", "three-pods", "gone", "born", "replaced"])
async def test_the_counts_behind_a_drift_come_out_again(
    poller: PrometheusPoller, deployment: str, window: dict[str, object], served: timedelta
) -> None:
    finding, baseline = await Look(poller, deployment).for_drift("1", NOW - served, window=window)
    assert finding.state is not EvidenceState.UNKNOWN
    counts = {one.label("bin"): one.points[0][1] for one in (await pasted(poller, finding.query)).series}
    reference = {one.label("bin"): one.points[0][1] for one in baseline.series}
    bins = sorted(reference, key=str)
    again = population_stability_index([reference[b] for b in bins], [counts.get(b, 0.0) for b in bins])
    assert again == pytest.approx(finding.value, rel=1e-9)
    assert sum(counts.values()) == finding.rows
