"""What the pods of a version say about why they are not ready: the version's own fault, or that of something else."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from modelcycle.core.observed import ContainerView, DeploymentView, PodView
from modelcycle.core.text import clip

MESSAGE_LIMIT = 400
CRASHES = 3
"""So many restarts of a server that is still not ready are the version's fault, whatever it says."""

FATAL = {
    "SmokeFailed": "SmokeFailed",
    "ModelUnusable": "ModelUnusable",
    "Digest": "DigestMismatch",
    "Missing": "FilesMissing",
    "Refused": "FilesRefused",
}
"""Class of a termination message -> reason. Trying again gives the same answer."""
_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"})
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})


class Fault(StrEnum):
    """Whose fault it is that a pod is not ready.

    ``version``: it can't be served. ``setting``: image, Secret, room on the nodes, blamed on the rollout when its time
    is up. ``outside``: MLflow does not answer, which no version is blamed for.
    """

    VERSION = "version"
    SETTING = "setting"
    OUTSIDE = "outside"


_ORDER = (Fault.VERSION, Fault.SETTING, Fault.OUTSIDE)


@dataclass(frozen=True, slots=True)
class Trouble:
    fault: Fault
    reason: str
    message: str


def trouble(pods: Iterable[PodView], workload: DeploymentView | None) -> Trouble | None:
    """The gravest trouble among ``pods``; pods that are ready, ending or still starting have none.

    Without any, what keeps their Deployment from making them: a quota, an admission policy.
    """
    found = [one for pod in pods if not pod.ready and not pod.deleting and (one := _of_pod(pod))]
    return min(found, key=lambda one: _ORDER.index(one.fault), default=_of_workload(workload))


def _of_workload(workload: DeploymentView | None) -> Trouble | None:
    # Pods of an earlier template that are still there say nothing of those that should take their place.
    if workload is None or workload.stuck is None or min(workload.existing, workload.updated) >= workload.replicas:
        return None
    return _setting("PodsRefused", f"Deployment {workload.name} can't make its pods: {workload.stuck}")


def _of_pod(pod: PodView) -> Trouble | None:
    found = [one for container in pod.containers if (one := _of_container(pod, container))]
    if found:
        return min(found, key=lambda one: _ORDER.index(one.fault))
    if pod.unschedulable:
        return _setting("Unschedulable", f"pod {pod.name} finds no node: {pod.unschedulable}")
    return None


def _of_container(pod: PodView, container: ContainerView) -> Trouble | None:
    where = f"pod {pod.name}, container {container.name}"
    if container.waiting_reason in _PULL:
        return _setting("ImagePull", f"{where}: {container.waiting_reason}: {container.waiting_message or ''}")
    if container.waiting_reason in _CONFIG:
        return _setting("PodConfig", f"{where}: {container.waiting_reason}: {container.waiting_message or ''}")
    if container.exit_code:
        return _of_exit(where, container)
    return None


def _of_exit(where: str, container: ContainerView) -> Trouble | None:
    kind, message = last_words(container.terminated_message)
    told = clip(f"{where}: {message or f'exit code {container.exit_code}'}", MESSAGE_LIMIT)
    if kind in FATAL:
        return Trouble(Fault.VERSION, FATAL[kind], told)
    if kind == "Unavailable" or (container.init and kind is None and not container.terminated_message):
        return Trouble(Fault.OUTSIDE, "FilesUnavailable", told)
    reason = "OutOfMemory" if container.terminated_reason == "OOMKilled" else "Crashing"
    fault = Fault.VERSION if container.restarts >= CRASHES else Fault.SETTING
    return Trouble(fault, reason, told)


def _setting(reason: str, message: str) -> Trouble:
    return Trouble(Fault.SETTING, reason, clip(message, MESSAGE_LIMIT))


def last_words(text: str | None) -> tuple[str | None, str]:
    """Class and message of a termination message; a text of another form is a message without a class."""
    document = _document(text or "")
    if document is None:
        return None, (text or "").strip()
    kind = document.get("class")
    return (kind if isinstance(kind, str) else None), str(document.get("message") or "")


def _document(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) and value.get("modelcycle") == 1 else None
