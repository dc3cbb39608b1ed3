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
from modelcycle.deployment.ownership import is_left, name_of, owners
from modelcycle.deployment.scene import DeploymentObserved
from modelcycle.runtime.ports import CacheReader, Key
from modelcycle.settings import Settings


class DeploymentDomain:
    """Gathers the children of a deployment and decides."""

    kind = "ModelDeployment"

    def observe(
        self, resource: Resource[Any, Any], cache: CacheReader, outcomes: Outcomes, facts: Facts, settings: Settings
    ) -> DeploymentObserved:
        return DeploymentObserved(
            resource=resource,
            settings=settings,
            pods=cache.owned(PodView, resource.uid),
            deployments=cache.owned(DeploymentView, resource.uid),
            objects=cache.owned(ObjectView, resource.uid),
            outcomes=outcomes,
            facts=facts,
            left=frozenset(one for one in owners(facts) if is_left(one, settings, self._uid_of(one, cache))),
        )

    def _uid_of(self, owner: str, cache: CacheReader) -> str | None:
        """Uid of the deployment that has the owner's name now."""
        found = cache.get(Resource, self.kind, *name_of(owner))
        return found.uid if found is not None else None

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
        if not isinstance(observed, DeploymentObserved):
            raise TypeError(f"a ModelDeployment is decided on a DeploymentObserved, not on {type(observed).__name__}")
        return decide(observed, now)

    def concerned(self, kind: str, view: View, cache: CacheReader) -> Iterable[Key]:
        """A deployment concerns those of its namespace for the same model: one that goes leaves the aliases to them.

        Everything else but its own children comes as facts.
        """
        if kind != self.kind or not isinstance(view, Resource) or view.invalid:
            return ()
        others = cache.about(kind, view.namespace, view.spec.model.name)
        return tuple(Key(kind, one.namespace, one.name) for one in others if one.uid != view.uid)


DOMAIN = DeploymentDomain()
