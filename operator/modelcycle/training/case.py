"""One pass over a training: what is seen, when, and the status as it is being worked out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from modelcycle.api.v1alpha1.training import TrainingSpec, TrainingStatus
from modelcycle.core.observed import Observed
from modelcycle.core.plan import Effect, Event, Manifest, Outcome, Plan
from modelcycle.training import children
from modelcycle.training.status import Stage, warnings, with_stage

TrainingObserved = Observed[TrainingSpec, TrainingStatus]
TrainingPlan = Plan[TrainingStatus]
SUSPENDED = Stage("Suspended", "Suspended by spec.suspend; set it to false to go on.", suspended=True)


@dataclass(frozen=True, slots=True)
class Case:
    """One pass: what is seen, when, and the status as it is being worked out."""

    observed: TrainingObserved
    now: datetime
    status: TrainingStatus

    @property
    def training(self) -> children.Training:
        return self.observed.resource

    def with_status(self, status: TrainingStatus) -> Case:
        return replace(self, status=status)

    def unblocked(self) -> Case:
        """Nothing keeps it from starting any more; what may come to do so has its whole time."""
        return self.with_status(self.status.evolve(blocked_since=None, blocked_reason=None))

    def outcome(self, effect: Effect) -> Outcome | None:
        return self.observed.outcomes.get(effect)

    def plan(
        self,
        stage: Stage,
        *,
        apply: tuple[Manifest, ...] = (),
        effects: tuple[Effect, ...] = (),
        events: tuple[Event, ...] = (),
        look_again: timedelta | None = None,
    ) -> TrainingPlan:
        status = with_stage(self.status, self.training, stage, self.now)
        told = (*warnings(self.training.status, stage), *events)
        return Plan(status=status, apply=apply, effects=effects, events=told, look_again=look_again)


def asking(outcome: Outcome | None, doing: str, meanwhile: Stage | None = None) -> Stage:
    """``meanwhile``: what is said while there is no answer; without it that it prepares."""
    if outcome is None or outcome.ok:
        return meanwhile or Stage("Preparing", f"{doing}.")
    if outcome.retryable:
        said = f"{doing} waits for MLflow and goes on by itself when it answers: {outcome.error}"
        return Stage("RegistryUnavailable", said, waits_in=doing)
    return Stage("RegistryRefused", f"{doing} failed: {outcome.error}", stalled=True)
