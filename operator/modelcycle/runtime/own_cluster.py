"""What adapters have in common whose outside is the cluster that the operator itself runs in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from modelcycle.cluster.port import Cluster
from modelcycle.core.plan import FactRequest
from modelcycle.runtime.ports import Poller

ENDPOINT = "cluster"


class OwnCluster:
    """See ``modelcycle.runtime.ports.Adapter``: effects only, since what is in the cluster is watched anyway."""

    facts: frozenset[type[FactRequest]] = frozenset()
    pollers: Mapping[str, Poller] = MappingProxyType({})

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def close(self) -> None:
        """Nothing is held open: the cluster belongs to the runtime."""
