"""What a rollout goes through, pass by pass, in a world of memory: the rules of docs/reference/rollouts.md by name."""

from __future__ import annotations

from typing import Any

import pytest

from modelcycle import constants as names
from modelcycle.api.v1alpha1.deployment import Purpose
from modelcycle.registry.port import ModelFact, MoveAlias, ReadVersion
from tests.unit.deployment.world import OWNER, Live, World, crashed, pulling

ONLY_SMOKE = {"rollout": {"steps": [{"name": "smoke", "smoke": {}}]}}
APPROVAL = {"rollout": {"approval": "Required"}}


def half(**replicas: Any) -> dict[str, Any]:
    """Smoke, then half of the replicas."""
    step = {"name": "half", "replicas": {"percent": 50} | replicas}
    return {"rollout": {"steps": [{"name": "smoke", "smoke": {}}, step]}}


def rolling(**spec: Any) -> World:
    """Version 1 serves with two replicas, version 2 is being tried and has come to step ``half``."""
    world = World(**spec).serving()
    world.challenge("2")
    return world.until("half")


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


# --- holding, failing, waiting ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("live", "reason"),
    [
        pytest.param(Live(requests=200, errors=20), "ErrorRate", id="too many errors"),
        pytest.param(Live(requests=20, errors=10), "ErrorRate", id="errors that can no longer be made good"),
        pytest.param(Live(requests=200, seconds=0.9), "Latency", id="too slow"),
        pytest.param(Live(requests=200, losses=(4.0, 5.0) * 30), "LossVeto", id="live loss is worse"),
    ],
)
def test_a_bad_candidate_is_rejected_with_the_numbers(live: Live, reason: str) -> None:
    world = rolling()
    world.live = {"1": Live(requests=200, losses=(1.0, 1.5) * 30), "2": live}
    world.settle()
    assert (world.stable, world.verdict("2")) == ("1", f"Rejected/{reason}")
    assert world.registry.aliases == {"champion": "1"}
    assert any(character.isdigit() for character in world.status.verdicts[-1].message)
    assert world.pods == {"1": 2}
    assert names.ANNOTATION_RETRY in world.status.summary


@pytest.mark.parametrize(
    ("action", "end"),
    [
        pytest.param("Hold", None, id="Hold waits on"),
        pytest.param("Proceed", "Promoted/StepsPassed", id="Proceed takes the step"),
        pytest.param("Fail", "Rejected/NoData", id="Fail rejects"),
    ],
)
@pytest.mark.parametrize("prometheus", [pytest.param(True, id="no requests"), pytest.param(False, id="no Prometheus")])
def test_no_data_is_neither_pass_nor_fail(action: str, end: str | None, prometheus: bool) -> None:
    world = rolling(**half(onNoData=action, maxWait="10m"))
    world.prometheus_up = prometheus
    world.settle()
    assert world.verdict("2") is None, "before maxWait"
    world.tick(seconds=900)
    world.settle(4)
    assert world.verdict("2") == end
    if end is None:
        assert world.condition("Progressing") == f"True/{'TooFewRequests' if prometheus else 'MetricsUnavailable'}"


def test_stale_metrics_are_unknown() -> None:
    world = rolling()
    world.settle(2)
    world.prometheus_up = False
    world.live["2"] = Live(requests=200, errors=200)
    world.tick(seconds=120)
    assert (world.verdict("2"), world.condition("Progressing")) == (None, "True/MetricsUnavailable")


def test_waiting_for_labels() -> None:
    world = rolling(**half(minLabels=50))
    world.answered()
    world.settle()
    assert world.condition("Progressing") == "True/TooFewLabels"
    world.live["2"] = Live(requests=200, losses=(1.0,) * 50)
    world.settle()
    assert world.verdict("2") == "Promoted/StepsPassed"


def test_counts_go_to_the_status_in_tenths_only() -> None:
    world = rolling()
    world.settle(2)
    writes = world.writes
    for requests in range(1, 10):
        world.live["2"] = Live(requests=requests)
        world.tick()
    assert world.writes == writes
    world.live["2"] = Live(requests=47)
    world.tick()
    assert world.status.candidate is not None
    assert (world.status.candidate.requests, world.writes) == (40, writes + 1)


def test_an_unready_stable_version_does_not_hold_a_rollout_up() -> None:
    world = rolling()
    world.unready.add("1")
    world.live["2"] = Live(requests=200, seconds=0.9)
    world.settle()
    assert world.verdict("2") == "Promoted/StepsPassed"


# --- pods that do not start ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("container", "reason"),
    [
        pytest.param(crashed("SmokeFailed", "output y, row 3: expected 1, got 2"), "SmokeFailed", id="smoke failed"),
        pytest.param(crashed("ModelUnusable", "opset 99"), "ModelUnusable", id="model can't be loaded"),
        pytest.param(crashed("Digest", "model.onnx differs", init=True), "DigestMismatch", id="digest differs"),
        pytest.param(crashed("Missing", "model.onnx", init=True), "FilesMissing", id="file is missing"),
    ],
)
def test_a_candidate_that_can_not_be_served_is_rejected_in_its_own_words(container: Any, reason: str) -> None:
    world = World().serving()
    world.broken["2"] = container
    world.challenge("2")
    world.settle()
    assert (world.stable, world.verdict("2")) == ("1", f"Rejected/{reason}")
    assert world.pods == {"1": 2}
    assert (
        "model.onnx" in world.status.verdicts[-1].message
        or "row 3" in world.status.verdicts[-1].message
        or ("opset" in world.status.verdicts[-1].message)
    )


def test_image_trouble_is_told_and_waited_for_until_time_is_up() -> None:
    world = World().serving()
    world.broken["2"] = pulling()
    world.challenge("2")
    world.settle()
    assert (world.verdict("2"), world.condition("Progressing")) == (None, "True/ImagePull")
    assert "no such image" in world.message("Progressing")
    world.tick(seconds=700)
    world.settle(3)
    assert world.verdict("2") == "Rejected/NotReady"


def test_a_candidate_is_not_blamed_for_mlflow_being_down() -> None:
    world = World().serving()
    world.broken["2"] = crashed("Unavailable", "MLflow does not answer", init=True)
    world.challenge("2")
    world.settle()
    world.tick(seconds=7200)
    world.settle(3)
    assert (world.verdict("2"), world.condition("Progressing")) == (None, "True/FilesUnavailable")
    world.broken.clear()
    world.answered()
    world.until("half")


def test_stable_pods_that_crash_are_degraded_with_why() -> None:
    world = World().serving()
    world.broken["1"] = crashed("DeviceFault", "out of memory")
    world.settle(2)
    assert world.condition("Degraded") == "True/Crashing"
    assert "out of memory" in world.message("Degraded")
    assert world.condition("Ready") == "False/PodsNotReady"
    assert world.told("Crashing") == 1


def test_a_version_that_mlflow_can_not_give_is_rejected_without_pods() -> None:
    world = World().serving()
    world.registry.unusable["2"] = ("UnsupportedFlavor", "the model is a pickle: log it with mlflow.onnx")
    world.challenge("2")
    world.settle()
    assert world.verdict("2") == "Rejected/UnsupportedFlavor"
    assert "pickle" in world.status.verdicts[-1].message
    assert world.registry.aliases == {"champion": "1"}


def test_a_refusal_of_mlflow_is_no_verdict_of_the_version() -> None:
    world = World().serving()
    world.registry.unusable["2"] = ("Refused", "403")
    world.challenge("2")
    world.settle()
    assert (world.verdict("2"), world.condition("Degraded")) == (None, "True/Refused")


# --- verdicts are final ----------------------------------------------------------------------------------------------
def rejected() -> World:
    world = rolling()
    world.live["2"] = Live(requests=200, errors=100)
    world.settle()
    assert world.verdict("2") == "Rejected/ErrorRate"
    return world


def test_a_judged_version_is_not_rolled_again() -> None:
    world = rejected()
    world.challenge("2")
    world.settle()
    assert (world.candidate, world.told("RolloutStarted")) == (None, 2)


def test_retry_forgets_the_verdict_once_for_each_new_value() -> None:
    world = rejected()
    world.live.clear()
    world.retried.add("2")
    world.annotations[names.ANNOTATION_RETRY] = "2 2026-03-01T13:00:00Z"
    world.until("half")
    assert (world.candidate, world.registry.aliases["challenger"]) == ("2", "2")
    world.live["2"] = Live(requests=200, errors=100)
    world.settle()
    assert (world.verdict("2"), world.candidate) == ("Rejected/ErrorRate", None)
    assert world.told("RetryRequested") == 1


@pytest.mark.parametrize("value", ["1", "7", "nonsense", "22"], ids=["serves", "never judged", "no number", "other"])
def test_retry_of_something_else_is_echoed_and_ignored(value: str) -> None:
    world = rejected()
    world.annotations[names.ANNOTATION_RETRY] = value
    world.settle()
    assert (world.verdict("2"), world.status.handled.retry) == ("Rejected/ErrorRate", value)
    assert world.told("RetryIgnored") == 1


def test_challenger_alias_that_names_another_version_by_then_is_left_alone() -> None:
    world = rolling()
    world.live["2"] = Live(requests=200, errors=100)
    while world.verdict("2") is None:
        world.tick()
    world.challenge("3")
    world.settle(3)
    assert world.registry.aliases == {"champion": "1", "challenger": "3"}
    world.until("half")
    assert world.candidate == "3"


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


def test_a_stale_reading_starts_and_ends_nothing() -> None:
    world = World().serving()
    world.registry.up = False
    world.tick(seconds=300)
    world.registry.aliases = {"champion": "5"}
    world.settle()
    assert (world.stable, world.candidate) == ("1", None)


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
    before = {request: fact for request, fact in world.facts.items() if isinstance(request, ModelFact)}
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
    images = {
        w.version: w.manifest["spec"]["template"]["spec"]["containers"][0]["image"] for w in world.workloads.values()
    }
    assert images == {"1": "serving:1", "2": "serving:2"}


def test_pods_of_a_lost_status_stay_until_something_serves() -> None:
    world = World().serving()
    world.status = type(world.status)()
    world.unready.add("1")
    world.step()
    assert world.pods == {"1": 2}
    world.unready.clear()
    world.settle()
    assert (world.stable, world.pods) == ("1", {"1": 2})
