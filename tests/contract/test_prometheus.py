"""The metric store against a real Prometheus that scrapes our pages every second, and against faults on the way."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from modelcycle.errors import ModelcycleError, Unavailable, Unusable
from modelcycle.metricstore.curves import curves_by
from modelcycle.metricstore.load import InFlight, Load
from modelcycle.metricstore.loads import LoadPoller
from modelcycle.metricstore.port import MetricQuery, Reading, selector, selector_of_any
from modelcycle.metricstore.prometheus import PrometheusPoller, PrometheusStore
from modelcycle.runtime.ports import Adapter
from modelcycle.settings import PrometheusEndpoint
from tests.support.processes import free_port
from tests.support.prometheus_server import Target, metrics_target, prometheus_binary, prometheus_server
from tests.support.proxy import Fault, FaultyProxy, faulty_proxy

ENDPOINT = "default"
ROWS, LOSS = "modelcycle_feedback_rows_total", "modelcycle_feedback_loss_positive_total"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prometheus")


@pytest.fixture(scope="module")
def prometheus_url(folder: Path) -> Iterator[str]:
    binary = prometheus_binary()
    if binary is None:
        pytest.skip("no prometheus: install Debian's package, or run where apt-get can download it")
    (folder / "targets.json").write_text("[]")
    with prometheus_server(binary, folder) as url:
        yield url


@pytest.fixture
async def prometheus_proxy(prometheus_url: str) -> AsyncIterator[FaultyProxy]:
    async with faulty_proxy(prometheus_url) as proxy:
        yield proxy


@asynccontextmanager
async def polling(url: str, clock: Callable[[], float] = time.time) -> AsyncIterator[PrometheusPoller]:
    poller = PrometheusPoller(PrometheusEndpoint(name=ENDPOINT, url=url, scrape_seconds=1), clock)
    yield poller
    await poller.close()


async def read_one(url: str, query: MetricQuery, clock: Callable[[], float] = time.time) -> Reading | ModelcycleError:
    async with polling(url, clock) as poller:
        answer = (await poller.read([query]))[query]
    assert isinstance(answer, Reading | ModelcycleError)
    return answer


def scrape(folder: Path, **pods: Target) -> None:
    """From the next second on scrape exactly these pods."""
    groups = [{"targets": [target.address], "labels": {"pod": name}} for name, target in pods.items()]
    text = folder / "targets.json.new"
    text.write_text(json.dumps(groups))
    text.replace(folder / "targets.json")


async def until(condition: Callable[[Reading], bool], url: str, query: MetricQuery) -> Reading:
    async with asyncio.timeout(180):
        while True:
            answer = await read_one(url, query)
            assert isinstance(answer, Reading), answer
            if condition(answer):
                return answer
            await asyncio.sleep(0.3)


async def test_counters_of_pods_that_restart_come_and_go_add_up_exactly(prometheus_url: str, folder: Path) -> None:
    start = int(time.time()) - 60
    together = MetricQuery(ENDPOINT, selector_of_any([ROWS, LOSS], job="pods"), start=start, step_seconds=1)

    def total(reading: Reading, metric: str) -> float:
        curves = curves_by(reading, "__name__")
        return curves[metric,].at(reading.time) if (metric,) in curves else 0.0

    with metrics_target() as one, metrics_target() as other:
        one.samples = {ROWS: 0, LOSS: 0}
        scrape(folder, one=one)
        await until(lambda reading: len(reading.series) == 2, prometheus_url, together)
        one.samples = {ROWS: 7, LOSS: 3.5}
        await until(lambda reading: total(reading, ROWS) == 7, prometheus_url, together)
        other.samples = {ROWS: 2, LOSS: 1.25}  # its first scrape comes after it has counted
        scrape(folder, one=one, other=other)
        await until(lambda reading: total(reading, ROWS) == 9, prometheus_url, together)
        one.samples = {ROWS: 1, LOSS: 0.25}  # restarted
        await until(lambda reading: total(reading, ROWS) == 10, prometheus_url, together)
        scrape(folder, other=other)  # the first pod is gone
        other.samples = {ROWS: 5, LOSS: 2.0}
        reading = await until(lambda reading: total(reading, ROWS) == 13, prometheus_url, together)
    assert total(reading, LOSS) == 3.5 + 1.25 + 0.25 + 0.75
    assert (reading.start, reading.step) == (start, 1)


async def test_the_same_time_gives_the_same_answer_again(prometheus_url: str, folder: Path) -> None:
    query = MetricQuery(ENDPOINT, selector("up", job="pods"))
    with metrics_target() as target:
        scrape(folder, again=target)
        # Until those that other tests had scraped are marked as gone, which is done late and for an earlier time.
        first = await until(
            lambda reading: [s.label("pod") for s in reading.series] == ["again"], prometheus_url, query
        )
        await asyncio.sleep(2)
        assert await read_one(prometheus_url, query, clock=lambda: first.time + 2) == first


async def test_values_that_are_no_numbers_are_no_series(prometheus_url: str) -> None:
    for query in ("0/0", "1/0", "vector(0)/0", 'absent_metric{a="b"}'):
        reading = await read_one(prometheus_url, MetricQuery(ENDPOINT, query))
        assert isinstance(reading, Reading)
        assert reading.series == ()


async def test_a_month_is_read_with_a_wider_step(prometheus_url: str) -> None:
    query = MetricQuery(ENDPOINT, "vector(1)", start=int(time.time()) - 30 * 86_400, step_seconds=1)
    reading = await read_one(prometheus_url, query)
    assert isinstance(reading, Reading)
    (series,) = reading.series
    assert 10_000 < len(series.points) <= 11_001
    assert reading.step == 236


async def test_the_points_of_a_range_are_those_of_a_subquery(prometheus_url: str) -> None:
    query = MetricQuery(ENDPOINT, "vector(1)", start=int(time.time()) // 60 * 60 - 113, step_seconds=20)
    reading = await read_one(prometheus_url, query)
    assert isinstance(reading, Reading)
    assert reading.start == query.start - 7  # type: ignore[operator]
    assert {point[0] % 20 for point in reading.series[0].points} == {0}


async def test_a_range_that_has_not_begun_is_empty(prometheus_url: str) -> None:
    reading = await read_one(prometheus_url, MetricQuery(ENDPOINT, "vector(1)", start=int(time.time()) + 600))
    assert isinstance(reading, Reading)
    assert reading.series == ()


@pytest.mark.parametrize("query", ["up{", "", "sum by (", 'label_replace(up, "0", "$1", "b", "c")'])
async def test_a_query_that_is_none(prometheus_url: str, query: str) -> None:
    error = await read_one(prometheus_url, MetricQuery(ENDPOINT, query))
    assert isinstance(error, Unusable)
    assert error.reason == "QueryInvalid"


async def test_hostile_label_values_stay_values(prometheus_url: str) -> None:
    hostile = MetricQuery(ENDPOINT, selector("up", pod='x"} or vector(1) or up{pod="größe\n'))
    reading = await read_one(prometheus_url, hostile)
    assert isinstance(reading, Reading)
    assert reading.series == ()


async def test_one_round_asks_each_query_once_at_one_time(prometheus_proxy: FaultyProxy) -> None:
    queries = [MetricQuery(ENDPOINT, f"vector({number})") for number in range(6)]
    bad = MetricQuery(ENDPOINT, "up{")
    async with polling(prometheus_proxy.url) as poller:
        readings = await poller.read([*queries, *queries, bad])
    assert len(prometheus_proxy.calls) == 7
    good = [readings[query] for query in queries]
    assert all(isinstance(one, Reading) for one in good), good
    assert len({one.time for one in good if isinstance(one, Reading)}) == 1
    assert [one.series[0].points[0][1] for one in good if isinstance(one, Reading)] == [0, 1, 2, 3, 4, 5]
    assert isinstance(readings[bad], Unusable), "a bad query is only its own fault"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault.CUT, "ServerDisconnectedError"),
        (Fault.ERROR_500, "500"),
        (Fault.BUSY_503, "503: no healthy upstream"),
        (Fault.HTML, "not an answer of Prometheus: <html>"),
        (Fault.FOREIGN_JSON, "not an answer of Prometheus"),
        (Fault.HUGE, "larger than 4194304 bytes"),
        (Fault.REDIRECT, "redirected (302)"),
    ],
)
async def test_answers_that_are_none(prometheus_proxy: FaultyProxy, fault: Fault, said: str) -> None:
    prometheus_proxy.fail(fault)
    error = await read_one(prometheus_proxy.url, MetricQuery(ENDPOINT, "vector(1)"))
    assert isinstance(error, ModelcycleError)
    assert said in str(error)
    assert "Prometheus endpoint 'default': POST api/v1/query" in str(error)


async def test_a_store_that_is_down_ends_the_round_at_once() -> None:
    queries = [MetricQuery(ENDPOINT, f"vector({number})") for number in range(50)]
    async with polling(f"http://127.0.0.1:{free_port()}") as poller:
        readings = await poller.read(queries)
    assert len(readings) == 50
    assert all(isinstance(error, Unavailable) for error in readings.values())
    assert len({id(error) for error in readings.values()}) <= 4


async def test_the_store_has_a_poller_for_each_endpoint() -> None:
    endpoints = [PrometheusEndpoint(name=name, url="http://x", scrape_seconds=7) for name in ("a", "b")]
    store: Adapter = PrometheusStore(endpoints)
    await store.close()
    assert {name: poller.interval for name, poller in store.pollers.items()} == {"a": 7.0, "b": 7.0}
    assert store.facts == {MetricQuery}
    assert store.effects == {}


# --- the load of deployments -----------------------------------------------------------------------------------------
def busy(namespace: str, version: str, seconds: float) -> dict[str, float | str]:
    labels = f'namespace="{namespace}",deployment="hedge",version="{version}"'
    return {f"modelcycle_request_seconds_sum{{{labels}}}": seconds}


async def test_requests_in_flight_are_read_for_all_deployments_at_once(folder: Path, prometheus_url: str) -> None:
    poller = LoadPoller(PrometheusEndpoint(name=ENDPOINT, url=prometheus_url, scrape_seconds=1))
    hedge, other, nobody = (InFlight(ENDPOINT, name, "hedge") for name in ("quant", "risk", "nobody"))
    with metrics_target() as first, metrics_target() as second, metrics_target() as third, metrics_target() as alone:
        scrape(folder, first=first, second=second, third=third, alone=alone)
        begun = time.time()
        async with asyncio.timeout(180):
            while True:
                passed = time.time() - begun
                first.samples = second.samples = busy("quant", "1", 2.0 * passed)
                third.samples, alone.samples = busy("quant", "2", passed), busy("risk", "7", 0.0)
                found = await poller.read([hedge, other, nobody])
                load = found[hedge]
                if isinstance(load, Load) and load.pods == 3 and load.peak >= 1.0 and load.seconds >= 30:
                    break
                await asyncio.sleep(0.5)
    await poller.close()
    tracks = dict(load.tracks)
    assert tracks["1"] / tracks["2"] == pytest.approx(4.0, rel=0.2), "two pods with twice as much to do"
    assert 0 < tracks["2"] <= 1.1
    assert load.peak <= 5.5
    idle = found[other]
    assert isinstance(idle, Load)
    assert (idle.tracks, idle.peak, idle.pods) == ((("7", 0.0),), 0.0, 1), "idle is known to be idle"
    assert found[nobody] is None


async def test_a_thousand_deployments_are_four_queries(prometheus_proxy: FaultyProxy) -> None:
    poller = LoadPoller(PrometheusEndpoint(name=ENDPOINT, url=prometheus_proxy.url, scrape_seconds=1))
    asked = [InFlight(ENDPOINT, "quant", f"model-{number}") for number in range(1000)]
    found = await poller.read(asked)
    await poller.close()
    assert found.keys() == set(asked)
    assert prometheus_proxy.calls == ["POST /api/v1/query"] * 4


async def test_a_load_that_can_not_be_read_whole_is_not_read(prometheus_proxy: FaultyProxy) -> None:
    prometheus_proxy.fail(Fault.BUSY_503)
    poller = LoadPoller(PrometheusEndpoint(name=ENDPOINT, url=prometheus_proxy.url, scrape_seconds=1))
    with pytest.raises(Unavailable):
        await poller.read([InFlight(ENDPOINT, "quant", "hedge")])
    await poller.close()


async def test_a_load_is_not_read_more_often_than_it_can_change() -> None:
    for scrape_seconds, interval in ((1, 15.0), (60, 60.0)):
        poller = LoadPoller(PrometheusEndpoint(name=ENDPOINT, url="http://x", scrape_seconds=scrape_seconds))
        assert poller.interval == interval
        await poller.close()
