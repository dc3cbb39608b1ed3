"""Events for people. Each has a name made of what happened, so that telling it twice is telling it once."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

from modelcycle.clock import Clock
from modelcycle.cluster.kinds import EVENT, KINDS
from modelcycle.cluster.port import Cluster
from modelcycle.constants import FIELD_MANAGER
from modelcycle.core.hashing import short_hash
from modelcycle.core.names import NAME_ROOM
from modelcycle.core.observed import Resource
from modelcycle.core.plan import Event, Manifest
from modelcycle.core.text import clip
from modelcycle.errors import AlreadyExists
from modelcycle.runtime.metrics import Metrics

NOTE_BYTES = 1024  # the API server refuses more


class Recorder:
    """``instance`` is the name of this replica; ``metrics`` count what it told, by kind, reason and type."""

    def __init__(self, cluster: Cluster, instance: str, clock: Clock, metrics: Metrics) -> None:
        self._cluster = cluster
        self._instance = instance
        self._clock = clock
        self._metrics = metrics
        self._told: set[str] = set()

    async def record(self, kind: str, resource: Resource[Any, Any], event: Event) -> None:
        """Tell ``event`` of ``resource``, if it has not been told before, by whichever replica."""
        manifest = event_manifest(kind, resource, event, self._clock(), self._instance)
        name = manifest["metadata"]["name"]
        if name in self._told:
            return
        with suppress(AlreadyExists):  # told by an earlier pass that did not come to its status, or by another replica
            await self._cluster.create(EVENT, manifest)
            self._metrics.events.labels(kind, event.reason, event.type.value).inc()
        self._remember(name)

    def _remember(self, name: str) -> None:
        if len(self._told) >= 10_000:
            self._told.clear()  # the API server's 409 remembers as well
        self._told.add(name)


def event_manifest(kind: str, resource: Resource[Any, Any], event: Event, now: datetime, instance: str) -> Manifest:
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.name,
        "metadata": {"namespace": resource.namespace, "name": event_name(resource, event)},
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": FIELD_MANAGER,
        "reportingInstance": instance[:128],
        "action": event.action,
        "reason": event.reason,
        "type": event.type.value,
        "note": clip(event.note, NOTE_BYTES),
        "regarding": {
            "apiVersion": KINDS[kind].api_version,
            "kind": kind,
            "namespace": resource.namespace,
            "name": resource.name,
            "uid": resource.uid,
            "resourceVersion": resource.resource_version,
        },
    }


def event_name(resource: Resource[Any, Any], event: Event) -> str:
    """The same for the same transition of the same life of a resource."""
    digest = short_hash([resource.uid, event.reason, event.transition])
    return f"{resource.name[:NAME_ROOM].rstrip('.-')}.{digest}"
