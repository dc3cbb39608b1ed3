"""A watch that says nothing any more although its connection stands: a firewall that forgot it, a node that hangs.

kopf alone waits for ever. What ends that: no watch is silent for more than 70 s, since the API server sends a bookmark
every minute; where new connections are as silent, the relist finds out what was missed, and the liveness probe says so.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from e2e.cluster import Cluster
from modelcycle.cluster.kinds import JOB, Kind
from modelcycle.cluster.kube import KubeCluster
from modelcycle.core.plan import Manifest
from modelcycle.edge import watching
from modelcycle.runtime.cache import Cache
from modelcycle.runtime.metrics import Metrics
from modelcycle.runtime.resync import Resync
from tests.integration.core.objects import job
from tests.integration.core.watched import Sink, eventually, jobs, watched

ALL = os.environ.get("MODELCYCLE_HA") == "all"
INACTIVITY_SECONDS = 2.0
NEVER = 3600.0
RELIST_SECONDS = 2.0


class HeardSink(Sink):
    """Tells a resync of each event, as the manager does."""

    def __init__(self, cache: Cache, resync: Resync) -> None:
        super().__init__(cache)
        self._resync = resync

    def seen(self, kind: Kind, raw: Manifest) -> None:
        self._resync.heard(kind)
        super().seen(kind, raw)


def patience(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """After so long without an event kopf takes a watch for dead."""
    settings = watching.watch_settings

    def changed() -> object:
        made = settings()
        made.watching.inactivity_timeout = seconds
        return made

    monkeypatch.setattr(watching, "watch_settings", changed)


@pytest.mark.parametrize("guarded", [pytest.param(False, id="the gap"), pytest.param(True, id="the repair")])
async def test_a_watch_that_is_silent_is_begun_anew(
    control_plane: Cluster,
    cluster: KubeCluster,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    guarded: bool,
) -> None:
    patience(monkeypatch, INACTIVITY_SECONDS if guarded else NEVER)
    cache = Cache(lambda kind, view: None, Metrics())
    async with watched(control_plane, namespace, tmp_path, cache) as (_, proxy):
        await cluster.create(JOB, job(namespace, "before"))
        await eventually(lambda: jobs(cache, namespace) == {"before"}, "the watch works")
        proxy.silence()
        await cluster.create(JOB, job(namespace, "after"))
        if guarded:
            await eventually(lambda: "after" in jobs(cache, namespace), "the watch is begun anew", 60)
        else:
            await asyncio.sleep(3 * INACTIVITY_SECONDS)
            assert jobs(cache, namespace) == {"before"}


async def test_where_every_watch_is_silent_the_relist_repairs_and_liveness_says_so(
    control_plane: Cluster, cluster: KubeCluster, namespace: str, tmp_path: Path
) -> None:
    metrics = Metrics()
    cache = Cache(lambda kind, view: None, metrics)
    resync = Resync(cluster, cache, metrics, (namespace,), lambda: None, time.monotonic, RELIST_SECONDS)
    async with watched(control_plane, namespace, tmp_path, cache, HeardSink(cache, resync)) as (_, proxy):
        await cluster.create(JOB, job(namespace, "before"))
        await eventually(lambda: jobs(cache, namespace) == {"before"}, "the watch works")
        relists = asyncio.create_task(resync.run())
        await asyncio.sleep(2 * RELIST_SECONDS)
        assert not resync.silent(), "a watch is not dead because nothing happens"
        proxy.silence(later_ones_too=True)
        await cluster.create(JOB, job(namespace, "after"))
        await eventually(lambda: "after" in jobs(cache, namespace), "the relist finds it")
        # The first relist after the silence began may be one that the watch was still heard before.
        for number in range(20):
            await cluster.create(JOB, job(namespace, f"later-{number}"))
            await asyncio.sleep(RELIST_SECONDS)
            if resync.silent():
                break
        assert resync.silent() == {"Job"}
        assert metrics.registry.get_sample_value("modelcycle_cache_repairs_total", {"kind": "Job"})
        relists.cancel()


@pytest.mark.skipif(not ALL, reason="takes more than two minutes: MODELCYCLE_HA=all (make ha)")
async def test_where_nothing_happens_bookmarks_keep_a_watch_from_being_taken_for_dead(
    control_plane: Cluster, cluster: KubeCluster, namespace: str, tmp_path: Path
) -> None:
    cache = Cache(lambda kind, view: None, Metrics())
    async with watched(control_plane, namespace, tmp_path, cache) as (_, proxy):
        await cluster.create(JOB, job(namespace, "one"))
        await eventually(lambda: jobs(cache, namespace) == {"one"}, "the watch works")
        before = proxy.connections
        await asyncio.sleep(2 * 70)
        assert proxy.connections == before
