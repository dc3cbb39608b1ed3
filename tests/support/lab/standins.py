"""Stand-ins for what a control plane alone lacks: the Job and Deployment controllers, the kubelet, garbage collection.

They act by what is in the cluster, whoever put it there, also while the operator is dead. What a pod does is a
``Script``: one for each namespace.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from modelcycle.cluster.kinds import CHILDREN, DEPLOYMENT, JOB, MODEL_TRAINING, OURS, POD, SECRET, Kind
from modelcycle.constants import ENV_RUN_ID, LABEL_COMPONENT, LABEL_OWNER_NAME, LABEL_OWNER_UID
from tests.support.lab.informer import Informer
from tests.support.lab.kube import KubeError, Manifest
from tests.support.models import BASELINE, log_onnx

GATE_PASSED: Mapping[str, Any] = {
    "modelcycle": 1,
    "outcome": "Passed",
    "reason": "Better",
    "rows": 60,
    "championLoss": "9",
    "challengerLoss": "1",
    "pValue": "0.001",
    "message": "better",
    "evidence": {"path": "modelcycle/gate-1.json", "sha256": "0" * 64},
}


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended."""

    code: int = 0
    message: str = ""
    reason: str | None = None


@dataclass
class Script:
    """What the pods of one namespace do. ``hanging``: trainings whose pod never ends."""

    mlflow: str
    hanging: frozenset[str] = frozenset()
    gate: Mapping[str, Any] = field(default_factory=lambda: GATE_PASSED)
    waiting: dict[str, str] = field(default_factory=dict)
    """Name of a training -> reason for which its container waits, until the entry is taken away."""
    held: set[str] = field(default_factory=set)
    """"gate": evaluations don't end; "serving": no pod gets ready; until the entry is taken away."""
    train: Callable[[str, str], Awaitable[Exit]] | None = None
    """(training, run id) -> how its pod ends; the default logs a small model."""
    logged: int = 0

    async def run(self, training: str, run_id: str) -> Exit:
        if self.train is not None:
            return await self.train(training, run_id)
        await asyncio.to_thread(log_onnx, self.mlflow, run_id, artifacts={"baseline.json": BASELINE})
        self.logged += 1
        return Exit(message=json.dumps({"modelcycle": 1, "class": None, "message": "", "data": None}))


class Standins:
    """Follows an informer; ``scripts`` by namespace, and nothing happens in a namespace that has none."""

    def __init__(self, informer: Informer) -> None:
        self.informer = informer
        self.scripts: dict[str, Script] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        informer.listeners.append(self.seen)

    def seen(self, kind: Kind, type_: str, raw: Manifest) -> None:
        namespace, uid = raw["metadata"]["namespace"], raw["metadata"]["uid"]
        if namespace not in self.scripts:
            return
        if type_ == "DELETED":
            self._cancel(uid)
            if kind in OURS or kind in (JOB, DEPLOYMENT):
                self._start(f"collect {uid}", self._collect(kind, raw))
        elif kind is JOB and not raw["spec"].get("suspend") and not raw.get("status", {}).get("conditions"):
            self._start(uid, self._job(raw))
        elif kind is DEPLOYMENT:
            self._start(f"{uid} {raw['metadata']['generation']}", self._deployment(raw))

    async def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _start(self, name: str, work: Any) -> None:
        if name in self._tasks:
            work.close()
            return
        task = asyncio.create_task(work, name=name)
        self._tasks[name] = task
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        # What was deleted under our hands is nobody's failure.
        if error is not None and not (isinstance(error, KubeError) and error.status in (404, 409)):
            self.informer.failures.append(error)

    def _cancel(self, uid: str) -> None:
        task = self._tasks.get(uid)
        if task is not None:
            task.cancel()

    # --- Jobs --------------------------------------------------------------------------------------------------------
    async def _job(self, job: Manifest) -> None:
        namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
        script = self.scripts[namespace]
        started = now()
        pod = await self.informer.kube.create(pod_of(job))
        await self._status(JOB, job, {"startTime": started, "active": 1, "ready": 0})
        if job["metadata"]["labels"][LABEL_COMPONENT] == "training":
            end = await self._training(job, pod, script)
        else:
            await _until_let_go(script, "gate")
            end = Exit(message=json.dumps(script.gate))
        await self._pod(pod, ended(pod, end))
        verdict = succeeded(started) if end.code == 0 else failed(started)
        await self._status(JOB, self.informer.find(namespace, JOB, name) or job, verdict)

    async def _training(self, job: Manifest, pod: Manifest, script: Script) -> Exit:
        namespace, training = job["metadata"]["namespace"], job["metadata"]["labels"][LABEL_OWNER_NAME]
        if training in script.waiting:
            await self._pod(pod, waiting(pod, script.waiting[training]))
            while training in script.waiting:  # noqa: ASYNC110 (a test takes an entry out of a dict)
                await asyncio.sleep(0.1)
        await self._pod(pod, running(pod))
        # Each stage of the pod is seen by the operator before the next one: the same requests in each run.
        await self.informer.until(namespace, lambda: self._says(namespace, training, "Running"), "Running", 600)
        if training in script.hanging:
            await asyncio.Event().wait()
        variables = job["spec"]["template"]["spec"]["containers"][0]["env"]
        return await script.run(training, next(one["value"] for one in variables if one["name"] == ENV_RUN_ID))

    def _says(self, namespace: str, training: str, state: str) -> bool:
        resource = self.informer.find(namespace, MODEL_TRAINING, training) or {}
        attempts = resource.get("status", {}).get("attempts") or [{}]
        return bool(attempts[-1].get("state") == state)

    # --- Deployments -------------------------------------------------------------------------------------------------
    async def _deployment(self, deployment: Manifest) -> None:
        await _until_let_go(self.scripts[deployment["metadata"]["namespace"]], "serving")
        wanted = deployment["spec"]["replicas"]
        status = {"observedGeneration": deployment["metadata"]["generation"]}
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), wanted)
        await self._status(DEPLOYMENT, deployment, status | counts)

    # --- garbage -----------------------------------------------------------------------------------------------------
    async def _collect(self, kind: Kind, owner: Manifest) -> None:
        namespace, uid = owner["metadata"]["namespace"], owner["metadata"]["uid"]
        for one in (*CHILDREN, SECRET):
            for child in self.informer.all(namespace, one):
                if is_child(child, kind, owner, uid):
                    await self.informer.kube.delete(one, namespace, child["metadata"]["name"])

    async def _status(self, kind: Kind, raw: Manifest, status: Manifest) -> None:
        metadata = raw["metadata"]
        await self.informer.kube.patch(kind, metadata["namespace"], metadata["name"], {"status": status}, "status")

    async def _pod(self, pod: Manifest, status: Manifest) -> None:
        await self._status(POD, pod, status)


async def _until_let_go(script: Script, what: str) -> None:
    while what in script.held:  # noqa: ASYNC110 (a test takes an entry out of a set)
        await asyncio.sleep(0.1)


def is_child(child: Manifest, kind: Kind, owner: Manifest, uid: str) -> bool:
    if kind is JOB:
        name = str(child["metadata"]["name"])
        return child["kind"] == POD.name and name.startswith(f"{owner['metadata']['name']}-")
    labels = child["metadata"].get("labels") or {}
    return kind is not DEPLOYMENT and labels.get(LABEL_OWNER_UID) == uid


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod_of(job: Manifest) -> Manifest:
    template = job["spec"]["template"]
    metadata = {
        "namespace": job["metadata"]["namespace"],
        "name": f"{job['metadata']['name']}-pod",
        "labels": template["metadata"]["labels"],
    }
    # Without a node it goes at once when it is deleted.
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def _container(pod: Manifest, state: Manifest) -> list[Manifest]:
    container = pod["spec"]["containers"][0]
    common = {"image": container["image"], "imageID": "sha256:1", "ready": False, "restartCount": 0}
    return [{"name": container["name"], "state": state, **common}]


def running(pod: Manifest) -> Manifest:
    return {"phase": "Running", "containerStatuses": _container(pod, {"running": {"startedAt": now()}})}


def waiting(pod: Manifest, reason: str) -> Manifest:
    state = {"waiting": {"reason": reason, "message": 'secret "vendor" not found'}}
    return {"phase": "Pending", "containerStatuses": _container(pod, state)}


def ended(pod: Manifest, end: Exit) -> Manifest:
    reason = end.reason or ("Completed" if end.code == 0 else "Error")
    state = {"exitCode": end.code, "reason": reason, "message": end.message, "startedAt": now(), "finishedAt": now()}
    phase = "Succeeded" if end.code == 0 else "Failed"
    return {"phase": phase, "containerStatuses": _container(pod, {"terminated": state})}


def _condition(type_: str, reason: str) -> Manifest:
    return {"type": type_, "status": "True", "reason": reason, "message": reason, "lastTransitionTime": now()}


def succeeded(started: str) -> Manifest:
    conditions = [_condition("SuccessCriteriaMet", "CompletionsReached"), _condition("Complete", "CompletionsReached")]
    counts = {"active": 0, "ready": 0, "succeeded": 1}
    return {"startTime": started, "completionTime": now(), "conditions": conditions, **counts}


def failed(started: str) -> Manifest:
    reason = "BackoffLimitExceeded"
    conditions = [_condition("FailureTarget", reason), _condition("Failed", reason)]
    return {"startTime": started, "conditions": conditions, "active": 0, "ready": 0, "failed": 1}
