"""What a change of the operator must leave as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelcycle.cluster.kinds import CHILDREN, DEPLOYMENT, JOB, MODEL_TRAINING, OURS, POD, Kind
from tests.integration.ha.worlds import World
from tests.support.lab.kube import Manifest
from tests.support.lab.lab import Lab


@dataclass(frozen=True)
class Snapshot:
    """What there is, by "kind namespace/name".

    ``kept``: never another one. ``addresses``: Services and the like, none of which restarts anything. ``told``: the
    statuses of our own resources.
    """

    kept: Mapping[str, Any]
    addresses: Mapping[str, str]
    told: Mapping[str, Manifest]

    def finished(self) -> frozenset[str]:
        """Trainings that have ended."""
        return frozenset(name for name, status in self.told.items() if _has_ended(name, status))


def of(lab: Lab, worlds: Sequence[World]) -> Snapshot:
    names = [one.namespace for one in worlds]
    kept: dict[str, Any] = {}
    for kind, keep in ((POD, _pod), (JOB, _workload), (DEPLOYMENT, _workload), *((ours, _spec) for ours in OURS)):
        kept |= {_name(kind, one): keep(one) for name in names for one in lab.informer.all(name, kind)}
    told = {
        _name(kind, one): one.get("status", {})
        for kind in OURS
        for name in names
        for one in lab.informer.all(name, kind)
    }
    addresses = {
        _name(kind, one): one["metadata"]["resourceVersion"]
        for kind in CHILDREN
        if kind not in (POD, JOB, DEPLOYMENT)
        for name in names
        for one in lab.informer.all(name, kind)
    }
    return Snapshot(kept, addresses, told)


def changes(before: Any, after: Any, where: str = "") -> Iterator[str]:
    """One line for each leaf that is another one."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after}):
            yield from changes(before.get(name), after.get(name), f"{where}/{name}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from changes(one, other, f"{where}/{number}")
    elif before != after:
        yield f"{where}: {json.dumps(before)} -> {json.dumps(after)}"


def _name(kind: Kind, raw: Manifest) -> str:
    return f"{kind.name} {raw['metadata']['namespace']}/{raw['metadata']['name']}"


def _pod(raw: Manifest) -> Manifest:
    """What would be another one if it were made again or restarted."""
    containers = raw.get("status", {}).get("containerStatuses", [])
    return {"uid": raw["metadata"]["uid"], "restarts": sum(one["restartCount"] for one in containers)}


def _workload(raw: Manifest) -> Manifest:
    """What a controller would make or restart pods for."""
    return {"uid": raw["metadata"]["uid"], "spec": raw["spec"]}


def _spec(raw: Manifest) -> Manifest:
    return {"uid": raw["metadata"]["uid"], "generation": raw["metadata"]["generation"]}


def _has_ended(name: str, status: Manifest) -> bool:
    ended = any(one["type"] == "Succeeded" and one["status"] != "Unknown" for one in status.get("conditions", ()))
    return name.startswith(MODEL_TRAINING.name) and ended
