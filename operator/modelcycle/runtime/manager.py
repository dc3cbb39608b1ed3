"""Everything between the watches and the API server, put together: cache, queues, controllers, effects, facts."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry

from modelcycle.clock import Clock
from modelcycle.cluster.kinds import Kind
from modelcycle.cluster.port import Cluster, Fence
from modelcycle.core.plan import Effect, Manifest
from modelcycle.errors import ModelcycleError
from modelcycle.runtime import memory
from modelcycle.runtime.actor import Actor
from modelcycle.runtime.cache import Cache
from modelcycle.runtime.controller import Controller, Parts
from modelcycle.runtime.effects import EffectRunner
from modelcycle.runtime.facts import FactBook, poll
from modelcycle.runtime.metrics import Metrics
from modelcycle.runtime.outcomes import OutcomeBook
from modelcycle.runtime.ports import Adapter, Domain, EffectHandler, Key
from modelcycle.runtime.queue import WorkQueue
from modelcycle.runtime.recorder import Recorder
from modelcycle.runtime.resync import RELIST_SECONDS, Resync
from modelcycle.runtime.router import Router
from modelcycle.settings import Settings

LOG = logging.getLogger(__name__)
RETRY_SECONDS = 2.0
HEARTBEAT_SECONDS = 1.0
LAG_SECONDS = 10.0  # an event loop that is later than this is not alive


class Manager:
    """One replica's working parts. It decides and writes only while it is on duty, but keeps its cache warm always.

    ``forgotten`` is called, on duty, for each resource that is gone.
    """

    def __init__(
        self,
        cluster: Cluster,
        domains: Sequence[Domain],
        adapters: Sequence[Adapter],
        settings: Settings,
        fence: Fence,
        metrics: Metrics,
        clock: Clock,
        identity: str,
        forgotten: Callable[[Key], None],
        namespaces: Sequence[str] = (),
        workers: int = 16,
        relist_seconds: float = RELIST_SECONDS,
    ) -> None:
        self.metrics = metrics
        self.router = Router()
        self.cache = Cache(self.router.changed, metrics)
        self.resync = Resync(
            cluster, self.cache, metrics, namespaces, self.router.resync, time.monotonic, relist_seconds
        )
        outcomes = OutcomeBook()
        self.effects = EffectRunner(_handlers(adapters), outcomes, fence, self.router.enqueue, clock, metrics)
        self.facts = FactBook(adapters, self.router.enqueue, clock)
        parts = Parts(
            cache=self.cache,
            actor=Actor(cluster, self.cache),
            recorder=Recorder(cluster, identity, clock, metrics),
            effects=self.effects,
            outcomes=outcomes,
            facts=self.facts,
            settings=settings,
            clock=clock,
            metrics=metrics,
            forgotten=forgotten,
        )
        self.controllers = tuple(Controller(one, parts, WorkQueue(one.kind, metrics)) for one in domains)
        self.queues = {one.domain.kind: one.queue for one in self.controllers}
        self.router.connect(self.cache, domains, self.queues)
        self._workers = workers
        self._lag = 0.0

    def tasks(self) -> Mapping[str, Coroutine[Any, Any, None]]:
        """What is to run from the start to the end, by name."""
        working = {
            f"worker {number} of {one.domain.kind}": one.work()
            for one in self.controllers
            for number in range(self._workers)
        }
        polling = {
            f"poller {number}": poll(line, self.facts, self.metrics) for number, line in enumerate(self.facts.lines)
        }
        return working | polling | {"resync": self.resync.run(), "heartbeat": self._heartbeat()}

    async def prime(self) -> None:
        await self.resync.prime()
        memory.settle()

    async def duty(self) -> None:
        """The leader's work; to be cancelled when the lease is lost."""
        try:
            await self._look_at_everything()
            for queue in self.queues.values():
                queue.open()
            self.metrics.leader.set(1)
            LOG.info("on duty")
            await asyncio.Event().wait()
        finally:
            self.metrics.leader.set(0)
            self._close()
            self.facts.clear()
            await self.effects.stop()

    async def drain(self) -> None:
        """Take no more keys, and wait for those that are worked on, and for their effects."""
        self._close()
        await asyncio.gather(*(queue.idle() for queue in self.queues.values()), self.effects.idle())

    # --- what the watches tell ---------------------------------------------------------------------------------------
    def seen(self, kind: Kind, raw: Manifest) -> None:
        self.resync.heard(kind)
        self.cache.put(kind, raw)

    def deleted(self, kind: Kind, raw: Manifest) -> None:
        self.resync.heard(kind)
        metadata = raw["metadata"]
        self.cache.remove(kind, metadata["namespace"], metadata["name"], metadata["uid"])

    # --- probes ------------------------------------------------------------------------------------------------------
    def live(self) -> Mapping[str, str | None]:
        silent = self.resync.silent()
        return {
            "event-loop": f"it is {self._lag:.0f} s late" if self._lag > LAG_SECONDS else None,
            "watches": f"dead: {', '.join(sorted(silent))}" if silent else None,
        }

    def ready(self) -> Mapping[str, str | None]:
        return {"caches": None if self.resync.is_primed else "not filled yet"}

    def exposed(self) -> CollectorRegistry:
        for kind, age in self.resync.watch_ages().items():
            self.metrics.watch_age.labels(kind).set(age)
        return self.metrics.registry

    def _close(self) -> None:
        for queue in self.queues.values():
            queue.close()

    async def _look_at_everything(self) -> None:
        """A fresh list before the first decision: the former leader's last acts may not have come by the watch yet."""
        while True:
            try:
                await self.resync.everything()
                break
            except ModelcycleError as error:
                LOG.warning("can't list before the first decision, again in %.0f s: %s", RETRY_SECONDS, error)
                await asyncio.sleep(RETRY_SECONDS)
        self.router.resync()

    async def _heartbeat(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + HEARTBEAT_SECONDS
            await asyncio.sleep(HEARTBEAT_SECONDS)
            self._lag = loop.time() - due
            self.metrics.loop_lag.set(self._lag)


def _handlers(adapters: Sequence[Adapter]) -> Mapping[type[Effect], EffectHandler]:
    return {effect: handler for adapter in adapters for effect, handler in adapter.effects.items()}
