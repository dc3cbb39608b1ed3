"""The three kinds as the API server is to know them: names, columns, and the rules that hold for the whole object.

The columns answer "is it well, and if not why" in the width of a terminal; `kubectl get -o wide` adds the summary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelcycle.api.v1alpha1.common import ApiModel, cel
from modelcycle.api.v1alpha1.deployment import DeploymentSpec, DeploymentStatus
from modelcycle.api.v1alpha1.retrain import RetrainSpec
from modelcycle.api.v1alpha1.retrain_status import RetrainStatus
from modelcycle.api.v1alpha1.training import TrainingSpec, TrainingStatus


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`. ``priority`` 1 is shown with `-o wide` only."""

    name: str
    path: str
    description: str
    type: str = "string"
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource. ``rules`` are CEL on the whole object, where only metadata.name can be seen beside the spec."""

    name: str
    plural: str
    short: str
    description: str
    spec: type[ApiModel]
    status: type[ApiModel]
    columns: tuple[Column, ...]
    rules: tuple[dict[str, Any], ...]
    scalable: bool = False

    @property
    def singular(self) -> str:
        return self.name.lower()


def _condition(type_: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{type_}")].{field}'


_AGE = Column("Age", ".metadata.creationTimestamp", "Time since it was made.", type="date")
_SUMMARY = Column("Summary", ".status.summary", "How it stands, in a sentence.", priority=1)

# Names become label values by which people select pods and metrics are told apart: one that is cut could be another's.
_NAME_IS_LABEL = cel(
    "self.metadata.name.size() <= 63", "metadata.name must have 63 characters at most, since it is used as a label"
)
_NAME_IS_SERVICE = cel(
    "self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
    "metadata.name must be 63 lower case letters, digits and dashes at most and begin with a letter, "
    "since Services are named after it",
)

TRAINING = Kind(
    name="ModelTraining",
    plural="modeltrainings",
    short="mt",
    description="Train this once, reproducibly, and register the result. A fix is a new ModelTraining with a new name.",
    spec=TrainingSpec,
    status=TrainingStatus,
    columns=(
        Column("Succeeded", _condition("Succeeded", "status"), "Whether it ended well; Unknown while it runs."),
        Column("Reason", _condition("Succeeded", "reason"), "Why, or what it is doing."),
        Column("Model", ".spec.register.model", "Registered model that it makes a version of."),
        Column("Version", ".status.registered.version", "Version that it became."),
        Column("GPUs", ".spec.resources.gpu", "GPUs of the pod.", type="integer"),
        _AGE,
        Column("AsOf", ".spec.asOf", "Nothing later than this is known to it.", priority=1),
        Column("Run", ".status.run.id", "MLflow run.", priority=1),
        _SUMMARY,
    ),
    rules=(_NAME_IS_LABEL,),
)

DEPLOYMENT = Kind(
    name="ModelDeployment",
    plural="modeldeployments",
    short="md",
    description="Serve this registered model, and roll new versions out safely.",
    spec=DeploymentSpec,
    status=DeploymentStatus,
    columns=(
        Column("Ready", _condition("Ready", "status"), "Whether requests are answered by the version that should."),
        Column("Reason", _condition("Ready", "reason"), "Why, or what it is doing."),
        Column("Model", ".spec.model.name", "Registered model."),
        Column("Version", ".status.stable.version", "Version that serves."),
        Column("Candidate", ".status.candidate.version", "Version that a rollout is trying."),
        Column("Step", ".status.candidate.stepName", "Step of the rollout."),
        _AGE,
        Column("Replicas", ".status.replicas", "Pods that exist.", type="integer", priority=1),
        Column("Available", ".status.readyReplicas", "Pods that are ready.", type="integer", priority=1),
        Column("URL", ".status.url", "Address inside of the cluster.", priority=1),
        _SUMMARY,
    ),
    rules=(_NAME_IS_SERVICE,),
    scalable=True,
)

POLICY = Kind(
    name="RetrainPolicy",
    plural="retrainpolicies",
    short="rp",
    description="When is the model of a ModelDeployment no longer good, and what to do then.",
    spec=RetrainSpec,
    status=RetrainStatus,
    columns=(
        Column("Ready", _condition("Ready", "status"), "Whether it watches the deployment."),
        Column("Reason", _condition("Ready", "reason"), "Why, or what it is doing."),
        Column("Deployment", ".spec.deployment.name", "ModelDeployment that is watched."),
        Column("Mode", ".spec.mode", "Observe or Enforce."),
        Column("Drift", _condition("DriftDetected", "status"), "Whether a trigger fires."),
        Column("Cycle", ".status.cycle.phase", "How far the cycle under way is."),
        _AGE,
        Column("Rows", ".status.evaluated.rows", "Labelled rows looked at.", type="integer", priority=1),
        Column("Champion", ".status.evaluated.version", "Version that is judged.", priority=1),
        Column("Cycles", ".status.lastCycle", "Number of the last cycle.", type="integer", priority=1),
        _SUMMARY,
    ),
    rules=(_NAME_IS_LABEL,),
)

KINDS = (TRAINING, DEPLOYMENT, POLICY)
