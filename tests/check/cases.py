"""What is explored: a few worlds, each with bounds on what disturbs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.check.deployment import DeploymentWorld
from tests.check.policy import PolicyWorld
from tests.check.state import Left
from tests.check.training import TrainingWorld
from tests.check.world import World


@dataclass(frozen=True, slots=True)
class Case:
    """``slice``: so many states are seen in each run of the unit tests."""

    name: str
    world: Callable[[], World]
    slice: int


def _training(*left: int, **more: int) -> Callable[[], World]:
    return lambda: TrainingWorld(Left(*left, **more))


def _one_of_many(*left: int) -> Callable[[], World]:
    return lambda: TrainingWorld(Left(*left), rush=True)


def _first(*left: int, **more: int) -> Callable[[], World]:
    return lambda: DeploymentWorld(Left(*left, **more), serving=False)


def _rollout(*left: int, **more: int) -> Callable[[], World]:
    return lambda: DeploymentWorld(Left(*left, **more))


def _loop(phase: str | None, *left: int, **more: int) -> Callable[[], World]:
    return lambda: PolicyWorld(Left(*left, **more), phase=phase)


CASES = (
    Case(
        "a training, crashes, failing pods, late watches",
        _training(crashes=1, delays=1, accidents=1, ticks=1),
        1000,
    ),
    Case("a training, MLflow away, answers lost", _training(crashes=1, losses=1, outages=1, ticks=2), 1000),
    Case("a training and people", _training(crashes=1, delays=1, edits=2, ticks=1), 1000),
    Case("a training, two crashes, two accidents", _training(crashes=2, accidents=2, ticks=2), 500),
    Case("a training, all at once", _training(2, 2, 1, 1, 2, 2, 3), 500),
    Case("one of many trainings, all at once", _one_of_many(2, 2, 1, 1, 2, 2, 3), 500),
    Case(
        "a first version, crashes, answers lost, failing pods", _first(crashes=1, losses=1, accidents=1, ticks=1), 200
    ),
    Case("a first version, late watches, MLflow away", _first(crashes=1, delays=1, outages=1, ticks=1), 200),
    Case("a rollout, crashes, failing pods", _rollout(crashes=1, accidents=1, edits=1, ticks=2), 250),
    Case("a rollout, late watches, answers lost, MLflow away", _rollout(0, 1, 1, 1, 0, 1, 2), 200),
    Case("a rollout and people", _rollout(crashes=1, edits=3, ticks=2), 200),
    Case("a rollout, all at once", _rollout(1, 1, 1, 1, 1, 3, 3), 200),
    Case("the loop, crashes, what fails", _loop(None, crashes=1, accidents=1, ticks=3), 30),
    Case("the loop at its gate, crashes, what fails", _loop("Gate", crashes=1, accidents=1, ticks=1), 50),
    Case("the loop at its rollout, crashes, what fails", _loop("Rollout", crashes=1, accidents=1, ticks=2), 30),
    Case("the loop at its gate, late watches, MLflow away", _loop("Gate", 0, 1, 1, 1, 0, 0, 1), 60),
    Case("the loop and people", _loop("Training", crashes=1, edits=2, ticks=2), 40),
    Case("the loop, all at once", _loop(None, 1, 1, 1, 1, 1, 1, 3), 60),
)
