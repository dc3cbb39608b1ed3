from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.museum import suites as process
from tests.museum.suites import Suites


@pytest.fixture(scope="module")
def suites() -> Iterator[Suites]:
    with process.suites() as running:
        yield running
