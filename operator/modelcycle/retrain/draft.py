"""A plan while it is being worked out: the one mutable thing of a decision, made and dropped within it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from modelcycle.api.v1alpha1.retrain import RetrainSpec
from modelcycle.api.v1alpha1.retrain_status import RetrainStatus
from modelcycle.core.plan import Effect, Event, EventType, FactRequest, Manifest, Outcome, Plan, Ref
from modelcycle.retrain.guards import Hold
from modelcycle.retrain.metrics import Ask
from modelcycle.retrain.observed import Deployment, Policy, PolicyObserved
from modelcycle.settings import MlflowEndpoint


class Draft:
    """Collects what a policy's plan consists of.

    ``doing``: what a cycle that is under way waits for, for people. ``waits``: why it goes no further, if it can't.
    """

    def __init__(self, observed: PolicyObserved, now: datetime, deployment: Deployment, mlflow: MlflowEndpoint) -> None:
        self.observed = observed
        self.now = now
        self.deployment = deployment
        self.mlflow = mlflow
        self.status: RetrainStatus = observed.resource.status
        self.doing = ""
        self.waits: Hold | None = None
        self._apply: list[Manifest] = []
        self._create: list[Manifest] = []
        self._delete: list[Ref] = []
        self._effects: list[Effect] = []
        self._events: list[Event] = []
        self._facts: set[FactRequest] = set()
        self._look_again: list[timedelta] = []

    @property
    def policy(self) -> Policy:
        return self.observed.resource

    @property
    def spec(self) -> RetrainSpec:
        return self.observed.resource.spec

    def change(self, **changes: Any) -> None:  # noqa: ANN401 (fields of the status, validated by evolve)
        self.status = self.status.evolve(**changes)

    def ask(self, effect: Effect) -> Outcome | None:
        """The outcome of ``effect`` if it is there; otherwise, or if it failed for now, it is asked for (again)."""
        outcome = self.observed.outcomes.get(effect)
        if outcome is None or not outcome.ok:
            self._effects.append(effect)
        return outcome

    def done(self, effect: Effect) -> bool:
        """Whether ``effect`` was carried out; asks for it until it was, and says what keeps it."""
        outcome = self.ask(effect)
        if outcome is not None and not outcome.ok:
            self.doing = f"{self.doing} waits for MLflow: {outcome.error}".strip()
        return outcome is not None and outcome.ok

    def want(self, ask: Ask) -> None:
        self._facts |= ask.facts

    def keep_fresh(self, fact: FactRequest) -> None:
        self._facts.add(fact)

    def apply(self, manifest: Manifest) -> None:
        self._apply.append(manifest)

    def create(self, manifest: Manifest) -> None:
        self._create.append(manifest)

    def delete(self, ref: Ref) -> None:
        self._delete.append(ref)

    def say(self, reason: str, note: str, transition: str, *, warning: bool = False) -> None:
        type_ = EventType.WARNING if warning else EventType.NORMAL
        self._events.append(Event(reason, note, transition, type_))

    def look_again_at(self, when: datetime | None) -> None:
        if when is not None:
            self._look_again.append(max(when - self.now, timedelta(seconds=1)))

    def plan(self) -> Plan[RetrainStatus]:
        return Plan(
            status=self.status,
            apply=tuple(self._apply),
            create=tuple(self._create),
            delete=tuple(self._delete),
            effects=tuple(self._effects),
            events=tuple(self._events),
            facts=frozenset(self._facts),
            look_again=min(self._look_again, default=None),
        )
