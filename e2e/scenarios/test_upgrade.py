"""An upgrade of the chart leaves what serves as it is."""

from __future__ import annotations

import json
import time

from e2e.demo.kube import condition
from e2e.images.catalogue import published
from e2e.install import install
from e2e.scenarios.loop import Loop
from e2e.scenarios.market import OtherMarket
from e2e.scenarios.stage import Stage
from e2e.scenarios.system import Json, System, eventually, is_pod_ready, operator_pods

WATCHED_SECONDS = 30
SELECTOR = "app.kubernetes.io/component=serving"


def test_a_new_default_serving_image_restarts_no_pod(
    system: System, stage: Stage, short_loop: Loop, other_market: OtherMarket
) -> None:
    stage.wait()
    before = eventually("all deployments at rest", lambda: settled(system), 900)
    # The same image under its other name: the nodes' caches run it, too.
    _, _, tag = published(system.image("serving")).rpartition(":")
    install(system.cluster, system.images, [f"image.tags.serving={tag}"])
    eventually("the new operator", lambda: upgraded(system, tag), 300)
    looked = lambda: system.passes()["ModelDeployment"] >= len(deployments(system))  # noqa: E731
    eventually("its first look at every deployment", looked, 300)
    time.sleep(WATCHED_SECONDS)
    assert serving_pods(system) == before
    for namespace in (short_loop.kube, other_market.kube):
        for deployment in namespace.items("modeldeployments"):
            stable = deployment["status"]["stable"]
            assert (stable["image"], stable["revision"]) == (system.image("serving"), 1)


def upgraded(system: System, tag: str) -> bool:
    """Whether the one operator pod is ready, and has the new image as its default."""
    pods = operator_pods(system)
    words = json.dumps([pod["spec"]["containers"][0]["args"] for pod in pods])
    return len(pods) == 1 and is_pod_ready(pods[0]) and f"serving:{tag}" in words


def settled(system: System) -> dict[str, int] | None:
    """The serving pods, once there are just those that the deployments want, and nothing is under way."""
    found, pods = deployments(system), serving_pods(system)
    is_settled = all(condition(one, "Progressing")["status"] == "False" for one in found)
    return pods if is_settled and len(pods) == sum(one["spec"]["replicas"] for one in found) else None


def deployments(system: System) -> list[Json]:
    found: list[Json] = json.loads(system.cluster.kubectl("get", "md", "--all-namespaces", "-o", "json"))["items"]
    return found


def serving_pods(system: System) -> dict[str, int]:
    """Restarts of each serving pod, by uid; those that an earlier rollout still drains are on their way out."""
    found = json.loads(system.cluster.kubectl("get", "pods", "--all-namespaces", "-l", SELECTOR, "-o", "json"))
    staying = [pod for pod in found["items"] if "deletionTimestamp" not in pod["metadata"]]
    return {pod["metadata"]["uid"]: restarts(pod) for pod in staying}


def restarts(pod: Json) -> int:
    return sum(one["restartCount"] for one in pod["status"].get("containerStatuses", []))
