"""The map of each kind."""

from __future__ import annotations

from tests.transitions import map_deployment, map_policy, map_training
from tests.transitions.effects import Map

MAPS: dict[str, Map] = {one.kind: one for one in (map_training.MAP, map_deployment.MAP, map_policy.MAP)}
