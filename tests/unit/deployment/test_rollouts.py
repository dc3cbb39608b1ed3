"""A rollout that goes well, pass by pass in a world of memory, and how the pods are shared out."""

from __future__ import annotations

import pytest

from modelcycle import constants as names
from modelcycle.api.v1alpha1.deployment import Candidate, DeploymentSpec
from modelcycle.deployment.rollout import place_of
from modelcycle.registry.port import MoveAlias
from tests.unit.deployment.histories import rolling
from tests.unit.deployment.outside import Live
from tests.unit.deployment.world import World


# --- the way up ------------------------------------------------------------------------------------------------------
def test_a_good_challenger_becomes_champion() -> None:
    world = rolling()
    world.answered()
    world.settle()
    assert (world.stable, world.candidate, world.verdict("2")) == ("2", None, "Promoted/StepsPassed")
    assert world.registry.aliases == {"champion": "2"}
    assert world.pods == {"2": 2}


def test_promotion_restarts_no_pod() -> None:
    world = rolling(replicas=4)
    template = next(w.manifest["spec"]["template"] for w in world.workloads.values() if w.version == "2")
    world.answered()
    world.settle()
    assert [w.manifest["spec"]["template"] for w in world.workloads.values()] == [template]


def test_a_verdict_is_in_the_status_before_an_alias_is_touched() -> None:
    world = rolling()
    world.answered()
    while world.verdict("2") is None:
        plan = world.tick()
    assert not [effect for effect in plan.effects if isinstance(effect, MoveAlias)]
    assert world.registry.aliases == {"champion": "1", "challenger": "2"}
    assert {m.alias: m.to for m in world.status.alias_moves} == {"champion": "2", "challenger": None}
    plan = world.step()
    assert {e.alias: e.to for e in plan.effects if isinstance(e, MoveAlias)} == {"champion": "2", "challenger": None}


def test_evidence_goes_to_the_version_after_the_status_has_it() -> None:
    world = rolling()
    world.answered()
    world.settle()
    assert '"verdict": "Promoted"' in world.registry.tags["2"][names.TAG_ROLLOUT]
    assert all(record.recorded for record in world.status.verdicts)


def test_each_thing_is_told_once() -> None:
    world = rolling()
    world.answered()
    world.settle()
    assert [world.told(reason) for reason in ("StepPassed", "Promoted", "AliasMoved")] == [2, 2, 2]


def test_at_rest_nothing_is_written_and_nothing_asked() -> None:
    world = rolling()
    world.answered()
    world.settle()
    writes = world.writes
    plan = world.settle()
    assert (world.writes, plan.effects, plan.events, plan.delete) == (writes, (), (), ())
    assert plan.look_again is not None


def test_first_version_ever_becomes_champion_by_smoke_alone() -> None:
    world = World()
    world.challenge("1")
    world.settle()
    assert (world.stable, world.verdict("1")) == ("1", "Promoted/Bootstrap")
    assert world.registry.aliases == {"champion": "1"}


@pytest.mark.parametrize(
    "exists", [pytest.param(False, id="model is not registered"), pytest.param(True, id="no version has an alias")]
)
def test_without_a_model_it_waits_and_is_not_degraded(exists: bool) -> None:
    world = World()
    world.registry.exists = exists
    world.settle()
    assert world.condition("Progressing") == "True/WaitingForModel"
    assert world.condition("Ready") == "False/WaitingForModel"
    assert world.condition("Degraded") == "False/AsExpected"
    assert world.condition("Stalled") == "False/NotStalled"


# --- shares ----------------------------------------------------------------------------------------------------------
def test_stable_gives_up_pods_only_for_ready_ones_of_the_candidate() -> None:
    world = rolling(replicas=4)
    world.unready.add("2")
    world.tick()
    assert world.pods == {"1": 4, "2": 2}
    world.unready.clear()
    world.settle(3)
    assert world.pods == {"1": 2, "2": 2}


def test_stable_is_back_to_full_before_a_rejected_candidate_goes() -> None:
    world = rolling(replicas=4)
    world.settle(3)
    world.live["2"] = Live(requests=200, errors=150)
    while world.verdict("2") is None:
        world.tick()
    world.unready.add("1")  # the pods that come back take their time
    world.step()
    assert world.pods == {"1": 4, "2": 2}
    world.unready.clear()
    world.settle()
    assert world.pods == {"1": 4}


def test_the_old_version_stays_until_the_new_one_is_fully_ready() -> None:
    world = rolling(replicas=4)
    world.answered()
    while world.stable != "2":
        world.tick()
    for _ in range(3):
        world.step()  # no time goes by, so that the two further pods are not ready yet
    assert world.pods == {"1": 2, "2": 4}
    world.settle()
    assert world.pods == {"2": 4}


# --- steps that are edited meanwhile ---------------------------------------------------------------------------------
SMOKE, TEN, HALF, MOST = (
    {"name": "smoke", "smoke": {}},
    {"name": "ten", "replicas": {"percent": 10, "minRequests": 20}},
    {"name": "half", "replicas": {"percent": 50, "minRequests": 20}},
    {"name": "most", "replicas": {"percent": 90, "minRequests": 20}},
)


@pytest.mark.parametrize(
    ("steps", "place"),
    [
        ([HALF], (0, "half")),  # a step that it has passed is taken out
        ([SMOKE, TEN, HALF], (2, "half")),  # one that it has not seen is put before
        ([HALF, SMOKE], (0, "half")),
        ([SMOKE, MOST], (1, "most")),  # another one takes the place of its own
        ([SMOKE], (1, "approval")),  # nothing else is asked for any more
        ([], (0, "approval")),
    ],
)
def test_a_candidate_stays_in_its_step_whatever_becomes_of_others(
    steps: list[dict[str, object]], place: tuple[int, str]
) -> None:
    spec = DeploymentSpec.model_validate({"model": {"name": "quant.hedge"}, "rollout": {"steps": steps}})
    assert place_of(spec, Candidate(version="2", step=1, step_name="half")) == place


def test_taking_out_an_earlier_step_promotes_nobody() -> None:
    world = rolling()
    world.document |= {"rollout": {"steps": [HALF]}}
    world.settle()
    assert (world.stable, world.candidate, world.verdict("2")) == ("1", "2", None)
    world.answered()
    world.settle()
    assert world.verdict("2") == "Promoted/StepsPassed"
