from __future__ import annotations

import pytest

from tests.unit.chart.chart import HA, Chart


@pytest.fixture(scope="session")
def default() -> Chart:
    return Chart()


@pytest.fixture(scope="session")
def ha() -> Chart:
    return Chart(HA)
