"""What a broken watch misses, and how the cache gets over it.

kopf never tells of objects that were deleted while its watch was broken: when the API server answers 410 it lists anew,
and what is not in the list is not mentioned. The first half of the test shows that this is still so; when it fails one
day, then the relist can go.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from e2e.cluster import Cluster, ClusterError
from e2e.cluster.paths import cluster_paths
from modelcycle.cluster.credentials import CredentialSource
from modelcycle.cluster.kinds import JOB, Kind
from modelcycle.cluster.kube import KubeCluster
from modelcycle.core.observed import JobView
from modelcycle.core.plan import Manifest
from modelcycle.edge.watching import watch
from modelcycle.runtime.cache import Cache
from modelcycle.runtime.metrics import Metrics
from modelcycle.runtime.resync import Resync
from tests.integration.core.objects import job
from tests.integration.core.tcp_proxy import TcpProxy, tcp_proxy


class Sink:
    """Puts what kopf tells into a cache."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.deletions = 0

    def seen(self, kind: Kind, raw: Manifest) -> None:
        self.cache.put(kind, raw)

    def deleted(self, kind: Kind, raw: Manifest) -> None:
        self.deletions += 1
        metadata = raw["metadata"]
        self.cache.remove(kind, metadata["namespace"], metadata["name"], metadata["uid"])


def jobs(cache: Cache, namespace: str) -> set[str]:
    return {key.name for key in cache.keys(JOB.name) if key.namespace == namespace}


async def eventually(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(0.05)


@asynccontextmanager
async def watching(sink: Sink, kubeconfig: Path, namespace: str) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(watch(sink, CredentialSource(kubeconfig), (namespace,), stop, lambda: None))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait({task})


def kubeconfig_through(proxy: TcpProxy, cluster: Cluster, folder: Path) -> Path:
    server = cluster.server
    path = folder / "kubeconfig"
    path.write_text(cluster.kubeconfig.read_text().replace(server, f"https://127.0.0.1:{proxy.port}"))
    return path


def restart_api_server(cluster: Cluster) -> None:
    """Its watch cache starts empty: it can't continue a watch from before, and says 410."""
    processes = json.loads(cluster_paths(cluster.name).processes.read_text())
    os.kill(processes["kube-apiserver"]["pid"], signal.SIGKILL)
    time.sleep(1)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            cluster.kubectl("get", "--raw", "/readyz")
        except ClusterError:
            time.sleep(0.3)
        else:
            return
    raise AssertionError("the API server did not come back")


async def test_a_ghost_stays_until_the_relist(
    control_plane: Cluster, cluster: KubeCluster, namespace: str, tmp_path: Path
) -> None:
    metrics = Metrics()
    cache = Cache(lambda kind, view: None, metrics)
    sink = Sink(cache)
    address = urlsplit(control_plane.server)
    names = ("ghost", "lives")
    async with (
        tcp_proxy(str(address.hostname), int(address.port or 443)) as proxy,
        watching(sink, kubeconfig_through(proxy, control_plane, tmp_path), namespace),
    ):
        made = {name: await cluster.create(JOB, job(namespace, name)) for name in names}
        await eventually(lambda: jobs(cache, namespace) == {"ghost", "lives"}, "both Jobs are seen")

        proxy.cut()
        await cluster.delete(JOB, namespace, "ghost", made["ghost"]["metadata"]["uid"])
        await asyncio.to_thread(restart_api_server, control_plane)
        proxy.heal()
        await cluster.create(JOB, job(namespace, "later"))
        await eventually(lambda: "later" in jobs(cache, namespace), "the watch works again")
        assert sink.deletions == 0
        assert jobs(cache, namespace) == {"ghost", "lives", "later"}

        resync = Resync(cluster, cache, metrics, (namespace,), lambda: None, time.monotonic)
        await resync.everything()
        assert jobs(cache, namespace) == {"lives", "later"}
        assert cache.get(JobView, "Job", namespace, "ghost") is None
