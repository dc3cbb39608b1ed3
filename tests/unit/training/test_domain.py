"""Which Jobs have to be absent for sure before a decision rests on it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from modelcycle.api.v1alpha1.common import Condition, ConditionStatus
from modelcycle.api.v1alpha1.training import Attempt, AttemptState
from modelcycle.core.observed import Resource
from modelcycle.training.domain import DOMAIN
from tests.unit.training.world import NOW, World

FAILED = Attempt(number=1, job="hedge-11111-1", state=AttemptState.FAILED)
RUNS = Attempt(number=2, job="hedge-11111-2", state=AttemptState.RUNNING)


def said(type_: str, generation: int) -> Condition:
    return Condition(
        type=type_,
        status=ConditionStatus.TRUE,
        reason="Said",
        last_transition_time=NOW,
        observed_generation=generation,
    )


@pytest.mark.parametrize(
    ("spec", "status", "names"),
    [
        pytest.param({}, {}, [], id="nothing was started"),
        pytest.param({}, {"attempts": (FAILED, RUNS)}, ["hedge-11111-2"], id="an attempt that runs"),
        pytest.param({"suspend": True}, {}, ["hedge-11111-1"], id="suspended: the first may have been made"),
        pytest.param({"suspend": True}, {"attempts": (FAILED,)}, ["hedge-11111-2"], id="suspended: so may the next"),
        pytest.param({"suspend": True}, {"conditions": (said("Suspended", 1),)}, [], id="suspended, and it was said"),
        pytest.param(
            {"suspend": True}, {"conditions": (said("Suspended", 0),)}, ["hedge-11111-1"], id="it was said earlier"
        ),
        pytest.param(
            {"suspend": True}, {"attempts": (RUNS,), "conditions": (said("Succeeded", 1),)}, [], id="it is over"
        ),
    ],
)
def test_whose_absence_must_be_certain(spec: dict[str, Any], status: dict[str, Any], names: list[str]) -> None:
    world = World(**spec)
    world.status = world.status.evolve(**status)
    assert [ref.name for ref in DOMAIN.expected(world.observed().resource)] == names


def test_a_spec_that_can_not_be_understood_suspends_nothing() -> None:
    resource: Resource[Any, Any] = replace(World().observed().resource, spec=cast("Any", None))
    assert list(DOMAIN.expected(resource)) == []
