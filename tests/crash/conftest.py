from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from e2e.cluster import Cluster, bring_up
from tests.crash.sweep import Lab
from tests.support.lab.informer import informer
from tests.support.lab.kube import connect
from tests.support.lab.metrics import fake_prometheus
from tests.support.lab.nursery import nursery
from tests.support.lab.standins import Standins
from tests.support.mlflow_server import mlflow_server

CRDS = Path(__file__).parents[2] / "crds"


@pytest.fixture(scope="module")
def control_plane() -> Iterator[Cluster]:
    cluster = bring_up(f"crash-{os.getpid()}", control_plane_only=True, ephemeral=True)
    cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRDS))
    yield cluster
    cluster.down()


@pytest.fixture(scope="module")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture
async def lab(control_plane: Cluster, mlflow_url: str, tmp_path: Path) -> AsyncIterator[Lab]:
    async with (
        connect(control_plane.kubeconfig) as kube,
        informer(kube) as informed,
        fake_prometheus() as prometheus,
        nursery() as starter,
        aiohttp.ClientSession() as session,
    ):
        standins = Standins(informed)
        yield Lab(kube, informed, standins, prometheus, starter, session, mlflow_url, tmp_path)
        await standins.stop()
        await asyncio.sleep(0)
        assert not informed.failures
