"""Deployments by an operator that lacks one of its guards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from modelcycle.deployment import decide as decision
from modelcycle.deployment import (
    moves,
    ownership,
    relations,
    requests,
    retirement,
    rollout,
    scaling,
    selection,
    verdicts,
)
from modelcycle.deployment.aliases import Champion
from modelcycle.deployment.moves import effect_of
from modelcycle.deployment.scene import Scene
from modelcycle.runtime.actor import Actor
from tests.check.deployment import DeploymentWorld
from tests.check.state import Left
from tests.check.world import World
from tests.museum.exhibit import Bug, Checker, Exhibit, Patch, Suite


def _world(*wishes: str, serving: bool = True, **left: int) -> Callable[[], World]:
    return lambda: DeploymentWorld(Left(**left), serving=serving, wishes=wishes)


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


def takes_the_old_pods_at_once(patch: Patch) -> None:
    patch.setattr(retirement, "_may_go", lambda scene, workload: True)


def takes_half_of_a_load_for_all_of_it(patch: Patch) -> None:
    demand_of = scaling.demand_of
    patch.setattr(scaling, "demand_of", lambda *args: replace(demand_of(*args), may_shrink=True))


def does_not_pin(patch: Patch) -> None:
    patch.setattr(selection, "_pinned", lambda scene, draft, version: draft)


def follows_the_champion_in_spite_of_the_pin(patch: Patch) -> None:
    pinned = selection._pinned

    def forward(scene: Any, draft: Any, version: str) -> Any:
        status = draft.status
        arrived = status.candidate is None and status.stable is not None and status.stable.version == version
        if not arrived or scene.reading is None:
            return pinned(scene, draft, version).watching((scene.model_fact,))
        return selection._by_table(scene, draft.watching((scene.model_fact,)), scene.reading)

    patch.setattr(selection, "_pinned", forward)


def keeps_the_pin(patch: Patch) -> None:
    """A candidate that was pinned goes on when the pin is removed."""
    dismiss = verdicts.dismiss

    def stubborn(scene: Any, draft: Any, candidate: Any, reason: str, message: str) -> Any:
        return draft if reason == "Unpinned" else dismiss(scene, draft, candidate, reason, message)

    patch.setattr(selection, "dismiss", stubborn)


def does_not_follow_hands(patch: Patch) -> None:
    champion = relations._champion
    patch.setattr(
        relations,
        "_champion",
        lambda status, alias, named: Champion.SAME if status.stable else champion(status, alias, named),
    )


def forgets_verdicts(patch: Patch) -> None:
    patch.setattr(relations, "verdict_of", lambda status, version: None)


def believes_old_readings(patch: Patch) -> None:
    patch.setattr(selection, "_recent", lambda scene: True)


def believes_any_reading(patch: Patch) -> None:
    patch.setattr("modelcycle.core.plan.Fact.fresh", lambda self, now, limit: self.at is not None)


def never_gives_the_aliases_up(patch: Patch) -> None:
    for module in (moves, requests, selection, verdicts):
        patch.setattr(module, "forfeited", lambda scene: False)


def owns_without_a_claim(patch: Patch) -> None:
    patch.setattr(
        decision,
        "WITH_REGISTRY",
        tuple(
            (lambda scene, draft: draft.with_status(owner=True)) if policy is ownership.claim else policy
            for policy in decision.WITH_REGISTRY
        ),
    )


def does_not_note_what_was_asked(patch: Patch) -> None:
    patch.setattr(rollout, "handled", lambda draft, annotation, value: draft)
    patch.setattr(requests, "handled", lambda draft, annotation, value: draft)


def never_pauses(patch: Patch) -> None:
    spec: Any = Scene.spec
    patch.setattr(Scene, "spec", property(lambda self: _going_on(spec.fget(self))))


def _going_on(spec: Any) -> Any:
    return spec.evolve(rollout=spec.rollout.evolve(paused=False))


EXHIBITS = (
    Exhibit(
        "no pod goes on half of a load",
        Bug.TOO_EARLY,
        takes_half_of_a_load_for_all_of_it,
        Suite("deployment/test_scaling.py", "test_no_pod_goes_on_half_of_the_truth"),
    ),
    Exhibit(
        "ready before it serves",
        Bug.TOO_EARLY,
        does_not_wait_for_pods,
        Checker(_world("champion", edits=1), "none of its pods is ready"),
    ),
    Exhibit(
        "verdict before alias",
        Bug.CRASH,
        moves_the_alias_at_once,
        Checker(_world("pause", serving=False, losses=1, delays=1, edits=1), "whose verdict is None"),
    ),
    Exhibit(
        "resourceVersion of the status",
        Bug.STALE,
        overwrites_what_it_has_not_seen,
        Checker(_world(serving=False, losses=1, ticks=1), "did not stay"),
    ),
    Exhibit(
        "old pods stay until the new ones are ready",
        Bug.TOO_EARLY,
        takes_the_old_pods_at_once,
        Checker(_world("champion", edits=1, accidents=1), "takes the last pods"),
    ),
    Exhibit("pin", Bug.IGNORED, does_not_pin, Checker(_world("pin", edits=1), "is wanted")),
    Exhibit(
        "pin that stays",
        Bug.ROLLED_FORWARD,
        follows_the_champion_in_spite_of_the_pin,
        Checker(_world("pin", edits=1), "never comes to rest"),
    ),
    Exhibit(
        "way back from a bad pin",
        Bug.NO_WAY_BACK,
        keeps_the_pin,
        Suite("deployment/test_champions.py", "test_removing_the_pin_of_a_version_that_can_not_start"),
    ),
    Exhibit(
        "champion moved by hand",
        Bug.ROLLED_FORWARD,
        does_not_follow_hands,
        Checker(_world("champion", edits=1), "is wanted"),
    ),
    Exhibit(
        "one rollout for each version",
        Bug.ROLLED_FORWARD,
        forgets_verdicts,
        Suite("deployment/test_champions.py", "test_rollback_by_hand_is_followed_and_not_rolled_forward_again"),
    ),
    Exhibit(
        "readings from after the last change",
        Bug.STALE,
        believes_old_readings,
        Suite("deployment/test_champions.py", "test_a_reading_from_before_a_promotion_does_not_undo_it"),
    ),
    Exhibit(
        "fresh readings",
        Bug.STALE,
        believes_any_reading,
        Suite("deployment/test_champions.py", "test_a_reading_that_is_minutes_old_starts_nothing"),
    ),
    Exhibit(
        "aliases given up",
        Bug.NO_WAY_BACK,
        never_gives_the_aliases_up,
        Suite("deployment/test_owners.py", "test_losing_the_model_to_another_owner"),
    ),
    Exhibit(
        "claim of the model", Bug.FOREIGN, owns_without_a_claim, Checker(_world(serving=False), "whose owner is None")
    ),
    Exhibit(
        "requests handled once",
        Bug.HOT_LOOP,
        does_not_note_what_was_asked,
        Suite("deployment/test_owners.py", "test_an_abort_from_before_does_not_hit_a_later_rollout"),
    ),
    Exhibit(
        "pause",
        Bug.IGNORED,
        never_pauses,
        Checker(_world("pause", serving=False, edits=1), "although the rollout is paused"),
    ),
)
