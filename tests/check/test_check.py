"""A slice of ``make check``: the first states of each case, the same ones each time."""

from __future__ import annotations

import pytest

from tests.check.cases import CASES, Case
from tests.check.explore import explore
from tests.check.state import Left
from tests.check.training import TrainingWorld


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_no_invariant_is_violated(case: Case) -> None:
    report = explore(case.world(), states=case.slice)
    assert report.violation is None, str(report.violation)
    assert report.complete or report.states >= case.slice


def test_a_training_made_again_in_the_midst_of_its_registration_is_registered_once() -> None:
    report = explore(TrainingWorld(Left(edits=2), wishes=("delete",), hasty=True), states=1000)
    assert report.violation is None, str(report.violation)
