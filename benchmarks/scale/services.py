"""N deployments that each serve a model of their own, and N policies that watch them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

from benchmarks.scale.client import Client, Manifest, following, until
from benchmarks.scale.trainings import NAMESPACE

DEPLOYMENTS = f"/apis/modelcycle.dev/v1alpha1/namespaces/{NAMESPACE}/modeldeployments"
POLICIES = f"/apis/modelcycle.dev/v1alpha1/namespaces/{NAMESPACE}/retrainpolicies"
PATIENCE = 900.0
BATCH = 250
"""So many are made at once: pods of thousands of Deployments that start together are Kubernetes' trouble, not ours."""


async def register(mlflow: str, names: range) -> None:
    """A model with a champion for each number."""
    async with aiohttp.ClientSession(base_url=mlflow) as session:

        async def post(path: str, **body: Any) -> None:
            async with session.post(f"/api/2.0/mlflow/{path}", json=body) as answer:
                answer.raise_for_status()

        for number in names:
            name = model(number)
            await post("registered-models/create", name=name)
            await post("model-versions/create", name=name, source="models:/m-1")
            await post("registered-models/alias", name=name, alias="champion", version="1")


async def deploy(client: Client, names: range) -> None:
    """Deployments and policies, until all serve and all watch."""
    for first in range(names.start, names.stop, BATCH):
        numbers = range(first, min(first + BATCH, names.stop))
        await _ready(client, DEPLOYMENTS, [deployment(number) for number in numbers])
        await _ready(client, POLICIES, [policy(number) for number in numbers])


async def _ready(client: Client, path: str, manifests: list[Manifest]) -> None:
    async with following(client, path, done=is_ready) as seen:
        sent = await client.create_all(path, manifests)
        await until(lambda: sent.keys() <= seen.done.keys(), f"{len(sent)} of {path} are ready", PATIENCE)


def is_ready(raw: Manifest) -> bool:
    conditions = raw.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def model(number: int) -> str:
    return f"{NAMESPACE}.model-{number}"


def deployment(number: int) -> Manifest:
    spec = {"model": {"name": model(number)}, "replicas": 1}
    return _resource("ModelDeployment", f"serve-{number}", spec)


def policy(number: int) -> Manifest:
    loss = {"window": {"rows": 60}, "reference": "Absolute", "bound": "1"}
    table = {"source": "market", "file": "table.csv", "timeColumn": "date", "labelColumn": "y"}
    market = {"name": "market", "path": "/data", "persistentVolumeClaim": {"claimName": "market"}}
    spec = {
        "deployment": {"name": f"serve-{number}"},
        "mode": "Enforce",
        "triggers": [{"name": "loss", "loss": loss}, {"name": "age", "age": {"maxAge": "30d"}}],
        "gate": {"data": table},
        "template": {"image": "localhost/bench/complete:1", "data": [market]},
    }
    return _resource("RetrainPolicy", f"watch-{number}", spec)


def _resource(kind: str, name: str, spec: Mapping[str, Any]) -> Manifest:
    return {"apiVersion": "modelcycle.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
