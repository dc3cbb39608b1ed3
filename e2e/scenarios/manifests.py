"""What the scenarios apply: small, since many of them run side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from e2e.scenarios.system import Json, System

API_VERSION = "modelcycle.dev/v1alpha1"
_SCRIPTS = Path(__file__).with_name("scripts")


def code(namespace: str) -> Json:
    """The training scripts as a ConfigMap."""
    files = {path.name: path.read_text() for path in sorted(_SCRIPTS.iterdir()) if path.is_file()}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "code", "namespace": namespace},
        "data": files,
    }


def training(system: System, namespace: str, name: str, script: str, **spec: Any) -> Json:  # noqa: ANN401
    """A ModelTraining that runs one of the scripts; ``spec`` adds fields, or takes the place of these."""
    usual = {
        "image": system.image("training"),
        "command": ["python", script],
        "configMap": "code",
        "resources": {"cpu": "50m", "memory": "512Mi"},
        "deadlineSeconds": 3600,
        "register": {"model": f"{namespace}.line"},
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelTraining",
        "metadata": {"name": name, "namespace": namespace},
        "spec": usual | spec,
    }


def parameters(**values: str) -> list[Json]:
    return [{"name": name, "value": value} for name, value in values.items()]


def deployment(namespace: str, name: str, **spec: Any) -> Json:  # noqa: ANN401
    """A ModelDeployment of two small replicas that tries a version on half of them for 20 requests."""
    steps = [
        {"name": "smoke", "smoke": {}},
        {"name": "half", "replicas": {"percent": 50, "minRequests": 20}},
    ]
    usual = {
        "model": {"name": f"{namespace}.line"},
        "replicas": 2,
        "resources": {"cpu": "50m", "memory": "256Mi"},
        # Pods share two cores with everything else here.
        "rollout": {"steps": steps, "limits": {"latencyFloorMilliseconds": 2000}},
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": usual | spec,
    }
