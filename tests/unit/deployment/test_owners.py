"""Who owns the aliases, what a person can wish for, and what the spec or the settings do not allow."""

from __future__ import annotations

import pytest

from modelcycle import constants as names
from modelcycle.api.v1alpha1.deployment import Purpose
from modelcycle.deployment.ownership import is_left
from tests.unit.deployment.histories import APPROVAL, ONLY_SMOKE, rolling
from tests.unit.deployment.outside import OWNER, SETTINGS, Live
from tests.unit.deployment.world import World


# --- a person's wishes -----------------------------------------------------------------------------------------------
def test_abort_rejects_once() -> None:
    world = rolling()
    world.annotations[names.ANNOTATION_ABORT] = "2026-03-01T12:30:00Z"
    world.settle()
    assert (world.verdict("2"), world.status.handled.abort) == ("Rejected/Aborted", "2026-03-01T12:30:00Z")
    world.challenge("3")
    world.until("half")
    assert world.candidate == "3"


def test_an_abort_from_before_does_not_hit_a_later_rollout() -> None:
    world = World().serving()
    world.annotations[names.ANNOTATION_ABORT] = "2026-03-01T12:00:00Z"
    world.challenge("2")
    world.until("half")
    assert world.status.handled.abort == "2026-03-01T12:00:00Z"
    assert world.told("AbortIgnored") == 1


def test_promotion_waits_for_approval_and_says_how_to_give_it() -> None:
    world = rolling(**APPROVAL)
    world.answered()
    world.settle()
    assert (world.verdict("2"), world.condition("Progressing")) == (None, "True/AwaitingApproval")
    assert names.ANNOTATION_APPROVE in world.status.summary
    world.annotations[names.ANNOTATION_APPROVE] = "now"
    world.settle()
    assert (world.verdict("2"), world.status.handled.approve) == ("Promoted/Approved", "now")


def test_limits_hold_while_a_candidate_waits_for_approval() -> None:
    world = rolling(**APPROVAL)
    world.answered()
    world.until("approval")
    world.live["2"] = Live(requests=400, errors=300)
    world.settle()
    assert world.verdict("2") == "Rejected/ErrorRate"


def test_an_approval_from_before_does_not_count() -> None:
    world = World(**APPROVAL).serving()
    world.annotations[names.ANNOTATION_APPROVE] = "yesterday"
    world.challenge("2")
    world.until("half")
    world.answered()
    world.settle()
    assert (world.verdict("2"), world.status.handled.approve) == (None, "yesterday")


def test_paused_holds_a_rollout_where_it_is() -> None:
    world = rolling()
    world.document["rollout"] = {"paused": True}
    world.live["2"] = Live(requests=200, errors=200)
    world.settle()
    assert (world.verdict("2"), world.candidate, world.condition("Progressing")) == (None, "2", "True/Paused")
    assert "paused" in world.status.summary
    world.document["rollout"] = {}
    world.settle()
    assert world.verdict("2") == "Rejected/ErrorRate"


def test_paused_starts_no_rollout_but_a_champion_moved_by_hand_is_followed() -> None:
    world = World(rollout={"paused": True}).serving()
    world.challenge("2")
    world.settle()
    assert world.candidate is None
    world.registry.aliases["champion"] = "3"
    world.settle()
    assert world.stable == "3"


def test_without_steps_a_challenger_only_has_to_be_ready() -> None:
    world = World(rollout={"steps": []}).serving()
    world.challenge("2")
    world.settle()
    assert world.verdict("2") == "Promoted/StepsPassed"


def test_steps_taken_away_in_the_middle_of_a_rollout() -> None:
    world = rolling()
    world.document |= ONLY_SMOKE
    world.settle()
    assert world.verdict("2") == "Promoted/StepsPassed"


# --- ownership -------------------------------------------------------------------------------------------------------
def test_a_model_without_an_owner_is_claimed() -> None:
    world = World()
    world.registry.owner = None
    world.challenge("1")
    world.settle()
    assert (world.status.owner, world.stable) == (True, "1")
    assert world.registry.owner == OWNER


def test_an_owner_tag_that_somebody_removed_is_set_again() -> None:
    world = World()
    world.registry.owner = None
    world.challenge("1")
    world.settle()
    world.registry.owner = None
    world.settle()
    assert (world.registry.reading().owner, world.status.owner) == (OWNER, True)


def test_a_promotion_while_the_owner_tag_is_missing_still_moves_the_champion() -> None:
    world = rolling()
    world.registry.owner = None
    world.answered()
    world.settle()
    assert (world.stable, world.registry.aliases) == ("2", {"champion": "2"})
    assert world.told("Serving") == 1


def test_an_earlier_life_of_the_same_name_is_replaced_as_owner() -> None:
    world = World()
    world.registry.owner = "c1/quant/hedge/99999999-0000"
    world.serving()
    assert world.status.owner


def test_a_claimed_model_is_stalled_and_nothing_is_moved() -> None:
    world = World()
    world.registry.owner = "c1/quant/other/99999999-0000"
    world.registry.aliases = {"champion": "1", "challenger": "2"}
    world.settle()
    assert (world.stable, world.condition("Stalled")) == (None, "True/ModelClaimed")
    assert "spec.model.follow" in world.message("Stalled")
    assert world.registry.aliases == {"champion": "1", "challenger": "2"}


@pytest.mark.parametrize(
    ("owner", "living", "namespaces", "expected"),
    [
        pytest.param("c1/quant/other/u-1", "u-1", (), False, id="it lives"),
        pytest.param("c1/quant/other/u-1", "u-2", (), True, id="another one lives under its name"),
        pytest.param("c1/quant/other/u-1", None, (), True, id="it is gone"),
        pytest.param("c1/quant/other/u-1", None, ("quant",), True, id="it is gone, from a namespace of ours"),
        pytest.param("c1/desk/other/u-1", None, ("quant",), False, id="a namespace that the operator does not see"),
        pytest.param("c2/quant/other/u-1", None, (), False, id="another cluster"),
        pytest.param("somebody", None, (), False, id="a tag of another form"),
    ],
)
def test_a_claim_is_left_when_its_deployment_is_gone_for_good(
    owner: str, living: str | None, namespaces: tuple[str, ...], expected: bool
) -> None:
    settings = SETTINGS.model_copy(update={"namespaces": namespaces})
    assert is_left(owner, settings, living) is expected


def test_what_a_deployment_that_is_gone_left_is_taken_over() -> None:
    world = World()
    world.registry.owner = "c1/quant/renamed/99999999-0000"
    world.registry.aliases = {"champion": "1"}
    world.settle()
    assert world.condition("Stalled") == "True/ModelClaimed"
    assert world.status.summary.endswith(
        "curl -s -X DELETE http://mlflow:5000/api/2.0/mlflow/registered-models/delete-tag "
        """-H 'Content-Type: application/json' -d '{"name": "quant.hedge", "key": "modelcycle.dev/owner"}'"""
    )
    world.left = {world.registry.owner}
    world.settle()
    assert (world.status.owner, world.stable, world.registry.owner) == (True, "1", OWNER)


def test_of_two_that_take_over_the_second_finds_the_first() -> None:
    world = World()
    gone = "c1/quant/renamed/99999999-0000"
    world.registry.owner, world.left = gone, {gone}
    world.tick()
    world.registry.owner = "c1/quant/other/88888888-0000"  # it was faster; only then the claim arrives
    world.settle()
    assert (world.status.owner, world.condition("Stalled")) == (False, "True/ModelClaimed")
    assert world.registry.owner == "c1/quant/other/88888888-0000"


def test_losing_the_model_to_another_owner_ends_the_rollout_and_serves_on() -> None:
    world = rolling()
    world.registry.owner = "c1/quant/other/99999999-0000"
    world.settle()
    assert (world.stable, world.verdict("2"), world.condition("Stalled")) == (
        "1",
        "Superseded/ModelClaimed",
        "True/ModelClaimed",
    )
    assert world.registry.moves == []


def test_a_model_of_another_namespace_can_not_be_owned() -> None:
    world = World(model={"name": "credit.score"})
    world.registry.owner = None
    world.settle()
    assert (world.condition("Stalled"), world.registry.owner) == ("True/ModelNotAllowed", None)


def test_a_follower_tries_each_new_champion_and_moves_nothing() -> None:
    world = World(model={"follow": True})
    world.registry.owner = "c1/quant/other/99999999-0000"
    world.serving()
    world.registry.aliases["champion"] = "2"
    world.until("half")
    assert world.status.candidate is not None
    assert world.status.candidate.purpose is Purpose.TRIAL
    world.answered()
    world.settle()
    assert (world.stable, world.registry.moves, world.condition("Stalled")) == ("2", [], "False/NotStalled")


# --- the frame -------------------------------------------------------------------------------------------------------
def test_an_unknown_endpoint_is_stalled_and_what_serves_goes_on() -> None:
    world = World().serving()
    world.document["mlflow"] = "other"
    world.settle()
    assert (world.condition("Stalled"), world.condition("Ready"), world.pods) == (
        "True/EndpointUnknown",
        "True/Serving",
        {"1": 2},
    )


def test_a_spec_that_can_not_be_understood_is_stalled_and_keeps_everything() -> None:
    world = World().serving()
    world.invalid = "spec.replicas: must be at least 1"
    world.settle()
    assert (world.stable, world.condition("Stalled"), world.pods) == ("1", "True/InvalidSpec", {"1": 2})


def test_a_new_default_image_is_for_new_versions_only() -> None:
    world = World().serving()
    world.settings = world.settings.model_copy(update={"serving_image": "serving:2"})
    world.challenge("2")
    world.until("half")
    assert _images(world) == {"1": "serving:1", "2": "serving:2"}


def test_an_image_that_is_taken_out_of_the_spec_again_is_gone() -> None:
    world = World().serving()
    world.document["image"] = "mine:2"
    world.settle()
    assert _images(world) == {"1": "mine:2"}
    del world.document["image"]
    world.settings = world.settings.model_copy(update={"serving_image": "serving:2"})
    world.settle()
    assert _images(world) == {"1": "serving:1"}


def _images(world: World) -> dict[str, str]:
    return {
        w.version: w.manifest["spec"]["template"]["spec"]["containers"][0]["image"] for w in world.workloads.values()
    }


def test_pods_of_a_lost_status_stay_until_something_serves() -> None:
    world = World().serving()
    world.status = type(world.status)()
    world.unready.add("1")
    world.step()
    assert world.pods == {"1": 2}
    world.unready.clear()
    world.settle()
    assert (world.stable, world.pods) == ("1", {"1": 2})
