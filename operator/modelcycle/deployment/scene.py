"""What one pass looks at, and what it has worked out so far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from modelcycle import constants as names
from modelcycle.api.v1alpha1.deployment import DeploymentSpec, DeploymentStatus, ServedVersion
from modelcycle.core.observed import DeploymentView, Observed, PodView, Resource
from modelcycle.core.plan import Effect, Event, Fact, FactRequest, Outcome
from modelcycle.deployment.trouble import Trouble, trouble
from modelcycle.registry.port import ModelFact, ModelReading
from modelcycle.settings import MlflowEndpoint, PrometheusEndpoint

ModelDeployment = Resource[DeploymentSpec, DeploymentStatus]


@dataclass(frozen=True, slots=True)
class DeploymentObserved(Observed[DeploymentSpec, DeploymentStatus]):
    """``left``: owner tags, of those that the registry shows, whose deployment is gone for good."""

    left: frozenset[str] = frozenset()


STALE_AFTER = timedelta(minutes=2)
"""A reading of the registry older than this is Unknown: no rollout is started or ended because of it."""

READY, PROGRESSING, DEGRADED, STALLED = "Ready", "Progressing", "Degraded", "Stalled"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a policy has to say under a condition type; the first one of a type becomes the condition."""

    type: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Scene:
    """What is seen, and when. Nothing in here changes during a pass."""

    observed: DeploymentObserved
    now: datetime

    @property
    def resource(self) -> ModelDeployment:
        return self.observed.resource

    @property
    def spec(self) -> DeploymentSpec:
        return self.resource.spec

    @property
    def written(self) -> DeploymentStatus:
        """The status as it is persisted: what may be acted on."""
        return self.resource.status

    @property
    def mlflow(self) -> MlflowEndpoint | None:
        return self.observed.settings.endpoints.mlflow_named(self.spec.mlflow, self.resource.namespace)

    @property
    def prometheus(self) -> PrometheusEndpoint | None:
        return self.observed.settings.endpoints.prometheus_named(self.spec.prometheus, self.resource.namespace)

    @property
    def model_fact(self) -> ModelFact:
        return ModelFact(self.spec.mlflow, self.spec.model.name)

    @property
    def fact(self) -> Fact | None:
        return self.observed.facts.get(self.model_fact)

    @property
    def reading(self) -> ModelReading | None:
        """The registered model as the registry has it; None when that is not known, or no longer."""
        fact = self.fact
        if fact is None or not fact.fresh(self.now, STALE_AFTER) or not isinstance(fact.value, ModelReading):
            return None
        return fact.value

    def outcome(self, effect: Effect) -> Outcome | None:
        return self.observed.outcomes.get(effect)

    def annotation(self, name: str) -> str | None:
        return self.resource.annotations.get(name)

    def workload(self, version: str) -> DeploymentView | None:
        """The Deployment of a version."""
        return next((d for d in self.observed.deployments if version_of(d) == version), None)

    def pods(self, version: str) -> tuple[PodView, ...]:
        return tuple(p for p in self.observed.pods if p.labels.get(names.LABEL_MODEL_VERSION) == version)

    def trouble(self, version: str) -> Trouble | None:
        """Why pods of a version are not ready, if something is wrong."""
        return trouble(self.pods(version), self.workload(version))

    def ready(self, version: str) -> int:
        """Ready pods of a version."""
        workload = self.workload(version)
        return workload.ready if workload else 0


def version_of(workload: DeploymentView) -> str | None:
    return workload.labels.get(names.LABEL_MODEL_VERSION)


def verdict_of(status: DeploymentStatus, version: str) -> str | None:
    """The verdict that ``version`` has here, if any."""
    return next((record.verdict.value for record in status.verdicts if record.version == version), None)


def known(status: DeploymentStatus, version: str) -> ServedVersion | None:
    """What the status records of ``version``: enough to serve it without the registry."""
    records = (status.stable, status.candidate, status.previous)
    return next((record for record in records if record is not None and record.version == version), None)


@dataclass(frozen=True, slots=True)
class Draft:
    """The plan as it is being worked out, policy by policy."""

    status: DeploymentStatus
    effects: tuple[Effect, ...] = ()
    events: tuple[Event, ...] = ()
    facts: frozenset[FactRequest] = frozenset()
    findings: tuple[Finding, ...] = ()
    look_again: timedelta | None = field(default=None)

    def with_status(self, **changes: object) -> Draft:
        if all(getattr(self.status, name) == value for name, value in changes.items()):
            return self  # nearly always: most passes change nothing, and validating a status takes its time
        return replace(self, status=self.status.evolve(**changes))

    def asking(self, *effects: Effect) -> Draft:
        return replace(self, effects=(*self.effects, *effects))

    def watching(self, facts: Iterable[FactRequest]) -> Draft:
        return replace(self, facts=self.facts | frozenset(facts))

    def telling(self, *events: Event) -> Draft:
        return replace(self, events=(*self.events, *events))

    def finding(self, type_: str, reason: str, message: str) -> Draft:
        return replace(self, findings=(*self.findings, Finding(type_, reason, message)))

    def again(self, after: timedelta) -> Draft:
        """Look again after this time, or earlier if somebody else wants that."""
        sooner = after if self.look_again is None else min(after, self.look_again)
        return replace(self, look_again=max(sooner, timedelta(seconds=1)))
