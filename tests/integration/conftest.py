"""A real API server, with our CRDs, for whoever needs one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster import Cluster
from tests.support.lab.fixtures import control_plane_with_crds

HERE = Path(__file__).parent
SECONDS = 1200
"""With the servers that the first test of a session starts: on a busy machine they alone take minutes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="session")
def control_plane() -> Iterator[Cluster]:
    """Only etcd and kube-apiserver: no Job ever makes a pod, and nothing is garbage collected."""
    with control_plane_with_crds("core") as cluster:
        yield cluster
