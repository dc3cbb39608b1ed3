"""Policies by an operator that lacks one of its guards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from modelcycle.api.v1alpha1.retrain_status import EvidenceState, GateOutcome, GateResult
from modelcycle.retrain import children, cycle, evidence, gate, guards, phases
from modelcycle.retrain import decide as decision
from modelcycle.retrain import draft as drafts
from tests.check.policy import PolicyWorld
from tests.check.state import Left
from tests.check.world import World
from tests.museum.exhibit import Bug, Checker, Exhibit, Patch, Suite


def _world(*wishes: str, phase: str | None = None, **left: int) -> Callable[[], World]:
    return lambda: PolicyWorld(Left(**left), phase=phase, wishes=wishes)


def believes_every_gate(patch: Patch) -> None:
    passed = GateResult(outcome=GateOutcome.PASSED, reason="Better", message="surely")
    patch.setattr(gate, "result", lambda job, pods: passed)


def _without(guard: Callable[..., Any]) -> Callable[[Patch], None]:
    return lambda patch: patch.setattr(guards, "GUARDS", tuple(one for one in guards.GUARDS if one is not guard))


def starts_while_suspended(patch: Patch) -> None:
    spec: Any = drafts.Draft.spec
    patch.setattr(drafts.Draft, "spec", property(lambda self: spec.fget(self).evolve(suspend=False)))


def makes_the_training_at_once(patch: Patch) -> None:
    """The training is made beside the status write that says so, instead of after it."""
    start = cycle.start

    def hasty(draft: Any, *args: Any) -> None:
        start(draft, *args)
        draft.create(children.training(draft.policy, draft.deployment, draft.status.cycle))

    patch.setattr(cycle, "start", hasty)


def counts_from_its_status_alone(patch: Patch) -> None:
    patch.setattr(cycle, "next_number", lambda draft: draft.status.last_cycle + 1)


def handles_again(patch: Patch) -> None:
    patch.setattr(decision, "_asked", lambda draft, annotation, handled: draft.policy.annotations.get(annotation))


def names_trainings_for_every_life_alike(patch: Patch) -> None:
    patch.setattr("modelcycle.core.names.uid5", lambda uid: "")


def looks_ahead(patch: Patch) -> None:
    training = children.training

    def unbounded(*args: Any) -> Any:
        made = training(*args)
        return made | {"spec": {name: value for name, value in made["spec"].items() if name != "asOf"}}

    patch.setattr(children, "training", unbounded)


def reads_rows_of_the_future(patch: Patch) -> None:
    from modelcycle_runtime import split

    first = split.split
    patch.setattr(split, "split", lambda table, as_of, holdout: first(table, None, holdout))


def ignores_elder_siblings(patch: Patch) -> None:
    patch.setattr(decision, "elder_sibling", lambda observed: None)


def takes_no_data_for_bad_news(patch: Patch) -> None:
    patch.setattr(evidence, "UNKNOWN", EvidenceState.FIRING)


def starts_under_a_pin(patch: Patch) -> None:
    for module in (decision, guards, phases):
        patch.setattr(module, "held_by_pin", lambda deployment: None)


EXHIBITS = (
    Exhibit(
        "gate", Bug.TOO_EARLY, believes_every_gate, Checker(_world(phase="Gate", accidents=1), "gate did not pass")
    ),
    Exhibit("budget of trainings", Bug.IGNORED, _without(guards.over_budget), Checker(_world(), "budget:")),
    Exhibit(
        "cooldown", Bug.IGNORED, _without(guards.cooling_down), Checker(_world(phase="Gate", accidents=1), "cooldown:")
    ),
    Exhibit(
        "suspended policy",
        Bug.IGNORED,
        starts_while_suspended,
        Checker(_world("suspend", edits=1), "starts while the policy is suspended"),
    ),
    Exhibit(
        "cycle in the status before its training",
        Bug.CRASH,
        makes_the_training_at_once,
        Checker(_world(crashes=1, ticks=1), "two trainings of one policy are open"),
    ),
    Exhibit(
        "numbers seen in trainings",
        Bug.CRASH,
        counts_from_its_status_alone,
        Suite("retrain/test_cycle.py", "test_numbers_go_on"),
    ),
    Exhibit(
        "annotations handled once",
        Bug.HOT_LOOP,
        handles_again,
        Suite("retrain/test_decide.py", "test_an_annotation_starts_a_cycle_once"),
    ),
    Exhibit(
        "uid in the names of trainings",
        Bug.FOREIGN,
        names_trainings_for_every_life_alike,
        Checker(_world("delete", phase="Training", edits=2), "belongs to somebody else"),
    ),
    Exhibit(
        "asOf of the training",
        Bug.TOO_EARLY,
        looks_ahead,
        Suite("retrain/test_decide.py", "test_a_bad_loss_starts_one_cycle_with_its_evidence"),
    ),
    Exhibit(
        "rows of the future refused",
        Bug.IGNORED,
        reads_rows_of_the_future,
        Suite("runtime_table/test_split.py", "test_split"),
    ),
    Exhibit(
        "one policy for a deployment",
        Bug.TWO_LEADERS,
        ignores_elder_siblings,
        Suite("retrain/test_decide.py", "test_of_two_policies_the_younger_stays_out"),
    ),
    Exhibit(
        "no data is Unknown",
        Bug.TOO_EARLY,
        takes_no_data_for_bad_news,
        Suite("retrain/test_watch.py", "test_without_labels"),
    ),
    Exhibit(
        "no cycle under a pin",
        Bug.ROLLED_FORWARD,
        starts_under_a_pin,
        Suite("retrain/test_champion.py", "test_while_a_version_is_pinned_no_cycle_starts"),
    ),
)
