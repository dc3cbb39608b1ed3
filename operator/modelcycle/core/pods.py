"""What all pods of ours share: Pod Security Standard *restricted*, resources, placement. Pure builders."""

from __future__ import annotations

from modelcycle.api.v1alpha1.common import Placement, Resources
from modelcycle.core.plan import Manifest

USER = 65532
RESTRICTED_POD: Manifest = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
RESTRICTED_CONTAINER: Manifest = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def resources(wanted: Resources) -> Manifest:
    """Requests and limits of a container; memory is requested and limited alike."""
    requests = {"cpu": wanted.cpu, "memory": wanted.memory}
    limits = {"memory": wanted.memory}
    if wanted.cpu_limit:
        limits["cpu"] = wanted.cpu_limit
    if wanted.ephemeral_storage:
        limits["ephemeral-storage"] = wanted.ephemeral_storage
    if wanted.gpu:
        limits["nvidia.com/gpu"] = str(wanted.gpu)
    return {"requests": requests, "limits": limits}


def placement(wanted: Placement) -> Manifest:
    """Node selector, tolerations and priority of a pod; absent where nothing is asked for."""
    fields: Manifest = {
        "nodeSelector": {label.key: label.value for label in wanted.node_selector},
        "tolerations": [_toleration(t.manifest()) for t in wanted.tolerations],
        "priorityClassName": wanted.priority_class_name,
    }
    return {name: value for name, value in fields.items() if value}


def _toleration(toleration: Manifest) -> Manifest:
    return toleration | {"operator": "Equal" if "value" in toleration else "Exists"}


def pull_secrets(secrets: tuple[str, ...]) -> Manifest:
    return {"imagePullSecrets": [{"name": name} for name in secrets]} if secrets else {}


def env_sources(secret: str | None) -> list[Manifest]:
    """The administrator's credentials for an endpoint, from a Secret that lies in the pod's namespace."""
    return [{"secretRef": {"name": secret}}] if secret else []
