from __future__ import annotations

from datetime import timedelta

import pytest

from modelcycle.api.v1alpha1.training import TrainingStatus
from modelcycle.core.conditions import FALSE, TRUE, Judgement, merge
from modelcycle.errors import ModelcycleError, Refused, Unusable
from modelcycle.runtime.blocked import blocked
from tests.unit.runtime.builders import NOW

READY = Judgement("Ready", FALSE, "Running")
LATER = NOW + timedelta(minutes=5)


def status(*judgements: Judgement) -> TrainingStatus:
    return TrainingStatus(conditions=merge((), judgements, 1, NOW), running_seconds=7)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(Refused("exceeded quota"), "ApiServerRefused", id="what the API server refuses"),
        pytest.param(Unusable("ForeignObject", "not ours"), "ForeignObject", id="what has a reason of its own"),
    ],
)
def test_the_error_is_a_condition_beside_the_others(error: ModelcycleError, reason: str) -> None:
    told = blocked(status(READY), error, 1, LATER)
    assert told is not None
    assert [(one.type, one.status, one.reason) for one in told.conditions] == [
        ("Ready", FALSE, "Running"),
        ("Stalled", TRUE, reason),
    ]
    assert told.conditions[1].message == str(error)
    assert told.running_seconds == 7


@pytest.mark.parametrize(
    ("before", "generation", "is_told"),
    [
        pytest.param(Judgement("Stalled", TRUE, "ApiServerRefused", "used: 3"), 1, False, id="said already"),
        pytest.param(Judgement("Stalled", TRUE, "ForeignObject"), 1, True, id="another reason"),
        pytest.param(Judgement("Stalled", FALSE, "ApiServerRefused"), 1, True, id="not stalled before"),
        pytest.param(Judgement("Stalled", TRUE, "ApiServerRefused"), 2, True, id="said of an earlier spec"),
    ],
)
def test_what_is_said_already_is_not_written_again(before: Judgement, generation: int, is_told: bool) -> None:
    told = blocked(status(READY, before), Refused("used: 4"), generation, LATER)
    assert (told is not None) is is_told
    if told is not None:
        assert [one.type for one in told.conditions] == ["Ready", "Stalled"]
