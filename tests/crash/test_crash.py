"""Nothing is lost and nothing done twice, whenever the operator is killed and whatever becomes of its requests.

``MODELCYCLE_CRASH=all`` (``make crash``) lives every case of ``cases``; without it a slice, see ``slice_of``.
"""

from __future__ import annotations

import os

import pytest

from tests.crash.cases import everything, slice_of
from tests.crash.life import PARTS
from tests.crash.summary import summary
from tests.crash.sweep import learn, run_cases
from tests.support.lab.lab import Lab

# Watches that are cut off in the middle leave sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

AT_ONCE = int(os.environ.get("MODELCYCLE_CRASH_AT_ONCE", "12"))


@pytest.mark.timeout(3600)
async def test_nothing_is_lost_and_nothing_done_twice(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    def say(text: str) -> None:
        with capsys.disabled():
            print(f"crash: {text}", flush=True)

    reference = await learn(lab)
    every = everything(reference.requests, len(PARTS) - 1)
    cases = every if os.environ.get("MODELCYCLE_CRASH") == "all" else slice_of(reference.requests, len(PARTS) - 1)
    say(f"{len(reference.requests)} requests and events learnt, {len(cases)} of {len(every)} cases to come")
    verdicts = await run_cases(lab, reference, cases, AT_ONCE, say)
    for line in summary(reference.requests, verdicts, len(every)):
        say(line)
    told = [f"{one.case.name}\n    " + "\n    ".join(one.violations) for one in verdicts if one.violations]
    assert not told, "\n" + "\n".join(told)
    missed = [one.case.name for one in verdicts if not one.reached]
    assert not missed, "\n".join(missed)
