"""The ``ModelTraining`` domain as the runtime knows it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from modelcycle.api.v1alpha1.training import AttemptState, TrainingStatus
from modelcycle.cluster.views import View
from modelcycle.core.conditions import ending, find
from modelcycle.core.observed import JobView, Observed, PodView, Resource
from modelcycle.core.plan import Facts, Outcomes, Plan, Ref
from modelcycle.runtime.ports import CacheReader, Key
from modelcycle.settings import Settings
from modelcycle.training import attempts
from modelcycle.training.children import job_name
from modelcycle.training.decide import decide

_OPEN = frozenset({AttemptState.PENDING, AttemptState.RUNNING, AttemptState.SUSPENDED})


class TrainingDomain:
    """Gathers Jobs and pods of a training and decides."""

    kind = "ModelTraining"

    def observe(
        self, resource: Resource[Any, Any], cache: CacheReader, outcomes: Outcomes, facts: Facts, settings: Settings
    ) -> Observed[Any, Any]:
        return Observed(
            resource=resource,
            settings=settings,
            jobs=cache.owned(JobView, resource.uid),
            pods=cache.owned(PodView, resource.uid),
            outcomes=outcomes,
            facts=facts,
        )

    def expected(self, resource: Resource[Any, Any]) -> Iterable[Ref]:
        """Jobs whose absence must be certain.

        That of an attempt that has not ended, since its absence costs an attempt. And that of the next attempt before
        it is said that the training is suspended: it may have been made by a request whose answer got lost.
        """
        status: TrainingStatus = resource.status
        if ending(status.conditions) is not None:
            return ()
        names = [attempt.job for attempt in status.attempts if attempt.state in _OPEN]
        said = find(status.conditions, "Suspended")
        if (
            resource.spec is not None
            and resource.spec.suspend
            and not (said is not None and said.observed_generation == resource.generation)
        ):
            names.append(job_name(resource, attempts.latest_number(resource, ()) + 1))
        return tuple(Ref("batch/v1", "Job", resource.namespace, name) for name in names)

    def decide(self, observed: Observed[Any, Any], now: datetime) -> Plan[Any]:
        return decide(observed, now)

    def concerned(self, kind: str, view: View, cache: CacheReader) -> Iterable[Key]:
        """Nothing but a training and its own children concerns it."""
        return ()


DOMAIN = TrainingDomain()
