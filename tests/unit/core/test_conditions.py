"""What conditions say, read by everybody in the same way."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from modelcycle.api.v1alpha1.common import Condition, ConditionStatus
from modelcycle.core.conditions import FALSE, TRUE, UNKNOWN, ending


def condition(type_: str, status: ConditionStatus) -> Condition:
    return Condition(type=type_, status=status, reason="Said", last_transition_time=datetime(2026, 3, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("conditions", "ended"),
    [
        pytest.param((), None, id="nothing was said yet"),
        pytest.param((condition("Succeeded", UNKNOWN),), None, id="it is open"),
        pytest.param((condition("Succeeded", TRUE),), TRUE, id="it ended well"),
        pytest.param((condition("Succeeded", FALSE),), FALSE, id="it ended badly"),
        pytest.param((condition("Ready", FALSE), condition("Succeeded", UNKNOWN)), None, id="another says False"),
        pytest.param((condition("Ready", FALSE), condition("Succeeded", TRUE)), TRUE, id="another comes before it"),
    ],
)
def test_whether_and_how_it_has_ended(conditions: tuple[Condition, ...], ended: ConditionStatus | None) -> None:
    found = ending(conditions)
    assert (found.status if found else None) == ended
