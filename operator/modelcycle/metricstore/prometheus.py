"""Prometheus as the metric store: its HTTP API over aiohttp, for every ``MetricQuery`` that is kept fresh."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from modelcycle.core.plan import Effect, FactRequest
from modelcycle.errors import ModelcycleError, Unavailable
from modelcycle.metricstore.answers import series_of
from modelcycle.metricstore.port import MetricQuery, Reading
from modelcycle.outside import HttpEndpoint
from modelcycle.runtime.ports import EffectHandler, FactReadings, Poller
from modelcycle.settings import PrometheusEndpoint

ANSWER_BYTES = 4 << 20
MAX_POINTS = 11_000
CONCURRENT = 4
# A scrape is stored when it ends, under the time at which it began. Two queries about the last two seconds could see
# different halves of it, and the same query a different answer when it is asked again as evidence.
SETTLE_SECONDS = 2.0


class PrometheusPoller:
    """Reads ``MetricQuery`` of one Prometheus, all of a round at the same evaluation time."""

    def __init__(self, endpoint: PrometheusEndpoint, clock: Callable[[], float] = time.time) -> None:
        """``clock`` gives unix seconds."""
        self._http = HttpEndpoint(endpoint, "Prometheus", ANSWER_BYTES)
        self._clock = clock
        self._scrape_seconds = endpoint.scrape_seconds

    @property
    def interval(self) -> float:
        return float(self._scrape_seconds)

    async def close(self) -> None:
        await self._http.close()

    async def read(self, requests: Collection[FactRequest]) -> FactReadings:
        """One request for each different query, four at a time; the first that finds nobody there ends the round."""
        now = math.floor(self._clock() - SETTLE_SECONDS)
        free = asyncio.Semaphore(CONCURRENT)
        dead: list[Unavailable] = []

        async def one(query: MetricQuery) -> Reading | ModelcycleError:
            async with free:
                if dead:
                    return dead[0]
                try:
                    return await self.ask(query, now)
                except Unavailable as error:
                    if isinstance(error.__cause__, OSError):  # TimeoutError, and no connection
                        dead.append(error)
                    return error
                except ModelcycleError as error:
                    return error

        queries = [request for request in set(requests) if isinstance(request, MetricQuery)]
        return dict(zip(queries, await asyncio.gather(*map(one, queries)), strict=True))

    async def ask(self, query: MetricQuery, now: int) -> Reading:
        """One query, evaluated at ``now`` (unix seconds).

        A range starts at the last multiple of its step before ``query.start``, so that its points are those that a
        subquery of the same step sees. Raises ``Unusable`` (QueryInvalid), ``Refused``, ``Unavailable``.
        """
        if query.start is None:
            answer = await self._http.request("POST", "api/v1/query", form={"query": query.query, "time": str(now)})
            return Reading(time=now, series=series_of(answer))
        step = grid_step(now - query.start, query.step_seconds or self._scrape_seconds)
        start = query.start - query.start % step
        if now < start:
            return Reading(time=now, series=(), start=start, step=step)
        form = {"query": query.query, "start": str(start), "end": str(now), "step": str(step)}
        answer = await self._http.request("POST", "api/v1/query_range", form=form)
        return Reading(time=now, series=series_of(answer), start=start, step=step)


class PrometheusStore:
    """The adapter of all Prometheus endpoints, for one type of ``fact``. Made inside of the running event loop."""

    def __init__(
        self,
        endpoints: Sequence[PrometheusEndpoint],
        fact: type[FactRequest] = MetricQuery,
        poller: type[PrometheusPoller] = PrometheusPoller,
    ) -> None:
        self._fact = fact
        self._pollers = {endpoint.name: poller(endpoint) for endpoint in endpoints}

    @property
    def effects(self) -> Mapping[type[Effect], EffectHandler]:
        return {}

    @property
    def facts(self) -> frozenset[type[FactRequest]]:
        return frozenset({self._fact})

    @property
    def pollers(self) -> Mapping[str, Poller]:
        return dict(self._pollers)

    async def close(self) -> None:
        for poller in self._pollers.values():
            await poller.close()


def grid_step(length: int, step: int) -> int:
    """Seconds between two points of a range of ``length`` seconds, wide enough for 11,000 points a series.

    A multiple of ``step``, so that the points of the wider grid are among those of the finer one.
    """
    return step * max(1, math.ceil(length / (step * MAX_POINTS)))
