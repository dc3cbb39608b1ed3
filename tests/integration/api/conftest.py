"""The shared API server, once it can also explain our kinds."""

from __future__ import annotations

import time

import pytest
from kubernetes import client, config

from e2e.cluster import Cluster, ClusterError
from tests.integration.api.client import ResourceClient

EXPLAIN_SECONDS = 180


@pytest.fixture(scope="session")
def api_server(control_plane: Cluster) -> Cluster:
    """Discovery and OpenAPI follow a CustomResourceDefinition by a second or two."""
    deadline = time.monotonic() + EXPLAIN_SECONDS
    while True:
        try:
            for kind in ("mt", "md", "rp"):
                control_plane.kubectl("explain", f"{kind}.spec")
        except ClusterError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return control_plane


@pytest.fixture(scope="session")
def resources(api_server: Cluster) -> ResourceClient:
    connection = config.new_client_from_config(str(api_server.kubeconfig))  # type: ignore[no-untyped-call]
    return ResourceClient(client.CustomObjectsApi(connection))
