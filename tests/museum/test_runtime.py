from __future__ import annotations

import pytest

from tests.museum.catching import catch
from tests.museum.exhibit import Exhibit
from tests.museum.runtime import EXHIBITS
from tests.museum.suites import Suites


@pytest.mark.parametrize("exhibit", [pytest.param(exhibit, id=exhibit.guard) for exhibit in EXHIBITS])
def test_it_is_caught(exhibit: Exhibit, suites: Suites) -> None:
    caught = catch(exhibit, suites)
    assert caught.by, caught.report
