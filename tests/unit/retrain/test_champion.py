"""Whom a challenger has to beat, and what a pin and a champion that changes mean for a cycle."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelcycle import constants as names
from modelcycle.api.v1alpha1.deployment import AliasMove, Candidate, Purpose, Verdict
from modelcycle.api.v1alpha1.retrain_status import CycleOutcome, CyclePhase
from modelcycle.core.observed import Resource
from modelcycle.registry.port import ModelReading, SetAlias
from modelcycle.retrain.champion import another_serves, champion
from tests.unit.retrain.world import BORN, NOW, PASSED, World, bad_world, served

TO_3 = AliasMove(alias="champion", to="3", expect="1", reason="Promoted", since=NOW)
CHALLENGER = AliasMove(alias="challenger", to=None, expect="3", reason="Judged", since=NOW)


@pytest.mark.parametrize(
    ("alias", "moves", "serves", "expected", "hold"),
    [
        pytest.param("1", (), "1", "1", None, id="what serves is the champion"),
        pytest.param("1", (TO_3,), "3", "3", None, id="the alias is about to follow a promotion"),
        pytest.param("1", (CHALLENGER,), "1", "1", None, id="a move of the other alias says nothing"),
        pytest.param(None, (), "1", "1", None, id="without the alias what serves goes on serving"),
        pytest.param("3", (), "2", "3", "AnotherChampion", id="a pinned version serves"),
        pytest.param(None, (), None, None, None, id="there is none"),
    ],
)
def test_whom_a_challenger_has_to_beat(
    alias: str | None, moves: tuple[AliasMove, ...], serves: str | None, expected: str | None, hold: str | None
) -> None:
    world = World()
    stable = served(serves, since=BORN) if serves else None
    status = world.md_status.evolve(stable=stable, alias_moves=moves)
    deployment = Resource("quant", "hedge", "md", 1, "1", BORN, world.deployment_spec, status, {})
    reading = ModelReading(True, (("champion", alias),) if alias else ())
    assert champion(deployment, reading) == expected
    held = another_serves(deployment, reading)
    assert (held.reason if held else None) == hold


# --- before a cycle --------------------------------------------------------------------------------------------------
def pinned(world: World, version: str | None) -> None:
    world.model = {"version": version} if version else {}


def test_while_a_version_is_pinned_no_cycle_starts_not_even_one_that_is_asked_for() -> None:
    world = World()
    pinned(world, "1")
    world.annotations[names.ANNOTATION_RETRAIN] = "now"
    world.settle()
    assert (world.status.last_cycle, world.reason("Retraining")) == (0, "False/Pinned")
    assert "remove spec.model.version" in world.status.summary
    pinned(world, None)
    world.settle()
    assert (world.status.last_cycle, world.status.handled.retrain) == (1, "now")


def test_after_a_pin_the_champion_serves_before_a_cycle_starts() -> None:
    world = World()
    world.champion = "3"
    world.settle()
    world.give_rows(80, loss=2.0)
    world.settle()
    assert (world.status.last_cycle, world.reason("Retraining")) == (0, "False/AnotherChampion")
    world.champion = "1"
    world.settle()
    assert world.status.last_cycle == 1


def test_a_registry_that_can_not_be_read_starts_nothing() -> None:
    world = World()
    world.registry_error = "connection refused"
    world.settle()
    world.give_rows(80, loss=2.0)
    world.settle()
    assert (world.status.last_cycle, world.reason("Retraining")) == (0, "False/RegistryUnavailable")


# --- within a cycle --------------------------------------------------------------------------------------------------
def compared(manifest: dict[str, Any]) -> tuple[str, str]:
    env = manifest["spec"]["template"]["spec"]["containers"][0]["env"]
    rules = json.loads(next(one["value"] for one in env if one["name"] == names.ENV_GATE))
    return rules["challenger"], rules["champion"]


def test_the_gate_waits_while_a_version_is_pinned_and_compares_with_the_champion() -> None:
    world = bad_world()
    pinned(world, "7")
    world.champion = "1"
    world.md_status = world.md_status.evolve(stable=served("7", since=NOW))
    world.train()
    world.settle()
    assert (world.applied, world.reason("Retraining")) == ([], "True/Pinned")
    pinned(world, None)
    world.settle()
    assert compared(world.applied[-1]) == ("2", "1")


def test_the_challenger_waits_while_a_version_is_pinned() -> None:
    world = bad_world()
    world.train()
    world.settle()
    pinned(world, "1")
    world.judge(PASSED)
    world.settle()
    assert world.status.cycle is not None
    assert (world.status.cycle.phase, world.reason("Retraining")) == (CyclePhase.CHALLENGER, "True/Pinned")
    assert [one for one in world.asked if isinstance(one, SetAlias)] == []
    pinned(world, None)
    world.settle()
    assert world.status.cycle.phase is CyclePhase.ROLLOUT


def test_a_pin_that_holds_a_rollout_back_is_named() -> None:
    world = bad_world()
    world.train()
    world.settle()
    world.judge(PASSED)
    world.settle()
    pinned(world, "1")
    world.settle()
    assert world.reason("Retraining") == "True/Pinned"
    assert "Pinned" in world.status.summary


def test_another_champion_before_the_alias_is_set_means_another_gate() -> None:
    world = bad_world()
    world.train()
    world.settle()
    first = world.applied[-1]["metadata"]["name"]
    world.champion = "5"
    world.judge(PASSED)
    world.settle()
    assert world.status.cycle is not None
    assert (world.status.cycle.phase, world.status.cycle.champion) == (CyclePhase.GATE, "5")
    assert set(world.deleted) == {first}, "the verdict on another comparison is not taken"
    world.jobs, world.pods = (), ()
    world.settle()
    assert compared(world.applied[-1]) == ("2", "5")
    world.judge(PASSED)
    world.settle()
    assert world.status.cycle.phase is CyclePhase.ROLLOUT
    world.deliver("2", Verdict.PROMOTED)
    world.settle()
    assert [(d.outcome, d.champion) for d in world.status.history] == [(CycleOutcome.PROMOTED, "5")]
    assert world.events.count("GateStarted") == world.events.count("GatePassed") == 2


def test_a_promotion_that_came_before_the_status_is_no_other_champion() -> None:
    world = bad_world()
    world.train()
    world.settle()
    world.judge(PASSED)
    while world.status.cycle is not None and world.status.cycle.phase is not CyclePhase.CHALLENGER:
        world.step()
    world.champion = "2"
    world.md_status = world.md_status.evolve(candidate=Candidate(version="2", purpose=Purpose.FOLLOW))
    world.settle()
    assert world.status.cycle is not None
    assert world.status.cycle.phase is CyclePhase.ROLLOUT
