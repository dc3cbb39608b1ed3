from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.cluster import Cluster
from tests.support.lab.fixtures import control_plane_with_crds, lab, mlflow_url

__all__ = ["lab", "mlflow_url"]


@pytest.fixture(scope="session")
def api_server() -> Iterator[Cluster]:
    with control_plane_with_crds("crash") as cluster:
        yield cluster
