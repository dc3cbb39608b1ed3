"""Reads every deployment's load: a few queries an endpoint, however many deployments want theirs."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

from modelcycle.core.plan import FactRequest
from modelcycle.errors import ModelcycleError
from modelcycle.metricstore.load import PERIOD_SECONDS, InFlight, Load, loads, questions
from modelcycle.metricstore.port import MetricQuery, Reading
from modelcycle.metricstore.prometheus import PrometheusPoller
from modelcycle.runtime.ports import FactReadings
from modelcycle.settings import PrometheusEndpoint


class LoadPoller(PrometheusPoller):
    """Reads ``InFlight`` of one Prometheus."""

    def __init__(self, endpoint: PrometheusEndpoint, clock: Callable[[], float] = time.time) -> None:
        """``clock`` gives unix seconds."""
        super().__init__(endpoint, clock)
        self._asked = questions(endpoint.name, endpoint.scrape_seconds)

    @property
    def interval(self) -> float:
        return max(float(PERIOD_SECONDS), super().interval)

    async def read(self, requests: Collection[FactRequest]) -> FactReadings:
        """Raises what kept any of the queries from being answered: half of a load is none."""
        found = await self._loads()
        wanted = [one for one in requests if isinstance(one, InFlight)]
        return {one: found.get((one.namespace, one.deployment)) for one in wanted}

    async def _loads(self) -> Mapping[tuple[str, str], Load]:
        readings: dict[MetricQuery, Reading] = {}
        for query, reading in (await super().read(self._asked.all())).items():
            if isinstance(reading, ModelcycleError):
                raise reading
            if isinstance(query, MetricQuery):
                readings[query] = reading
        return loads(self._asked, readings)
