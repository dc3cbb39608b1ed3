"""A cache that kopf's watches fill, in this process, through a cable that can be pulled."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from e2e.cluster import Cluster, ClusterError
from e2e.cluster.paths import cluster_paths
from modelcycle.cluster.credentials import CredentialSource
from modelcycle.cluster.kinds import JOB, Kind
from modelcycle.core.plan import Manifest
from modelcycle.edge.watching import watch
from modelcycle.runtime.cache import Cache
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


async def eventually(condition: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(0.05)


@asynccontextmanager
async def watched(
    cluster: Cluster, namespace: str, folder: Path, cache: Cache, sink: Sink | None = None
) -> AsyncIterator[tuple[Sink, TcpProxy]]:
    """``cache`` hears of what happens in ``namespace`` by kopf's watches, which come through the proxy."""
    sink, stop, address = sink or Sink(cache), asyncio.Event(), urlsplit(cluster.server)
    async with tcp_proxy(str(address.hostname), int(address.port or 443)) as proxy:
        kubeconfig = folder / "kubeconfig"
        text = cluster.kubeconfig.read_text()
        kubeconfig.write_text(text.replace(cluster.server, f"https://127.0.0.1:{proxy.port}"))
        source = CredentialSource(kubeconfig)
        task = asyncio.create_task(watch(sink, source, (namespace,), stop, lambda: None))
        try:
            yield sink, proxy
        finally:
            stop.set()
            await asyncio.wait({task})


def compact(cluster: Cluster) -> None:
    """Etcd forgets all history, physically."""
    command = Path(f"/proc/{_pid_of_api_server(cluster)}/cmdline").read_text().split("\0")
    etcd = next(one.partition("=")[2] for one in command if one.startswith("--etcd-servers="))
    revision = _etcd(f"{etcd}/v3/maintenance/status", {})["header"]["revision"]
    _etcd(f"{etcd}/v3/kv/compaction", {"revision": revision, "physical": True})


def _etcd(url: str, body: Manifest) -> Manifest:
    request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")  # noqa: S310 our own etcd
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return dict(json.load(answer))


def _pid_of_api_server(cluster: Cluster) -> int:
    return int(json.loads(cluster_paths(cluster.name).processes.read_text())["kube-apiserver"]["pid"])


def restart_api_server(cluster: Cluster) -> None:
    """Its watch cache starts empty: it can't continue a watch from before, and says 410."""
    os.kill(_pid_of_api_server(cluster), signal.SIGKILL)
    time.sleep(1)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            cluster.kubectl("get", "--raw", "/readyz")
        except ClusterError:
            time.sleep(0.3)
        else:
            return
    raise AssertionError("the API server did not come back")
