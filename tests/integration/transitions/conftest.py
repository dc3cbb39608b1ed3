from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest

from e2e.cluster import Cluster
from tests.crash.sweep import Setting, setting
from tests.support.lab.fixtures import lab, mlflow_url
from tests.support.lab.lab import Lab

__all__ = ["here", "lab", "mlflow_url"]
PATIENCE_SECONDS = 180.0
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def api_server(control_plane: Cluster) -> Cluster:
    return control_plane


@pytest.fixture
async def here(lab: Lab) -> AsyncIterator[Setting]:
    """A namespace of its own, with an operator."""
    async with setting(lab, f"transitions-{next(_numbers)}", None, patience=PATIENCE_SECONDS) as setting_:
        yield setting_
