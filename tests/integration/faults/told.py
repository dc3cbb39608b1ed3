"""How a fault is told: a condition that says what to do, an event once, a metric."""

from __future__ import annotations

import asyncio

from modelcycle.cluster.kinds import EVENT, Kind
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
    await life.until(lambda: life.reason(kind, name, type_) == (status, reason), f"{name}: {condition}/{reason}", 40)
    conditions = life.status(kind, name)["conditions"]
    message = next(one["message"] for one in conditions if one["type"] == type_)
    missing = [text for text in says if text not in message]
    assert not missing, f"{missing} is not said in: {message}"
    await asyncio.sleep(1)
    assert await events(here, name, event or reason) == 1
    sample = f'modelcycle_events_total{{kind="{kind.name}",reason="{event or reason}",type="Warning"}} '
    assert sample in await here.operator.metrics(lab.session)


async def events(here: Setting, name: str, reason: str) -> int:
    """How many events with this reason are about the resources of this name."""
    listed = (await here.life.informer.kube.list(EVENT, here.life.namespace))["items"]
    return sum(one["reason"] == reason and one["regarding"]["name"] == name for one in listed)
