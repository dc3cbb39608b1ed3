"""A RetrainPolicy with its ModelDeployment and the ModelTrainings that it makes: the whole loop.

It retrains by age, since time is what the model has; the gate, the training and the rollout end well or badly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from modelcycle import constants as names
from modelcycle.core.plan import Manifest
from tests.check.deployment import KIND as DEPLOYMENT
from tests.check.deployment import NAME as DEPLOYMENT_NAME
from tests.check.deployment import SPEC as DEPLOYMENT_SPEC
from tests.check.deployment import annotated, deployment_invariants, deployment_rest
from tests.check.environment import Happening
from tests.check.explore import Step
from tests.check.registry import Registry, Version
from tests.check.state import VALUES, Left, State, all_of, changed, custom, find, made_so_far
from tests.check.training import KIND as TRAINING
from tests.check.training import Status, training_invariants, training_rest, with_spec
from tests.check.world import World

KIND = "RetrainPolicy"
NAME = "keep"
BUDGET = 2
COOLDOWN_SECONDS = 600
SPEC = {
    "deployment": {"name": DEPLOYMENT_NAME},
    "mode": "Enforce",
    "triggers": [{"name": "old", "age": {"maxAge": "10m"}}],
    "cooldown": {"time": f"{COOLDOWN_SECONDS}s"},
    "budget": {"trainings": BUDGET, "per": "30d"},
    "asOf": {"from": "Clock"},
    "gate": {"data": {"source": "market", "file": "h.csv", "timeColumn": "date", "labelColumn": "y"}},
    "template": {
        "image": "train:1",
        "data": [{"name": "market", "path": "/data", "persistentVolumeClaim": {"claimName": "market"}}],
        "retries": {"userErrors": 0, "infrastructure": 1, "disruptions": 0},
        "ttlSecondsAfterFinished": 600,
    },
}
EDITS = ("retrain", "abort", "suspend", "delete", "delete training", "challenger")


class PolicyWorld(World):
    """Version 1 serves from the beginning. ``phase``: of the cycle at which it begins; absent: before any.

    ``wishes``: which edits people may make.
    """

    def __init__(self, left: Left, *, phase: str | None = None, wishes: tuple[str, ...] = EDITS) -> None:
        super().__init__(left)
        self.phase = phase
        self.wishes = wishes

    def begin(self, state: State) -> State:
        registry = Registry(versions=(Version("1", "run0"),), aliases=(("champion", "1"),))
        state = state._replace(registry=VALUES.number(registry))
        deployment = custom(DEPLOYMENT, DEPLOYMENT_NAME, "d1111111", DEPLOYMENT_SPEC)
        state = self.settled(changed(state, {(DEPLOYMENT, DEPLOYMENT_NAME): deployment}))
        state = changed(state, {(KIND, NAME): custom(KIND, NAME, "p1111111", SPEC)})
        while self.phase is not None and cycle(find(state, KIND, NAME) or {}).get("phase") != self.phase:
            state = next(step.after for step in self.calm(state) if step.after != state)
        return state

    def edits(self, state: State) -> Iterator[Happening]:
        raw = find(state, KIND, NAME)
        if raw is None:
            again = custom(KIND, NAME, f"p{made_so_far(state, KIND, NAME) + 1}111111", SPEC, state.time)
            yield Happening("the same RetrainPolicy is made again", {(KIND, NAME): again})
            return
        changes: dict[str, tuple[str, Manifest | None]] = {
            "retrain": ("somebody asks for a retraining", annotated(raw, names.ANNOTATION_RETRAIN, "now")),
            "abort": ("somebody aborts the cycle", annotated(raw, names.ANNOTATION_ABORT, "now")),
            "suspend": ("somebody suspends the policy or lets it go on", _suspended(raw)),
            "delete": ("somebody deletes the RetrainPolicy", None),
        }
        for wish, (told, after) in changes.items():
            if wish in self.wishes:
                yield Happening(told, {(KIND, NAME): after})
        for training in all_of(state, TRAINING) if "delete training" in self.wishes else ():
            name = training["metadata"]["name"]
            yield Happening(f"somebody deletes ModelTraining {name}", {(TRAINING, name): None})
        registry: Registry = VALUES[state.registry]
        for version in registry.versions if "challenger" in self.wishes else ():
            if registry.alias("challenger") != version.number:
                told = f"somebody points challenger to version {version.number}"
                yield Happening(told, {}, registry=registry.with_alias("challenger", version.number))

    def invariants(self, before: State, step: Step[State]) -> Iterable[str]:
        no_accident = step.after.left.accidents == self.left.accidents
        yield from training_invariants(before, step, no_accident=no_accident)
        yield from deployment_invariants(before, step, no_accident=no_accident)
        yield from policy_invariants(before, step)

    def at_rest(self, state: State) -> str | None:
        for raw in all_of(state, TRAINING):
            if wrong := training_rest(state, raw):
                return f"{raw['metadata']['name']}: {wrong}"
        for raw in all_of(state, DEPLOYMENT):
            if wrong := deployment_rest(state, raw):
                return wrong
        policy = find(state, KIND, NAME)
        if policy is not None and cycle(policy) and not policy["spec"].get("suspend"):
            return f"it rests within cycle {cycle(policy)['number']}, phase {cycle(policy)['phase']}"
        return None


def _suspended(raw: Manifest) -> Manifest:
    return with_spec(raw, suspend=not raw["spec"].get("suspend", False))


def cycle(raw: Manifest) -> Manifest:
    return (raw.get("status") or {}).get("cycle") or {}


def history(raw: Manifest) -> list[Manifest]:
    return (raw.get("status") or {}).get("history") or []


# --- invariants --------------------------------------------------------------------------------------------------
def policy_invariants(before: State, step: Step[State]) -> Iterator[str]:
    after = step.after
    was, raw = find(before, KIND, NAME), find(after, KIND, NAME)
    if raw is not None and was is not None and was is not raw:
        yield from _started(was, raw)
        yield from _history(was, raw)
    if after.store != before.store:
        yield from _trainings(after)
    if step.by_operator and before.registry != after.registry:
        yield from _challenged(VALUES[before.registry], VALUES[after.registry], after)


def _started(was: Manifest, raw: Manifest) -> Iterator[str]:
    old, new = cycle(was), cycle(raw)
    if not new or new.get("number") == old.get("number"):
        return
    if old and old["number"] not in [decision["number"] for decision in history(raw)]:
        yield f"cycle {new['number']} starts while cycle {old['number']} is under way"
    if was["spec"].get("suspend") and raw["spec"].get("suspend"):
        yield f"cycle {new['number']} starts while the policy is suspended"
    asked = (raw["metadata"].get("annotations") or {}).get(names.ANNOTATION_RETRAIN)
    if asked and (was.get("status") or {}).get("handled", {}).get("retrain") != asked:
        return  # a person's wish; neither cooldown nor budget have a say
    starts = raw["status"].get("starts") or []
    if len(starts) > BUDGET:
        yield f"budget: {len(starts)} cycles were started, {BUDGET} are allowed"
    ends = [_seconds(decision["time"]) for decision in history(was)]
    if ends and _seconds(new["startedAt"]) - max(ends) < COOLDOWN_SECONDS:
        yield f"cooldown: cycle {new['number']} starts {_seconds(new['startedAt']) - max(ends):.0f} s after the last"


def _history(was: Manifest, raw: Manifest) -> Iterator[str]:
    numbers = [decision["number"] for decision in history(raw)]
    if numbers != sorted(set(numbers)):
        yield f"a cycle has more than one outcome: {numbers}"
    if history(raw)[: len(history(was))] != history(was):
        yield "the history changed"
    for decision in history(raw)[len(history(was)) :]:
        if decision["outcome"] == "Promoted" and (decision.get("gate") or {}).get("outcome") != "Passed":
            yield f"cycle {decision['number']} is Promoted without a gate that passed"


def _trainings(after: State) -> Iterator[str]:
    """What was made in a former life of the policy outlives it."""
    running: dict[str, list[str]] = {}
    for raw in all_of(after, TRAINING):
        policy = (raw["metadata"].get("labels") or {}).get(names.LABEL_POLICY_UID)
        if policy is not None and Status.of(raw).ended is None:
            running.setdefault(policy, []).append(raw["metadata"]["name"])
    for found in running.values():
        if len(found) > 1:
            yield f"two trainings of one policy are open: {', '.join(found)}"


def _challenged(before: Registry, now: Registry, after: State) -> Iterator[str]:
    """What the operator proposes or crowns: only what its gate has passed, as far as a policy made it."""
    for alias in ("challenger", "champion"):
        version = next((one for one in now.versions if one.number == now.alias(alias)), None)
        if version is None or version.key is None or version.number == before.alias(alias):
            continue
        tags = dict(version.tags)
        if ("gate", tags.get(names.TAG_CYCLE), "Passed") not in after.ghosts:
            yield f"version {version.number} becomes {alias}, and its gate did not pass"
        elif '"outcome": "Passed"' not in tags.get(names.TAG_GATE, ""):
            yield f"version {version.number} becomes {alias}, and does not say that its gate passed"


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
