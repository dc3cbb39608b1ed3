"""Real models under load, while their pods are replaced, multiplied, evicted and started without MLflow."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest

from e2e.progress import say
from e2e.scenarios.models import Served, serve_hedge, serve_mini_lm
from e2e.scenarios.outages import mlflow_down
from e2e.scenarios.stage import Stage
from e2e.scenarios.system import Json, System, eventually, reasons_of

SCALED = 4
Models = tuple[Served, ...]


@pytest.fixture(scope="module")
def models(system: System, stage: Stage) -> Models:
    stage.wait()
    with ThreadPoolExecutor(max_workers=2) as pool:
        hedge = pool.submit(serve_hedge, system, "scale-hedge")
        mini_lm = pool.submit(serve_mini_lm, system, "scale-minilm")
        return hedge.result(), mini_lm.result()


@contextmanager
def load(models: Models) -> Iterator[None]:
    """Requests to all for as long as the block runs; none of them may fail."""
    with ExitStack() as stack:
        results = {served.name: stack.enter_context(served.client.load()) for served in models}
        yield
        for served in models:
            served.answered(more=20)
    for name, result in results.items():
        told = result()
        say(f"{name}: {sum(told['versions'].values())} answers, {len(told['failures'])} failures")
        assert told["failures"] == []
        assert set(told["versions"]) == {"1"}


def test_a_rolling_update_fails_no_request(models: Models) -> None:
    before = {served.name: frozenset(served.uids()) for served in models}
    with load(models):
        for served in models:
            served.patch('{"spec": {"serving": {"drainSeconds": 5}}}')
        for served in models:
            served.until_ready(2, without=before[served.name])


def test_a_load_brings_more_pods_and_fails_no_request(models: Models) -> None:
    with load(models):
        for served in models:
            served.patch(json.dumps({"spec": {"autoscaling": {"maxReplicas": SCALED, "inFlight": "0.0001"}}}))
        for served in models:
            served.until_ready(SCALED)
            assert served.autoscaled()["reason"] == "Load"
            assert "Scaled" in reasons_of(served.kube, served.name)


def test_less_to_do_takes_them_away_again_and_fails_no_request(models: Models) -> None:
    with load(models):
        for served in models:
            served.patch('{"spec": {"autoscaling": {"inFlight": "1000"}}}')
        for served in models:
            served.until_ready(2)
            assert served.resource()["spec"]["replicas"] == 2, "the operator writes no spec"


def test_a_node_that_is_drained_fails_no_request(system: System, models: Models) -> None:
    """The cluster has one node: where a second one would take the pods, this one takes them back in the middle."""
    (node,) = (
        one["metadata"]["name"] for one in json.loads(system.cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    )
    before = {served.name: frozenset(served.uids()) for served in models}
    selector = "modelcycle.dev/deployment in (hedge, minilm)"
    drain = ("drain", node, f"--pod-selector={selector}", "--delete-emptydir-data", "--timeout=900s")
    with load(models), ThreadPoolExecutor(max_workers=1) as pool:
        draining = pool.submit(system.cluster.kubectl, *drain)
        try:
            for served in models:
                eventually("a pod that has no node", partial(pending, served), 300)
                assert len([pod for pod in served.pods() if not is_pending(pod)]) == 1, "its last pod is not evicted"
        finally:
            system.cluster.kubectl("uncordon", node)
        draining.result()
        for served in models:
            served.until_ready(2, without=before[served.name])


def test_a_version_that_was_served_scales_without_mlflow(system: System, models: Models) -> None:
    hits = 'modelcycle_model_cache_requests_total{result="hit"}'
    before = system.counted(hits)
    with load(models), mlflow_down(system):
        began = time.monotonic()
        for served in models:
            served.patch(json.dumps({"spec": {"autoscaling": None, "replicas": SCALED}}))
        for served in models:
            served.until_ready(SCALED)
            say(f"{served.name}: {SCALED} pods are ready after {time.monotonic() - began:.0f} s without MLflow")
    of_new_pods = before + 2 * len(models)
    eventually("that the new pods' files came from the cache", lambda: system.counted(hits) >= of_new_pods, 60)


# --- help ------------------------------------------------------------------------------------------------------------
def pending(served: Served) -> bool:
    return any(is_pending(pod) for pod in served.pods())


def is_pending(pod: Json) -> bool:
    """Whether the scheduler found no node for it."""
    found = [one for one in pod["status"].get("conditions", []) if one["type"] == "PodScheduled"]
    return any(one["status"] == "False" for one in found)
