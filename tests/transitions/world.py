"""The world of transitions: the model checker's, with pods that can't start, live traffic, labels, and ConfigMaps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modelcycle import constants as names
from modelcycle.core.hashing import sha256
from modelcycle.core.plan import Effect, Manifest
from modelcycle.errors import Missing
from modelcycle.metricstore.load import InFlight
from modelcycle.metricstore.port import MetricQuery
from modelcycle.registry.port import RegisterModel, VersionInfo
from modelcycle.settings import Endpoints, MlflowEndpoint, PrometheusEndpoint, Settings
from modelcycle.training.effects import KeepConfigMap
from tests.check import environment, registry
from tests.check.environment import Happening
from tests.check.explore import Step
from tests.check.passes import Passes
from tests.check.registry import Registry
from tests.check.state import ABSENT, VALUES, Batch, Known, Left, State, all_of, find, moment, stamp
from tests.check.world import DOMAINS, World
from tests.transitions.traffic import Telemetry, answer, load

SETTINGS = Settings(
    cluster_id="c1",
    serving_image="serving:1",
    endpoints=Endpoints(
        mlflow=(
            MlflowEndpoint(name="default", url="http://mlflow:5000", pod_secret="mlflow"),
            MlflowEndpoint(name="other", url="http://other:5000", pod_secret="other-mlflow"),
        ),
        prometheus=(
            PrometheusEndpoint(name="default", url="http://prometheus:9090"),
            PrometheusEndpoint(name="other", url="http://other:9090"),
        ),
    ),
)
CONFIG_MAPS: Mapping[str, Mapping[str, str]] = {
    "site": {"region": "eu", "zone": "a", "other": "us"},
    "site2": {"region": "eu2", "zone": "b"},
    "code": {"train.py": "print('hedge')"},
    "code2": {"train.py": "print('other')"},
}
ABSENT_NAME = "absent"
"""Whatever has this in its name is not there: an image, a Secret, a claim, a class, a node with such a label."""


@dataclass(frozen=True, slots=True)
class Script:
    """``held``: what does not happen; ``accidents``: what does, though it need not. Both by parts of what is told."""

    held: tuple[str, ...] = ()
    accidents: tuple[str, ...] = ()
    telemetry: Telemetry = field(default_factory=Telemetry)


class TransitionWorld(World):
    """``script``: what happens by itself, set by whoever drives the world."""

    def __init__(self) -> None:
        super().__init__(Left())
        self.passes = Passes(DOMAINS, SETTINGS)
        self.script = Script()

    def begin(self, state: State) -> State:
        return state

    def ticked(self, state: State) -> State:
        """After one tick, in which nothing else happened yet."""
        return self._tick(state).after

    # --- Kubernetes ---------------------------------------------------------------------------------------------------
    def happenings(self, state: State) -> Iterator[Happening]:
        found = [one for one in _happenings(state) if not any(word in one.told for word in self.script.held)]
        for one in found:
            if one.accident and any(word in one.told for word in self.script.accidents):
                yield replace(one, accident=False)
        yield from (one for one in found if not one.accident)

    # --- MLflow and Prometheus ----------------------------------------------------------------------------------------
    def carry_out(self, kept: Registry, effect: Effect) -> tuple[Registry, object]:
        if isinstance(effect, KeepConfigMap):
            return kept, _digest(effect)
        after, value = registry.carry_out(kept, effect)
        if isinstance(value, VersionInfo) and isinstance(effect, RegisterModel):
            value = replace(value, model=effect.model)
        return after, value

    def _effect(self, state: State, batch: Batch, *, is_lost: bool = False) -> Step[State]:
        step = super()._effect(state, batch, is_lost=is_lost)
        done = (*step.after.ghosts, batch.effects[0])
        return replace(step, after=step.after._replace(ghosts=done))

    def _read(self, state: State, known: Known) -> Known:
        request = VALUES[known.request]
        if isinstance(request, InFlight):
            value: object = load(self.script.telemetry)
        elif isinstance(request, MetricQuery):
            value = answer(request, self.script.telemetry, state.time)
        else:
            return super()._read(state, known)
        return known._replace(time=state.time, value=VALUES.number(value), error=ABSENT)


def _digest(effect: KeepConfigMap) -> str:
    content: list[tuple[str, str]] = []
    for pick in effect.picks:
        if pick.config_map not in CONFIG_MAPS:
            raise Missing(f"there is no ConfigMap {pick.config_map!r}")
        keys = CONFIG_MAPS[pick.config_map]
        if pick.key is not None and pick.key not in keys:
            raise Missing(f"ConfigMap {pick.config_map!r} has no key {pick.key!r}")
        content += [(pick.name or key, keys[key]) for key in ([pick.key] if pick.key else keys)]
    return sha256(sorted(content))


# --- pods that can't start -------------------------------------------------------------------------------------------
def _happenings(state: State) -> Iterator[Happening]:
    hindered = {
        (kind, raw["metadata"]["name"]): why
        for kind in ("Job", "Deployment")
        for raw in all_of(state, kind)
        if (why := hindrance(raw["spec"]["template"]["spec"]))
    }
    for job in all_of(state, "Job"):
        yield from _out_of_time(state, job)
        yield from _disrupted(state, job)
    for (kind, name), why in hindered.items():
        raw = find(state, kind, name) or {}
        yield from (_stuck_job if kind == "Job" else _stuck_deployment)(state, raw, why)
    for one in environment.happenings(state):
        if not any(key in hindered for key in one.objects) or "garbage" in one.told or "suspended" in one.told:
            yield one


def hindrance(pod: Manifest) -> tuple[str, str] | None:
    """What keeps a pod from running: (reason, message), as the kubelet, the scheduler or the API server says it."""
    if ABSENT_NAME in (pod.get("priorityClassName") or "") or ABSENT_NAME in (pod.get("serviceAccountName") or ""):
        return "Refused", "no such priority class or service account"
    if ABSENT_NAME in str(pod.get("nodeSelector") or ""):
        return "Unschedulable", "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector"
    containers = [*pod.get("initContainers", ()), *pod["containers"]]
    if any("999" in str(container.get("resources", {}).get("requests", {})) for container in containers):
        return "Unschedulable", "0/3 nodes are available: 3 Insufficient cpu"
    if any(ABSENT_NAME in str(volume.get("persistentVolumeClaim")) for volume in pod["volumes"]):
        return "Unschedulable", f'persistentvolumeclaim "{ABSENT_NAME}" not found'
    if any(ABSENT_NAME in container["image"] for container in containers):
        return "ImagePullBackOff", "no such image"
    if ABSENT_NAME in str(pod.get("imagePullSecrets") or ""):
        return "ImagePullBackOff", "pull access denied"
    if any(ABSENT_NAME in str(variable.get("valueFrom")) for one in containers for variable in one.get("env", ())):
        return "CreateContainerConfigError", "not found"
    return None


def _stuck_pod(state: State, raw: Manifest, name: str, why: tuple[str, str]) -> Manifest:
    template = raw["spec"]["template"]
    reason, message = why
    status: dict[str, Any] = {"phase": "Pending"}
    if reason == "Unschedulable":
        status["conditions"] = [{"type": "PodScheduled", "status": "False", "reason": reason, "message": message}]
    else:
        waiting = {"waiting": {"reason": reason, "message": message}}
        status["containerStatuses"] = [{"name": template["spec"]["containers"][0]["name"], "state": waiting}]
    metadata = {
        "namespace": raw["metadata"]["namespace"],
        "name": name,
        "uid": f"{name}-{reason}",
        "labels": template["metadata"]["labels"],
        "creationTimestamp": stamp(state.time),
        "generation": 1,
        "ownerReferences": [{"uid": raw["metadata"]["uid"]}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}, "status": status}


def _stuck_job(state: State, job: Manifest, why: tuple[str, str]) -> Iterator[Happening]:
    name, status = job["metadata"]["name"], job.get("status") or {}
    if status.get("conditions") or status.get("active") or status.get("startTime") or job["spec"].get("suspend"):
        return
    started = {"startTime": stamp(state.time), "active": int(why[0] != "Refused")}
    pod = None if why[0] == "Refused" else _stuck_pod(state, job, f"{name}-pod", why)
    yield Happening(
        f"the pod of Job {name} can't start ({why[0]})",
        {("Job", name): job | {"status": started}, ("Pod", f"{name}-pod"): pod},
    )


def _stuck_deployment(state: State, raw: Manifest, why: tuple[str, str]) -> Iterator[Happening]:
    """Pods of an earlier template stay: none is taken before a new one is ready."""
    name, wanted, before = raw["metadata"]["name"], raw["spec"]["replicas"], raw.get("status") or {}
    if before.get("observedGeneration") == raw["metadata"]["generation"]:
        return
    ready = min(before.get("readyReplicas", 0), wanted)
    status: Manifest = {
        "observedGeneration": raw["metadata"]["generation"],
        "replicas": ready + (why[0] != "Refused"),
        "updatedReplicas": int(why[0] != "Refused"),
        "readyReplicas": ready,
        "availableReplicas": ready,
    }
    pod = None
    if why[0] == "Refused":
        status["conditions"] = [
            {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": why[1]}
        ]
    else:
        pod = _stuck_pod(state, raw, f"{name}-bad", why)
    yield Happening(
        f"new pods of {name} can't start ({why[0]})",
        {("Deployment", name): raw | {"status": status}, ("Pod", f"{name}-bad"): pod},
    )


# --- ends of Jobs ----------------------------------------------------------------------------------------------------
def _out_of_time(state: State, job: Manifest) -> Iterator[Happening]:
    status, name = job.get("status") or {}, job["metadata"]["name"]
    if status.get("conditions") or "startTime" not in status or job["spec"].get("suspend"):
        return
    started = next(tick for tick in range(state.time + 1) if stamp(tick) == status["startTime"])
    if (moment(state.time) - moment(started)).total_seconds() < job["spec"]["activeDeadlineSeconds"]:
        return
    failed = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "Job was active too long"}
    ended = status | {"active": 0, "conditions": [failed]}
    objects = {("Job", name): job | {"status": ended}, ("Pod", f"{name}-pod"): None}
    yield Happening(f"the time of Job {name} is over", objects)


def _disrupted(state: State, job: Manifest) -> Iterator[Happening]:
    status, name = job.get("status") or {}, job["metadata"]["name"]
    is_training = job["metadata"]["labels"][names.LABEL_COMPONENT] == "training"
    if status.get("conditions") or not status.get("active") or not is_training:
        return
    ended, pod = environment._ended(state, job, "Failed", 143, "")
    yield Happening(f"Job {name} is disrupted", environment._with(job, ended, pod), accident=True)
