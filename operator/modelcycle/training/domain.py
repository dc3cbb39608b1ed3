"""The ``ModelTraining`` domain as the runtime knows it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from modelcycle.api.v1alpha1.training import AttemptState, TrainingStatus
from modelcycle.cluster.views import View
from modelcycle.core.observed import JobView, Observed, PodView, Resource
from modelcycle.core.plan import Facts, Outcomes, Plan, Ref
from modelcycle.runtime.ports import CacheReader, Key
from modelcycle.settings import Settings
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
        """The Job of an attempt that has not ended: its absence costs an attempt, so it must be certain."""
        status: TrainingStatus = resource.status
        return tuple(
            Ref("batch/v1", "Job", resource.namespace, attempt.job)
            for attempt in status.attempts
            if attempt.state in _OPEN
        )

    def decide(self, observed: Observed[Any, Any], now: datetime) -> Plan[Any]:
        return decide(observed, now)

    def concerned(self, kind: str, view: View, cache: CacheReader) -> Iterable[Key]:
        """Nothing but a training and its own children concerns it."""
        return ()


DOMAIN = TrainingDomain()
