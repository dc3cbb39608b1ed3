"""The table of a policy's life: what the metrics say, and what is done about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from modelcycle import constants as names
from modelcycle.api.v1alpha1.common import Condition, ConditionStatus
from modelcycle.api.v1alpha1.deployment import Verdict
from modelcycle.api.v1alpha1.retrain import CycleOutcome, CyclePhase, GateOutcome, LossSource
from modelcycle.api.v1alpha1.training import TrainingStatus
from modelcycle.core.observed import Resource
from modelcycle.core.plan import Outcome
from modelcycle.registry.port import SetAlias, SetVersionTags

from .world import BORN, GATE, LOSS_TRIGGER, NOW, REJECTED, World, served, spec


def bad_world(**changes: Any) -> World:
    """A champion whose loss got bad, looked at until the policy has done what it wants."""
    world = World(**changes)
    world.settle()
    world.give_rows(80, loss=2.0)
    world.settle()
    return world


# --- evidence --------------------------------------------------------------------------------------------------------
def test_without_labels_it_is_unknown_and_nothing_starts() -> None:
    world = World()
    world.settle()
    assert world.reason("DriftDetected") == "Unknown/TooFewRows"
    assert world.status.cycle is None


def test_prometheus_down_is_unknown_neither_firing_nor_clear() -> None:
    world = bad_world(mode="Observe")
    world.metrics_error = "connection refused"
    world.settle()
    assert world.reason("DriftDetected") == "Unknown/MetricsUnavailable"
    assert world.status.evaluated.rows == 80, "what was looked at is not forgotten"
    assert world.events.count("MetricsUnavailable") == 1
    world.facts = frozenset()  # the operator is started again
    world.settle()
    assert world.events.count("MetricsUnavailable") == 1


def test_a_good_loss_is_clear() -> None:
    world = World()
    world.settle()
    world.give_rows(80, loss=1.0)
    world.settle()
    assert world.reason("DriftDetected") == "False/AllClear"
    assert (world.status.triggers[0].value, world.status.triggers[0].threshold) == ("1", "1.5")
    assert world.status.cycle is None


def test_the_window_holds_the_latest_rows_only() -> None:
    world = World()
    world.settle()
    for loss in (9.0, 1.0, 1.0, 1.0):
        world.give_rows(30, loss=loss)
    world.settle()
    assert world.status.triggers[0].value == "1"
    assert world.status.triggers[0].rows == 60


def test_rows_served_before_the_promotion_or_by_another_version_do_not_count() -> None:
    world = World()
    world.settle()
    world.give_rows(80, loss=9.0)
    world.give_rows(80, loss=9.0, version="7")
    world.md_status = world.md_status.evolve(stable=served("1", since=world.now + timedelta(seconds=1)))
    world.give_rows(45, loss=1.0)
    world.settle()
    assert (world.status.triggers[0].rows, world.status.triggers[0].value) == (45, "1")
    assert world.status.evaluated.rows == 205


def test_evaluated_rows_never_go_back_and_count_each_row_once_over_hours() -> None:
    world = World()
    world.settle()
    for number in range(1, 200):
        world.give_rows(3, loss=1.0)
        world.now += timedelta(seconds=50)
        world.step()
        world.step()
        assert world.status.evaluated.rows == 3 * number
    assert world.status.evaluated.base_rows > 0


def test_the_watermark_is_the_greatest_event_time_and_never_goes_back() -> None:
    world = World()
    world.settle()
    world.give_rows(3, loss=1.0, event_time=NOW - timedelta(days=5000))
    world.settle()
    world.give_rows(3, loss=1.0, event_time=NOW - timedelta(days=6000))
    world.settle()
    assert world.status.evaluated.watermark == NOW - timedelta(days=5000)


def test_the_reference_loss_comes_from_the_training() -> None:
    trigger = {"name": "loss", "loss": {"window": {"rows": 60}, "reference": "Version", "factorPercent": 150}}
    world = World(triggers=[trigger])
    world.baseline_loss = "1.2"
    world.settle()
    world.give_rows(60, loss=1.7)
    world.settle()
    assert world.status.baseline is not None
    assert world.status.baseline.source is LossSource.TRAINING
    assert world.status.triggers[0].threshold == "1.8"


def test_without_a_baseline_the_first_live_rows_are_the_reference() -> None:
    trigger = {"name": "loss", "loss": {"window": {"rows": 60}, "minRows": 40, "factorPercent": 150}}
    world = World(triggers=[trigger], mode="Observe")
    world.settle()
    world.give_rows(30, loss=1.0)
    world.settle()
    early = world.status.baseline
    for _ in range(5):
        world.give_rows(20, loss=1.0)
        world.settle()
    late = world.status.baseline
    assert early is None
    assert late is not None
    assert (late.source, late.loss) == (LossSource.LIVE, "1")


# --- starting --------------------------------------------------------------------------------------------------------
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


def test_a_restart_does_not_forget_since_when_a_trigger_fires() -> None:
    world = bad_world(mode="Observe")
    before = world.status.triggers
    world.facts = frozenset()
    world.now += timedelta(seconds=20)
    world.step()
    assert world.status.triggers == before
    world.settle()
    assert world.status.triggers == before
    assert world.events.count("TriggerFiring") == 1


def test_a_trigger_that_fires_is_told_once_also_when_the_status_could_not_be_written() -> None:
    world = World(mode="Observe")
    world.settle()
    world.give_rows(80, loss=2.0)
    before = world.status
    world.step()
    world.status = before
    world.now += timedelta(seconds=5)
    world.settle()
    assert world.events.count("TriggerFiring") == 1


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


def test_suspend_starts_nothing_and_lets_the_running_cycle_end() -> None:
    world = bad_world(suspend=True)
    assert world.status.cycle is None
    assert world.reason("Suspended") == "True/Suspended"
    world = bad_world()
    world.spec = world.spec.evolve(suspend=True)
    world.run_cycle()
    assert [d.outcome for d in world.status.history] == [CycleOutcome.PROMOTED]


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


def test_a_schedule_fires_once_for_all_the_times_that_were_missed() -> None:
    trigger = {"name": "weekly", "schedule": {"cron": "0 6 * * 1", "timeZone": "America/New_York"}}
    world = World(triggers=[trigger], cooldown={"time": "1s"})
    world.give_rows(1, loss=1.0)
    plan = world.settle()
    assert world.reason("DriftDetected") == "False/AllClear"
    assert plan.look_again is not None
    world.now += timedelta(days=30)
    world.give_rows(1, loss=1.0)
    world.settle()
    assert world.status.last_cycle == 1
    world.run_cycle()
    world.now += timedelta(days=1)
    world.settle()
    assert world.status.last_cycle == 1


@pytest.mark.parametrize("schedule", [{"cron": "61 * * * *"}, {"cron": "0 6 * * 1", "timeZone": "Mars/Olympus"}])
def test_a_schedule_that_can_not_be_read_is_unknown_and_says_so(schedule: dict[str, str]) -> None:
    world = World(triggers=[{"name": "s", "schedule": schedule}])
    world.settle()
    assert world.reason("DriftDetected") == "Unknown/InvalidSchedule"


def test_an_old_version_fires_by_age_and_is_looked_at_in_time() -> None:
    world = World(triggers=[{"name": "old", "age": {"maxAge": "30d"}}])
    world.give_rows(1, loss=1.0)
    plan = world.settle()
    assert plan.look_again == timedelta(days=30) - (world.now - BORN)
    world.now = BORN + timedelta(days=30)
    world.give_rows(1, loss=1.0)
    world.settle()
    assert world.status.cycle is not None


# --- the cycle -------------------------------------------------------------------------------------------------------
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


def test_the_gate_job_knows_both_versions_and_the_very_rows() -> None:
    world = bad_world()
    world.train()
    world.settle()
    (job,) = {j["metadata"]["name"]: j for j in world.applied}.values()
    pod = job["spec"]["template"]["spec"]
    assert [c["name"] for c in pod["initContainers"]] == ["fetch-champion", "fetch-challenger"]
    rules = next(e["value"] for e in pod["containers"][0]["env"] if e["name"] == names.ENV_GATE)
    assert '"champion": "1"' in rules
    assert '"holdout": {"rows": 60}' in rules
    assert '"table": "/data/hedge.csv"' in rules


@pytest.mark.parametrize(
    ("said", "complete", "outcome", "gate"),
    [
        pytest.param(
            REJECTED, True, CycleOutcome.GATE_REJECTED, GateOutcome.REJECTED, id="the challenger is no better"
        ),
        pytest.param("oops", True, CycleOutcome.GATE_UNKNOWN, GateOutcome.UNKNOWN, id="the verdict can't be read"),
        pytest.param("Traceback", False, CycleOutcome.GATE_UNKNOWN, GateOutcome.UNKNOWN, id="the evaluation failed"),
    ],
)
def test_a_gate_that_is_not_passed_sets_no_alias(
    said: str, complete: bool, outcome: CycleOutcome, gate: GateOutcome
) -> None:
    world = bad_world()
    world.train()
    world.settle()
    world.judge(said, complete=complete)
    world.settle()
    (decision,) = world.status.history
    assert decision.outcome is outcome
    assert decision.gate is not None
    assert decision.gate.outcome is gate
    assert not any(isinstance(effect, SetAlias) for effect in world.asked)


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


def test_the_champion_of_the_gate_is_whoever_serves_when_it_starts() -> None:
    world = bad_world()
    world.deliver("4", Verdict.PROMOTED)
    world.train("5")
    world.settle()
    assert world.status.cycle is not None
    assert world.status.cycle.champion == "4"


def test_a_gate_whose_job_was_made_right_before_a_crash_is_told_once() -> None:
    world = bad_world()
    world.train()
    while not world.applied:
        before = world.status
        world.step()
    assert before.cycle is not None
    assert before.cycle.champion == "1", "whom it is compared with is in the status before the Job is made"
    told = world.events.count("GateStarted")
    world.status = before
    world.judge(None, complete=False)
    plan = world.step()
    assert [event.reason for event in plan.events if event.reason == "GateStarted"] == ["GateStarted"]
    assert world.events.count("GateStarted") == told == 1


def test_a_verdict_is_waited_for_when_the_job_is_seen_before_its_pods_last_words() -> None:
    world = bad_world()
    world.train()
    world.settle()
    world.judge(None)
    world.pods = tuple(replace(pod, phase="Running") for pod in world.pods)
    plan = world.settle()
    assert plan.look_again == timedelta(seconds=2)
    assert world.status.cycle is not None
    assert (world.status.cycle.phase.value, world.status.cycle.gate) == ("Gate", None)


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


# --- staying out -----------------------------------------------------------------------------------------------------
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
