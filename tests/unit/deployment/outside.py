"""The outside of a deployment, in memory: MLflow, live requests, and what pods say when they fail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from modelcycle import constants as names
from modelcycle.api.v1alpha1.common import ModelFile
from modelcycle.core.observed import ContainerView, DeploymentView, PodView
from modelcycle.core.plan import Effect, Manifest, Outcome
from modelcycle.deployment.effects import EnsureFeedbackKey
from modelcycle.deployment.metrics import BUCKETS
from modelcycle.metricstore.port import MetricQuery, Reading, Series
from modelcycle.registry.port import (
    AliasMoved,
    ClaimModel,
    ModelReading,
    MoveAlias,
    ReadVersion,
    SetVersionTags,
    VersionInfo,
)
from modelcycle.settings import Endpoints, MlflowEndpoint, PrometheusEndpoint, Settings

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
UID = "11111111-2222-3333-4444-555555555555"
OWNER = f"c1/quant/hedge/{UID}"
MODEL = "quant.hedge"
SETTINGS = Settings(
    cluster_id="c1",
    serving_image="serving:1",
    endpoints=Endpoints(
        mlflow=(MlflowEndpoint(name="default", url="http://mlflow:5000", model_prefixes=("{namespace}.",)),),
        prometheus=(PrometheusEndpoint(name="default", url="http://prometheus:9090"),),
    ),
)


def version_info(version: str) -> VersionInfo:
    return VersionInfo(
        model=MODEL,
        version=version,
        run_id=f"run{version}",
        model_root=f"mlflow-artifacts:/7/models/m-{version}/artifacts",
        run_root=f"mlflow-artifacts:/7/run{version}/artifacts",
        files=(ModelFile(path="model/model.onnx", size=10, sha256="a" * 64),),
        digest="b" * 64,
    )


@dataclass
class Registry:
    """MLflow. ``up``: it answers."""

    aliases: dict[str, str] = field(default_factory=dict)
    exists: bool = True
    owner: str | None = OWNER
    up: bool = True
    versions: set[str] = field(default_factory=lambda: {str(n) for n in range(1, 10)})
    unusable: dict[str, tuple[str, str]] = field(default_factory=dict)
    refuses_moves: bool = False
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    moves: list[MoveAlias] = field(default_factory=list)

    def reading(self) -> ModelReading:
        return ModelReading(self.exists, tuple(sorted(self.aliases.items())), self.owner)

    def answer(self, effect: Effect, now: datetime) -> Outcome:
        """Carry an effect out."""
        match effect:
            case ReadVersion(version=version):
                if version in self.unusable:
                    kind, message = self.unusable[version]
                    return Outcome(now, error=message, error_kind=kind)
                if version not in self.versions:
                    return Outcome(now, error=f"no version {version}", error_kind="NotFound")
                return Outcome(now, version_info(version))
            case ClaimModel(owner=owner, replace=replaced):
                if self.owner in (None, replaced):
                    self.owner = owner
                return Outcome(now, self.owner)
            case SetVersionTags(version=version, tags=tags):
                self.tags.setdefault(version, {}).update(tags)
                return Outcome(now)
            case MoveAlias():
                return self._move(effect, now)
            case EnsureFeedbackKey():
                return Outcome(now)
        raise AssertionError(f"unexpected effect {effect}")

    def _move(self, effect: MoveAlias, now: datetime) -> Outcome:
        if self.refuses_moves:
            return Outcome(now, error="403", error_kind="Refused")
        named = self.aliases.get(effect.alias)
        if named == effect.to or named != effect.expect:  # the answer to an earlier try may have been lost
            return Outcome(now, AliasMoved(named, moved=named == effect.to))
        self.moves.append(effect)
        self.aliases.pop(effect.alias, None)
        if effect.to:
            self.aliases[effect.alias] = effect.to
        return Outcome(now, AliasMoved(effect.to, moved=True))


@dataclass
class Workload:
    """A Deployment with its pods. ``ready`` follows ``replicas`` as ``World.tick`` lets it."""

    manifest: Manifest
    ready: int = 0

    @property
    def version(self) -> str:
        return str(self.manifest["metadata"]["labels"][names.LABEL_MODEL_VERSION])

    @property
    def replicas(self) -> int:
        return int(self.manifest["spec"]["replicas"])

    def view(self, name: str) -> DeploymentView:
        return DeploymentView(
            namespace="quant",
            name=name,
            uid=f"uid-{name}",
            labels=self.manifest["metadata"]["labels"],
            spec_hash=None,
            created=START,
            replicas=self.replicas,
            existing=self.replicas,
            ready=self.ready,
            updated=self.replicas,
            available=self.ready,
            settled=True,
        )

    def pods(self, broken: ContainerView | None) -> list[PodView]:
        labels = self.manifest["spec"]["template"]["metadata"]["labels"]
        return [
            PodView(
                namespace="quant",
                name=f"v{self.version}-{index}",
                uid=f"pod-{self.version}-{index}",
                labels=labels,
                created=START,
                phase="Running",
                ready=index < self.ready,
                containers=(broken,) if broken and index >= self.ready else (),
            )
            for index in range(max(self.replicas, self.ready))
        ]


@dataclass
class Live:
    """What a version did since the step began, as Prometheus would tell. Latencies all below ``seconds``."""

    requests: int = 0
    errors: int = 0
    seconds: float = 0.01
    losses: tuple[float, ...] = ()


def crashed(kind: str, message: str, *, init: bool = False, restarts: int = 1) -> ContainerView:
    words = json.dumps({"modelcycle": 1, "class": kind, "message": message})
    name = "fetch" if init else "serve"
    return ContainerView(name, init=init, restarts=restarts, exit_code=65, terminated_message=words)


def pulling(reason: str = "ImagePullBackOff") -> ContainerView:
    return ContainerView("serve", waiting_reason=reason, waiting_message="no such image")


def metrics(query: MetricQuery, all_live: Mapping[str, Live], now: datetime) -> Reading:
    """What Prometheus answers to a query of a step."""
    series = [s for version, live in all_live.items() for s in _series(query, version, live, now)]
    start = float(query.start or 0)
    return Reading(now.timestamp(), tuple(series), start, float(query.step_seconds or 1))


def _series(query: MetricQuery, version: str, live: Live, now: datetime) -> list[Series]:
    if query.query.startswith(BUCKETS):
        bounds = ((0.005, 0), (0.01, 0), (0.025, 0), (0.1, 0), (1.0, 0))
        counts = [(str(b), live.requests if live.seconds <= b else 0) for b, _ in bounds]
        return [_one(query, now, n, version=version, le=le) for le, n in [*counts, ("+Inf", live.requests)]]
    values = {
        names.METRIC_FEEDBACK_ROWS: float(len(live.losses)),
        names.METRIC_LOSS_POSITIVE: sum(x for x in live.losses if x > 0),
        names.METRIC_LOSS_NEGATIVE: -sum(x for x in live.losses if x < 0),
        names.METRIC_LOSS_SQUARED: sum(x * x for x in live.losses),
    }
    rows = [_one(query, now, n, __name__=name, version=version) for name, n in values.items()]
    codes = {"200": live.requests - live.errors, "500": live.errors}
    return rows + [
        _one(query, now, n, __name__=names.METRIC_REQUESTS, version=version, code=code) for code, n in codes.items()
    ]


def _one(query: MetricQuery, now: datetime, value: float, **labels: str) -> Series:
    start = float(query.start or 0)
    return Series(tuple(sorted(labels.items())), ((start, 0.0), (now.timestamp(), float(value))))
