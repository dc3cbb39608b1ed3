"""The second sample: another market, and a training script that knows nothing of ours."""

from __future__ import annotations

from dataclasses import dataclass

from e2e.demo.kube import Kube, of_kind, render_sample
from e2e.demo.market import ROOT
from e2e.demo.stages import is_ready, job_is_complete, training_is_over
from e2e.install import local_names
from e2e.scenarios.clients import Client, provide_client
from e2e.scenarios.system import Json, System

NAMESPACE = "other-market"
_SAMPLE = ROOT / "manifests" / "samples" / "plain"
_SAMPLE_NAMESPACE = "equity-desk"
_TRAINING, _NAME = "volatility-2007", "volatility"


@dataclass(frozen=True, slots=True)
class OtherMarket:
    """What there is when it serves."""

    kube: Kube
    training: Json
    deployment: Json
    client: Client

    @property
    def policy(self) -> Json:
        return self.kube.get("retrainpolicy", _NAME) or {}


def play(system: System) -> OtherMarket:
    """Apply the sample, its data first, and wait until its model serves."""
    documents = render_sample(system.cluster, _SAMPLE, local_names(system.images) | {_SAMPLE_NAMESPACE: NAMESPACE})
    kube = system.namespace(NAMESPACE)
    kube.apply(of_kind(documents, "ConfigMap", "PersistentVolumeClaim", "Job"))
    kube.wait("job", "market-data", job_is_complete, seconds=1200, what="other market: data")
    kube.apply(of_kind(documents, "ModelTraining", "ModelDeployment", "RetrainPolicy"))
    training = kube.wait("modeltraining", _TRAINING, training_is_over, seconds=1200, what="other market: training")
    deployment = kube.wait("modeldeployment", _NAME, is_ready, seconds=1200, what="other market: serving")
    client = provide_client(system, Client(kube, _NAME, f"{NAMESPACE}.{_NAME}", "features", [1.0, 1.0, 1.0]))
    client.until_answered()
    return OtherMarket(kube, training, deployment, client)
