from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from e2e.cluster import Cluster
from tests.crash.sweep import Setting, setting
from tests.support.lab.lab import Lab, open_lab
from tests.support.mlflow_server import mlflow_server

PATIENCE_SECONDS = 180.0
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture
async def lab(control_plane: Cluster, mlflow_url: str, tmp_path: Path) -> AsyncIterator[Lab]:
    async with open_lab(control_plane.kubeconfig, mlflow_url, tmp_path) as lab:
        yield lab


@pytest.fixture
async def here(lab: Lab) -> AsyncIterator[Setting]:
    """A namespace of its own, with an operator."""
    async with setting(lab, f"transitions-{next(_numbers)}", None, patience=PATIENCE_SECONDS) as setting_:
        yield setting_
