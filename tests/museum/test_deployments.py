from __future__ import annotations

import pytest

from tests.museum.catching import catch, with_its_guard
from tests.museum.deployments import EXHIBITS
from tests.museum.exhibit import Checker, Exhibit
from tests.museum.suites import Suites


@pytest.mark.parametrize("exhibit", [pytest.param(exhibit, id=exhibit.guard) for exhibit in EXHIBITS])
def test_it_is_caught(exhibit: Exhibit, suites: Suites) -> None:
    caught = catch(exhibit, suites)
    assert caught.by, caught.report
    if isinstance(exhibit.caught_by, Checker):
        assert with_its_guard(exhibit.caught_by, caught.states) == ""
