"""Aliases that people move, pins, and a registry that does not answer."""

from __future__ import annotations

from datetime import timedelta

from modelcycle.core.plan import Fact, FactRequest
from modelcycle.registry.port import ModelFact, ReadVersion
from tests.unit.deployment.histories import rolling
from tests.unit.deployment.outside import crashed
from tests.unit.deployment.world import World


# --- champions moved by hand -----------------------------------------------------------------------------------------
def test_champion_moved_by_hand_ends_a_rollout_and_is_followed() -> None:
    world = rolling()
    world.registry.aliases["champion"] = "3"
    world.settle()
    assert (world.stable, world.verdict("2"), world.verdict("3")) == (
        "3",
        "Superseded/ChampionMoved",
        "Promoted/ChampionMoved",
    )
    assert world.registry.aliases == {"champion": "3"}
    assert world.pods == {"3": 2}


def test_serving_goes_on_until_a_champion_moved_by_hand_is_ready() -> None:
    world = World().serving()
    world.unready.add("3")
    world.registry.aliases["champion"] = "3"
    world.settle()
    assert (world.stable, world.candidate, world.pods) == ("1", "3", {"1": 2, "3": 1})
    world.unready.clear()
    world.settle()
    assert (world.stable, world.pods) == ("3", {"3": 2})


def test_a_champion_that_can_not_be_served_is_degraded_and_the_old_one_serves_on() -> None:
    world = World().serving()
    world.broken["3"] = crashed("SmokeFailed", "row 1")
    world.registry.aliases["champion"] = "3"
    world.settle()
    assert (world.stable, world.condition("Ready"), world.condition("Degraded")) == (
        "1",
        "True/Serving",
        "True/SmokeFailed",
    )
    world.registry.aliases["champion"] = "1"
    world.settle()
    assert (world.stable, world.candidate, world.condition("Degraded")) == ("1", None, "False/AsExpected")


def test_rollback_by_hand_is_followed_and_not_rolled_forward_again() -> None:
    world = rolling()
    world.answered()
    world.settle()
    assert world.stable == "2"
    world.registry.aliases["champion"] = "1"
    world.settle()
    assert (world.stable, world.pods) == ("1", {"1": 2})
    world.challenge("2")
    world.settle()
    assert (world.stable, world.candidate) == ("1", None)


def test_the_candidate_made_champion_by_hand_goes_on_without_further_steps() -> None:
    world = rolling()
    world.registry.aliases["champion"] = "2"
    world.settle()
    assert (world.stable, world.verdict("2"), world.registry.aliases) == (
        "2",
        "Promoted/ChampionMoved",
        {"champion": "2"},
    )


def test_a_deleted_champion_alias_changes_nothing_of_what_serves() -> None:
    world = World().serving()
    del world.registry.aliases["champion"]
    world.settle()
    assert (world.stable, world.registry.aliases, world.condition("Ready")) == ("1", {}, "True/Serving")


def test_champion_moved_by_hand_between_verdict_and_move_is_followed() -> None:
    world = rolling()
    world.answered()
    while world.verdict("2") is None:
        world.tick()
    world.registry.aliases["champion"] = "5"
    world.settle()
    assert (world.stable, world.registry.aliases) == ("5", {"champion": "5"})
    assert world.told("AliasMoveDropped") == 1


def test_another_challenger_supersedes_the_one_that_is_tried() -> None:
    world = rolling()
    world.challenge("3")
    world.settle(3)
    world.until("half")
    assert (world.candidate, world.verdict("2")) == ("3", "Superseded/ChallengerReplaced")


def test_a_challenger_taken_back_ends_its_rollout() -> None:
    world = rolling()
    del world.registry.aliases["challenger"]
    world.settle()
    assert (world.candidate, world.verdict("2"), world.pods) == (None, "Superseded/ChallengerWithdrawn", {"1": 2})


# --- MLflow is down --------------------------------------------------------------------------------------------------
def test_mlflow_down_blocks_no_verdict_and_the_aliases_follow_later() -> None:
    world = rolling()
    world.registry.up = False
    world.answered()
    world.tick(seconds=300)
    world.settle()
    assert (world.stable, world.verdict("2"), world.registry.aliases["champion"]) == ("2", "Promoted/StepsPassed", "1")
    assert world.condition("Degraded") == "True/RegistryUnavailable"
    assert world.condition("Ready") == "True/Serving"
    world.registry.up = True
    world.settle()
    assert (world.registry.aliases, world.condition("Degraded")) == ({"champion": "2"}, "False/AsExpected")


def test_mlflow_down_is_said_within_half_a_minute_and_once() -> None:
    world = World().serving()
    world.registry.up = False
    said = [(world.tick(seconds=5), world.condition("Degraded"))[1] for _ in range(6)]
    assert said[:4] == ["False/AsExpected"] * 4, "a short silence is no outage"
    assert said[-1] == "True/RegistryUnavailable"
    assert world.told("RegistryUnavailable") == 1
    writes = world.writes
    world.settle(60)
    assert world.writes == writes, "nothing is written while it lasts"
    world.registry.up = True
    world.tick()
    assert world.condition("Degraded") == "False/AsExpected"


def test_a_stale_reading_starts_and_ends_nothing() -> None:
    world = World().serving()
    world.registry.up = False
    world.tick(seconds=300)
    world.registry.aliases = {"champion": "5"}
    world.settle()
    assert (world.stable, world.candidate) == ("1", None)


def test_a_reading_that_is_minutes_old_starts_nothing() -> None:
    """MLflow's answers stopped coming, and nobody said that it is away."""
    world = World().serving()
    world.challenge("2")
    world.poll()
    world.now += timedelta(minutes=3)
    assert not any(isinstance(effect, ReadVersion) for effect in world.step().effects)
    world.poll()
    assert any(isinstance(effect, ReadVersion) for effect in world.step().effects)


def test_a_reading_from_before_a_rollout_began_does_not_end_it() -> None:
    """A standby that takes over may have read the aliases before the challenger was set."""
    world = World().serving()
    world.poll()
    before = dict(world.facts)
    world.challenge("2")
    world.until("smoke")
    world.facts = before
    world.step()
    assert (world.candidate, world.verdict("2")) == ("2", None)


def test_a_reading_from_before_a_promotion_does_not_undo_it() -> None:
    world = rolling()
    world.answered()
    world.poll()
    before: dict[FactRequest, Fact] = {
        request: fact for request, fact in world.facts.items() if isinstance(request, ModelFact)
    }
    while world.status.alias_moves or world.stable != "2":
        world.tick(seconds=2)
    world.facts = before
    world.step()
    assert (world.stable, world.candidate) == ("2", None)


def test_an_alias_move_that_mlflow_refuses_is_told_and_asked_again() -> None:
    world = rolling()
    world.registry.refuses_moves = True
    world.answered()
    world.settle()
    assert world.condition("Degraded") == "True/AliasMoveRefused"
    first = world.status.alias_moves[0].since
    world.tick(seconds=400)
    assert world.status.alias_moves[0].since > first
    world.registry.refuses_moves = False
    world.settle()
    assert (world.registry.aliases, world.status.alias_moves) == ({"champion": "2"}, ())


def test_a_model_that_was_deleted_serves_on() -> None:
    world = World().serving()
    world.registry.exists = False
    world.registry.aliases.clear()
    world.settle()
    assert (world.stable, world.condition("Ready"), world.condition("Degraded")) == (
        "1",
        "True/Serving",
        "True/ModelNotFound",
    )


# --- pins ------------------------------------------------------------------------------------------------------------
def pin(world: World, version: str | None) -> None:
    world.document["model"] = {"name": "quant.hedge"} | ({"version": version} if version else {})


def test_a_pin_ends_the_rollout_and_touches_no_alias() -> None:
    world = rolling()
    before = dict(world.registry.aliases)
    pin(world, "3")
    world.settle()
    assert (world.stable, world.verdict("2"), world.registry.aliases) == ("3", "Superseded/Pinned", before)
    assert "To follow the aliases again" in world.status.summary


def test_a_pin_to_the_version_before_needs_no_mlflow() -> None:
    world = rolling()
    world.answered()
    world.settle()
    world.outcomes = {effect: o for effect, o in world.outcomes.items() if not isinstance(effect, ReadVersion)}
    world.registry.up = False
    pin(world, "1")
    world.settle()
    assert (world.stable, world.pods, world.condition("Degraded")) == ("1", {"1": 2}, "False/AsExpected")


def test_removing_the_pin_follows_the_champion_again() -> None:
    world = World().serving()
    pin(world, "3")
    world.settle()
    pin(world, None)
    world.settle()
    assert (world.stable, world.status.owner) == ("1", True)


def test_removing_the_pin_of_a_version_that_can_not_start_is_the_way_back() -> None:
    world = World().serving()
    world.broken["3"] = crashed("SmokeFailed", "boom")
    pin(world, "3")
    world.settle()
    assert (world.stable, world.candidate) == ("1", "3")
    pin(world, None)
    world.settle()
    assert (world.stable, world.candidate, world.pods) == ("1", None, {"1": 2})


def test_a_pin_to_a_version_that_is_not_there_is_stalled() -> None:
    world = World().serving()
    pin(world, "404")
    world.settle()
    assert (world.stable, world.condition("Stalled")) == ("1", "True/VersionNotFound")


def test_a_pin_to_the_candidate_uses_its_pods() -> None:
    world = rolling()
    pin(world, "2")
    world.settle(4)
    assert (world.stable, world.verdict("2")) == ("2", None)
