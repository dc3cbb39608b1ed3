"""Before the first Job: the key, a version that exists already, the run, and what is not allowed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from modelcycle.api.v1alpha1.training import KeptCode
from modelcycle.core.plan import Outcome
from modelcycle.registry.port import EnsureRun, FindRegistered
from modelcycle.settings import Endpoints, MlflowEndpoint, Settings
from modelcycle.training.beginning import not_allowed
from modelcycle.training.case import MOMENT_TO_PREPARE
from modelcycle.training.effects import KeepConfigMap
from tests.unit.training.world import NOW, SETTINGS, VERSION, World


def test_the_job_whose_pod_logs_to_the_run_is_made_first_and_told_when_it_is_seen() -> None:
    world = World()
    while not world.applied:
        plan = world.step()
    assert (plan.status.run, plan.status.attempts, plan.events) == (None, (), ())
    plan = world.step()
    assert plan.status.run is not None
    assert plan.status.run.id == "run1"
    assert [attempt.number for attempt in plan.status.attempts] == [1]
    assert [event.reason for event in plan.events] == ["AttemptStarted"]
    assert len([effect for effect in world.asked if isinstance(effect, EnsureRun)]) == 1
    variables = world.job_spec(1)["template"]["spec"]["containers"][0]["env"]
    assert {"name": "MLFLOW_RUN_ID", "value": "run1"} in variables


def test_the_run_of_a_job_whose_status_was_not_written_is_kept() -> None:
    world = World()
    world.see_job(1, run_id="run1")
    world.see_pod(1)
    world.settle()
    assert [effect.keep for effect in world.asked if isinstance(effect, EnsureRun)] == ["run1"]
    assert world.status.run is not None
    assert [attempt.number for attempt in world.status.attempts] == [1]


def test_a_spec_that_was_trained_before_needs_no_pod() -> None:
    world = World()
    world.answers[FindRegistered] = Outcome(NOW, VERSION)
    world.settle()
    assert world.reason() == "True/AlreadyRegistered"
    assert not world.applied
    assert not any(isinstance(effect, EnsureRun) for effect in world.asked)


MISSING = Outcome(NOW, error="there is no ConfigMap 'code'", error_kind="Missing", retryable=True)


def searched(content: str | None, **spec: Any) -> FindRegistered:
    """What MLflow is asked for with this content of the ConfigMap."""
    world = World(**spec)
    world.answers[KeepConfigMap] = Outcome(NOW, content)
    world.settle()
    (search,) = {effect for effect in world.asked if isinstance(effect, FindRegistered)}
    return search


def test_a_corrected_script_in_the_same_config_map_is_another_training() -> None:
    first = searched("a" * 64, configMap="code")
    assert searched("b" * 64, configMap="code") != first
    assert searched("a" * 64, configMap="code-7f9d") == first


def test_content_that_was_trained_before_needs_no_pod() -> None:
    world = World(configMap="code")
    world.answers |= {KeepConfigMap: Outcome(NOW, "a" * 64), FindRegistered: Outcome(NOW, VERSION)}
    world.settle()
    assert world.reason() == "True/AlreadyRegistered"
    assert "this very spec and the same content of its ConfigMaps" in world.status.summary
    assert not world.applied


def test_while_a_config_map_is_missing_nobody_can_tell_whether_it_was_trained() -> None:
    world = World(configMap="code")
    world.answers |= {KeepConfigMap: MISSING, FindRegistered: Outcome(NOW, VERSION)}
    world.settle()
    assert world.reason() == "Unknown/ConfigMissing"
    assert {type(effect) for effect in world.asked} == {KeepConfigMap}
    world.answers[KeepConfigMap] = Outcome(NOW, "a" * 64)
    world.settle()
    assert world.reason() == "True/AlreadyRegistered"
    assert (world.status.blocked_since, world.status.blocked_reason) == (None, None)


def test_a_key_that_an_earlier_operator_gave_stays() -> None:
    world = World(configMap="code")
    world.status = world.status.evolve(key="e" * 64)
    world.answers[KeepConfigMap] = Outcome(NOW, "a" * 64)
    world.settle()
    (search,) = {effect for effect in world.asked if isinstance(effect, FindRegistered)}
    assert search.key == world.status.key == "e" * 64
    assert world.status.code == KeptCode(files="a" * 64)
    assert world.applied


def test_a_suspended_training_takes_the_content_when_it_goes_on() -> None:
    world = World(configMap="code", suspend=True, pendingDeadlineSeconds=60)
    world.answers[KeepConfigMap] = MISSING
    world.settle()
    assert (world.reason(), world.asked) == ("Unknown/Suspended", [])
    world.spec = world.spec.evolve(suspend=False)
    world.settle()
    assert world.reason() == "Unknown/ConfigMissing"
    world.spec = world.spec.evolve(suspend=True)
    world.settle()
    world.now += timedelta(hours=1)
    world.spec = world.spec.evolve(suspend=False)
    world.settle()
    assert world.reason() == "Unknown/ConfigMissing", "the time that it was suspended is not held against it"


STARTS = "Attempt 1 is starting on node node-1."
ASKED = ["Looking whether it was trained before.", "Making the MLflow run."]


@pytest.mark.parametrize(
    ("age", "waited", "written"),
    [
        pytest.param(0, None, ["", "", "", STARTS], id="a moment after it was made"),
        pytest.param(300.0, 0, ["", "", "", STARTS], id="a moment after its turn came"),
        pytest.param(300.0, 31, [*ASKED, ASKED[-1], STARTS], id="long after its turn came"),
        pytest.param(
            MOMENT_TO_PREPARE.total_seconds(),
            None,
            [*ASKED, ASKED[-1], STARTS],
            id="MLflow takes its time",
        ),
        pytest.param(
            -60.0,
            None,
            [*ASKED, ASKED[-1], STARTS],
            id="the API server's clock is ahead of ours",
        ),
    ],
)
def test_what_is_over_in_a_moment_is_not_written(age: float, waited: float | None, written: list[str]) -> None:
    """``waited``: since its turn came."""
    world, seen = World(), []
    world.now += timedelta(seconds=age)
    world.since = None if waited is None else world.now - timedelta(seconds=waited)
    while not world.status.attempts:
        plan = world.step()
        seen.append(world.status.summary)
        assert world.status.summary or (plan.look_again or MOMENT_TO_PREPARE) <= MOMENT_TO_PREPARE, (
            "somebody looks again in time"
        )
    assert seen == written


def test_another_nonce_or_parameter_makes_another_key_and_a_suspension_does_not() -> None:
    def key(**spec: Any) -> str | None:
        world = World(**spec)
        world.settle()
        return world.status.key

    assert key() == key(suspend=True) == key(ttlSecondsAfterFinished=5) == key(deadlineSeconds=90000)
    assert len({key(), key(nonce="2"), key(parameters=[{"name": "a", "value": "1"}]), key(seed=1)}) == 4


def test_suspended_before_the_start_makes_no_run_and_resumes() -> None:
    world = World(suspend=True)
    world.settle()
    assert world.reason() == "Unknown/Suspended"
    assert world.reason("Suspended") == "True/Suspended"
    assert not any(isinstance(effect, EnsureRun) for effect in world.asked)
    world.spec = world.spec.evolve(suspend=False)
    world.settle()
    assert list(world.applied) == ["hedge-11111-1"]
    assert world.reason("Suspended") == "absent"


def test_another_leader_says_nothing_new_of_one_that_is_suspended() -> None:
    world = World(suspend=True)
    world.settle()
    said = world.status
    world.now += timedelta(minutes=10)
    world.outcomes.clear()
    world.step()
    assert world.status == said
    world.settle()
    assert world.status == said


@pytest.mark.parametrize(
    ("prefixes", "said"),
    [
        pytest.param(("{namespace}.",), 'must start with "fx-desk." (for example fx-desk.hedge): apply', id="one"),
        pytest.param(
            ("{namespace}.", "shared-"),
            'must start with "fx-desk." or "shared-" (for example fx-desk.hedge): ',
            id="two",
        ),
        pytest.param((), "must start with what the administrator has yet to allow: apply another", id="none"),
    ],
)
def test_a_name_that_is_not_allowed_is_told_with_one_that_is(prefixes: tuple[str, ...], said: str) -> None:
    endpoint = MlflowEndpoint(name="default", url="http://m", model_prefixes=prefixes)
    assert said in not_allowed(endpoint, "fx-desk", "theirs.hedge")


@pytest.mark.parametrize(
    ("spec", "settings", "reason"),
    [
        pytest.param({"mlflow": "other"}, SETTINGS, "EndpointUnknown", id="nobody defined the endpoint"),
        pytest.param({"register": {"model": "theirs.hedge"}}, SETTINGS, "ModelNotAllowed", id="the name is another's"),
    ],
)
def test_what_the_administrator_does_not_allow_is_stalled_and_recovers(
    spec: dict[str, Any], settings: Settings, reason: str
) -> None:
    world = World(**spec)
    world.settle()
    assert world.reason() == f"Unknown/{reason}"
    assert world.reason("Stalled") == f"True/{reason}"
    assert world.asked == []
    endpoint = MlflowEndpoint(name=world.spec.mlflow, url="http://m", model_prefixes=("",))
    world.settings = settings.model_copy(update={"endpoints": Endpoints(mlflow=(endpoint,))})
    world.settle()
    assert world.reason("Stalled") == "absent"
