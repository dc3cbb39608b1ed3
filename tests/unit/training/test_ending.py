"""How a training ends, and what is done after it: registered, aliased, tidied up."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from modelcycle.core.observed import ContainerView
from modelcycle.core.plan import Outcome
from modelcycle.registry.port import RegisterModel, SetAlias
from tests.unit.training.world import NOW, VERSION, World, running


@pytest.mark.parametrize("reason", ["UnsupportedFlavor", "NoModelLogged"])
def test_a_model_that_can_not_be_registered_ends_the_training(reason: str) -> None:
    world = running(World())
    world.answers[RegisterModel] = Outcome(NOW, error="log it with mlflow.onnx", error_kind=reason)
    world.see_job(1, complete=True)
    world.see_pod(1, "Succeeded", ContainerView("train", exit_code=0))
    world.settle()
    assert world.reason() == f"False/{reason}"
    assert "mlflow.onnx" in world.status.summary


def test_the_challenger_alias_is_set_before_the_training_counts_as_done() -> None:
    world = running(World(register={"model": "quant.hedge", "alias": "challenger"}))
    del world.answers[SetAlias]
    world.see_job(1, complete=True)
    world.see_pod(1, "Succeeded", ContainerView("train", exit_code=0))
    world.settle()
    assert world.reason() == "Unknown/Registering"
    world.outcomes[SetAlias("default", "quant.hedge", "challenger", "3")] = Outcome(NOW)
    world.settle()
    assert world.reason() == "True/Registered"


def test_the_version_of_a_former_life_that_was_registered_meanwhile_ends_it_well() -> None:
    world = running(World())
    world.answers[RegisterModel] = Outcome(NOW, replace(VERSION, run_id="another"))
    world.see_job(1, complete=True)
    world.see_pod(1, "Succeeded", ContainerView("train", exit_code=0))
    world.settle()
    assert world.reason() == "True/AlreadyRegistered"
    assert world.reason("Registered") == "True/Registered"
    assert world.status.run is not None
    assert world.status.run.ended


def test_what_is_said_of_the_registration_does_not_change_until_it_is_done() -> None:
    world = running(World(register={"model": "quant.hedge", "alias": "challenger"}))
    world.see_job(1, complete=True)
    world.see_pod(1, "Succeeded", ContainerView("train", exit_code=0))
    said: list[str] = []
    while world.reason("Succeeded").startswith("Unknown"):
        world.step()
        said.append(world.reason())
    assert said == ["Unknown/Registering"] * 3 + ["True/Registered"]


def test_terminal_stays_terminal_when_the_jobs_are_gone() -> None:
    world = running(World())
    world.fail(1, exit_code=1)
    world.settle()
    assert world.reason() == "False/UserError"
    world.jobs, world.pods, world.applied = (), (), {}
    world.now += timedelta(days=400)
    plan = world.settle()
    assert world.applied == {}
    assert plan.look_again is None


def test_the_ttl_removes_jobs_and_never_the_result() -> None:
    world = running(World(ttlSecondsAfterFinished=100))
    world.see_job(1, complete=True, completion_time=NOW)
    world.see_pod(1, "Succeeded", ContainerView("train", exit_code=0))
    plan = world.settle()
    assert world.deleted == []
    assert plan.look_again == timedelta(seconds=100)
    world.now += timedelta(seconds=100)
    world.step()
    assert world.deleted == ["hedge-11111-1"]
    assert world.reason() == "True/Registered"
