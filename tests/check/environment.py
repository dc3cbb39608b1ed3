"""What Kubernetes does by itself: Jobs and their pods, Deployments and theirs, the garbage collector."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelcycle import constants as names
from modelcycle.core.plan import Manifest
from tests.check.registry import Registry
from tests.check.state import State, all_of, find, stamp

Objects = Mapping[tuple[str, str], Manifest | None]
GATE_WORDS = {
    "modelcycle": 1,
    "reason": "Compared",
    "rows": 60,
    "championLoss": "2",
    "challengerLoss": "1",
    "pValue": "0.01",
    "message": "compared",
}


@dataclass(frozen=True, slots=True)
class Happening:
    """``logged``: the run for which a pod logged a model. ``accident``: something fails. ``ghost``: see ``State``.

    ``registry``: MLflow afterwards, where a person did something there.
    """

    told: str
    objects: Objects
    accident: bool = False
    logged: str | None = None
    ghost: Hashable = None
    registry: Registry | None = None


def happenings(state: State) -> Iterator[Happening]:
    """What may happen next; what is no accident comes first, and goes on as one would wish."""
    found = [
        *(one for job in all_of(state, "Job") for one in _job(state, job)),
        *(one for deployment in all_of(state, "Deployment") for one in _deployment(state, deployment)),
        *garbage(state),
    ]
    yield from (one for one in found if not one.accident)
    yield from (one for one in found if one.accident)


# --- Jobs --------------------------------------------------------------------------------------------------------
def is_live(job: Manifest) -> bool:
    """Whether its pod runs, or may be made at any moment."""
    return not job["spec"].get("suspend") and not (job.get("status") or {}).get("conditions")


def _job(state: State, job: Manifest) -> Iterator[Happening]:
    name, status = job["metadata"]["name"], job.get("status") or {}
    pod = find(state, "Pod", _pod_name(job))
    if status.get("conditions"):
        return
    yield Happening(f"somebody deletes Job {name}", {("Job", name): None, ("Pod", _pod_name(job)): None}, accident=True)
    if job["spec"].get("suspend"):
        if status.get("active"):
            yield Happening(f"the pod of suspended Job {name} is stopped", _with(job, {"active": 0}, None))
        return
    if not status.get("active"):
        started = {"startTime": stamp(state.time), "active": 1}
        yield Happening(f"the pod of Job {name} runs", _with(job, started, _pod(state, job, "Running", None)))
        stuck = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
        yield Happening(
            f"the pod of Job {name} can't pull its image",
            _with(job, started, _pod(state, job, "Pending", stuck)),
            accident=True,
        )
    elif pod is not None and pod["status"]["phase"] == "Pending":
        yield Happening(f"the pod of Job {name} runs after all", _with(job, None, _pod(state, job, "Running", None)))
    elif job["metadata"]["labels"][names.LABEL_COMPONENT] == "training":
        yield from _training(state, job)
    else:
        yield from _gate(state, job)


def _training(state: State, job: Manifest) -> Iterator[Happening]:
    name = job["metadata"]["name"]
    variables = job["spec"]["template"]["spec"]["containers"][0]["env"]
    run = next(one["value"] for one in variables if one["name"] == names.ENV_RUN_ID)
    yield Happening(f"Job {name} completes", _with(job, *_ended(state, job, "Complete", 0, "")), logged=run)
    yield Happening(
        f"Job {name} fails by an error of the training",
        _with(job, *_ended(state, job, "Failed", 1, "boom")),
        accident=True,
    )
    failed, _ = _ended(state, job, "Failed", 1, "")
    yield Happening(f"the node of Job {name} is lost with its pod", _with(job, failed, None), accident=True)


def _gate(state: State, job: Manifest) -> Iterator[Happening]:
    name, cycle = job["metadata"]["name"], job["metadata"]["labels"][names.LABEL_CYCLE]
    for outcome in ("Passed", "Rejected"):
        words = json.dumps(GATE_WORDS | {"outcome": outcome})
        yield Happening(
            f"the gate {name} says {outcome}",
            _with(job, *_ended(state, job, "Complete", 0, words)),
            accident=outcome != "Passed",
            ghost=("gate", cycle, outcome),
        )
    yield Happening(f"the gate {name} fails", _with(job, *_ended(state, job, "Failed", 1, "boom")), accident=True)


def _ended(state: State, job: Manifest, condition: str, code: int, said: str) -> tuple[Manifest, Manifest]:
    ended = {"type": condition, "status": "True", "reason": "BackoffLimitExceeded" if code else "CompletionsReached"}
    status = (job.get("status") or {}) | {"active": 0, "conditions": [ended]}
    if not code:
        status["completionTime"] = stamp(state.time)
    terminated = {"exitCode": code, "message": said, "finishedAt": stamp(state.time)}
    pod = _pod(state, job, "Failed" if code else "Succeeded", {"terminated": terminated})
    return status, pod


def _pod_name(job: Manifest) -> str:
    return f"{job['metadata']['name']}-pod"


def _pod(state: State, job: Manifest, phase: str, container: Manifest | None) -> Manifest:
    template = job["spec"]["template"]
    started = {"running": {"startedAt": stamp(state.time)}}
    metadata = {
        "namespace": job["metadata"]["namespace"],
        "name": _pod_name(job),
        "uid": f"pod-of-{job['metadata']['uid']}",
        "labels": template["metadata"]["labels"],
        "creationTimestamp": stamp(state.time),
        "generation": 1,
        "ownerReferences": [{"uid": job["metadata"]["uid"]}],
    }
    containers = [{"name": template["spec"]["containers"][0]["name"], "state": container or started}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"nodeName": "node-1"},
        "status": {"phase": phase, "containerStatuses": containers},
    }


def _with(job: Manifest, status: Manifest | None, pod: Manifest | None) -> Objects:
    after = job if status is None else job | {"status": status}
    return {("Job", job["metadata"]["name"]): after, ("Pod", _pod_name(job)): pod}


# --- Deployments -------------------------------------------------------------------------------------------------
def version_of(deployment: Manifest) -> str:
    return str(deployment["metadata"]["labels"][names.LABEL_MODEL_VERSION])


def ready(deployment: Manifest) -> int:
    """Pods that answer, and are wanted to."""
    status, wanted = deployment.get("status") or {}, deployment["spec"]["replicas"]
    return min(int(status.get("readyReplicas", 0)), int(wanted))


def _deployment(state: State, deployment: Manifest) -> Iterator[Happening]:
    name, wanted = deployment["metadata"]["name"], deployment["spec"]["replicas"]
    pod = ("Pod", f"{name}-bad")
    status = deployment.get("status") or {}
    good = _counted(deployment, wanted)
    if status != good:
        yield Happening(
            f"all {wanted} pods of {name} are ready", {("Deployment", name): deployment | {"status": good}, pod: None}
        )
    if not status:
        bad = deployment | {"status": _counted(deployment, 0)}
        yield Happening(
            f"the pods of {name} fail their smoke test",
            {("Deployment", name): bad, pod: _failing_pod(state, deployment)},
            accident=True,
        )
    if ready(deployment):
        gone = deployment | {"status": _counted(deployment, 0)}
        yield Happening(f"the pods of {name} die", {("Deployment", name): gone}, accident=True)


def _counted(deployment: Manifest, number: int) -> Manifest:
    wanted = deployment["spec"]["replicas"]
    counts: Manifest = {"replicas": wanted, "updatedReplicas": wanted}
    seen = {"observedGeneration": deployment["metadata"]["generation"]}
    return counts | seen | {"readyReplicas": number, "availableReplicas": number}


def _failing_pod(state: State, deployment: Manifest) -> Manifest:
    words = json.dumps({"modelcycle": 1, "class": "SmokeFailed", "message": "off"})
    ended = {"terminated": {"exitCode": 65, "message": words}}
    metadata: dict[str, Any] = {
        "namespace": deployment["metadata"]["namespace"],
        "name": f"{deployment['metadata']['name']}-bad",
        "uid": f"bad-{deployment['metadata']['uid']}",
        "labels": deployment["spec"]["template"]["metadata"]["labels"],
        "creationTimestamp": stamp(state.time),
        "generation": 1,
        "ownerReferences": [{"uid": deployment["metadata"]["uid"]}],
    }
    status = {"phase": "Running", "containerStatuses": [{"name": "serve", "restartCount": 1, "state": ended}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}, "status": status}


# --- garbage -----------------------------------------------------------------------------------------------------
def garbage(state: State) -> Iterator[Happening]:
    """What is left of owners that are gone, if anything is."""
    every = [raw for kind in _KINDS for raw in all_of(state, kind)]
    alive = {raw["metadata"]["uid"] for raw in every}
    orphans = [raw for raw in every if any(o["uid"] not in alive for o in raw["metadata"].get("ownerReferences", ()))]
    if orphans:
        named = ", ".join(sorted(f"{raw['kind']} {raw['metadata']['name']}" for raw in orphans))
        yield Happening(
            f"the garbage collector takes {named}", {(raw["kind"], raw["metadata"]["name"]): None for raw in orphans}
        )


_KINDS = (
    "ModelTraining",
    "ModelDeployment",
    "RetrainPolicy",
    "Job",
    "Pod",
    "Deployment",
    "Service",
    "PodDisruptionBudget",
)
