"""Nothing is lost and nothing done twice, whenever the operator is killed.

``MODELCYCLE_CRASH=all`` (``make crash``) sweeps every mutating request; without it a slice is swept, see ``slice_of``.
"""

from __future__ import annotations

import os

import pytest

from tests.crash.signatures import is_event
from tests.crash.sweep import all_cases, learn, run_cases, slice_of
from tests.support.lab.lab import Lab

# Watches that are cut off in the middle leave sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

AT_ONCE = int(os.environ.get("MODELCYCLE_CRASH_AT_ONCE", "8"))


@pytest.mark.timeout(3600)
async def test_nothing_is_lost_and_nothing_done_twice(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    def say(text: str) -> None:
        with capsys.disabled():
            print(f"crash: {text}", flush=True)

    reference = await learn(lab)
    every = all_cases(reference)
    events = sum(is_event(one.signature) for one in reference.requests)
    say(f"{len(reference.requests)} mutating requests learnt, {events} of them events")
    cases = every if os.environ.get("MODELCYCLE_CRASH") == "all" else slice_of(every)
    verdicts = await run_cases(lab, reference, cases, AT_ONCE, say)
    missed = [one for one in verdicts if not one.reached and not one.violations]
    violated = [one for one in verdicts if one.violations]
    say(
        f"{len(reference.requests)} requests learnt, {len(cases)} of {len(every)} cases run, "
        f"{len(missed)} not reached, {len(violated)} violations"
    )
    told = [f"{one.case.point}\n    " + "\n    ".join(one.violations) for one in violated]
    assert not violated, "\n" + "\n".join(told)
    assert not missed, "\n".join(str(one.case.point) for one in missed)
