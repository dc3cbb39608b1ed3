"""How a fault is told: a condition that says what to do, an event once, a metric."""

from __future__ import annotations

import asyncio

from modelcycle.cluster.kinds import EVENT, Kind
from tests.crash.life import Life
from tests.crash.sweep import Setting
from tests.support.lab.lab import Lab


async def told(
    lab: Lab, here: Setting, kind: Kind, name: str, condition: str, reason: str, *says: str, event: str | None = None
) -> None:
    """Wait for ``condition`` ("Type=Status") with ``reason`` whose message has all of ``says``; then event and metric.

    ``event``: the event's reason, where it is another one.
    """
    life = here.life
    type_, _, status = condition.partition("=")

    def said() -> bool:
        found = (one for one in life.status(kind, name).get("conditions", ()) if one["type"] == type_)
        return any(
            (one["status"], one["reason"]) == (status, reason) and all(text in one["message"] for text in says)
            for one in found
        )

    await life.until(said, f"{name}: {condition}/{reason} that says {says}", 120)
    await asyncio.sleep(1)
    assert await events(here, name, event or reason) == 1
    sample = f'modelcycle_events_total{{kind="{kind.name}",reason="{event or reason}",type="Warning"}} '
    assert sample in await here.operator.metrics(lab.session)


async def deleted(life: Life, kind: Kind, name: str) -> None:
    """Delete it, and wait until that is seen: of one that is made again, the former life's status says nothing."""
    await life.informer.kube.delete(kind, life.namespace, name)
    await life.until(lambda: life.informer.find(life.namespace, kind, name) is None, f"{name} is gone")


async def events(here: Setting, name: str, reason: str) -> int:
    """How many events with this reason are about the resources of this name."""
    listed = (await here.life.informer.kube.list(EVENT, here.life.namespace))["items"]
    return sum(one["reason"] == reason and one["regarding"]["name"] == name for one in listed)
