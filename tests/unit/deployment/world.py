"""A world for a deployment to live in: a registry, a cluster and a metric store in memory, driven pass by pass.

It does what the runtime, Kubernetes and MLflow do, no more: plans are carried out in their order, effects' outcomes and
facts are seen by later passes only, and the status goes through JSON as it does in the API server. What must hold at
any time is checked in every pass.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from modelcycle.api.v1alpha1.deployment import DeploymentSpec, DeploymentStatus
from modelcycle.core.conditions import find
from modelcycle.core.observed import ContainerView, ObjectView, Resource
from modelcycle.core.plan import Effect, Event, Fact, FactRequest, Manifest, Outcome, Plan, Ref
from modelcycle.deployment.decide import decide
from modelcycle.deployment.effects import EnsureFeedbackKey
from modelcycle.deployment.scene import DeploymentObserved
from modelcycle.deployment.shares import total
from modelcycle.metricstore.load import InFlight, Load
from modelcycle.metricstore.port import MetricQuery
from modelcycle.registry.poller import POLL_SECONDS
from modelcycle.registry.port import (
    ModelFact,
    MoveAlias,
)
from modelcycle.runtime.facts import is_given_up
from tests.unit.deployment.outside import MODEL, SETTINGS, START, UID, Live, Registry, Workload, metrics


class World:
    """``spec``: fields of the ModelDeployment's spec; the model's name is given."""

    def __init__(self, *, model: dict[str, Any] | None = None, **spec: Any) -> None:
        self.document = {"model": {"name": MODEL} | (model or {})} | spec
        self.status = DeploymentStatus()
        self.annotations: dict[str, str] = {}
        self.registry = Registry()
        self.settings = SETTINGS
        self.workloads: dict[str, Workload] = {}
        self.objects: dict[tuple[str, str], Manifest] = {}
        self.broken: dict[str, ContainerView] = {}
        self.unready: set[str] = set()
        self.live: dict[str, Live] = {}
        self.prometheus_up = True
        self.load: Load | None = None
        self.facts: dict[FactRequest, Fact] = {}
        self.outcomes: dict[Effect, Outcome] = {}
        self.events: dict[tuple[str, str], str] = {}
        self.now = START
        self.generation = 1
        self.invalid: str | None = None
        self.retried: set[str] = set()
        self.left: set[str] = set()
        self.writes = 0

    # --- what decide sees ---------------------------------------------------------------------------------------------
    @property
    def spec(self) -> DeploymentSpec:
        return DeploymentSpec.model_validate(self.document)

    def resource(self) -> Resource[DeploymentSpec, DeploymentStatus]:
        return Resource(
            namespace="quant",
            name="hedge",
            uid=UID,
            generation=self.generation,
            resource_version="1",
            created=START,
            spec=self.spec,
            status=self.status,
            raw_spec={},
            annotations=self.annotations,
            invalid=self.invalid,
        )

    def observed(self) -> DeploymentObserved:
        return DeploymentObserved(
            self.resource(),
            self.settings,
            pods=tuple(pod for w in self.workloads.values() for pod in w.pods(self.broken.get(w.version))),
            deployments=tuple(workload.view(name) for name, workload in self.workloads.items()),
            objects=tuple(
                ObjectView(m["apiVersion"], kind, "quant", name, f"uid-{name}", m["metadata"]["labels"], None)
                for (kind, name), m in self.objects.items()
            ),
            outcomes=dict(self.outcomes),
            facts=dict(self.facts),
            left=frozenset(self.left),
        )

    # --- one pass -----------------------------------------------------------------------------------------------------
    def step(self, requests: int | None = None) -> Plan[DeploymentStatus]:
        """Decide, check, carry out. With ``requests`` the operator is killed after so many, and starts anew."""
        plan = decide(self.observed(), self.now)
        assert plan == decide(self.observed(), self.now), "the same observation must give the same plan"
        self._check(plan)
        before, pods = self._ready(), total(self.spec, self.status)
        for request in self._requests(plan)[:requests]:
            request()
        if requests is not None:
            self.outcomes, self.facts = {}, {}
        self._invariants(before, max(pods, total(self.spec, self.status)))
        return plan

    def _requests(self, plan: Plan[DeploymentStatus]) -> list[Callable[[], None]]:
        """What the runtime does for a plan, in its order."""
        return [
            partial(self._subscribe, plan.facts),
            *(partial(self._apply, manifest) for manifest in plan.apply),
            *(partial(self._delete, ref) for ref in plan.delete),
            *(partial(self._carry_out, effect) for effect in plan.effects),
            *(partial(self._tell, event) for event in plan.events),
            partial(self._write, plan.status),
        ]

    def _delete(self, ref: Ref) -> None:
        self.workloads.pop(ref.name, None)
        self.objects.pop((ref.kind, ref.name), None)

    def _tell(self, event: Event) -> None:
        self.events.setdefault((event.reason, event.transition), event.note)

    def _write(self, status: DeploymentStatus) -> None:
        after = DeploymentStatus.model_validate(json.loads(json.dumps(status.manifest())))
        assert after.manifest() == status.manifest(), "the API server keeps everything of the status"
        self.writes += after.manifest() != self.status.manifest()
        self.status = after

    def _check(self, plan: Plan[DeploymentStatus]) -> None:
        for effect in plan.effects:
            if isinstance(effect, MoveAlias):
                intents = {(m.alias, m.to, m.expect) for m in self.status.alias_moves}
                assert (effect.alias, effect.to, effect.expect) in intents, "no alias is moved without its intent"
                judged = {v.version for v in self.status.verdicts} | self.retried
                assert effect.to is None or effect.to in judged, "the verdict comes before the alias"

    def _apply(self, manifest: Manifest) -> None:
        name = manifest["metadata"]["name"]
        assert manifest["metadata"]["ownerReferences"][0]["uid"] == UID
        if manifest["kind"] == "Deployment":
            assert manifest["spec"]["replicas"] >= 1
            before = self.workloads.get(name)
            ready = min(before.ready, manifest["spec"]["replicas"]) if before else 0
            self.workloads[name] = Workload(manifest, ready)
        else:
            self.objects[manifest["kind"], name] = manifest

    def _ready(self) -> int:
        return sum(workload.ready for workload in self.workloads.values())

    def _invariants(self, ready_before: int, pods: int) -> None:
        if self.status.stable is not None and ready_before:
            assert self._ready(), "what we do never takes the last pod that answers"
        versions = [record.version for record in self.status.verdicts]
        assert len(versions) == len(set(versions)), "one verdict for each version"
        wanted = [w for w in self.workloads.values() if w.version in (self.stable, self.candidate)]
        assert sum(w.replicas for w in wanted) <= 2 * pods, "the surge is bounded"

    # --- the outside --------------------------------------------------------------------------------------------------
    def _carry_out(self, effect: Effect) -> None:
        before = self.outcomes.get(effect)
        if before is not None and before.ok:
            return
        if not self.registry.up and not isinstance(effect, EnsureFeedbackKey):
            self.outcomes[effect] = Outcome(
                self.now, error="MLflow does not answer", error_kind="Unavailable", retryable=True
            )
            return
        self.outcomes[effect] = self.registry.answer(effect, self.now)

    def _subscribe(self, wanted: frozenset[FactRequest]) -> None:
        self.facts = {request: self.facts.get(request, Fact(None)) for request in wanted}

    def poll(self) -> None:
        """Read all facts that somebody wants."""
        for request, before in self.facts.items():
            if isinstance(request, ModelFact):
                fact = Fact(self.now, self.registry.reading()) if self.registry.up else None
            elif isinstance(request, InFlight):
                fact = Fact(self.now, self.load) if self.prometheus_up else None
            else:
                assert isinstance(request, MetricQuery)
                fact = Fact(self.now, metrics(request, self.live, self.now)) if self.prometheus_up else None
            self.facts[request] = fact or self._unanswered(before)

    def _unanswered(self, before: Fact) -> Fact:
        given_up = is_given_up(before, self.now, POLL_SECONDS)
        return replace(Fact(None) if given_up else before, error="connection refused")

    # --- driving ------------------------------------------------------------------------------------------------------
    def tick(self, seconds: float = 5, requests: int | None = None) -> Plan[DeploymentStatus]:
        """Time goes on, pods become ready, facts are read, then one pass, which may be cut short as in ``step``."""
        self.now += timedelta(seconds=seconds)
        for workload in self.workloads.values():
            stuck = workload.version in self.broken or workload.version in self.unready
            workload.ready = 0 if stuck else workload.replicas
        self.poll()
        return self.step(requests)

    def settle(self, ticks: int = 15) -> Plan[DeploymentStatus]:
        plan = self.tick()
        for _ in range(ticks):
            plan = self.tick()
        return plan

    def serving(self, version: str = "1", **more: Any) -> World:
        """Settled, with ``version`` as champion."""
        self.registry.aliases["champion"] = version
        self.document |= more
        self.settle()
        assert self.stable == version
        return self

    def challenge(self, version: str) -> None:
        self.registry.aliases["challenger"] = version

    def until(self, step: str, ticks: int = 12) -> World:
        """Go on until the candidate is in ``step``."""
        for _ in range(ticks):
            if self.status.candidate and self.status.candidate.step_name == step:
                return self
            self.tick()
        raise AssertionError(f"never came to step {step}: {self.status.summary}")

    def answered(self, requests: int = 200) -> None:
        """Both versions answer well."""
        for version in (self.stable, self.candidate):
            if version:
                self.live[version] = Live(requests=requests)

    # --- looking ------------------------------------------------------------------------------------------------------
    @property
    def stable(self) -> str | None:
        return self.status.stable.version if self.status.stable else None

    @property
    def candidate(self) -> str | None:
        return self.status.candidate.version if self.status.candidate else None

    @property
    def pods(self) -> dict[str, int]:
        """Version -> pods wanted."""
        return {workload.version: workload.replicas for workload in self.workloads.values()}

    def verdict(self, version: str) -> str | None:
        found = (f"{v.verdict.value}/{v.reason}" for v in self.status.verdicts if v.version == version)
        return next(found, None)

    def condition(self, type_: str) -> str:
        condition = find(self.status.conditions, type_)
        return f"{condition.status.value}/{condition.reason}" if condition else "absent"

    def message(self, type_: str) -> str:
        condition = find(self.status.conditions, type_)
        return condition.message if condition else ""

    def told(self, reason: str) -> int:
        return sum(1 for told, _ in self.events if told == reason)
