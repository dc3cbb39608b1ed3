from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from e2e.cluster import Cluster
from tests.crash.sweep import Setting, setting
from tests.support.lab.fixtures import control_plane_with_crds
from tests.support.lab.lab import Lab, open_lab
from tests.support.mlflow_server import mlflow_server

PATIENCE_SECONDS = 180.0
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def api_server() -> Iterator[Cluster]:
    with control_plane_with_crds("faults") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture
async def lab(api_server: Cluster, mlflow_url: str, tmp_path: Path) -> AsyncIterator[Lab]:
    async with open_lab(api_server.kubeconfig, mlflow_url, tmp_path) as lab:
        yield lab


@pytest.fixture
async def here(lab: Lab) -> AsyncIterator[Setting]:
    """A namespace of its own, with an operator."""
    async with setting(lab, f"faults-{next(_numbers)}", None, patience=PATIENCE_SECONDS) as setting_:
        yield setting_
