"""A cycle from its start to its end, and what is kept of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from modelcycle import constants as names
from modelcycle.api.v1alpha1.common import Condition, ConditionStatus
from modelcycle.api.v1alpha1.deployment import Verdict
from modelcycle.api.v1alpha1.retrain_status import CycleOutcome, CyclePhase
from modelcycle.api.v1alpha1.training import TrainingStatus
from modelcycle.core.observed import Resource
from modelcycle.core.plan import Effect, Outcome
from modelcycle.registry.port import SetAlias, SetVersionTags
from tests.unit.retrain.world import NOW, PASSED, REJECTED, World, bad_world


def test_a_whole_cycle_ends_promoted_with_all_its_evidence() -> None:
    world = bad_world()
    world.run_cycle()
    (decision,) = world.status.history
    assert (decision.outcome, decision.version, decision.champion) == (CycleOutcome.PROMOTED, "2", "1")
    assert decision.gate is not None
    assert (decision.gate.rows, decision.gate.champion_loss, decision.gate.challenger_loss) == (60, "1.9", "1.1")
    assert world.status.cycle is None
    assert world.status.consecutive_failures == 0
    assert [e for e in world.asked if isinstance(e, SetAlias)] == [
        SetAlias("default", "quant.hedge", "challenger", "2")
    ]
    tags = next(dict(e.tags) for e in world.asked if isinstance(e, SetVersionTags))
    assert '"Passed"' in tags[names.TAG_GATE]
    assert world.events == [
        "TriggerFiring",
        "CycleStarted",
        "Trained",
        "GateStarted",
        "GatePassed",
        "ChallengerSet",
        "CyclePromoted",
    ]


def test_a_failed_training_ends_the_cycle_with_its_reason() -> None:
    world = bad_world()
    world.train(well=False)
    world.settle()
    (decision,) = world.status.history
    assert (decision.outcome, decision.reason) == (CycleOutcome.TRAINING_FAILED, "UserError")


def test_mlflow_down_at_the_alias_holds_the_cycle_where_it_is() -> None:
    world = bad_world()
    world.train()
    world.settle()
    world.judge(None)
    alias = SetAlias("default", "quant.hedge", "challenger", "2")
    world._answer = lambda effect: Outcome(  # type: ignore[method-assign]
        world.now, error="down", error_kind="Unavailable", retryable=True
    )
    world.judge('{"modelcycle": 1, "outcome": "Passed", "reason": "Better", "rows": 60}')
    world.settle()
    assert world.status.cycle is not None
    assert "down" in world.status.summary
    assert alias not in world.outcomes


def test_abort_ends_the_cycle_once_and_its_training() -> None:
    world = bad_world()
    training = world.created[0]["metadata"]
    status = TrainingStatus()
    running = Resource("quant", training["name"], "t", 1, "1", NOW, None, status, {}, labels=training["labels"])
    world.trainings = (running,)
    world.annotations[names.ANNOTATION_ABORT] = "now"
    world.step()
    assert world.deleted == [training["name"]]
    assert [d.outcome for d in world.status.history] == [CycleOutcome.ABORTED]
    world.settle()
    assert len(world.status.history) == 1


def test_numbers_go_on_after_a_lost_status() -> None:
    world = bad_world()
    world.run_cycle()
    world.status = type(world.status)()
    world.give_rows(200, loss=2.0, version="2")
    world.settle()
    assert world.status.last_cycle == 2


def test_old_trainings_are_pruned_and_the_history_keeps_twenty() -> None:
    world = World(historyLimit=2, cooldown={"rows": 1}, budget={"trainings": 100, "per": "30d"})
    world.settle()
    version = "1"
    for number in range(2, 27):
        world.give_rows(200, loss=2.0, version=version)
        world.settle()
        version = str(number)
        world.run_cycle(version=version)
    assert len(world.status.history) == 20
    kept = {t.name for t in world.trainings} - set(world.deleted)
    assert kept == {"keep-good-99999-24", "keep-good-99999-25"}


def test_what_it_says_of_a_rollout_has_no_command_of_the_deployment_in_it() -> None:
    world = bad_world()
    world.train()
    world.settle()
    world.judge(PASSED)
    world.settle()
    half = Condition(
        type="Progressing",
        status=ConditionStatus.TRUE,
        reason="RollingOut",
        message="in half.",
        last_transition_time=NOW,
    )
    world.md_status = world.md_status.evolve(conditions=(half,), summary="Version 1 serves. To stop it: kubectl ...")
    world.settle()
    assert world.status.summary.endswith("Cycle 1 (Rollout): the rollout of version 2 decides: in half.")


def test_events_name_the_version_and_say_nothing_twice() -> None:
    world = bad_world()
    world.run_cycle(gate=REJECTED)
    told = {reason: world.notes[reason] for reason in ("TriggerFiring", "GateRejected", "CycleGateRejected")}
    assert told == {
        "TriggerFiring": "version 1: loss: LossAboveThreshold 2 against 1.5 over 80 rows",
        "GateRejected": "cycle 1: version 2: better",
        "CycleGateRejected": "cycle 1: version 2 is not tried (NotBetter)",
    }
    assert world.status.history[-1].message == "version 2: better"


# --- what others do meanwhile ----------------------------------------------------------------------------------------
def in_rollout() -> World:
    world = bad_world()
    world.train()
    world.settle()
    world.judge(PASSED)
    world.settle()
    assert world.status.cycle is not None
    assert world.status.cycle.phase is CyclePhase.ROLLOUT
    return world


def ended(world: World) -> tuple[CycleOutcome, str | None]:
    assert world.status.cycle is None
    (decision,) = world.status.history
    return decision.outcome, decision.reason


@pytest.mark.parametrize("to", [None, "7"])
def test_an_alias_that_is_taken_back_before_a_rollout_began_ends_the_cycle(to: str | None) -> None:
    world = in_rollout()
    world.challenger = to
    world.now += timedelta(seconds=5)
    world.settle()
    assert ended(world) == (CycleOutcome.SUPERSEDED, "ChallengerWithdrawn")


def test_a_reading_from_before_the_alias_was_set_withdraws_nothing() -> None:
    world = in_rollout()
    world.challenger = None
    world.settle()
    assert world.status.cycle is not None


def test_an_alias_that_goes_once_the_rollout_began_is_the_deployments_matter() -> None:
    world = in_rollout()
    world.roll("2")
    world.challenger = None
    world.now += timedelta(seconds=5)
    world.settle()
    assert world.status.cycle is not None
    world.deliver("2", Verdict.SUPERSEDED)
    world.settle()
    assert ended(world) == (CycleOutcome.SUPERSEDED, "Superseded")


@pytest.mark.parametrize("gone_at", [SetVersionTags, SetAlias])
def test_a_version_that_is_deleted_in_mlflow_ends_the_cycle(
    gone_at: type[Effect], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = bad_world()
    world.train()
    world.settle()
    answer = world._answer
    missing = Outcome(world.now, error="404", error_kind="NotFound")
    monkeypatch.setattr(world, "_answer", lambda e: missing if isinstance(e, gone_at) else answer(e))
    world.judge(PASSED)
    world.settle()
    assert ended(world) == (CycleOutcome.SUPERSEDED, "VersionDeleted")


@pytest.mark.parametrize("trained", [False, True])
def test_a_cycle_whose_deployment_has_another_model_by_now_ends(*, trained: bool) -> None:
    world = bad_world()
    if trained:
        world.train()
        world.settle()
    else:
        world.train()
        running = world.trainings[0]
        world.trainings = (replace(running, status=TrainingStatus()),)
    world.model = {"name": "quant.other"}
    world.settle()
    assert ended(world) == (CycleOutcome.ABORTED, "DeploymentChanged")
    assert not [e for e in world.asked if isinstance(e, SetAlias)]
