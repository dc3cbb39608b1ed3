"""Ends MLflow runs whose ModelTraining is gone: without finalizers nobody else would.

A run is ended only when the API server itself says that its training is not there, or that another one has its name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from modelcycle.cluster.kinds import MODEL_TRAINING
from modelcycle.cluster.port import Cluster
from modelcycle.errors import ModelcycleError, NotFound
from modelcycle.registry.open_runs import OpenRun
from modelcycle.registry.port import EndRun, RunStatus

LOG = logging.getLogger(__name__)
INTERVAL_SECONDS = 600.0
SOON_SECONDS = 10.0
RETRY_SECONDS = 60.0  # as for effects: an endpoint that is back is noticed within a minute


class RunRegistry(Protocol):
    """What the sweeper needs of the registry adapter."""

    def open_runs(self, endpoint: str, cluster_id: str) -> AsyncIterator[OpenRun]: ...

    async def end_run(self, effect: EndRun) -> None: ...


class Sweeper:
    """``may_write``: whether this replica leads; ``endpoints``: names of the MLflow endpoints."""

    def __init__(
        self,
        registry: RunRegistry,
        cluster: Cluster,
        cluster_id: str,
        endpoints: tuple[str, ...],
        may_write: Callable[[], bool],
    ) -> None:
        self._registry = registry
        self._cluster = cluster
        self._cluster_id = cluster_id
        self._endpoints = endpoints
        self._may_write = may_write
        self._soon = asyncio.Event()

    def soon(self) -> None:
        """A training was deleted: look in a moment instead of at the next round."""
        self._soon.set()

    async def run(self) -> None:
        """Sweep now and then, for ever."""
        while True:
            swept = await self.sweep() if self._may_write() else True
            try:
                await asyncio.wait_for(self._soon.wait(), INTERVAL_SECONDS if swept else RETRY_SECONDS)
                await asyncio.sleep(SOON_SECONDS)
            except TimeoutError:
                pass
            self._soon.clear()

    async def sweep(self) -> bool:
        """End every orphan of every endpoint. Whether all could be looked through: one that is away is tried again."""
        all_swept = True
        for endpoint in self._endpoints:
            try:
                async for run in self._registry.open_runs(endpoint, self._cluster_id):
                    await self._end_if_orphan(endpoint, run)
            except ModelcycleError as error:
                all_swept = False
                LOG.warning("runs at MLflow endpoint %s could not be swept, again later: %s", endpoint, error)
        return all_swept

    async def _end_if_orphan(self, endpoint: str, run: OpenRun) -> None:
        if await self._lives(run):
            return
        await self._registry.end_run(EndRun(endpoint, run.run_id, RunStatus.KILLED))
        LOG.info("ended MLflow run %s: its training %s/%s is gone", run.run_id, run.namespace, run.name)

    async def _lives(self, run: OpenRun) -> bool:
        try:
            training = await self._cluster.get(MODEL_TRAINING, run.namespace, run.name)
        except NotFound:
            return False
        return bool(training["metadata"]["uid"] == run.uid)
