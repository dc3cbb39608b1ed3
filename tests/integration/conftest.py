"""A real API server, with our CRDs, for whoever needs one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster import Cluster, bring_up

CRDS = Path(__file__).parents[2] / "crds"


@pytest.fixture(scope="session")
def control_plane() -> Iterator[Cluster]:
    """Only etcd and kube-apiserver: no Job ever makes a pod, and nothing is garbage collected."""
    cluster = bring_up(f"core-{os.getpid()}", control_plane_only=True, ephemeral=True)
    cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRDS))
    yield cluster
    cluster.down()
