"""Scenes of a ModelTraining: lives that go this way or that, and hands on one in the midst of its life."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.transitions.bases import FULL_TRAINING, SMALL_TRAINING, TIMED_TRAINING, Spec
from tests.transitions.drive import QUIET, Action, Scene, now, settled, ticks
from tests.transitions.world import Script

KIND, NAME = "ModelTraining", "hedge"
FAILS = ("fails by an error of the training",)
HANGS, STUCK = Script(held=("completes",)), Script(held=("runs",), accidents=("can't pull its image",))
MUTABLE = ("suspend", "deadlineSeconds", "ttlSecondsAfterFinished")
"""Whatever else is changed is refused by the API server (tests/integration/transitions)."""

DECIDING = ("retries", "deadlineSeconds", "pendingDeadlineSeconds", "ttlSecondsAfterFinished", "suspend", "configMap")


def _lives(size: str, spec: Spec) -> list[Scene]:
    def life(title: str, *after: Action, script: Script = QUIET) -> Scene:
        about = () if size == "small" or title == "trained well" else DECIDING
        return Scene(f"{size}, {title}", KIND, NAME, spec, (), after, born=True, script=script, about=about)

    return [
        life("trained well", settled, ticks(2)),
        life("its code fails", settled, ticks(3), script=Script(accidents=FAILS)),
        life("its node is lost", settled, ticks(3), script=Script(accidents=("is lost with its pod",))),
        life("it is disrupted", settled, ticks(3), script=Script(accidents=("is disrupted",))),
        life("it hangs", settled, ticks(3), script=HANGS),
        life("its pod does not start", settled, ticks(2), script=STUCK),
    ]


def _hands_on(size: str, spec: Spec) -> list[Scene]:
    def scene(title: str, before: tuple[Action, ...], after: tuple[Action, ...], **more: Any) -> Scene:
        return Scene(f"{size}, {title}", KIND, NAME, spec, before, after, about=MUTABLE, **more)

    on = (settled, now(held=(), accidents=()), ticks(2))
    return [
        scene("its pod waits", (settled,), on, script=STUCK),
        scene("it runs", (settled,), (settled, ticks(2), *on), script=HANGS),
        scene("between two attempts", (settled,), (settled, ticks(1), *on), script=Script(accidents=FAILS)),
        scene("done", (settled,), (settled, ticks(1), ticks(2))),
        scene("suspended", (settled,), (settled, ticks(1), *on), script=HANGS),
    ]


SCENES: list[Scene] = [
    *_lives("small", SMALL_TRAINING),
    *_lives("full", FULL_TRAINING),
    replace(_lives("timed", TIMED_TRAINING)[0], about=("holdout",)),
    *_hands_on("small", SMALL_TRAINING)[:-1],
    *_hands_on("full", FULL_TRAINING)[:-1],
    _hands_on("suspended", FULL_TRAINING | {"suspend": True})[-1],
]
