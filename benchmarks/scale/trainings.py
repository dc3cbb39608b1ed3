"""N trainings, created as fast as they go, beside N bare Jobs with the same pod: rate, latency, writes, CPU, memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.scale.audit import AuditLog, total
from benchmarks.scale.client import Client, Manifest, following, until
from benchmarks.scale.operators import Operator
from modelcycle.api.v1alpha1.training import TrainingSpec, TrainingStatus
from modelcycle.cluster.views import resource_view
from modelcycle.settings import MlflowEndpoint
from modelcycle.training import children

NAMESPACE = "default"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
TRAININGS = f"/apis/modelcycle.dev/v1alpha1/namespaces/{NAMESPACE}/modeltrainings"
Done = Callable[[Manifest], bool]
SLOWEST = 1.0
"""Trainings or Jobs a second that is waited for."""


@dataclass(frozen=True)
class Course:
    """What N objects took. ``rate``: a second, from the first creation to the last success.

    ``latencies``: seconds from the creation of each to that of its pod, sorted. ``writes``: to the API server by all,
    ``written``: by whom.
    """

    count: int
    seconds: float
    latencies: tuple[float, ...]
    writes: int
    written: Mapping[tuple[str, str, str], int]
    cpu: float = 0.0
    memory: float = 0.0

    @property
    def rate(self) -> float:
        return self.count / self.seconds

    def latency(self, quantile: float) -> float:
        return self.latencies[min(len(self.latencies) - 1, int(quantile * len(self.latencies)))]


async def bare_jobs(client: Client, audit: AuditLog, count: int, prefix: str) -> Course:
    manifests = [job(f"{prefix}-{number}") for number in range(count)]
    return await _course(client, audit, JOBS, manifests, "job-name", is_complete, None)


async def trainings(
    client: Client,
    audit: AuditLog,
    running: Operator,
    count: int,
    prefix: str,
    image: str = "complete",
    done: Done | None = None,
) -> Course:
    """``done``: when one has come as far as it is to come, unless that is its success."""
    manifests = [training(f"{prefix}-{number}", image) for number in range(count)]
    return await _course(
        client, audit, TRAININGS, manifests, "modelcycle.dev/owner-name", done or has_succeeded, running
    )


async def _course(
    client: Client,
    audit: AuditLog,
    path: str,
    manifests: list[Manifest],
    label: str,
    done: Done,
    running: Operator | None,
) -> Course:
    audit.new()
    cpu = running.cpu if running else 0.0
    names = {manifest["metadata"]["name"] for manifest in manifests}
    async with (
        following(client, path, done=done) as seen,
        following(client, PODS, name=lambda raw: str(raw["metadata"].get("labels", {}).get(label))) as pods,
    ):
        sent = await client.create_all(path, manifests)
        patience = 60 + len(names) / SLOWEST
        await until(
            lambda: names <= seen.done.keys() and names <= pods.first.keys(), f"all {len(names)} ended well", patience
        )
    seconds = max(seen.done.values()) - min(sent.values())
    await asyncio.sleep(2.0)  # what follows the end, such as events, and the audit log
    written = audit.new()
    return Course(
        count=len(names),
        seconds=seconds,
        latencies=tuple(sorted(pods.first[name] - sent[name] for name in names)),
        writes=total(written),
        written=written,
        cpu=running.cpu - cpu if running else 0.0,
        memory=running.memory if running else 0.0,
    )


def is_complete(raw: Manifest) -> bool:
    return any(one["type"] == "Complete" for one in raw.get("status", {}).get("conditions", ()))


def has_succeeded(raw: Manifest) -> bool:
    conditions = raw.get("status", {}).get("conditions", ())
    return any(one["type"] == "Succeeded" and one["status"] == "True" for one in conditions)


def runs(raw: Manifest) -> bool:
    attempts = raw.get("status", {}).get("attempts", ())
    return any(one["state"] == "Running" for one in attempts)


def job(name: str) -> Manifest:
    """The Job, and so the pod, that the operator makes for ``training``; it belongs to nobody, nor does its pod."""
    metadata = {"name": name, "namespace": NAMESPACE, "uid": "0" * 32}
    raw = {**training(name, "complete"), "metadata": metadata}
    resource = resource_view(raw, TrainingSpec, TrainingStatus)
    mlflow = MlflowEndpoint(name="default", url="http://127.0.0.1:1")
    made = children.job(resource, mlflow, "0" * 32, 1, resource.spec.deadline_seconds)
    template = made["spec"]["template"]
    spec = made["spec"] | {"template": template | {"metadata": _of_nobody(template["metadata"])}}
    return made | {"metadata": _of_nobody(made["metadata"]) | {"name": name}, "spec": spec}


def _of_nobody(metadata: Manifest) -> dict[str, Any]:
    """As many labels, none of which the operator looks for."""
    return {"labels": {f"bench/{label.rpartition('/')[2]}": value for label, value in metadata["labels"].items()}}


def training(name: str, image: str) -> Manifest:
    """``image``: how its pod ends, see stages.yaml."""
    return {
        "apiVersion": "modelcycle.dev/v1alpha1",
        "kind": "ModelTraining",
        "metadata": {"name": name},
        "spec": {"image": f"localhost/bench/{image}:1", "register": {"model": f"{NAMESPACE}.bench"}},
    }
