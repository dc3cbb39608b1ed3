"""Specs that the API server takes and the world does not: what is told of each, and the way back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.transitions.bases import Spec
from tests.transitions.leaves import Place, contents, leaf_of, removed, replaced
from tests.transitions.values import fits
from tests.transitions.world import ABSENT_NAME


@dataclass(frozen=True, slots=True)
class Bad:
    """``told``: "Type=Status/Reason" that is said of it where it matters; None where nobody is asked for it at rest."""

    leaf: str
    value: object
    told: str | None

    def __str__(self) -> str:
        return f"{self.leaf} {self.value}"

    def of(self, kind: str, spec: Spec) -> Spec | None:
        """``spec`` with it; None where the leaf is not in ``spec``, and can't be added at its end."""
        place = next((found for found, _ in contents(spec) if leaf_of(found) == self.leaf), None)
        if place is None:
            place = _new(spec, self.leaf)
        if place is None:
            return None
        changed = replaced(spec, place, self.value)
        if place[-1] == "cpu" and "cpuLimit" in _parent(changed, place):
            changed = removed(changed, (*place[:-1], "cpuLimit"))
        return changed if fits(kind, changed) else None


def _parent(spec: Spec, place: Place) -> Spec:
    found: object = spec
    for part in place[:-1]:
        found = found[part]  # type: ignore[index]
    assert isinstance(found, dict)
    return found


def _new(spec: Spec, leaf: str) -> Place | None:
    place = tuple(leaf.split("."))
    here: object = spec
    for part in place[:-1]:
        here = here.get(part) if isinstance(here, dict) else None
    return place if isinstance(here, dict) and "[]" not in leaf else None


DEPLOYMENT = (
    Bad("image", f"{ABSENT_NAME}:1", "Degraded=True/ImagePull"),
    Bad("imagePullSecrets[]", ABSENT_NAME, "Degraded=True/ImagePull"),
    Bad("env[].secretKeyRef.name", ABSENT_NAME, "Degraded=True/PodConfig"),
    Bad("env[].secretKeyRef.key", ABSENT_NAME, "Degraded=True/PodConfig"),
    Bad("env[].configMapKeyRef.name", ABSENT_NAME, "Degraded=True/PodConfig"),
    Bad("env[].configMapKeyRef.key", ABSENT_NAME, "Degraded=True/PodConfig"),
    Bad("resources.cpu", "999", "Degraded=True/Unschedulable"),
    Bad("placement.nodeSelector[].value", ABSENT_NAME, "Degraded=True/Unschedulable"),
    Bad("placement.nodeSelector[].key", ABSENT_NAME, "Degraded=True/Unschedulable"),
    Bad("placement.priorityClassName", ABSENT_NAME, "Degraded=True/PodsRefused"),
    Bad("mlflow", "nowhere", "Stalled=True/EndpointUnknown"),
    Bad("prometheus", "nowhere", None),
    Bad("model.version", "99", "Stalled=True/VersionNotFound"),
    Bad("model.aliases.champion", "nobody", None),
    Bad("model.aliases.challenger", "nobody", None),
    Bad("model.follow", True, None),
    Bad("replicas", 1000, None),
    Bad("rollout.paused", True, None),
)
POLICY = (
    Bad("deployment.name", "nobody", "Stalled=True/DeploymentMissing"),
    Bad("prometheus", "nowhere", "Stalled=True/EndpointUnknown"),
    Bad("triggers[].schedule.cron", "0 0 30 2 *", "DriftDetected=Unknown/InvalidSchedule"),
    Bad("triggers[].schedule.cron", "99 99 * * *", "DriftDetected=Unknown/InvalidSchedule"),
    Bad("triggers[].schedule.timeZone", "Nowhere/Land", "DriftDetected=Unknown/InvalidSchedule"),
    Bad("triggers[].loss.minRows", 1_000_000_000, "DriftDetected=Unknown/TooFewRows"),
    Bad("triggers[].loss.window.rows", 1_000_000_000, None),
    Bad("suspend", True, "Suspended=True/Suspended"),
    Bad("mode", "Observe", None),
    Bad("asOf.lag", "999999d", None),
    Bad("gate.deadlineSeconds", 86_400, None),
)
CYCLE = (
    Bad("template.image", f"{ABSENT_NAME}:1", "TrainingFailed/ImageUnavailable"),
    Bad("template.imagePullSecrets[]", ABSENT_NAME, "TrainingFailed/ImageUnavailable"),
    Bad("template.env[].secretKeyRef.name", ABSENT_NAME, "TrainingFailed/ConfigMissing"),
    Bad("template.env[].configMapKeyRef.name", ABSENT_NAME, "TrainingFailed/ConfigMissing"),
    Bad("template.env[].configMapKeyRef.key", ABSENT_NAME, "TrainingFailed/ConfigMissing"),
    Bad("template.configMap", ABSENT_NAME, "TrainingFailed/ConfigMissing"),
    Bad("template.data[].persistentVolumeClaim.claimName", ABSENT_NAME, "TrainingFailed/Unschedulable"),
    Bad("template.resources.cpu", "999", "TrainingFailed/Unschedulable"),
    Bad("template.placement.nodeSelector[].value", ABSENT_NAME, "TrainingFailed/Unschedulable"),
    Bad("template.placement.priorityClassName", ABSENT_NAME, "TrainingFailed/ConfigMissing"),
    Bad("template.serviceAccountName", ABSENT_NAME, "TrainingFailed/ConfigMissing"),
    Bad("template.mlflow", "nowhere", "Aborted/TemplateChanged"),
    Bad("template.deadlineSeconds", 1, "TrainingFailed/DeadlineExceeded"),
)
"""What a template does to the cycle that is started with it: (outcome/reason) of that cycle."""


def at_rest(kind: str) -> Iterator[Bad]:
    yield from DEPLOYMENT if kind == "ModelDeployment" else POLICY
