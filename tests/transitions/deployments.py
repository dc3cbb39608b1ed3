"""Scenes of a ModelDeployment: as it is made, at rest, in the midst of rollouts that go this way or that."""

from __future__ import annotations

from typing import Any

from tests.check.registry import Registry, Version
from tests.transitions.bases import FULL_DEPLOYMENT, PINNED_DEPLOYMENT, SMALL_DEPLOYMENT, Spec
from tests.transitions.drive import Action, Scene, aliases, now, settled, ticks
from tests.transitions.traffic import Live, Telemetry
from tests.transitions.world import Script

KIND, NAME = "ModelDeployment", "hedge"
VERSIONS = tuple(Version(str(number), f"run{number}") for number in range(1, 6))
SERVED = Registry(versions=VERSIONS, aliases=(("best", "1"), ("champion", "1"), ("first", "3"), ("second", "4")))
UNSERVED = Registry(versions=VERSIONS, aliases=(("challenger", "1"), ("first", "3"), ("next", "1"), ("second", "4")))
ANOTHERS = Registry(versions=VERSIONS, aliases=SERVED.aliases, owner="c2/quant/hedge/another")

STABLE = tuple(0.9 + 0.2 * (number % 2) for number in range(60))
WORSE = tuple(0.96 + 0.2 * (number % 2) for number in range(60))
ROLLING = ("model", "replicas", "autoscaling", "image", "mlflow", "prometheus", "rollout")
"""What of a full spec makes a difference to a rollout; the rest makes pods, and those of a rollout like any others."""
JUDGED = ("model.version", "rollout")
CHALLENGED = aliases(challenger="2", next="2")


def told(**live: Any) -> Telemetry:
    """Both versions answer 300 requests well, but for what is said of version 2 (``losses``: of version 1 too)."""
    first = Live(losses=STABLE if "losses" in live else ())
    return Telemetry(live=(("1", first), ("2", Live(**live)), ("3", Live()), ("4", Live()), ("5", Live())))


NONE, FEW = Script(telemetry=told(requests=0)), Script(telemetry=told(requests=50))
SILENT = Script(held=("v2-r1 are ready",))
_TRAFFIC = {
    "errors": told(errors=6),
    "latencies": told(slow=60),
    "losses": told(losses=WORSE),
    "many errors and few requests": told(requests=40, errors=3),
}


def _scenes(size: str, spec: Spec) -> list[Scene]:
    def scene(title: str, before: tuple[Action, ...], after: tuple[Action, ...], **more: Any) -> Scene:
        given: dict[str, Any] = {"registry": SERVED, "about": ROLLING, **more}
        return Scene(f"{size}, {title}", KIND, NAME, spec, before, after, **given)

    return [
        scene("made", (), (settled, ticks(1)), born=True, about=("model", "replicas") if size == "full" else ()),
        scene(
            "made while its pods do not start",
            (),
            (settled, ticks(1), ticks(3), now(held=())),
            born=True,
            registry=UNSERVED,
            script=Script(held=("are ready",)),
        ),
        scene("at rest", (settled,), (settled, ticks(1)), about=()),
        scene(
            "at rest, then a challenger", (settled, now(telemetry=told(requests=0))), (settled, CHALLENGED, ticks(1))
        ),
        scene(
            "few requests to a candidate",
            (settled, CHALLENGED),
            (settled, ticks(1), ticks(6), now(telemetry=Telemetry()), ticks(1)),
            script=FEW,
        ),
        scene(
            "a candidate that does not start",
            (settled, CHALLENGED),
            (settled, ticks(1), ticks(3), now(held=()), ticks(1)),
            script=SILENT,
        ),
        *(
            scene(
                f"a candidate's {title}",
                (settled, CHALLENGED),
                (settled, now(telemetry=traffic), ticks(1)),
                script=NONE,
                about=JUDGED,
            )
            for title, traffic in _TRAFFIC.items()
        ),
    ]


FOLLOWER = SMALL_DEPLOYMENT | {"model": SMALL_DEPLOYMENT["model"] | {"follow": True}}
SCENES: list[Scene] = [
    *_scenes("small", SMALL_DEPLOYMENT),
    *_scenes("full", FULL_DEPLOYMENT),
    Scene("pinned, at rest", KIND, NAME, PINNED_DEPLOYMENT, (settled,), (settled, ticks(1)), registry=SERVED),
    Scene("a follower, at rest", KIND, NAME, FOLLOWER, (settled,), (settled, ticks(1)), registry=ANOTHERS),
]
