"""Models that are no straight lines, served: the hedge of the sample, and a sentence transformer."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from e2e.demo.kube import Kube, of_kind, render_sample
from e2e.demo.market import SAMPLE
from e2e.demo.settings import DEPLOYMENT, FIRST_TRAINING, SAMPLE_NAMESPACE
from e2e.demo.stages import is_ready, job_is_complete, training_is_over
from e2e.install import local_names
from e2e.scenarios.clients import Client, provide_client
from e2e.scenarios.manifests import deployment
from e2e.scenarios.system import Json, System, eventually, is_pod_ready, until_equal

TOKENS = 16
_SERVED_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Served:
    """A ModelDeployment that serves, and a client beside it."""

    kube: Kube
    name: str
    client: Client

    def resource(self) -> Json:
        return self.kube.get("modeldeployment", self.name) or {}

    def autoscaled(self) -> Json:
        found: Json = self.resource().get("status", {}).get("autoscaled", {})
        return found

    def patch(self, change: str) -> None:
        self.kube.kubectl("patch", "modeldeployment", self.name, "--type=merge", "-p", change)

    def pods(self) -> list[Json]:
        """Serving pods that are not on their way out."""
        found = [pod for pod in self.kube.items("pods") if "deletionTimestamp" not in pod["metadata"]]
        label = "modelcycle.dev/deployment"
        return [pod for pod in found if pod["metadata"].get("labels", {}).get(label) == self.name]

    def uids(self) -> set[str]:
        return {pod["metadata"]["uid"] for pod in self.pods()}

    def until_ready(self, pods: int, *, without: frozenset[str] = frozenset()) -> None:
        """Wait until there are so many pods, all of them ready and none of ``without`` (uids)."""

        def seen() -> list[tuple[bool, bool]]:
            return [(is_pod_ready(pod), pod["metadata"]["uid"] in without) for pod in self.pods()]

        until_equal(f"pods of {self.name}", seen, [(True, False)] * pods, _SERVED_SECONDS)

    def answered(self, more: int) -> None:
        """Wait until the load that goes on has so many more answers."""
        before = self.client.answered()
        eventually(f"{more} more answers", lambda: self.client.answered() - before >= more, 300)


def serve_hedge(system: System, namespace: str) -> Served:
    """The sample of the hedge: its data, its training, its deployment."""
    documents = render_sample(system.cluster, SAMPLE, local_names(system.images) | {SAMPLE_NAMESPACE: namespace})
    kube = system.namespace(namespace)
    kube.apply(of_kind(documents, "ConfigMap", "PersistentVolumeClaim", "Job"))
    kube.wait("job", "market-data", job_is_complete, seconds=1200, what="the hedge's data")
    kube.apply(of_kind(documents, "ModelTraining", "ModelDeployment"))
    kube.wait("modeltraining", FIRST_TRAINING, training_is_over, seconds=1200, what="the hedge's training")
    client = Client(kube, DEPLOYMENT, f"{namespace}.hedge", "features", [0.1, 0.2, 0.3, 0.4])
    return _served(system, kube, DEPLOYMENT, client)


def serve_mini_lm(system: System, namespace: str) -> Served:
    """The sentence transformer, logged by hand as by whoever has a model already."""
    name, kube = "minilm", system.namespace(namespace)
    model = f"{namespace}.{name}"
    with system.mlflow() as store:
        subprocess.run([sys.executable, "-m", "e2e.scenarios.minilm", store.url, model], check=True)
        store.set_alias(model, "challenger", "1")
    spec: dict[str, Any] = {"model": {"name": model}, "resources": {"cpu": "100m", "memory": "1Gi"}}
    kube.apply([deployment(namespace, name, **spec)])
    ids = [1000 + n for n in range(TOKENS)]
    beside = {"attention_mask": [1] * len(ids), "token_type_ids": [0] * len(ids)}
    client = Client(kube, name, model, "input_ids", ids, "INT64", beside)
    return _served(system, kube, name, client)


def _served(system: System, kube: Kube, name: str, client: Client) -> Served:
    kube.wait("modeldeployment", name, is_ready, seconds=_SERVED_SECONDS, what=f"{name}: serving")
    provide_client(system, client)
    client.until_answered()
    return Served(kube, name, client)
