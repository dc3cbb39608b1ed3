"""The ``RetrainPolicy`` domain as the runtime knows it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from modelcycle.cluster.views import View
from modelcycle.core.observed import JobView, Observed, PodView, Resource
from modelcycle.core.plan import Facts, Outcomes, Plan, Ref
from modelcycle.retrain.decide import decide
from modelcycle.retrain.observed import PolicyObserved
from modelcycle.runtime.ports import CacheReader, Key
from modelcycle.settings import Settings


class RetrainDomain:
    """Gathers the watched deployment, the policy's trainings and evaluation Jobs, and decides."""

    kind = "RetrainPolicy"

    def observe(
        self, resource: Resource[Any, Any], cache: CacheReader, outcomes: Outcomes, facts: Facts, settings: Settings
    ) -> PolicyObserved:
        watched = resource.spec.deployment.name if not resource.invalid else ""
        siblings = tuple(
            other for other in cache.about(self.kind, resource.namespace, watched) if other.uid != resource.uid
        )
        return PolicyObserved(
            resource=resource,
            settings=settings,
            jobs=cache.owned(JobView, resource.uid),
            pods=cache.owned(PodView, resource.uid),
            outcomes=outcomes,
            facts=facts,
            deployment=cache.get(Resource, "ModelDeployment", resource.namespace, watched) if watched else None,
            trainings=tuple(cache.owned(Resource, resource.uid)),
            siblings=siblings,
        )

    def expected(self, resource: Resource[Any, Any]) -> Iterable[Ref]:
        """Nothing: what a cycle lacks is made again under the same name, and a 409 is success."""
        return ()

    def decide(self, observed: Observed[Any, Any], now: datetime) -> Plan[Any]:
        if not isinstance(observed, PolicyObserved):
            raise TypeError(f"a RetrainPolicy is decided on a PolicyObserved, not on {type(observed).__name__}")
        return decide(observed, now)

    def concerned(self, kind: str, view: View, cache: CacheReader) -> Iterable[Key]:
        """A deployment concerns those that watch it, a policy its siblings; a training has the label of its policy."""
        watched = view.name if kind == "ModelDeployment" else None
        if kind == self.kind and isinstance(view, Resource) and not view.invalid:
            watched = view.spec.deployment.name
        policies = cache.about(self.kind, view.namespace, watched) if watched is not None else ()
        return tuple(Key(self.kind, one.namespace, one.name) for one in policies if one.uid != view.uid)


DOMAIN = RetrainDomain()
