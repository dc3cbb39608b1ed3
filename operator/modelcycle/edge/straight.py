"""The way from kopf's watch streams to the sink that passes by what only kopf's stateful handlers need.

For each object kopf starts a task, and for each event it wraps the object, recalls what it remembers of it, matches
handlers and prepares their arguments: half of the operator's CPU under load, and memory for each object. What happens
with an event here is one call. So while kopf starts its watchers, they are replaced by ``watcher`` over the same
streams, whose lines are decoded by orjson; kopf still logs in, discovers, lists, watches, reconnects and backs off.
That is not kopf's public interface: a test compares it with the kopf that is installed, and without it the
``on.event`` handlers do the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import kopf
import orjson
from kopf._cogs.aiokits import aiotoggles
from kopf._cogs.clients import api, watching
from kopf._cogs.structs import references
from kopf._core.reactor import queueing

from modelcycle.cluster.kinds import CHILDREN, OURS, Kind
from modelcycle.edge.handlers import EventSink, take

LOG = logging.getLogger(__name__)
_STREAMS: Any = api  # where it looks for what decodes the lines of a watch
PAUSE = 64  # events after which others get their turn; a list comes as thousands of them at once
_KINDS: Mapping[tuple[str, str, str], Kind] = {(one.group, one.version, one.plural): one for one in (*OURS, *CHILDREN)}


@contextmanager
def straight_to(sink: EventSink) -> Iterator[None]:
    """For as long as the block lasts, watchers that kopf starts hand their events to ``sink`` and do nothing else."""

    async def watcher(
        *,
        settings: kopf.OperatorSettings,
        resource: references.Resource,
        namespace: references.Namespace,
        operator_paused: aiotoggles.ToggleSet | None = None,
        **_: object,  # for indices and for handlers
    ) -> None:
        kind = _KINDS[resource.group, resource.version, resource.plural]
        stream = watching.infinite_watch(
            settings=settings, resource=resource, namespace=namespace, operator_paused=operator_paused
        )
        number = 0
        async for event in stream:
            if isinstance(event, watching.Bookmark) or str(event["type"]) == "BOOKMARK":
                continue
            try:
                take(kind, event, sink)
            except Exception:  # one object that can't be understood must not end the watch of all others
                LOG.exception("an event of %s could not be taken in", kind.plural)
            number += 1
            if number % PAUSE == 0:
                await asyncio.sleep(0)

    usual = queueing.watcher, _STREAMS.json
    queueing.watcher, _STREAMS.json = watcher, SimpleNamespace(loads=orjson.loads)
    try:
        yield
    finally:
        queueing.watcher, _STREAMS.json = usual
