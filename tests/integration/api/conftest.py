"""A real API server that knows our CustomResourceDefinitions."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client, config

from e2e.cluster import Cluster, ClusterError, bring_up
from tests.integration.api.client import ResourceClient

CRDS = Path(__file__).parents[3] / "crds"


@pytest.fixture(scope="session")
def api_server() -> Iterator[Cluster]:
    cluster = bring_up(f"api-{os.getpid()}", control_plane_only=True, ephemeral=True)
    cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRDS))
    wait_until_explained(cluster, "rp.spec")
    yield cluster
    cluster.down()


def wait_until_explained(cluster: Cluster, path: str) -> None:
    """Discovery and OpenAPI follow a CustomResourceDefinition by a second or two."""
    deadline = time.monotonic() + 60
    while True:
        try:
            cluster.kubectl("explain", path)
        except ClusterError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


@pytest.fixture(scope="session")
def resources(api_server: Cluster) -> ResourceClient:
    connection = config.new_client_from_config(str(api_server.kubeconfig))  # type: ignore[no-untyped-call]
    return ResourceClient(client.CustomObjectsApi(connection))
