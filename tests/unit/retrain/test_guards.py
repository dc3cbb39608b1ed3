"""The table of guards: what holds a firing trigger back, and for how long."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from modelcycle.api.v1alpha1.common import Condition, ConditionStatus
from modelcycle.api.v1alpha1.deployment import Verdict
from tests.unit.retrain.world import GATE, NOW, World


def _degrade(world: World) -> None:
    condition = Condition(type="Degraded", status=ConditionStatus.TRUE, reason="X", last_transition_time=NOW)
    world.md_status = world.md_status.evolve(conditions=(condition,))


@pytest.mark.parametrize(
    ("changes", "prepare", "reason"),
    [
        pytest.param({}, _degrade, "ServingDegraded", id="serving is not well"),
        pytest.param({}, lambda w: w.roll("5"), "RolloutUnderWay", id="a rollout is under way"),
        pytest.param(
            {},
            lambda w: setattr(w, "status", w.status.evolve(cooldown_until_rows=1000)),
            "CoolingDown",
            id="the cooldown in rows is not over",
        ),
        pytest.param(
            {},
            lambda w: setattr(w, "status", w.status.evolve(cooldown_until=NOW + timedelta(days=1))),
            "CoolingDown",
            id="the cooldown in time is not over",
        ),
        pytest.param(
            {"minNewRows": 500},
            lambda w: setattr(w, "status", w.status.evolve(last_started_rows=0)),
            "TooFewNewRows",
            id="too little is new",
        ),
        pytest.param(
            {"gate": GATE | {"holdout": {"rows": 200}}},
            lambda w: setattr(w, "status", w.status.evolve(consecutive_failures=3, last_started_rows=0)),
            "RetrainIneffective",
            id="three cycles did not help, and the gate would see the same rows again",
        ),
        pytest.param(
            {"budget": {"trainings": 1, "per": "1d"}},
            lambda w: setattr(w, "status", w.status.evolve(starts=(NOW - timedelta(hours=1),))),
            "BudgetUsedUp",
            id="the budget is used up",
        ),
    ],
)
def test_guards_hold_a_firing_trigger_back_and_say_why(changes: dict[str, Any], prepare: Any, reason: str) -> None:
    world = World(**changes)
    world.settle()
    prepare(world)
    world.give_rows(80, loss=2.0)
    world.settle()
    assert world.status.cycle is None
    assert world.reason("Retraining") == f"False/{reason}"
    assert reason in world.status.summary


def test_a_rollback_doubles_the_wait_and_three_of_them_are_ineffective() -> None:
    world = World(cooldown={"rows": 10})
    world.settle()
    waits = []
    for number in (1, 2, 3):
        world.give_rows(200, loss=2.0)
        world.settle()
        assert world.status.last_cycle == number
        world.run_cycle(Verdict.REJECTED, version=str(number + 1))
        assert world.status.cooldown_until_rows is not None
        waits.append(world.status.cooldown_until_rows - world.status.evaluated.rows)
    assert waits == [20, 40, 80]
    assert world.reason("RetrainIneffective") == "True/NoBetterModel"
    world.give_rows(200, loss=2.0)
    world.settle()
    world.run_cycle(Verdict.PROMOTED, version="9")
    assert world.reason("RetrainIneffective") == "absent"
