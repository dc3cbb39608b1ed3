"""How many pods of each deployment are ready, as a metric of the operator: also where no pod is left to be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from modelcycle.core.names import label_value
from modelcycle.core.observed import DeploymentView, Resource
from modelcycle.deployment.domain import DOMAIN
from modelcycle.deployment.scene import ModelDeployment
from modelcycle.runtime.cache import Cache

NAME = "modelcycle_deployment_ready_replicas"
# Not "namespace": that one is the operator's, wherever Prometheus labels what it reads by its pod.
LABELS = ("resource_namespace", "deployment")


def ready_replicas(deployment: ModelDeployment, workloads: Iterable[DeploymentView]) -> int | None:
    """Ready pods of all versions, whichever serve; None for what need not serve: it never has, or it is going."""
    if deployment.deleting or deployment.status.stable is None:
        return None
    return sum(workload.ready for workload in workloads)


class ReadyReplicas(Collector):
    """Counts at each scrape what ``cache`` has then, so that nothing has to be kept current or taken back."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(NAME, "Ready pods of a ModelDeployment that has served", labels=LABELS)
        for key in self._cache.keys(DOMAIN.kind):
            deployment = self._cache.get(Resource, key.kind, key.namespace, key.name)
            if deployment is None or deployment.status is None:  # a status that can't be read is told elsewhere
                continue
            ready = ready_replicas(deployment, self._cache.owned(DeploymentView, deployment.uid))
            if ready is not None:
                family.add_metric((key.namespace, label_value(key.name)), ready)
        yield family
