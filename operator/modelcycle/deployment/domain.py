"""The ``ModelDeployment`` domain as the runtime knows it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from modelcycle.api.v1alpha1.deployment import DeploymentStatus
from modelcycle.cluster.views import View
from modelcycle.core.observed import DeploymentView, ObjectView, Observed, PodView, Resource
from modelcycle.core.plan import Facts, Outcomes, Plan, Ref
from modelcycle.deployment.children import workload_name
from modelcycle.deployment.decide import decide
from modelcycle.runtime.ports import CacheReader, Key
from modelcycle.settings import Settings


class DeploymentDomain:
    """Gathers the children of a deployment and decides."""

    kind = "ModelDeployment"

    def observe(
        self, resource: Resource[Any, Any], cache: CacheReader, outcomes: Outcomes, facts: Facts, settings: Settings
    ) -> Observed[Any, Any]:
        return Observed(
            resource=resource,
            settings=settings,
            pods=cache.owned(PodView, resource.uid),
            deployments=cache.owned(DeploymentView, resource.uid),
            objects=cache.owned(ObjectView, resource.uid),
            outcomes=outcomes,
            facts=facts,
        )

    def expected(self, resource: Resource[Any, Any]) -> Iterable[Ref]:
        """The Deployments of all versions of the status: that one of them is gone must be certain."""
        status: DeploymentStatus = resource.status
        served = (status.stable, status.candidate, *status.retiring)
        return tuple(
            Ref("apps/v1", "Deployment", resource.namespace, workload_name(resource, one))
            for one in served
            if one is not None
        )

    def decide(self, observed: Observed[Any, Any], now: datetime) -> Plan[Any]:
        return decide(observed, now)

    def concerned(self, kind: str, view: View, cache: CacheReader) -> Iterable[Key]:
        """Nothing but a deployment and its own children concerns it: versions and aliases come as facts."""
        return ()


DOMAIN = DeploymentDomain()
