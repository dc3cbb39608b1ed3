"""Where the tests of rollouts begin: worlds that have come some way already."""

from __future__ import annotations

from typing import Any

from tests.unit.deployment.outside import Live
from tests.unit.deployment.world import World

ONLY_SMOKE = {"rollout": {"steps": [{"name": "smoke", "smoke": {}}]}}
APPROVAL = {"rollout": {"approval": "Required"}}


def half(**replicas: Any) -> dict[str, Any]:
    """Smoke, then half of the replicas."""
    step = {"name": "half", "replicas": {"percent": 50} | replicas}
    return {"rollout": {"steps": [{"name": "smoke", "smoke": {}}, step]}}


def rolling(**spec: Any) -> World:
    """Version 1 serves with two replicas, version 2 is being tried and has come to step ``half``."""
    world = World(**spec).serving()
    world.challenge("2")
    return world.until("half")


def rejected() -> World:
    world = rolling()
    world.live["2"] = Live(requests=200, errors=100)
    world.settle()
    assert world.verdict("2") == "Rejected/ErrorRate"
    return world
