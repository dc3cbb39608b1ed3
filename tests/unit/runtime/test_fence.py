from __future__ import annotations

import pytest

from modelcycle.errors import Fenced
from modelcycle.runtime.fence import LeaseFence, OpenFence


@pytest.mark.parametrize(
    ("now", "is_open"),
    [
        pytest.param(99.9, True, id="before the deadline"),
        pytest.param(100.0, False, id="at the deadline"),
        pytest.param(5000.0, False, id="after a long pause of the process"),
    ],
)
def test_the_fence_is_open_until_its_deadline(now: float, is_open: bool) -> None:
    fence = LeaseFence(lambda: now)
    fence.allow_until(100.0)
    assert fence.is_open is is_open
    if is_open:
        fence.check()
    else:
        with pytest.raises(Fenced):
            fence.check()


def test_the_fence_is_closed_from_the_start_and_when_it_is_told() -> None:
    fence = LeaseFence(lambda: 0.0)
    assert not fence.is_open
    fence.allow_until(100.0)
    fence.close()
    assert not fence.is_open


def test_a_fence_that_was_closed_in_between_opens_for_another_term() -> None:
    now = [0.0]
    fence = LeaseFence(lambda: now[0])
    terms = []
    for moment in (0.0, 5.0, 14.9, 25.0, 30.0):
        now[0] = moment
        fence.allow_until(moment + 10.0)
        terms.append(fence.term)
    fence.close()
    fence.allow_until(50.0)
    assert [*terms, fence.term] == [1, 1, 1, 2, 2, 3]


def test_the_leases_own_writes_pass() -> None:
    OpenFence().check()
