"""What a broken watch misses, and how the cache gets over it.

kopf never tells of objects that were deleted while its watch was broken: when the API server answers 410 it lists anew,
and what is not in the list is not mentioned. The first half of the test shows that this is still so; when it fails one
day, then the relist can go.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from e2e.cluster import Cluster
from modelcycle.cluster.kinds import JOB
from modelcycle.cluster.kube import KubeCluster
from modelcycle.core.observed import JobView
from modelcycle.runtime.cache import Cache
from modelcycle.runtime.metrics import Metrics
from modelcycle.runtime.resync import Resync
from tests.integration.core.objects import job
from tests.integration.core.watched import compact, eventually, jobs, restart_api_server, watched

RELIST_SECONDS = 2.0


def forget(cluster: Cluster) -> None:
    """The API server begins with an empty watch cache, and etcd has no history: who asks for it is told 410."""
    compact(cluster)
    restart_api_server(cluster)


async def test_a_ghost_stays_until_the_relist(
    control_plane: Cluster, cluster: KubeCluster, namespace: str, tmp_path: Path
) -> None:
    metrics = Metrics()
    cache = Cache(lambda kind, view: None, metrics)
    async with watched(control_plane, namespace, tmp_path, cache) as (sink, proxy):
        made = {name: await cluster.create(JOB, job(namespace, name)) for name in ("ghost", "lives")}
        await eventually(lambda: jobs(cache, namespace) == {"ghost", "lives"}, "both Jobs are seen")

        proxy.cut()
        await cluster.delete(JOB, namespace, "ghost", made["ghost"]["metadata"]["uid"])
        await asyncio.to_thread(forget, control_plane)
        proxy.heal()
        await cluster.create(JOB, job(namespace, "later"))
        await eventually(lambda: "later" in jobs(cache, namespace), "the watch works again", 60)
        assert sink.deletions == 0
        assert jobs(cache, namespace) == {"ghost", "lives", "later"}

        resync = Resync(cluster, cache, metrics, (namespace,), lambda: None, time.monotonic, RELIST_SECONDS)
        relists = asyncio.create_task(resync.run())
        await eventually(lambda: jobs(cache, namespace) == {"lives", "later"}, "the relist finds that it is gone")
        relists.cancel()
        assert cache.get(JobView, "Job", namespace, "ghost") is None


async def test_what_happens_before_a_reconnect_is_told_after_it(
    control_plane: Cluster, cluster: KubeCluster, namespace: str, tmp_path: Path
) -> None:
    """As long as the API server still knows where the watch was, not even a compaction of etcd makes a ghost."""
    cache = Cache(lambda kind, view: None, Metrics())
    async with watched(control_plane, namespace, tmp_path, cache) as (sink, proxy):
        made = await cluster.create(JOB, job(namespace, "gone"))
        await eventually(lambda: jobs(cache, namespace) == {"gone"}, "the Job is seen")
        proxy.cut()
        await cluster.delete(JOB, namespace, "gone", made["metadata"]["uid"])
        await asyncio.to_thread(compact, control_plane)
        proxy.heal()
        await eventually(lambda: not jobs(cache, namespace), "its end is told", 60)
        assert sink.deletions == 1


async def test_a_list_that_etcd_forgot_half_way_is_read_anew(
    control_plane: Cluster, cluster: KubeCluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of a list is refused (410) when etcd was compacted after the page before: nothing of it may be lost."""
    names = {f"job-{number}" for number in range(5)}
    for name in names:
        await cluster.create(JOB, job(namespace, name))
    monkeypatch.setattr("modelcycle.cluster.kube.CHUNK", 2)
    read, pages = cluster._read, 0

    async def reading(request: object) -> object:
        nonlocal pages
        pages += 1
        page = await read(request)  # type: ignore[arg-type]
        if pages == 1:
            await cluster.create(JOB, job(namespace, "later"))
            await asyncio.to_thread(forget, control_plane)
        return page

    monkeypatch.setattr(cluster, "_read", reading)
    metrics = Metrics()
    cache = Cache(lambda kind, view: None, metrics)
    resync = Resync(cluster, cache, metrics, (namespace,), lambda: None, time.monotonic, RELIST_SECONDS)
    await resync._relist(JOB)
    assert jobs(cache, namespace) == names | {"later"}
    assert pages == 1 + 1 + 3, "one page, one refusal, and all three anew"
