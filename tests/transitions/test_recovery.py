"""The last good spec brings back the same state from every bad one, with nothing done by hand."""

from __future__ import annotations

from functools import cache

import pytest

from tests.check.state import find
from tests.transitions import deployments, policies
from tests.transitions.bad import CYCLE, DEPLOYMENT, POLICY, Bad
from tests.transitions.drive import Action, Run, Stage, now, settled, ticks
from tests.transitions.picture import Picture, differences, picture
from tests.transitions.policies import BAD, seen
from tests.transitions.traffic import Telemetry

REST, ROLLOUT = "full, at rest", "full, few requests to a candidate"
WATCHING = "full, watching, then the loss rises"


@cache
def stage(title: str) -> Stage:
    (scene,) = (one for one in (*deployments.SCENES, *policies.SCENES) if one.title == title)
    return Stage(scene)


def looks(stage_: Stage, run: Run) -> Picture:
    """All but the effects: how often MLflow was asked for something is no state."""
    scene = stage_.scene
    return picture(run.state, scene.kind, scene.name, len(run.state.ghosts))


def conditions(stage_: Stage, run: Run) -> set[str]:
    raw = find(run.state, stage_.scene.kind, stage_.scene.name)
    assert raw is not None
    return {f"{one['type']}={one['status']}/{one['reason']}" for one in raw["status"]["conditions"]}


def through(stage_: Stage, run: Run, *actions: Action) -> Run:
    for action in actions:
        run = action(stage_.world, run)
    return run


def given(stage_: Stage, run: Run, spec: dict[str, object]) -> Run:
    return settled(stage_.world, stage_._given(run, spec))


# --- at rest, in a rollout -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("bad", DEPLOYMENT, ids=str)
@pytest.mark.parametrize("title", [REST, ROLLOUT])
def test_a_deployment_is_as_it_was(title: str, bad: Bad) -> None:
    here = stage(title)
    good = here.scene.spec
    spec = bad.of(here.scene.kind, good)
    assert spec is not None
    wrong = given(here, here.start, spec)
    assert title == ROLLOUT or bad.told is None or bad.told in conditions(here, wrong)
    assert "Ready=True/Serving" in conditions(here, wrong) or bad.leaf == "model.version", "what served goes on"
    well = (settled, now(telemetry=Telemetry()), ticks(1), ticks(1))
    back = through(here, given(here, wrong, good), *well)
    if title == ROLLOUT and bad.leaf.startswith("model."):
        return  # the rollout has ended by it, with a verdict: test_what_was_decided_stays_decided
    assert differences(looks(here, back), looks(here, through(here, here.start, *well))) == set()


@pytest.mark.parametrize("bad", [one for one in DEPLOYMENT if one.leaf.startswith("model.")], ids=str)
def test_what_was_decided_stays_decided(bad: Bad) -> None:
    """Another model selection ends a rollout: its version has a verdict, and what served before goes on."""
    here = stage(ROLLOUT)
    spec = bad.of(here.scene.kind, here.scene.spec)
    assert spec is not None
    back = through(here, given(here, given(here, here.start, spec), here.scene.spec), ticks(1), ticks(1))
    raw = find(back.state, here.scene.kind, here.scene.name)
    assert raw is not None
    assert conditions(here, back) >= {"Ready=True/Serving", "Degraded=False/AsExpected", "Stalled=False/NotStalled"}
    assert raw["status"]["stable"]["version"] == "1" or bad.leaf == "model.follow"


@pytest.mark.parametrize("bad", POLICY, ids=str)
def test_a_policy_is_as_it_was(bad: Bad) -> None:
    here = stage(WATCHING)
    spec = bad.of(here.scene.kind, here.scene.spec)
    assert spec is not None
    wrong = given(here, here.start, spec)
    assert bad.told is None or bad.told in conditions(here, wrong)
    back = through(here, given(here, wrong, here.scene.spec), ticks(1))
    assert differences(looks(here, back), looks(here, through(here, here.start, settled, ticks(1)))) == set()


@pytest.mark.parametrize("title", ["small, at rest", REST, "small, watching, then the loss rises"])
def test_the_way_back_from_every_other_spec(title: str) -> None:
    """Not only from bad ones. What starts a rollout or a cycle is left out: these stay in the history."""
    here = stage(title)
    good = here.scene.spec
    usual = looks(here, through(here, here.start, settled, ticks(1)))
    left = {
        str(one): found
        for one in here.scene.transitions()
        if not one.leaf.startswith(("model.", "triggers", "deployment"))
        if (
            found := differences(
                usual, looks(here, through(here, given(here, given(here, here.start, one.spec), good), ticks(1)))
            )
        )
    }
    assert left == {}


# --- a cycle that was started with a bad template --------------------------------------------------------------------
@pytest.mark.parametrize("bad", CYCLE, ids=str)
def test_after_a_bad_template_the_next_cycle_is_as_good_as_ever(bad: Bad) -> None:
    here = stage(WATCHING)
    good = here.scene.spec
    spec = bad.of(here.scene.kind, good)
    assert spec is not None
    hangs = now(held=("completes",)) if bad.leaf == "template.deadlineSeconds" else settled
    wrong = through(here, given(here, here.start, spec), hangs, seen(*BAD))
    back = through(here, given(here, wrong, good), ticks(1), now(held=()), *(ticks(1),) * 8)
    raw = find(back.state, here.scene.kind, here.scene.name)
    assert raw is not None
    history = [f"{one['outcome']}/{one['reason']}" for one in raw["status"]["history"]]
    assert history[0] == bad.told
    assert history[1] == "Promoted/StepsPassed", raw["status"]["summary"]
    usual = through(here, here.start, seen(*BAD), *(ticks(1),) * 9)
    assert conditions(here, back) == conditions(here, usual)
