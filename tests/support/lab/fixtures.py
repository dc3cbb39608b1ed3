"""Clusters and labs: a conftest that imports ``mlflow_url`` and ``lab`` says what their ``api_server`` is."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e.cluster import Cluster, bring_up
from tests.support.lab.lab import Lab, open_lab
from tests.support.mlflow_server import mlflow_server

CRDS = Path(__file__).parents[3] / "crds"
ESTABLISHED_SECONDS = 180


@pytest.fixture(scope="session")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture
async def lab(api_server: Cluster, mlflow_url: str, tmp_path: Path) -> AsyncIterator[Lab]:
    async with open_lab(api_server.kubeconfig, mlflow_url, tmp_path) as lab:
        yield lab


@contextmanager
def control_plane_with_crds(name: str) -> Iterator[Cluster]:
    """A kube-apiserver with our CRDs; gone at the end, also when this process is killed."""
    cluster = bring_up(f"{name}-{os.getpid()}", control_plane_only=True, ephemeral=True)
    apply_crds(cluster)
    yield cluster
    cluster.down()


def apply_crds(cluster: Cluster, folder: Path = CRDS) -> None:
    """Apply the definitions of ``folder``, and wait until they can be used.

    Not with `kubectl wait`, which fails where a definition is so young that its conditions are null.
    """
    cluster.kubectl("apply", "--server-side", "-f", str(folder))
    deadline = time.monotonic() + ESTABLISHED_SECONDS
    while missing := _not_established(cluster, folder):
        assert time.monotonic() < deadline, f"not established within {ESTABLISHED_SECONDS} s: {missing}"
        time.sleep(0.2)


def _not_established(cluster: Cluster, folder: Path) -> list[str]:
    found = json.loads(cluster.kubectl("get", "-f", str(folder), "-o", "json"))["items"]
    established = {"type": "Established", "status": "True"}.items()
    return [
        one["metadata"]["name"]
        for one in found
        if not any(established <= condition.items() for condition in one["status"]["conditions"] or ())
    ]
