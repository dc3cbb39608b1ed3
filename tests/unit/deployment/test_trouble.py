"""What the pods say about why they are not ready."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelcycle.core.observed import ContainerView, DeploymentView, PodView
from modelcycle.deployment.trouble import Fault, last_words, trouble
from tests.unit.deployment.outside import START, crashed, pulling


def pod(*containers: ContainerView, **fields: Any) -> PodView:
    return PodView("quant", "pod-1", "uid", {}, START, "Pending", containers=containers, **fields)


OUT_OF_MEMORY = ContainerView("serve", restarts=1, exit_code=137, terminated_reason="OOMKilled")


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        pytest.param([], None, id="no pods"),
        pytest.param([pod()], None, id="starting"),
        pytest.param([pod(crashed("SmokeFailed", "x"), ready=True)], None, id="ready again"),
        pytest.param([pod(crashed("SmokeFailed", "x"), deleting=True)], None, id="ending"),
        pytest.param([pod(ContainerView("fetch", init=True, exit_code=0))], None, id="fetched well"),
        pytest.param([pod(crashed("SmokeFailed", "x"))], "version/SmokeFailed", id="smoke failed"),
        pytest.param([pod(crashed("ModelUnusable", "x"))], "version/ModelUnusable", id="can't be loaded"),
        pytest.param([pod(crashed("Digest", "x", init=True))], "version/DigestMismatch", id="digest differs"),
        pytest.param([pod(crashed("Missing", "x", init=True))], "version/FilesMissing", id="file missing"),
        pytest.param([pod(crashed("Refused", "x", init=True))], "version/FilesRefused", id="not an artifact URI"),
        pytest.param([pod(crashed("Unavailable", "x", init=True))], "outside/FilesUnavailable", id="MLflow is down"),
        pytest.param([pod(crashed("Other", "x"))], "setting/Crashing", id="crashed once"),
        pytest.param([pod(crashed("Other", "x", restarts=3))], "version/Crashing", id="crashed three times"),
        pytest.param([pod(OUT_OF_MEMORY)], "setting/OutOfMemory", id="out of memory once"),
        pytest.param([pod(replace(OUT_OF_MEMORY, restarts=3))], "version/OutOfMemory", id="out of memory three times"),
        pytest.param([pod(pulling())], "setting/ImagePull", id="image can't be pulled"),
        pytest.param([pod(pulling("CreateContainerConfigError"))], "setting/PodConfig", id="Secret is missing"),
        pytest.param([pod(unschedulable="0/3 nodes")], "setting/Unschedulable", id="no node"),
        pytest.param(
            [pod(pulling()), pod(crashed("SmokeFailed", "x"))], "version/SmokeFailed", id="the gravest counts"
        ),
    ],
)
def test_trouble(pods: list[PodView], expected: str | None) -> None:
    found = trouble(pods, None)
    assert (f"{found.fault}/{found.reason}" if found else None) == expected


@pytest.mark.parametrize(
    ("existing", "updated", "stuck", "pods", "expected"),
    [
        pytest.param(0, 0, "exceeded quota: pods=1", [], "setting/PodsRefused", id="a quota is used up"),
        pytest.param(1, 1, "exceeded quota: pods=1", [pod()], "setting/PodsRefused", id="for one of them"),
        pytest.param(1, 1, "exceeded quota: pods=1", [pod(pulling())], "setting/ImagePull", id="a pod says more"),
        pytest.param(2, 2, "it has timed out progressing", [pod(), pod()], None, id="all pods are there"),
        pytest.param(2, 0, "no such priority class", [], "setting/PodsRefused", id="only those of the former template"),
        pytest.param(0, 0, None, [], None, id="being made"),
    ],
)
def test_what_keeps_a_deployment_from_making_its_pods(
    existing: int, updated: int, stuck: str | None, pods: list[PodView], expected: str | None
) -> None:
    workload = DeploymentView(
        "quant", "hedge-v2", "u", {}, None, START, replicas=2, existing=existing, updated=updated, stuck=stuck
    )
    found = trouble(pods, workload)
    assert (f"{found.fault}/{found.reason}" if found else None) == expected


def test_the_message_says_where() -> None:
    found = trouble([pod(crashed("SmokeFailed", "output y, row 3: expected 1, got 2"))], None)
    assert found is not None
    assert found.message == "pod pod-1, container serve: output y, row 3: expected 1, got 2"
    assert found.fault is Fault.VERSION


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(None, (None, ""), id="nothing"),
        pytest.param("Traceback: boom\n", (None, "Traceback: boom"), id="the end of a log"),
        pytest.param('{"class": "Digest"}', (None, '{"class": "Digest"}'), id="JSON that is not ours"),
        pytest.param("[1]", (None, "[1]"), id="a list"),
        pytest.param('{"modelcycle": 1, "class": 3}', (None, ""), id="a class that is no text"),
        pytest.param('{"modelcycle": 1, "class": "Digest", "message": "m"}', ("Digest", "m"), id="ours"),
    ],
)
def test_last_words(text: str | None, words: tuple[str | None, str]) -> None:
    assert last_words(text) == words
