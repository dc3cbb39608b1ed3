"""The adapter that reads every deployment's load: a few queries an endpoint, however many deployments want theirs."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence

from modelcycle.core.plan import Effect, FactRequest
from modelcycle.errors import ModelcycleError
from modelcycle.metricstore.load import PERIOD_SECONDS, InFlight, Load, loads, questions
from modelcycle.metricstore.port import MetricQuery, Reading
from modelcycle.metricstore.prometheus import PrometheusPoller
from modelcycle.runtime.ports import EffectHandler, FactReadings, Poller
from modelcycle.settings import PrometheusEndpoint


class LoadPoller:
    """Reads ``InFlight`` of one Prometheus."""

    def __init__(self, endpoint: PrometheusEndpoint, clock: Callable[[], float] = time.time) -> None:
        """``clock`` gives unix seconds."""
        self._prometheus = PrometheusPoller(endpoint, clock)
        self._asked = questions(endpoint.name, endpoint.scrape_seconds)

    @property
    def interval(self) -> float:
        return max(float(PERIOD_SECONDS), self._prometheus.interval)

    async def close(self) -> None:
        await self._prometheus.close()

    async def read(self, requests: Collection[FactRequest]) -> FactReadings:
        """Raises what kept any of the queries from being answered: half of a load is none."""
        found = await self._loads()
        wanted = [one for one in requests if isinstance(one, InFlight)]
        return {one: found.get((one.namespace, one.deployment)) for one in wanted}

    async def _loads(self) -> Mapping[tuple[str, str], Load]:
        readings: dict[MetricQuery, Reading] = {}
        for query, reading in (await self._prometheus.read(self._asked.all())).items():
            if isinstance(reading, ModelcycleError):
                raise reading
            if isinstance(query, MetricQuery):
                readings[query] = reading
        return loads(self._asked, readings)


class LoadStore:
    """The adapter of all Prometheus endpoints. Made inside of the running event loop."""

    def __init__(self, endpoints: Sequence[PrometheusEndpoint]) -> None:
        self._pollers = {endpoint.name: LoadPoller(endpoint) for endpoint in endpoints}

    @property
    def effects(self) -> Mapping[type[Effect], EffectHandler]:
        return {}

    @property
    def facts(self) -> frozenset[type[FactRequest]]:
        return frozenset({InFlight})

    @property
    def pollers(self) -> Mapping[str, Poller]:
        return dict(self._pollers)

    async def close(self) -> None:
        for poller in self._pollers.values():
            await poller.close()
