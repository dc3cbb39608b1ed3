"""The ``RetrainPolicy`` domain as the runtime knows it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from modelcycle import constants as names
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
            other
            for other in cache.in_namespace(self.kind, resource.namespace)
            if other.uid != resource.uid and not other.invalid and other.spec.deployment.name == watched
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
        """A deployment concerns the policies that watch it, a policy its siblings, a training its policy."""
        if not isinstance(view, Resource):
            return ()
        policies = cache.in_namespace(self.kind, view.namespace)
        return tuple(Key(self.kind, p.namespace, p.name) for p in policies if _concerns(kind, view, p))


def _concerns(kind: str, view: Resource[Any, Any], policy: Resource[Any, Any]) -> bool:
    if kind == "ModelTraining":
        return view.labels.get(names.LABEL_POLICY_UID) == policy.uid
    if policy.invalid:
        return False
    if kind == "ModelDeployment":
        return bool(policy.spec.deployment.name == view.name)
    same = kind == "RetrainPolicy" and not view.invalid and policy.uid != view.uid
    return bool(same and view.spec.deployment.name == policy.spec.deployment.name)


DOMAIN = RetrainDomain()
