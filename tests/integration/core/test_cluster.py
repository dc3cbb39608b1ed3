"""The cluster adapter against a real API server: what conditional writes really do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from e2e.cluster import Cluster
from modelcycle.cluster.kinds import CONFIG_MAP, JOB, MODEL_TRAINING, NAMESPACE, SECRET
from modelcycle.cluster.kube import KubeCluster
from modelcycle.errors import AlreadyExists, Conflict, NotFound, Refused
from tests.integration.core.objects import config_map, job, training

STATUS = {"conditions": [], "observedGeneration": 1, "summary": "first"}


def status_of(raw: dict[str, Any], **status: object) -> dict[str, Any]:
    names = ("namespace", "name", "uid", "resourceVersion")
    metadata = {name: raw["metadata"][name] for name in names}
    return {"apiVersion": raw["apiVersion"], "kind": raw["kind"], "metadata": metadata, "status": STATUS | status}


async def test_apply_creates_then_changes_nothing_when_it_is_said_again(cluster: KubeCluster, namespace: str) -> None:
    first = await cluster.apply(CONFIG_MAP, config_map(namespace, "a", key="1"))
    again = await cluster.apply(CONFIG_MAP, config_map(namespace, "a", key="1"))
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_apply_takes_back_what_somebody_else_changed(
    cluster: KubeCluster, control_plane: Cluster, namespace: str
) -> None:
    await cluster.apply(CONFIG_MAP, config_map(namespace, "a", key="ours"))
    control_plane.kubectl("-n", namespace, "patch", "configmap", "a", "-p", '{"data":{"key":"theirs","more":"x"}}')
    healed = await cluster.apply(CONFIG_MAP, config_map(namespace, "a", key="ours"))
    assert healed["data"] == {"key": "ours", "more": "x"}


@pytest.mark.parametrize(
    "deleted", [pytest.param(True, id="that is gone by now"), pytest.param(False, id="that was made anew by others")]
)
async def test_apply_with_a_uid_never_creates_or_adopts_an_object(
    cluster: KubeCluster, namespace: str, deleted: bool
) -> None:
    first = await cluster.apply(CONFIG_MAP, config_map(namespace, "a"))
    await cluster.delete(CONFIG_MAP, namespace, "a", first["metadata"]["uid"])
    if not deleted:
        await cluster.create(CONFIG_MAP, config_map(namespace, "a"))
    wanted = config_map(namespace, "a", key="1")
    wanted["metadata"]["uid"] = first["metadata"]["uid"]
    with pytest.raises(Conflict):
        await cluster.apply(CONFIG_MAP, wanted)


async def test_of_two_status_writes_on_the_same_version_one_is_refused(cluster: KubeCluster, namespace: str) -> None:
    seen = await cluster.create(MODEL_TRAINING, training(namespace, "a"))
    results = await asyncio.gather(
        cluster.write_status(MODEL_TRAINING, status_of(seen, summary="one")),
        cluster.write_status(MODEL_TRAINING, status_of(seen, summary="two")),
        return_exceptions=True,
    )
    assert sum(isinstance(result, Conflict) for result in results) == 1
    assert sum(isinstance(result, dict) for result in results) == 1


async def test_a_status_write_touches_the_status_only(cluster: KubeCluster, namespace: str) -> None:
    manifest = training(namespace, "a")
    manifest["metadata"]["annotations"] = {"modelcycle.dev/abort-requested": "now"}
    seen = await cluster.create(MODEL_TRAINING, manifest)
    written = await cluster.write_status(MODEL_TRAINING, status_of(seen))
    assert written["status"]["summary"] == "first"
    assert (written["spec"], written["metadata"]["annotations"]) == (seen["spec"], seen["metadata"]["annotations"])
    assert written["metadata"]["generation"] == seen["metadata"]["generation"]


async def test_a_status_write_replaces_what_was_there(cluster: KubeCluster, namespace: str) -> None:
    seen = await cluster.create(MODEL_TRAINING, training(namespace, "a"))
    first = await cluster.write_status(MODEL_TRAINING, status_of(seen, runningSeconds=5))
    second = await cluster.write_status(MODEL_TRAINING, status_of(first))
    assert "runningSeconds" in first["status"]
    assert second["status"].get("runningSeconds", 0) == 0


async def test_a_status_is_not_written_to_the_namesake_of_a_later_life(cluster: KubeCluster, namespace: str) -> None:
    seen = await cluster.create(MODEL_TRAINING, training(namespace, "a"))
    await cluster.delete(MODEL_TRAINING, namespace, "a", seen["metadata"]["uid"])
    with pytest.raises((Conflict, NotFound)):
        await cluster.write_status(MODEL_TRAINING, status_of(seen))
    await cluster.create(MODEL_TRAINING, training(namespace, "a"))
    with pytest.raises(Conflict):
        await cluster.write_status(MODEL_TRAINING, status_of(seen))


async def test_delete_says_what_is_left(cluster: KubeCluster, namespace: str) -> None:
    made = await cluster.create(JOB, job(namespace, "a"))
    uid = made["metadata"]["uid"]
    with pytest.raises(Conflict):
        await cluster.delete(JOB, namespace, "a", "11111111-2222-3333-4444-555555555555")
    assert await cluster.delete(JOB, namespace, "a", uid) is None
    with pytest.raises(NotFound):
        await cluster.delete(JOB, namespace, "a", uid)


async def test_delete_of_an_object_with_a_finalizer_returns_it(cluster: KubeCluster, namespace: str) -> None:
    manifest = job(namespace, "a")
    manifest["metadata"]["finalizers"] = ["tests.modelcycle.dev/wait"]
    made = await cluster.create(JOB, manifest)
    left = await cluster.delete(JOB, namespace, "a", made["metadata"]["uid"])
    assert left is not None
    assert left["metadata"]["deletionTimestamp"]


async def test_create_twice_says_so(cluster: KubeCluster, namespace: str) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": namespace, "name": "key"}}
    await cluster.create(SECRET, secret)
    with pytest.raises(AlreadyExists, match=f"create Secret {namespace}/key"):
        await cluster.create(SECRET, secret)


async def test_the_api_servers_own_words_reach_the_error(cluster: KubeCluster, namespace: str) -> None:
    wrong = training(namespace, "a")
    wrong["spec"]["deadlineSeconds"] = 0
    with pytest.raises(Refused, match=r"apply ModelTraining .*/a: .*spec\.deadlineSeconds"):
        await cluster.apply(MODEL_TRAINING, wrong)


async def test_a_list_is_read_in_chunks(cluster: KubeCluster, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelcycle.cluster.kube.CHUNK", 3)
    made = [await cluster.create(JOB, job(namespace, f"job-{number}")) for number in range(8)]
    pages = [page async for page in cluster.pages(JOB, namespace, "app.kubernetes.io/managed-by=modelcycle")]
    assert [len(page.items) for page in pages] == [3, 3, 2]
    seen = sorted(item["metadata"]["name"] for page in pages for item in page.items)
    assert seen == [f"job-{number}" for number in range(8)]
    latest = int(made[-1]["metadata"]["resourceVersion"])
    assert all(int(page.resource_version) >= latest for page in pages)
    assert [page.items async for page in cluster.pages(JOB, namespace, "app.kubernetes.io/managed-by=others")] == [()]


async def test_objects_without_a_namespace_are_read(cluster: KubeCluster) -> None:
    assert (await cluster.get(NAMESPACE, None, "kube-system"))["metadata"]["uid"]
