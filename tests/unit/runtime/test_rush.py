from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from modelcycle.runtime.rush import MANY, Rush

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("count", "every", "later", "on"),
    [
        pytest.param(0, 0.0, 0.0, False, id="nothing came"),
        pytest.param(MANY - 1, 0.0, 0.0, False, id="a few came at once"),
        pytest.param(MANY, 0.0, 0.0, True, id="many came at once"),
        pytest.param(MANY, 0.0, 29.9, True, id="many came a moment ago"),
        pytest.param(MANY, 0.0, 30.0, False, id="it is over"),
        pytest.param(1000, 1.0, 0.0, False, id="many come, one after the other"),
        pytest.param(1000, 0.9, 0.0, True, id="they keep coming"),
    ],
)
def test_there_is_a_rush_while_many_come_at_once(count: int, every: float, later: float, on: bool) -> None:
    """``every``: seconds between two that come; ``later``: seconds after the last one."""
    rush, now = Rush(), NOW
    for number in range(count):
        now = NOW + timedelta(seconds=number * every)
        rush.came(now)
    assert rush.is_on(now + timedelta(seconds=later)) is on
