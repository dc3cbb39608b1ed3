"""A training's life from its beginning to its end."""

from __future__ import annotations

import pytest

from modelcycle import constants as names
from modelcycle.core.observed import ContainerView
from modelcycle.core.plan import Effect, Outcome
from modelcycle.registry.port import EndRun, EnsureRun, FindRegistered, RegisterModel, RunStatus
from tests.unit.training.world import NOW, World, running


def test_a_good_training_ends_registered_with_one_run_and_one_job() -> None:
    world = running(World())
    assert world.reason() == "Unknown/Running"
    world.see_job(1, complete=True, completion_time=NOW)
    message = '{"modelcycle": 1, "class": null, "message": "", "data": {"digest": "d1", "rows": 500, "refused": 3}}'
    world.see_pod(
        1, "Succeeded", ContainerView("train", exit_code=0, terminated_message=message, image_id="sha256:abc")
    )
    plan = world.settle()
    assert world.reason() == "True/Registered"
    assert world.reason("Ready") == world.reason("Registered") == "True/Registered"
    assert world.status.registered is not None
    assert world.status.registered.version == "3"
    assert world.status.data is not None
    assert (world.status.data.rows, world.status.data.refused) == (500, 3)
    assert list(world.applied) == ["hedge-11111-1"]
    assert world.events == ["AttemptStarted", "Registered"]
    assert (plan.apply, plan.delete, plan.effects, plan.events) == ((), (), (), ())
    assert [e.status for e in world.asked if isinstance(e, EndRun)] == [RunStatus.FINISHED]
    tags = next(dict(e.tags) for e in world.asked if isinstance(e, RegisterModel))
    assert tags[names.TAG_DATA] == "d1"
    assert tags[names.TAG_IMAGE] == "sha256:abc"
    assert tags[names.TAG_KEY] == world.status.key


@pytest.mark.parametrize("effect", [FindRegistered, EnsureRun, RegisterModel])
def test_mlflow_away_is_said_and_waited_for(effect: type[Effect]) -> None:
    world = World()
    world.pods_come = False
    good = world.answers[effect]
    world.answers[effect] = Outcome(NOW, error="connection refused", error_kind="Unavailable", retryable=True)
    world.settle()
    if world.applied:
        world.see_job(1, complete=True)
    world.settle()
    assert world.reason() == "Unknown/RegistryUnavailable"
    assert world.events.count("RegistryUnavailable") == 1
    assert "connection refused" in world.status.summary
    world.answers[effect] = good
    world.outcomes.clear()
    world.settle()
    world.see_job(1, complete=True)
    world.settle()
    assert world.reason() == "True/Registered"
