"""What a firing trigger leads to: a cycle, a line in the history, or staying out."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from modelcycle import constants as names
from modelcycle.api.v1alpha1.retrain import Mode
from modelcycle.api.v1alpha1.retrain_status import CycleOutcome, CyclePhase
from modelcycle.core.observed import Resource
from tests.unit.retrain.world import BORN, LOSS_TRIGGER, NOW, World, bad_world, spec


def test_a_bad_loss_starts_one_cycle_with_its_evidence() -> None:
    world = bad_world()
    cycle = world.status.cycle
    assert cycle is not None
    assert (cycle.number, cycle.phase, cycle.champion) == (1, CyclePhase.TRAINING, "1")
    assert (cycle.evidence.value, cycle.evidence.threshold, cycle.evidence.rows) == ("2", "1.5", 80)
    assert cycle.evidence.query
    assert cycle.as_of == world.status.evaluated.watermark
    assert {m["metadata"]["name"] for m in world.created} == {"keep-good-99999-1"}
    training = world.created[0]
    assert training["spec"]["asOf"] == cycle.manifest()["asOf"]
    assert training["spec"]["register"] == {"model": "quant.hedge"}
    assert training["spec"]["holdout"] == {"extent": {"rows": 60}}
    assert "ownerReferences" not in training["metadata"], "what was trained outlives the policy"
    assert world.events == ["TriggerFiring", "CycleStarted"]


def test_the_cycle_is_in_the_status_before_its_training_is_made() -> None:
    world = World()
    world.settle()
    world.give_rows(80, loss=2.0)
    while world.status.cycle is None:
        assert world.step().create == ()
    assert world.step().create


def test_a_crash_after_the_training_was_made_makes_no_second_one() -> None:
    world = bad_world()
    world.train()
    before = world.status
    world.settle()
    world.status = before
    world.settle()
    assert world.status.last_cycle == 1


def test_persistence_waits_for_more_rows() -> None:
    world = bad_world(triggers=[LOSS_TRIGGER | {"persistence": {"rows": 20}}])
    assert world.status.cycle is None
    assert world.reason("DriftDetected") == "True/LossAboveThreshold"
    world.give_rows(20, loss=2.0)
    world.settle()
    assert world.status.cycle is not None


def test_what_is_not_read_yet_starts_nothing() -> None:
    world = bad_world(triggers=[LOSS_TRIGGER | {"persistence": {"rows": 20}}])
    world.give_rows(20, loss=2.0)
    world.facts = frozenset()
    world.step()
    assert world.status.cycle is None


def test_observe_mode_writes_down_and_starts_nothing() -> None:
    world = bad_world(mode="Observe")
    assert world.status.cycle is None
    assert [d.outcome for d in world.status.history] == [CycleOutcome.OBSERVED]
    assert world.created == []
    world.give_rows(20, loss=2.0)
    world.settle()
    assert len(world.status.history) == 1, "one decision, then its cooldown"


def test_what_was_only_observed_holds_nothing_back_once_it_is_enforced() -> None:
    world = bad_world(mode="Observe")
    assert world.status.cooldown_until_rows == 180
    world.spec = world.spec.evolve(mode=Mode.ENFORCE)
    world.settle()
    assert world.status.last_cycle == 1


def test_suspend_starts_nothing_and_lets_the_running_cycle_end() -> None:
    world = bad_world(suspend=True)
    assert world.status.cycle is None
    assert world.reason("Suspended") == "True/Suspended"
    world = bad_world()
    world.spec = world.spec.evolve(suspend=True)
    world.run_cycle()
    assert [d.outcome for d in world.status.history] == [CycleOutcome.PROMOTED]


def test_an_annotation_starts_a_cycle_once_whatever_the_guards_say() -> None:
    world = World()
    world.settle()
    world.status = world.status.evolve(cooldown_until=NOW + timedelta(days=9))
    world.annotations[names.ANNOTATION_RETRAIN] = "2026-03-01T12:00:00Z"
    world.settle()
    assert world.status.last_cycle == 1
    world.run_cycle()
    world.settle()
    assert world.status.last_cycle == 1
    assert world.status.handled.retrain == "2026-03-01T12:00:00Z"


@pytest.mark.parametrize("value", ["https://ci.example.com/" + 300 * "7", "2026-03-01\r", "asked\u00a0for"])
def test_what_is_asked_for_is_done_once_also_where_the_echo_differs(value: str) -> None:
    world = World()
    world.settle()
    world.annotations[names.ANNOTATION_RETRAIN] = value
    world.settle()
    world.run_cycle()
    world.settle()
    assert (world.status.cycle, world.status.last_cycle) == (None, 1)


def test_a_missing_deployment_is_said_and_recovers() -> None:
    world = World()
    world.deployment_exists = False
    world.settle()
    assert world.reason("Stalled") == "True/DeploymentMissing"
    assert world.events == ["DeploymentMissing"]
    world.deployment_exists = True
    world.settle()
    assert world.reason("Stalled") == "absent"


@pytest.mark.parametrize(("older_by", "reason"), [(1, "True/AnotherPolicy"), (-1, "absent")])
def test_of_two_policies_the_younger_stays_out(older_by: int, reason: str) -> None:
    world = World()
    created: datetime = BORN - timedelta(seconds=older_by)
    world.siblings = (Resource("quant", "first", "u2", 1, "1", created, spec(), world.status, {}),)
    world.settle()
    assert world.reason("Stalled") == reason
    assert world.events.count("AnotherPolicy") == (reason != "absent")
