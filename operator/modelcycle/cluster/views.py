"""From an object's JSON to the slim view of it that decisions look at. Pure, and tolerant of whatever is missing.

A view is about a fortieth of the object, which is what lets the cache hold tens of thousands of them.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError

from modelcycle.api.v1alpha1.common import GROUP, ApiModel
from modelcycle.api.v1alpha1.deployment import DeploymentSpec, DeploymentStatus
from modelcycle.api.v1alpha1.retrain import RetrainSpec
from modelcycle.api.v1alpha1.retrain_status import RetrainStatus
from modelcycle.api.v1alpha1.training import TrainingSpec, TrainingStatus
from modelcycle.cluster import kinds
from modelcycle.cluster.kinds import Kind
from modelcycle.constants import ANNOTATION_SPEC_HASH, ENV_DEADLINE, ENV_RUN_ID
from modelcycle.core.observed import ContainerView, DeploymentView, JobView, ObjectView, PodView, Resource
from modelcycle.core.plan import Manifest
from modelcycle.core.text import clip

View = Resource[Any, Any] | JobView | PodView | DeploymentView | ObjectView
ModelT = TypeVar("ModelT", bound=ApiModel)
INVALID_BYTES = 1000
MESSAGE_BYTES = 2048  # a termination message has 4096 at most; nobody shows more than this
_EPOCH = datetime.fromtimestamp(0, UTC)
_MODELS: Mapping[str, tuple[type[ApiModel], type[ApiModel]]] = {
    kinds.MODEL_TRAINING.name: (TrainingSpec, TrainingStatus),
    kinds.MODEL_DEPLOYMENT.name: (DeploymentSpec, DeploymentStatus),
    kinds.RETRAIN_POLICY.name: (RetrainSpec, RetrainStatus),
}


def view_of(kind: Kind, raw: Manifest, before: View | None = None) -> View:
    """``before``: the view of an earlier version, if there is one; what is the same in both is read once."""
    if kind.name in _MODELS:
        return resource_view(raw, *_MODELS[kind.name], before if isinstance(before, Resource) else None)
    if kind.name in _CHILD_VIEWS:
        return _CHILD_VIEWS[kind.name](raw)
    return ObjectView(api_version=kind.api_version, kind=kind.name, **_child(raw))


def view_type(kind: Kind) -> type[View]:
    """What ``view_of`` gives for this kind."""
    return Resource if kind.name in _MODELS else _CHILD_TYPES.get(kind.name, ObjectView)


def subject_of(view: View) -> str | None:
    """What a resource is about, and others of its kind may be too: the model it serves, the deployment it watches."""
    spec = view.spec if isinstance(view, Resource) else None
    if isinstance(spec, DeploymentSpec):
        return spec.model.name
    return spec.deployment.name if isinstance(spec, RetrainSpec) else None


# --- views as JSON ---------------------------------------------------------------------------------------------------
def folded(view: View, raw: Manifest) -> bytes:
    """Compressed JSON for ``unfolded``: one small object instead of tens of them. ``raw``: what it is a view of."""
    kept: object = view
    if isinstance(view, Resource):
        metadata = {name: value for name, value in raw["metadata"].items() if name != "managedFields"}
        kept = {"metadata": metadata, "spec": raw.get("spec"), "status": raw.get("status")}
    return zlib.compress(orjson.dumps(kept), level=1)  # 20 us for half of it


def unfolded(kind: Kind, kept: bytes) -> View:
    written = zlib.decompress(kept)
    if kind.name in _FOLDED_CHILDREN:
        return _FOLDED_CHILDREN[kind.name].validate_json(written)
    return view_of(kind, orjson.loads(written))


# --- our own kinds ---------------------------------------------------------------------------------------------------
def resource_view(
    raw: Manifest,
    spec_type: type[ApiModel],
    status_type: type[ApiModel],
    before: Resource[Any, Any] | None = None,
) -> Resource[Any, Any]:
    """``spec`` is None where it does not validate; so is ``status``, which a newer operator may have written."""
    metadata, raw_spec = raw["metadata"], raw.get("spec") or {}
    if before is not None and before.spec is not None and before.raw_spec == raw_spec:
        raw_spec, spec, spec_error = before.raw_spec, before.spec, None
    else:
        spec, spec_error = _parsed(spec_type, raw_spec, "spec")
    status, status_error = _parsed(status_type, raw.get("status") or {}, "status")
    return Resource(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=int(metadata.get("generation", 0)),
        resource_version=metadata.get("resourceVersion", ""),
        created=_time(metadata.get("creationTimestamp")) or _EPOCH,
        spec=spec,
        status=status,
        raw_spec=raw_spec,
        annotations=_ours(metadata.get("annotations")),
        labels=metadata.get("labels") or {},
        deleting="deletionTimestamp" in metadata,
        invalid=spec_error or status_error,
    )


def _ours(annotations: Mapping[str, str] | None) -> Mapping[str, str]:
    """Without kubectl's copy of the whole object, which would be most of what the cache holds."""
    return {name: text for name, text in (annotations or {}).items() if "kubernetes.io/" not in name}


def _parsed(model: type[ModelT], value: Mapping[str, Any], part: str) -> tuple[ModelT | None, str | None]:
    try:
        return model.model_validate(value), None
    except ValidationError as error:
        found = "; ".join(_told(part, problem["loc"], problem["msg"]) for problem in error.errors()[:5])
        return None, clip(found, INVALID_BYTES)


def _told(part: str, location: Iterable[int | str], message: str) -> str:
    return f"{'.'.join([part, *map(str, location)])}: {message}"


# --- children --------------------------------------------------------------------------------------------------------
def job_view(raw: Manifest) -> JobView:
    spec, status, conditions = raw.get("spec") or {}, raw.get("status") or {}, _conditions(raw)
    failed = conditions.get("Failed", {})
    return JobView(
        **_child(raw),
        created=_created(raw),
        suspended=bool(spec.get("suspend", False)),
        deadline=spec.get("activeDeadlineSeconds"),
        told_deadline=int(told) if (told := _told_by(spec, ENV_DEADLINE) or "").isdecimal() else None,
        run_id=_told_by(spec, ENV_RUN_ID),
        active=int(status.get("active", 0)),
        start_time=_time(status.get("startTime")),
        completion_time=_time(status.get("completionTime")),
        complete=_is_true(conditions, "Complete"),
        failed=_is_true(conditions, "Failed"),
        failed_reason=failed.get("reason"),
        failed_message=_clipped(failed.get("message")),
    )


def _told_by(spec: Manifest, variable: str) -> str | None:
    """What a Job's pods are told by an environment variable."""
    containers = ((spec.get("template") or {}).get("spec") or {}).get("containers") or ()
    variables = (one for container in containers for one in container.get("env") or ())
    told = (one.get("value") for one in variables if one.get("name") == variable)
    return next((str(value) for value in told if value is not None), None)


def deployment_view(raw: Manifest) -> DeploymentView:
    status, conditions = raw.get("status") or {}, _conditions(raw)
    return DeploymentView(
        **_child(raw),
        created=_created(raw),
        replicas=int((raw.get("spec") or {}).get("replicas", 1)),
        existing=int(status.get("replicas", 0)),
        ready=int(status.get("readyReplicas", 0)),
        updated=int(status.get("updatedReplicas", 0)),
        available=int(status.get("availableReplicas", 0)),
        settled=int(status.get("observedGeneration", 0)) >= int(raw["metadata"].get("generation", 0)),
        stuck=_stuck(conditions),
    )


def _stuck(conditions: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Why the pods can't be made (a quota, an admission policy), or that they don't become available in time."""
    for type_, bad in (("ReplicaFailure", "True"), ("Progressing", "False")):
        condition = conditions.get(type_, {})
        if condition.get("status") == bad:
            return _clipped(condition.get("message")) or str(condition.get("reason", type_))
    return None


def pod_view(raw: Manifest) -> PodView:
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    conditions = _conditions(raw)
    scheduled, disruption = conditions.get("PodScheduled", {}), conditions.get("DisruptionTarget", {})
    unschedulable = scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
    return PodView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        labels=_our_labels(metadata.get("labels") or {}),
        created=_created(raw),
        phase=status.get("phase", "Pending"),
        ready=_is_true(conditions, "Ready"),
        deleting="deletionTimestamp" in metadata,
        node=spec.get("nodeName"),
        reason=status.get("reason"),
        message=_clipped(status.get("message")),
        unschedulable=_clipped(scheduled.get("message")) or "Unschedulable" if unschedulable else None,
        disruption=disruption.get("reason") if disruption.get("status") == "True" else None,
        containers=(
            *(_container(one, init=True) for one in status.get("initContainerStatuses") or ()),
            *(_container(one, init=False) for one in status.get("containerStatuses") or ()),
        ),
    )


def _container(raw: Manifest, *, init: bool) -> ContainerView:
    state, last = raw.get("state") or {}, raw.get("lastState") or {}
    waiting, running = state.get("waiting") or {}, state.get("running") or {}
    ended = state.get("terminated") or last.get("terminated") or {}
    return ContainerView(
        name=raw["name"],
        init=init,
        ready=bool(raw.get("ready", False)),
        running="running" in state,
        restarts=int(raw.get("restartCount", 0)),
        waiting_reason=waiting.get("reason"),
        waiting_message=_clipped(waiting.get("message")),
        exit_code=ended.get("exitCode"),
        terminated_reason=ended.get("reason"),
        terminated_message=ended.get("message"),  # whole: it may be JSON
        started_at=_time(running.get("startedAt") or ended.get("startedAt")),
        finished_at=_time(ended.get("finishedAt")),
        image_id=raw.get("imageID") or None,
    )


# --- parts -----------------------------------------------------------------------------------------------------------
def _child(raw: Manifest) -> dict[str, Any]:
    metadata = raw["metadata"]
    return {
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "labels": _our_labels(metadata.get("labels") or {}),
        "spec_hash": (metadata.get("annotations") or {}).get(ANNOTATION_SPEC_HASH),
        "deleting": "deletionTimestamp" in metadata,
    }


def _our_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    """Ours. A pod has as many others; what is the same text everywhere, such as a uid, is there once."""
    return {label: sys.intern(value) for label, value in labels.items() if label.startswith(f"{GROUP}/")}


def _created(raw: Manifest) -> datetime:
    return _time(raw["metadata"].get("creationTimestamp")) or _EPOCH


def _conditions(raw: Manifest) -> Mapping[str, Mapping[str, Any]]:
    return {condition["type"]: condition for condition in (raw.get("status") or {}).get("conditions") or ()}


def _is_true(conditions: Mapping[str, Mapping[str, Any]], type_: str) -> bool:
    return conditions.get(type_, {}).get("status") == "True"


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _clipped(text: str | None) -> str | None:
    return clip(text, MESSAGE_BYTES) if text else None


_FOLDED_CHILDREN: Mapping[str, TypeAdapter[JobView] | TypeAdapter[PodView]] = {
    kinds.JOB.name: TypeAdapter(JobView),
    kinds.POD.name: TypeAdapter(PodView),
}
_CHILD_VIEWS: Mapping[str, Callable[[Manifest], View]] = {
    kinds.JOB.name: job_view,
    kinds.POD.name: pod_view,
    kinds.DEPLOYMENT.name: deployment_view,
}
_CHILD_TYPES: Mapping[str, type[View]] = {
    kinds.JOB.name: JobView,
    kinds.POD.name: PodView,
    kinds.DEPLOYMENT.name: DeploymentView,
}
