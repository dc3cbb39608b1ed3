"""The cluster adapter on a real API server, and a namespace for each test."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from e2e.cluster import Cluster
from modelcycle.cluster.bucket import TokenBucket
from modelcycle.cluster.credentials import CredentialSource
from modelcycle.cluster.kube import KubeCluster
from modelcycle.cluster.transport import Transport
from modelcycle.runtime.fence import OpenFence
from tests.integration.core.operator_process import OperatorProcess

_numbers = itertools.count(1)


@pytest.fixture
def namespace(control_plane: Cluster) -> str:
    name = f"core-{next(_numbers)}"
    control_plane.kubectl("create", "namespace", name)
    return name


@pytest.fixture
async def transport(control_plane: Cluster) -> AsyncIterator[Transport]:
    transport = Transport(CredentialSource(control_plane.kubeconfig))
    yield transport
    await transport.close()


@pytest.fixture
def cluster(transport: Transport) -> KubeCluster:
    return KubeCluster(transport, TokenBucket(1000.0, 1000), OpenFence(), lambda verb, kind, result: None)


@pytest.fixture
def start_operator(control_plane: Cluster, namespace: str, tmp_path: Path) -> Iterator[Callable[[], OperatorProcess]]:
    """Starts replicas of the toy operator for this test's namespace, and kills those that are left."""
    replicas: list[OperatorProcess] = []

    def start() -> OperatorProcess:
        log = tmp_path / f"operator-{len(replicas)}.log"
        replicas.append(OperatorProcess(control_plane, log, lease=namespace, namespaces=(namespace,)))
        return replicas[-1].start()

    yield start
    for replica in replicas:
        if replica.process is not None and replica.process.poll() is None:
            replica.kill()
