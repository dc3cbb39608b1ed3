"""What the operator's metrics say of ready pods, for the alert that must come when no pod is left to be asked."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from modelcycle.cluster.kinds import DEPLOYMENT, MODEL_DEPLOYMENT
from modelcycle.constants import LABEL_MANAGED_BY, LABEL_OWNER_UID, MANAGED_BY
from modelcycle.core.plan import Manifest
from modelcycle.deployment.gauge import ReadyReplicas, ready_replicas
from modelcycle.runtime.cache import Cache
from modelcycle.runtime.metrics import Metrics
from tests.unit.deployment.world import World


def serving(ready: int) -> World:
    world = World(replicas=2).serving()
    for workload in world.workloads.values():
        workload.ready = ready
    return world


def of(world: World) -> int | None:
    observed = world.observed()
    return ready_replicas(observed.resource, observed.deployments)


@pytest.mark.parametrize(
    ("world", "ready"),
    [
        pytest.param(World(), None, id="it has never served"),
        pytest.param(serving(2), 2, id="well"),
        pytest.param(serving(0), 0, id="none is ready any more"),
    ],
)
def test_ready_replicas(world: World, ready: int | None) -> None:
    assert of(world) == ready


def test_without_any_workload_none_is_ready() -> None:
    assert ready_replicas(serving(2).resource(), ()) == 0


def test_what_is_being_deleted_need_not_serve() -> None:
    assert ready_replicas(replace(serving(2).resource(), deleting=True), ()) is None


# --- at a scrape -----------------------------------------------------------------------------------------------------
def metadata(name: str, uid: str, version: int, **labels: str) -> Manifest:
    return {
        "namespace": "quant",
        "name": name,
        "uid": uid,
        "generation": 1,
        "resourceVersion": str(version),
        "creationTimestamp": "2026-03-04T05:06:00Z",
        "labels": labels,
    }


def workload(version: int, ready: int) -> Manifest:
    labels = {LABEL_MANAGED_BY: MANAGED_BY, LABEL_OWNER_UID: "uid-md"}
    return {"metadata": metadata("hedge-v1", "uid-d", version, **labels), "status": {"readyReplicas": ready}}


def test_a_scrape_shows_what_the_cache_has_then() -> None:
    cache, registry = Cache(lambda kind, view: None, Metrics()), CollectorRegistry()
    registry.register(ReadyReplicas(cache))

    def exposed() -> list[str]:
        return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]

    assert exposed() == []
    world = serving(2)
    body = {"spec": world.document, "status": world.status.manifest()}
    cache.put(MODEL_DEPLOYMENT, {"metadata": metadata("hedge", "uid-md", 1), **body})
    name = 'modelcycle_deployment_ready_replicas{deployment="hedge",resource_namespace="quant"}'
    assert exposed() == [f"{name} 0.0"]
    cache.put(DEPLOYMENT, workload(2, ready=2))
    assert exposed() == [f"{name} 2.0"]
    cache.put(DEPLOYMENT, workload(3, ready=0))
    assert exposed() == [f"{name} 0.0"]
    cache.remove(MODEL_DEPLOYMENT, "quant", "hedge", "uid-md")
    assert exposed() == []
