"""Three replicas under load: whatever befalls the leader, another one works in time, and nothing is lost or twice.

``MODELCYCLE_HA=all`` (``make ha``): more of everything, and the frozen leader sleeps for a minute.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from tests.crash.oracle import differences
from tests.integration.ha.chaos import Chaos, strangers
from tests.integration.ha.team import Lateness, Team, team
from tests.integration.ha.worlds import ALL, World, live, picture_of, world
from tests.support.lab.informer import end
from tests.support.lab.lab import Lab

# Watches that are cut off in the middle leave sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

WORLDS = 6 if ALL else 2
KILLS = 5 if ALL else 1
FROZEN_SECONDS = 60.0
NAP_SECONDS = 11.5  # longer than the leader may write without a renewal, shorter than its Lease
APART_SECONDS = 20.0 if ALL else 9.0
SILENT_SECONDS = 3.0
TEAM = "ha-team"


@pytest.mark.timeout(1800)
async def test_whatever_befalls_the_leader_nothing_is_lost_and_nothing_twice(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()

    def say(text: str) -> None:
        with capsys.disabled():
            print(f"ha: {time.monotonic() - began:5.1f} s: {text}", flush=True)

    names = ["ha-reference", *(f"ha-{number}" for number in range(WORLDS))]
    lateness = Lateness()
    watching = asyncio.create_task(lateness.run())
    async with team(lab, TEAM, [TEAM, *names], "abc") as replicas:
        await replicas.until_ready()
        reference = await world(lab, names[0])
        await live(reference)
        await replicas.quiet()
        say("the reference has lived undisturbed")
        worlds = [await world(lab, name) for name in names[1:]]
        lives = [asyncio.create_task(_live_later(one, number)) for number, one in enumerate(worlds)]
        try:
            await _befall(Chaos(replicas, lateness, say))
            await asyncio.gather(*lives)
        finally:
            await end([one for one in lives if not one.done()])
        await replicas.quiet()
        await _all_is_well(replicas, [reference, *worlds], lateness)
    await end([watching])


async def _live_later(here: World, number: int) -> None:
    await asyncio.sleep(number * APART_SECONDS)
    await live(here)


async def _befall(chaos: Chaos) -> None:
    """Everything, one after the other, each time the one that leads."""
    team = chaos.team
    if ALL:
        leader = await team.leader()
        frozen = await chaos.freeze(leader)
        await asyncio.sleep(NAP_SECONDS)
        await chaos.wake_in_time(leader, frozen, await chaos.pulse())
    await chaos.terminate(await team.leader())
    sleeper = await team.leader()
    frozen = await chaos.freeze_until_another_works(sleeper)
    for _ in range(KILLS):
        await chaos.kill(await team.leader(), but=(sleeper,))
    if ALL:
        await asyncio.sleep(max(0.0, frozen + FROZEN_SECONDS - time.monotonic()))
    written = await chaos.wake(sleeper, frozen)
    assert not written, f"{sleeper.name} began to write: {[str(one) for one in written]}"
    assert not chaos.missed, chaos.missed


async def _all_is_well(team: Team, worlds: Sequence[World], lateness: Lateness) -> None:
    """No two leaders, all worlds as the undisturbed one, and quiet."""
    found = strangers(team, lateness.total)
    assert not found, found
    writes = team.writes()
    reference, *others = [await picture_of(one, writes) for one in worlds]
    broken = [
        f"{one.namespace}{line}"
        for one, seen in zip(worlds[1:], others, strict=True)
        for line in differences(reference, seen)
    ]
    assert not broken, "\n".join(broken)
    before = len(team.writes())
    (await team.leader()).operator.resync()
    await asyncio.sleep(SILENT_SECONDS)
    assert not team.writes()[before:], "a resync of everything wrote something"
