"""Objects that the tests of the core apply."""

from __future__ import annotations

from typing import Any

from modelcycle.constants import LABEL_MANAGED_BY, MANAGED_BY
from modelcycle.core.plan import Manifest


def training(namespace: str, name: str) -> Manifest:
    return {
        "apiVersion": "modelcycle.dev/v1alpha1",
        "kind": "ModelTraining",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"image": "localhost/train:1", "register": {"model": f"{namespace}.{name}"}},
    }


def config_map(namespace: str, name: str, **data: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": name},
        "data": data,
    }


def job(namespace: str, name: str, labels: dict[str, str] | None = None) -> Manifest:
    """A Job that is suspended, so that nobody runs it."""
    pod: dict[str, Any] = {"restartPolicy": "Never", "containers": [{"name": "train", "image": "localhost/train:1"}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"namespace": namespace, "name": name, "labels": {LABEL_MANAGED_BY: MANAGED_BY} | (labels or {})},
        "spec": {"suspend": True, "template": {"spec": pod}},
    }
