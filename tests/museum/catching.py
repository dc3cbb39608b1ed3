"""Whether an exhibit is caught, and for the right reason: by the model checker, or by a test in another process."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from tests.check.explore import explore
from tests.museum.exhibit import Checker, Exhibit, Suite
from tests.museum.suites import Suites, Tested

STATES = 20_000
_FAILURE = re.compile(r"^FAILED tests/(?P<file>\S+?)::(?P<test>.*?) - (?P<why>.*)$", re.MULTILINE)
_BUG_OF_OURS = ("AttributeError", "ImportError", "NameError", "ModuleNotFoundError", "TypeError")
"""A test that ends so was not shown what the exhibit stands for: its patch no longer fits the product."""


@dataclass(frozen=True, slots=True)
class Caught:
    """``by``: who saw it; empty where nobody did. ``story``: in a line. ``report``: all that was said.

    ``states``: after how many of them the model checker saw it.
    """

    by: str
    story: str
    report: str
    states: int = 0


def catch(exhibit: Exhibit, suites: Suites) -> Caught:
    match exhibit.caught_by:
        case Checker():
            return _explored(exhibit, exhibit.caught_by)
        case Suite():
            return _failed(exhibit.caught_by, suites.run(exhibit))


def _explored(exhibit: Exhibit, checker: Checker) -> Caught:
    with pytest.MonkeyPatch.context() as patch:
        exhibit.breaks(patch)
        report = explore(checker.world(), states=STATES)
    violation = report.violation
    if violation is None or checker.says not in violation.message:
        return Caught("", "", f"{report}\n{violation or ''}")
    steps = len(violation.path) + len(violation.tail)
    return Caught("model checker", f"{violation.message} ({steps} steps)", f"{report}\n{violation}", report.states)


def with_its_guard(checker: Checker, states: int) -> str:
    """What is wrong in as many states of the same world with nothing taken out: nothing."""
    report = explore(checker.world(), states=states)
    return str(report.violation) if report.violation is not None else ""


def _failed(suite: Suite, tested: Tested) -> Caught:
    failures = (one for one in _FAILURE.finditer(tested.report) if one["test"].startswith(suite.test))
    failure = next((one for one in failures if not one["why"].startswith(_BUG_OF_OURS)), None)
    if failure is None or tested.code != pytest.ExitCode.TESTS_FAILED:
        return Caught("", "", f"exit code {tested.code}\n{tested.report}")
    return Caught(failure["file"], f"{failure['test']}: {failure['why']}", tested.report)
