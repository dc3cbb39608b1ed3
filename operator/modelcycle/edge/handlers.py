"""What kopf calls: each watch event goes into the cache, and nothing else happens here.

Only kopf's stateless ``on.event`` handlers are used: they write nothing to the objects, so that a standby may watch as
well as the leader.
"""

from __future__ import annotations

from typing import Any, Protocol

import kopf

from modelcycle.cluster.kinds import CHILDREN, OURS, Kind
from modelcycle.core.plan import Manifest


class EventSink(Protocol):
    """Where watch events go."""

    def seen(self, kind: Kind, raw: Manifest) -> None: ...

    def deleted(self, kind: Kind, raw: Manifest) -> None: ...


def register(registry: kopf.OperatorRegistry, sink: EventSink) -> None:
    for kind in (*OURS, *CHILDREN):
        _watch(registry, kind, sink)


def _watch(registry: kopf.OperatorRegistry, kind: Kind, sink: EventSink) -> None:
    async def handle(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401 (kopf's own signature)
        take(kind, event, sink)

    kopf.on.event(kind.group, kind.version, kind.plural, id=f"watch-{kind.plural}", registry=registry)(handle)


def take(kind: Kind, event: kopf.RawEvent, sink: EventSink) -> None:
    raw = dict(event["object"])
    if event["type"] == "DELETED":
        sink.deleted(kind, raw)
    else:
        sink.seen(kind, raw)
