"""Before the first Job: the key, a version that exists already, the run, and what is not allowed."""

from __future__ import annotations

from typing import Any

import pytest

from modelcycle.core.plan import Outcome
from modelcycle.registry.port import EnsureRun, FindRegistered
from modelcycle.settings import Endpoints, MlflowEndpoint, Settings
from tests.unit.training.world import NOW, SETTINGS, VERSION, World


def test_the_run_is_in_the_status_before_the_first_pod() -> None:
    world = World()
    while not world.applied:
        before = world.status
        world.step()
    assert before.run is not None
    assert before.run.id == "run1"


def test_a_spec_that_was_trained_before_needs_no_pod() -> None:
    world = World()
    world.answers[FindRegistered] = Outcome(NOW, VERSION)
    world.settle()
    assert world.reason() == "True/AlreadyRegistered"
    assert not world.applied
    assert not any(isinstance(effect, EnsureRun) for effect in world.asked)


def test_another_nonce_or_parameter_makes_another_key_and_a_suspension_does_not() -> None:
    def key(**spec: Any) -> str | None:
        world = World(**spec)
        world.step()
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
