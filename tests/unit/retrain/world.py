"""A policy with its deployment and made-up metrics, driven pass by pass as the runtime does it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from modelcycle import constants as names
from modelcycle.api.v1alpha1.common import Condition, ConditionStatus
from modelcycle.api.v1alpha1.deployment import (
    Candidate,
    DeploymentSpec,
    DeploymentStatus,
    ServedVersion,
    Verdict,
    VerdictRecord,
)
from modelcycle.api.v1alpha1.retrain import RetrainSpec
from modelcycle.api.v1alpha1.retrain_status import RetrainStatus
from modelcycle.api.v1alpha1.training import RegisteredVersion, TrainingSpec, TrainingStatus
from modelcycle.core.conditions import find
from modelcycle.core.observed import ContainerView, JobView, PodView, Resource
from modelcycle.core.plan import Effect, Fact, FactRequest, Outcome, Plan
from modelcycle.metricstore.port import MetricQuery, Reading, Series
from modelcycle.registry.port import ModelFact, ModelReading, ReadVersion, SetAlias, SetVersionTags, VersionInfo
from modelcycle.retrain.decide import decide
from modelcycle.retrain.observed import PolicyObserved
from modelcycle.settings import Endpoints, MlflowEndpoint, PrometheusEndpoint, Settings

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BORN = NOW - timedelta(minutes=5)
UID = "99999999-2222-3333-4444-555555555555"
SETTINGS = Settings(
    cluster_id="c1",
    serving_image="serving:1",
    endpoints=Endpoints(
        mlflow=(MlflowEndpoint(name="default", url="http://mlflow:5000"),),
        prometheus=(PrometheusEndpoint(name="default", url="http://prometheus:9090"),),
    ),
)
LOSS_TRIGGER = {
    "name": "loss",
    "loss": {"window": {"rows": 60}, "reference": "Absolute", "bound": "1.5", "minRows": 40},
}
TEMPLATE = {
    "image": "train:1",
    "data": [{"name": "market", "path": "/data", "persistentVolumeClaim": {"claimName": "market"}}],
}
GATE = {"data": {"source": "market", "file": "hedge.csv", "timeColumn": "date", "labelColumn": "y"}}


def spec(**changes: Any) -> RetrainSpec:
    document = {
        "deployment": {"name": "hedge"},
        "mode": "Enforce",
        "triggers": [LOSS_TRIGGER],
        "cooldown": {"rows": 100},
        "gate": GATE,
        "template": TEMPLATE,
    }
    return RetrainSpec.model_validate(document | changes)


class World:
    """``give_rows`` adds labelled rows of a version; ``step`` decides once and takes the plan's status over."""

    def __init__(self, **changes: Any) -> None:
        self.spec = spec(**changes)
        self.status = RetrainStatus()
        self.now = NOW
        self.annotations: dict[str, str] = {}
        self.md_status = DeploymentStatus(stable=served("1", since=BORN))
        self.series: dict[tuple[str, str], list[tuple[float, float]]] = {}
        self.watermark: datetime | None = None
        self.metrics_error: str | None = None
        self.trainings: tuple[Resource[Any, Any], ...] = ()
        self.jobs: tuple[JobView, ...] = ()
        self.pods: tuple[PodView, ...] = ()
        self.siblings: tuple[Resource[Any, Any], ...] = ()
        self.outcomes: dict[Effect, Outcome] = {}
        self.facts: frozenset[FactRequest] = frozenset()
        self.created: list[dict[str, Any]] = []
        self.applied: list[dict[str, Any]] = []
        self.deleted: list[str] = []
        self._transitions: dict[str, str] = {}
        self.notes: dict[str, str] = {}
        self.asked: list[Effect] = []
        self.deployment_exists = True
        self.baseline_loss: str | None = None
        self.champion: str | None = None
        self.challenger: str | None = None
        self.model: dict[str, Any] = {}
        self.registry_error: str | None = None

    # --- the outside -------------------------------------------------------------------------------------------------
    def give_rows(self, rows: int, loss: float, version: str = "1", event_time: datetime | None = None) -> None:
        """Labelled rows with this loss, seen by a scrape ten seconds from now."""
        self.now += timedelta(seconds=10)
        at = self.now.timestamp()
        amounts = {
            names.METRIC_FEEDBACK_ROWS: float(rows),
            names.METRIC_LOSS_POSITIVE: rows * max(loss, 0),
            names.METRIC_LOSS_NEGATIVE: rows * max(-loss, 0),
        }
        for metric, amount in amounts.items():
            points = self.series.setdefault((metric, version), [(BORN.timestamp() + 30, 0.0)])
            points.append((at, points[-1][1] + amount))
        self.watermark = event_time or self.now

    def reading(self, query: MetricQuery) -> Reading:
        start, at = float(query.start or 0), self.now.timestamp()
        series = [
            Series(
                (("__name__", metric), ("pod", "p"), ("version", version)),
                tuple(p for p in points if start <= p[0] <= at),
            )
            for (metric, version), points in self.series.items()
        ]
        if self.watermark is not None:
            series.append(Series((("__name__", names.METRIC_WATERMARK),), ((at, self.watermark.timestamp()),)))
        return Reading(at, tuple(s for s in series if s.points), start, float(query.step_seconds or 1))

    def _answer(self, effect: Effect) -> Outcome | None:
        if isinstance(effect, ReadVersion):
            tags = ((names.TAG_BASELINE_LOSS, self.baseline_loss),) if self.baseline_loss else ()
            version = VersionInfo(
                effect.model, effect.version, "run", "mlflow-artifacts:/m", "mlflow-artifacts:/r", (), "d", tags
            )
            return Outcome(self.now, version)
        if isinstance(effect, SetAlias):
            self.challenger = effect.version
        if isinstance(effect, SetAlias | SetVersionTags):
            return Outcome(self.now)
        return None

    def train(self, version: str = "2", *, well: bool = True) -> None:
        """The training of the current cycle ends."""
        assert self.status.cycle is not None
        status = TrainingStatus(
            conditions=(_condition("Succeeded", "Registered" if well else "UserError", well=well),),
            registered=RegisteredVersion(model="quant.hedge", version=version, digest="d" * 64) if well else None,
        )
        labels = {names.LABEL_POLICY_UID: UID, names.LABEL_CYCLE: str(self.status.cycle.number)}
        training = Resource(
            "quant", self.status.cycle.training, "t", 1, "1", self.now, TRAINING_SPEC, status, {}, labels=labels
        )
        self.trainings = (*(t for t in self.trainings if t.name != training.name), training)

    def judge(self, said: str | None, *, complete: bool = True) -> None:
        """The gate's Job ends with these last words."""
        assert self.applied
        name = self.applied[-1]["metadata"]["name"]
        labels = self.applied[-1]["metadata"]["labels"]
        self.jobs = (JobView("quant", name, "j", labels, None, self.now, complete=complete, failed=not complete),)
        container = ContainerView("gate", exit_code=0 if complete else 1, terminated_message=said)
        self.pods = (PodView("quant", f"{name}-x", "p", {}, self.now, "Succeeded", containers=(container,)),)

    def deliver(self, version: str, verdict: Verdict) -> None:
        """The deployment's rollout ends."""
        record = VerdictRecord(version=version, verdict=verdict, reason=verdict.value, message="numbers", time=self.now)
        stable = served(version, since=self.now) if verdict is Verdict.PROMOTED else self.md_status.stable
        self.md_status = self.md_status.evolve(
            verdicts=(*self.md_status.verdicts, record)[-20:], stable=stable, candidate=None
        )

    def roll(self, version: str) -> None:
        self.md_status = self.md_status.evolve(candidate=Candidate(version=version))

    @property
    def events(self) -> list[str]:
        return list(self._transitions.values())

    @property
    def deployment_spec(self) -> DeploymentSpec:
        return DeploymentSpec.model_validate({"model": {"name": "quant.hedge"} | self.model})

    def _registered(self) -> Fact:
        """Alias champion names ``champion``, or what serves if that is not set; ``challenger`` what it was set to."""
        if self.registry_error:
            return Fact(None, error=self.registry_error)
        serving = self.md_status.stable.version if self.md_status.stable else None
        named = self.champion or serving
        aliases = (("champion", named), ("challenger", self.challenger))
        return Fact(self.now, ModelReading(True, tuple((name, to) for name, to in aliases if to)))

    # --- passes ------------------------------------------------------------------------------------------------------
    def observed(self) -> PolicyObserved:
        policy = Resource(
            "quant", "keep-good", UID, 1, "1", BORN, self.spec, self.status, {}, annotations=self.annotations
        )
        deployment = Resource("quant", "hedge", "md", 1, "1", BORN, self.deployment_spec, self.md_status, {})
        facts: dict[FactRequest, Fact] = {
            request: Fact(None, error=self.metrics_error)
            if self.metrics_error
            else Fact(self.now, self.reading(request))
            for request in self.facts
            if isinstance(request, MetricQuery)
        }
        facts |= {request: self._registered() for request in self.facts if isinstance(request, ModelFact)}
        return PolicyObserved(
            policy,
            SETTINGS,
            jobs=self.jobs,
            pods=self.pods,
            outcomes=self.outcomes,
            facts=facts,
            deployment=deployment if self.deployment_exists else None,
            trainings=self.trainings,
            siblings=self.siblings,
        )

    def step(self) -> Plan[RetrainStatus]:
        plan = decide(self.observed(), self.now)
        assert plan == decide(self.observed(), self.now), "the same observation must give the same plan"
        self.created += plan.create
        self.applied += plan.apply
        self.deleted += [ref.name for ref in plan.delete]
        for event in plan.events:  # an event of the same transition has the same name: it is made once
            self._transitions.setdefault(event.transition, event.reason)
            self.notes.setdefault(event.reason, event.note)
        for effect in plan.effects:
            self.asked.append(effect)
            answer = self._answer(effect)
            if answer is not None:
                self.outcomes[effect] = answer
        self.facts = plan.facts
        self.status = plan.status
        return plan

    def settle(self) -> Plan[RetrainStatus]:
        for _ in range(6):
            plan = self.step()
        return plan

    def reason(self, type_: str) -> str:
        condition = find(self.status.conditions, type_)
        return f"{condition.status.value}/{condition.reason}" if condition else "absent"

    def run_cycle(self, verdict: Verdict = Verdict.PROMOTED, version: str = "2", gate: str | None = None) -> None:
        """From a cycle that has just started to its end."""
        self.train(version)
        self.settle()
        self.judge(gate or PASSED)
        self.settle()
        if self.status.cycle is not None:
            self.deliver(version, verdict)
            self.settle()


def bad_world(**changes: Any) -> World:
    """A champion whose loss got bad, looked at until the policy has done what it wants."""
    world = World(**changes)
    world.settle()
    world.give_rows(80, loss=2.0)
    world.settle()
    return world


PASSED = (
    '{"modelcycle": 1, "outcome": "Passed", "reason": "Better", "rows": 60, "championLoss": "1.9", '
    '"challengerLoss": "1.1", "pValue": "0.01", "message": "better"}'
)
REJECTED = PASSED.replace("Passed", "Rejected").replace("Better", "NotBetter")
TRAINING_SPEC = TrainingSpec.model_validate({"image": "train:1", "register": {"model": "quant.hedge"}})


def served(version: str, since: datetime) -> ServedVersion:
    return ServedVersion(version=version, since=since, run_id="r", model_root="mlflow-artifacts:/m", run_root="x:/y")


def _condition(type_: str, reason: str, *, well: bool) -> Condition:
    status = ConditionStatus.TRUE if well else ConditionStatus.FALSE
    return Condition(type=type_, status=status, reason=reason, message="said", last_transition_time=NOW)
