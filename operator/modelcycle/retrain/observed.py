"""What a policy's decision looks at, beside its own children."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelcycle.api.v1alpha1.deployment import DeploymentSpec, DeploymentStatus
from modelcycle.api.v1alpha1.retrain import RetrainSpec
from modelcycle.api.v1alpha1.retrain_status import RetrainStatus
from modelcycle.api.v1alpha1.training import TrainingSpec, TrainingStatus
from modelcycle.core.observed import Observed, Resource

Policy = Resource[RetrainSpec, RetrainStatus]
Deployment = Resource[DeploymentSpec, DeploymentStatus]
Training = Resource[TrainingSpec, TrainingStatus]


@dataclass(frozen=True, slots=True)
class PolicyObserved(Observed[RetrainSpec, RetrainStatus]):
    """``deployment``: the one that is watched, if it exists. ``trainings``: those that this policy made, by name.

    ``siblings``: all other policies of the namespace for the same deployment.
    """

    deployment: Deployment | None = None
    trainings: tuple[Training, ...] = ()
    siblings: tuple[Resource[Any, Any], ...] = ()
