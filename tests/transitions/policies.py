"""Scenes of a RetrainPolicy: as it is made, watching, and in each phase of a cycle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from modelcycle.constants import ANNOTATION_RETRAIN
from tests.transitions.bases import FULL_POLICY, SMALL_DEPLOYMENT, SMALL_POLICY, TIMED_POLICY, Spec
from tests.transitions.deployments import SERVED
from tests.transitions.drive import EVERY_LEAF, Action, Scene, annotate, made, now, settled, ticks
from tests.transitions.traffic import Rows, Telemetry

KIND, NAME = "RetrainPolicy", "keep"
SERVING = (
    made("ModelDeployment", "hedge", SMALL_DEPLOYMENT),
    settled,
    made("ModelDeployment", "second", SMALL_DEPLOYMENT | {"model": SMALL_DEPLOYMENT["model"] | {"follow": True}}),
    settled,
    ticks(1),
)
POLICY = made(KIND, NAME, {})
GOOD = (Rows("1", 1, 400, 1.0),)
BAD = (*GOOD, Rows("1", 2, 90, 4.0), Rows("1", 3, 10, 4.0))
BAD_AGAIN = (*BAD, Rows("6", 3, 90, 5.0), Rows("6", 4, 90, 5.0))
MOVED = (*GOOD, Rows("1", 2, 400, 1.0, bins=(1, 5)), Rows("1", 3, 100, 1.0, bins=(1, 5)))

AGAIN = annotate(KIND, NAME, ANNOTATION_RETRAIN, "now")


def seen(*rows: Rows) -> Action:
    """Labelled rows come, in the tick after this one; then it settles."""

    def act(world: Any, run: Any) -> Any:
        run = now(telemetry=Telemetry(rows=rows))(world, run)
        return ticks(1)(world, run)

    return act


def _scenes(size: str, spec: Spec) -> list[Scene]:
    mine = made(KIND, NAME, spec)
    watching = (*SERVING, mine, now(telemetry=Telemetry(rows=GOOD)))

    def scene(title: str, before: tuple[Action, ...], after: tuple[Action, ...], **more: Any) -> Scene:
        return Scene(f"{size}, {title}", KIND, NAME, spec, before, after, born=True, registry=SERVED, **more)

    born = (*SERVING, now(telemetry=Telemetry(rows=GOOD)))
    few = ("asOf", "mode", "suspend") if size == "full" else ()
    hangs, slow = now(held=("the gate",)), now(held=("v6-r1 are",))
    return [
        scene("made, and the loss rises", born, (settled, seen(*BAD)), about=few or OWN),
        scene("made before any label", SERVING, (settled, AGAIN), about=few or OWN),
        scene(
            "watching, then the loss rises",
            watching,
            (settled, seen(*BAD), ticks(1)),
            about=FULLY if size == "full" else (),
        ),
        scene(
            "in a training",
            (*watching, now(held=("completes",)), seen(*BAD)),
            (settled, now(held=()), ticks(1)),
            about=("deployment", "mode", "suspend", "gate", "asOf", "historyLimit", "prometheus", *TEMPLATE),
        ),
        scene(
            "in a gate",
            (*watching, hangs, seen(*BAD)),
            (settled, ticks(1), now(held=())),
            about=("deployment", "suspend", "gate", *TEMPLATE),
        ),
        scene(
            "before a gate that hangs",
            watching,
            (hangs, seen(*BAD), ticks(1), ticks(1)),
            about=("gate", "template.data"),
        ),
        scene(
            "in a rollout",
            (*watching, slow, seen(*BAD)),
            (settled, now(held=()), ticks(1)),
            about=("deployment", "mode", "suspend", "triggers", "gate.minRows", "template.image"),
        ),
        scene(
            "after a cycle",
            (*watching, seen(*BAD)),
            (settled, seen(*BAD_AGAIN), ticks(1), ticks(8)),
            about=("mode", "suspend", "historyLimit", *GUARDS),
        ),
        scene(
            "the distribution moves",
            watching,
            (settled, seen(*MOVED), ticks(1)),
            about=("deployment", "mode", "suspend", "triggers", "prometheus"),
        ),
        scene(
            "the gate rejects",
            (*watching, now(accidents=("says Rejected",))),
            (seen(*BAD), ticks(1), ticks(6)),
            about=("mode", "suspend", "gate.minRows", "gate.holdout", *GUARDS),
        ),
    ]


OWN = (
    "deployment",
    "mode",
    "suspend",
    "triggers",
    "cooldown",
    "minNewRows",
    "budget",
    "asOf",
    "gate.data.source",
    "historyLimit",
    "prometheus",
)
GUARDS = ("cooldown", "minNewRows", "budget")
TEMPLATE = ("template.image", "template.data", "template.mlflow", "template.placement.n")
OBSERVING = FULL_POLICY | {"mode": "Observe"}
FULLY = (*OWN, "gate.data", "gate.holdout", "gate.gap", "template.env[].name", "template.data[].name")
TIMED = ("cooldown", "gate.holdout", "gate.gap")
PHASES = ("in a training", "in a gate", "in a rollout")
SCENES: list[Scene] = [
    *_scenes("small", SMALL_POLICY),
    *(one for one in _scenes("full", FULL_POLICY) if EVERY_LEAF or not one.title.endswith(PHASES)),
    *(replace(one, about=TIMED) for one in _scenes("timed", TIMED_POLICY) if "watching" in one.title),
    *(replace(one, about=("mode", "cooldown")) for one in _scenes("observing", OBSERVING) if "after" in one.title),
]
