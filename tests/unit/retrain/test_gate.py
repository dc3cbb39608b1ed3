"""The gate: whom it compares on which rows, and how its verdict is taken."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from modelcycle import constants as names
from modelcycle.api.v1alpha1.deployment import Verdict
from modelcycle.api.v1alpha1.retrain_status import CycleOutcome, GateOutcome
from modelcycle.registry.port import SetAlias
from tests.unit.retrain.world import REJECTED, bad_world


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


def test_the_champion_of_the_gate_is_whoever_serves_when_it_starts() -> None:
    world = bad_world()
    world.deliver("4", Verdict.PROMOTED)
    world.train("5")
    world.settle()
    assert world.status.cycle is not None
    assert world.status.cycle.champion == "4"


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
