"""Drive the product through a scene: what is there, what somebody changes in the spec, and what comes after."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from modelcycle.core.plan import Manifest
from tests.check.deployment import annotated
from tests.check.registry import Registry
from tests.check.state import VALUES, Left, State, changed, custom, find, made_so_far
from tests.transitions.leaves import Spec
from tests.transitions.picture import Picture, differences, picture
from tests.transitions.values import Transition, transitions
from tests.transitions.world import Script, TransitionWorld

MOST_STEPS = 600
EVERY_LEAF = os.environ.get("MODELCYCLE_TRANSITIONS") == "all"
"""Each scene with each leaf, also those that it is not about: minutes."""
NOTHING, QUIET = Registry(), Script()


class Run(NamedTuple):
    """``state`` of the world, and what happens in it by itself."""

    state: State
    script: Script


Action = Callable[[TransitionWorld, Run], Run]


@dataclass(frozen=True, slots=True)
class Scene:
    """``before``: what happens before somebody changes the spec of ``kind`` ``name``; ``after``: what does then.

    ``about``: beginnings of leaves. ``born``: it is the change that makes the resource. ``registry``: MLflow at the
    beginning. ``spec``: its base.
    """

    title: str
    kind: str
    name: str
    spec: Spec
    before: tuple[Action, ...] = ()
    after: tuple[Action, ...] = ()
    born: bool = False
    registry: Registry = NOTHING
    script: Script = QUIET
    about: tuple[str, ...] = ()

    def transitions(self) -> Iterator[Transition]:
        """Of the leaves that it is ``about``; of all of them, if it does not say."""
        for one in transitions(self.kind, self.spec):
            if EVERY_LEAF or not self.about or one.leaf.startswith(self.about):
                yield one

    def __str__(self) -> str:
        return self.title


class Stage:
    """A scene up to the change, worked out once; from there it goes on with one spec or another."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.world = TransitionWorld()
        run = Run(State(Left(), VALUES.number(scene.registry)), scene.script)
        if not scene.born:
            run = made(scene.kind, scene.name, scene.spec)(self.world, run)
        for action in scene.before:
            run = action(self.world, run)
        self.start = run
        self.usual = self.play(scene.spec)

    def play(self, *specs: Spec) -> list[Picture]:
        """What is to be seen after each action that follows the change to the last of ``specs``."""
        scene, run = self.scene, self.start
        for spec in specs[:-1]:
            run = settled(self.world, self._given(run, spec))
        run = self._given(run, specs[-1])
        seen = []
        for action in scene.after:
            run = action(self.world, run)
            seen.append(picture(run.state, scene.kind, scene.name, len(self.start.state.ghosts)))
        return seen

    def changes(self, spec: Spec) -> set[str]:
        """The paths that are otherwise than they are with the base, at any time after the change."""
        found: set[str] = set()
        for one, other in zip(self.usual, self.play(spec), strict=True):
            found |= differences(one, other)
        return found

    def _given(self, run: Run, spec: Spec) -> Run:
        raw = find(run.state, self.scene.kind, self.scene.name)
        if raw is None:
            return made(self.scene.kind, self.scene.name, spec)(self.world, run)
        return run._replace(state=changed(run.state, {(self.scene.kind, self.scene.name): with_spec(raw, spec)}))


def with_spec(raw: Manifest, spec: Spec) -> Manifest:
    if raw["spec"] == spec:
        return raw
    return raw | {"metadata": raw["metadata"] | {"generation": raw["metadata"]["generation"] + 1}, "spec": spec}


# --- actions ---------------------------------------------------------------------------------------------------------
def made(kind: str, name: str, spec: Spec) -> Action:
    def act(_world: TransitionWorld, run: Run) -> Run:
        uid = f"{kind[5].lower()}{made_so_far(run.state, kind, name) + 1}111111-{name}"
        raw = custom(kind, name, uid, spec, run.state.time)
        return run._replace(state=changed(run.state, {(kind, name): raw}))

    return act


def settled(world: TransitionWorld, run: Run) -> Run:
    """Until nothing new happens before time goes on; what is tried again and again waits, as the operator does.

    Raises AssertionError where that never comes, or where a pass fails.
    """
    world.script = run.script
    state, known = run.state, {run.state._replace(ghosts=())}
    for _ in range(MOST_STEPS):
        step = next((one for one in world._ordinary(state) if one.after._replace(ghosts=()) not in known), None)
        if step is None:
            return run._replace(state=state)
        assert step.wrong is None, step.wrong
        state = step.after
        known.add(state._replace(ghosts=()))
    raise AssertionError(f"it never comes to rest: {step.told if step else ''}")


def ticks(number: int) -> Action:
    """So many times 11 minutes go by."""

    def act(world: TransitionWorld, run: Run) -> Run:
        for _ in range(number):
            world.script = run.script
            run = settled(world, run._replace(state=world.ticked(run.state)))
        return run

    return act


def aliases(**named: str | None) -> Action:
    """Somebody points aliases at versions; then it settles."""

    def act(world: TransitionWorld, run: Run) -> Run:
        registry: Registry = VALUES[run.state.registry]
        for alias, version in named.items():
            registry = registry.with_alias(alias, version)
        return settled(world, run._replace(state=run.state._replace(registry=VALUES.number(registry))))

    return act


def now(**script: object) -> Action:
    """From now on other things happen by themselves; then it settles."""

    def act(world: TransitionWorld, run: Run) -> Run:
        return settled(world, run._replace(script=replace(run.script, **script)))  # type: ignore[arg-type]

    return act


def annotate(kind: str, name: str, annotation: str, value: str) -> Action:
    def act(world: TransitionWorld, run: Run) -> Run:
        raw = find(run.state, kind, name)
        assert raw is not None
        return settled(world, run._replace(state=changed(run.state, {(kind, name): annotated(raw, annotation, value)})))

    return act
