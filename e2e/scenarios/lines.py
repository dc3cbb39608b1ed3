"""Versions of a model that is a straight line, trained by pods, and the deployment that serves one of them."""

from __future__ import annotations

from dataclasses import dataclass

from e2e.demo.kube import Kube, condition
from e2e.scenarios.clients import Client, provide_client
from e2e.scenarios.manifests import code, deployment, parameters, training
from e2e.scenarios.system import Json, System, eventually, is_pod_ready, until_equal

NAME = "line"
_TRAINED_SECONDS = 1200
_SERVED_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Lines:
    """A namespace with versions of its model, by the name of their training."""

    system: System
    kube: Kube
    versions: dict[str, str]

    @property
    def model(self) -> str:
        return f"{self.kube.namespace}.{NAME}"

    def deployment(self) -> Json:
        return self.kube.get("modeldeployment", NAME) or {}

    def status(self) -> Json:
        found: Json = self.deployment().get("status", {})
        return found

    def verdicts(self) -> dict[str, tuple[str, str]]:
        """Verdict and reason by version."""
        return {one["version"]: (one["verdict"], one["reason"]) for one in self.status().get("verdicts", [])}

    def stable(self) -> str | None:
        return (self.status().get("stable") or {}).get("version")

    def challenge(self, version: str) -> None:
        """What a person does who wants this version to be tried."""
        with self.system.mlflow() as mlflow:
            mlflow.set_alias(self.model, "challenger", version)

    def aliases(self) -> dict[str, str]:
        with self.system.mlflow() as mlflow:
            return mlflow.aliases(self.model)

    def until_aliases(self, **wanted: str) -> None:
        """Wait until MLflow has these and no others: they are moved after the verdict is written."""
        until_equal("the aliases", self.aliases, wanted, _SERVED_SECONDS)

    def pods(self, version: str) -> list[Json]:
        """Serving pods of a version that are not on their way out."""
        labels = ("modelcycle.dev/model-version", "modelcycle.dev/deployment")
        wanted = [version, NAME]
        found = [pod["metadata"] | pod for pod in self.kube.items("pods")]
        return [
            pod
            for pod in found
            if [pod.get("labels", {}).get(label) for label in labels] == wanted and "deletionTimestamp" not in pod
        ]

    def until_ready(self, version: str, pods: int = 2) -> None:
        """Wait until so many pods of the version are there, and all of them are ready."""
        until_equal(
            f"pods of version {version}",
            lambda: [is_pod_ready(pod) for pod in self.pods(version)],
            [True] * pods,
            _SERVED_SECONDS,
        )

    def until_gone(self, version: str) -> None:
        """Wait until all pods of the version are gone, or on their way out."""
        until_equal(
            f"pods of version {version}", lambda: [pod["name"] for pod in self.pods(version)], [], _SERVED_SECONDS
        )

    def until_serving(self, version: str) -> None:
        """Wait until the deployment is at rest with that version."""

        def there() -> bool:
            seen = self.deployment()
            return self.stable() == version and condition(seen, "Ready")["status"] == "True"

        eventually(f"version {version} serving", there, _SERVED_SECONDS)

    def until_verdict(self, version: str) -> tuple[str, str]:
        return eventually(f"a verdict of version {version}", lambda: self.verdicts().get(version), _SERVED_SECONDS)


def train_lines(system: System, namespace: str, **trainings: dict[str, str]) -> Lines:
    """Train the versions, side by side, and wait for all of them."""
    kube = system.namespace(namespace)
    kube.apply([
        code(namespace),
        *(
            training(system, namespace, name, "line.py", parameters=parameters(**given))
            for name, given in trainings.items()
        ),
    ])  # fmt: skip
    return Lines(system, kube, {name: registered_version(kube, name) for name in trainings})


def registered_version(kube: Kube, name: str) -> str:
    """Wait until the training has registered its model."""

    def look() -> str | None:
        seen = kube.get("modeltraining", name) or {}
        assert condition(seen, "Succeeded")["status"] != "False", seen["status"]["summary"]
        found = seen.get("status", {}).get("registered")
        return str(found["version"]) if found and condition(seen, "Succeeded")["status"] == "True" else None

    return eventually(f"{name} registered", look, _TRAINED_SECONDS)


def serve_line(lines: Lines, version: str) -> Client:
    """Deploy, with that version as the first to be tried, and wait until it serves."""
    lines.challenge(version)
    lines.kube.apply([deployment(lines.kube.namespace, NAME)])
    client = provide_client(lines.system, Client(lines.kube, NAME, lines.model, "x", [1.0]))
    lines.until_serving(version)
    client.until_answered()
    return client
