"""Lists what is watched: to fill the cache at the start, and from time to time to repair what a watch missed."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

from modelcycle.cluster.kinds import CHILDREN, OURS, Kind
from modelcycle.cluster.port import Cluster
from modelcycle.constants import LABEL_MANAGED_BY, MANAGED_BY
from modelcycle.errors import Expired, ModelcycleError, NotFound, Unavailable
from modelcycle.runtime.cache import Cache, Named
from modelcycle.runtime.metrics import Metrics

LOG = logging.getLogger(__name__)
RELIST_SECONDS = 600.0
RETRY_SECONDS = 5.0
LIST_TRIES = 3
SELECTOR = f"{LABEL_MANAGED_BY}={MANAGED_BY}"  # of children; all of our own kinds are ours


class Resync:
    """``namespaces`` empty: the whole cluster. ``relist_seconds``: between two lists of the same kind."""

    def __init__(
        self,
        cluster: Cluster,
        cache: Cache,
        metrics: Metrics,
        namespaces: Sequence[str],
        look_at_everything: Callable[[], None],
        monotonic: Callable[[], float],
        relist_seconds: float = RELIST_SECONDS,
    ) -> None:
        self._cluster = cluster
        self._cache = cache
        self._metrics = metrics
        self._namespaces: Sequence[str | None] = namespaces or [None]
        self._look_at_everything = look_at_everything
        self._monotonic = monotonic
        self._relist_seconds = relist_seconds
        self._heard: dict[str, float] = {}
        self._listed: dict[str, float] = {}
        self._silent: set[str] = set()
        self.is_primed = False

    async def prime(self) -> None:
        """Fill the cache; waits for an API server that does not answer yet, and for CRDs that are not installed yet."""
        while not self.is_primed:
            try:
                await self.everything()
                self.is_primed = True
            except NotFound as error:
                LOG.error("the CRDs are not installed, apply them (`modelcycle crds | kubectl apply -f -`): %s", error)
            except Unavailable as error:
                LOG.warning("waiting for the API server: %s", error)
            if not self.is_primed:
                await asyncio.sleep(RETRY_SECONDS)

    async def everything(self) -> None:
        """One relist of all kinds. Raises what listing raises."""
        for kind in (*OURS, *CHILDREN):
            await self._relist(kind)

    async def run(self) -> None:
        """Relist each kind now and then, one after the other, then look at every key. Never returns."""
        while True:
            for kind in (*OURS, *CHILDREN):
                await asyncio.sleep(self._relist_seconds / len((*OURS, *CHILDREN)) * random.uniform(0.8, 1.2))  # noqa: S311
                try:
                    await self._relist(kind)
                except ModelcycleError as error:
                    LOG.warning("relist of %s failed, again later: %s", kind.plural, error)
            self._look_at_everything()

    def heard(self, kind: Kind) -> None:
        """A watch event of ``kind`` came."""
        self._heard[kind.name] = self._monotonic()
        self._silent.discard(kind.name)

    def watch_ages(self) -> dict[str, float]:
        """Seconds since the last watch event of each kind. Long is normal where nothing happens."""
        now = self._monotonic()
        return {kind: now - at for kind, at in self._heard.items()}

    def silent(self) -> frozenset[str]:
        """Kinds whose watch is dead: things changed between two relists, and it said nothing at all."""
        return frozenset(self._silent)

    async def _relist(self, kind: Kind) -> None:
        selector = None if kind in OURS else SELECTOR
        before, now = self._listed.get(kind.name), self._monotonic()
        # At once: a new leader begins to work only when it has listed everything.
        repaired = sum(await asyncio.gather(*(self._repaired(kind, one, selector) for one in self._namespaces)))
        self._listed[kind.name] = now
        if repaired and before is not None:
            self._found_missed(kind, repaired, before)

    async def _repaired(self, kind: Kind, namespace: str | None, selector: str | None) -> int:
        """Make the cache what a list shows, but for what is newer here. Returns how many objects it had wrong."""
        for _ in range(LIST_TRIES):
            try:
                return await self._compared(kind, namespace, selector)
            except Expired as error:
                last = error
        raise Unavailable(f"list {kind.plural}: the list is outdated before it is read, {LIST_TRIES} times: {last}")

    async def _compared(self, kind: Kind, namespace: str | None, selector: str | None) -> int:
        """Page by page: thousands of objects as JSON at once would be more than all else that this process keeps."""
        repaired, listed, version = 0, set[Named](), ""
        async for page in self._cluster.pages(kind, namespace, selector):
            repaired += sum(self._cache.put(kind, raw) for raw in page.items)
            listed |= {(raw["metadata"]["namespace"], raw["metadata"]["name"]) for raw in page.items}
            version = page.resource_version
        return repaired + self._cache.prune(kind, namespace, listed, version)

    def _found_missed(self, kind: Kind, repaired: int, since: float) -> None:
        """The list may be milliseconds ahead of the watch: only a watch that was silent for the whole time is dead."""
        LOG.warning("the relist of %s repaired %d objects of the cache", kind.plural, repaired)
        self._metrics.repairs.labels(kind.name).inc(repaired)
        if self._heard.get(kind.name, 0.0) < since and self._monotonic() - since > self._relist_seconds / 2:
            self._silent.add(kind.name)
