"""The model checker can fail: operators with one guard taken out, and the shortest path to what each does wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from modelcycle.api.v1alpha1.retrain_status import GateOutcome, GateResult
from modelcycle.deployment import rollout, verdicts
from modelcycle.deployment.moves import effect_of
from modelcycle.deployment.scene import Scene
from modelcycle.retrain import gate
from modelcycle.runtime.actor import Actor
from modelcycle.training import decide as training
from modelcycle.training.domain import TrainingDomain
from tests.check.deployment import DeploymentWorld
from tests.check.explore import explore
from tests.check.policy import PolicyWorld
from tests.check.state import Left
from tests.check.training import TrainingWorld
from tests.check.world import World

Patch = pytest.MonkeyPatch


def forgets_the_end(patch: Patch) -> None:
    patch.setattr(training, "ending", lambda conditions: None)


def does_not_ask_for_the_job(patch: Patch) -> None:
    patch.setattr(TrainingDomain, "expected", lambda self, resource: ())


def trains_without_looking(patch: Patch) -> None:
    patch.setattr(training, "known", lambda case: None)


def does_not_wait_for_pods(patch: Patch) -> None:
    patch.setattr(Scene, "ready", lambda self, version: 1)


def moves_the_alias_at_once(patch: Patch) -> None:
    """The champion alias is moved beside the status write that says so, instead of after it."""
    promote = verdicts.promote

    def hasty(scene: Any, *args: Any) -> Any:
        draft = promote(scene, *args)
        return draft.asking(*(effect_of(scene, move) for move in draft.status.alias_moves))

    patch.setattr(rollout, "promote", hasty)


def overwrites_what_it_has_not_seen(patch: Patch) -> None:
    """The status is written whatever became of the resource since it was read."""
    write = Actor.write_status

    async def careless(self: Actor, kind: Any, resource: Any, status: Any) -> None:
        cluster: Any = self._cluster
        found = await cluster.get(kind, resource.namespace, resource.name)
        object.__setattr__(resource, "resource_version", found["metadata"]["resourceVersion"])
        await write(self, kind, resource, status)

    patch.setattr(Actor, "write_status", careless)


def believes_every_gate(patch: Patch) -> None:
    passed = GateResult(outcome=GateOutcome.PASSED, reason="Better", message="surely")
    patch.setattr(gate, "result", lambda job, pods: passed)


def small_training(**left: int) -> Callable[[], World]:
    return lambda: TrainingWorld(Left(**left))


@pytest.mark.parametrize(
    ("breaking", "world", "violated"),
    [
        pytest.param(forgets_the_end, small_training(), "never comes to rest", id="terminal check"),
        pytest.param(
            does_not_ask_for_the_job,
            small_training(crashes=1, delays=1, ticks=2),
            "two Jobs of one training are live",
            id="absence that is certain",
        ),
        pytest.param(
            trains_without_looking,
            lambda: TrainingWorld(Left(edits=2), wishes=("delete",)),
            "once means once",
            id="search before training",
        ),
        pytest.param(
            does_not_wait_for_pods,
            lambda: DeploymentWorld(Left(edits=1), wishes=("champion",)),
            "none of its pods is ready",
            id="ready before it serves",
        ),
        pytest.param(
            moves_the_alias_at_once,
            lambda: DeploymentWorld(Left(losses=1, delays=1, edits=1), serving=False, wishes=("pause",)),
            "whose verdict is None",
            id="verdict before alias",
        ),
        pytest.param(
            overwrites_what_it_has_not_seen,
            lambda: DeploymentWorld(Left(losses=1, ticks=1), serving=False),
            "did not stay",
            id="resourceVersion",
        ),
        pytest.param(
            believes_every_gate,
            lambda: PolicyWorld(Left(accidents=1), phase="Gate"),
            "gate did not pass",
            id="gate",
        ),
    ],
)
def test_an_operator_without_one_of_its_guards_is_caught(
    breaking: Callable[[Patch], None],
    world: Callable[[], World],
    violated: str,
    monkeypatch: Patch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    breaking(monkeypatch)
    report = explore(world(), states=20_000)
    print(report, report.violation, sep="\n")
    assert report.violation is not None
    assert violated in report.violation.message
    assert len(report.violation.path) + len(report.violation.tail) > 0
