from __future__ import annotations

import asyncio

import pytest

from modelcycle.runtime.alarms import SPARE, Alarms
from modelcycle.runtime.ports import Key

SOON = 0.02
A, B, C = (Key("ModelTraining", "shop", name) for name in "abc")


async def rung(*calls: tuple[Key, float | None], within: float = 5 * SOON) -> list[str]:
    """Names that were rung for, in their order; None: its alarm is cleared."""
    heard: list[str] = []
    alarms = Alarms(lambda key: heard.append(key.name))
    for key, seconds in calls:
        if seconds is None:
            alarms.clear(key)
        else:
            alarms.set(key, seconds)
    await asyncio.sleep(within)
    return heard


@pytest.mark.parametrize(
    ("calls", "heard"),
    [
        pytest.param([(A, 2 * SOON), (B, SOON), (C, 0.0)], "cba", id="by time"),
        pytest.param([(A, -1.0)], "a", id="late already"),
        pytest.param([(A, SOON), (A, 60.0), (B, 2 * SOON)], "b", id="put off"),
        pytest.param([(A, 60.0), (A, SOON)], "a", id="brought forward"),
        pytest.param([(A, SOON), (A, SOON), (B, SOON)], "ab", id="once"),
        pytest.param([(A, SOON), (A, None), (B, SOON), (C, None)], "b", id="cleared"),
        pytest.param([(A, SOON), (A, None), (A, 2 * SOON)], "a", id="cleared and set again"),
    ],
)
async def test_alarms_ring_when_their_time_has_come(calls: list[tuple[Key, float | None]], heard: str) -> None:
    assert await rung(*calls) == list(heard)


async def test_what_rings_may_set_another_alarm() -> None:
    heard: list[str] = []
    done = asyncio.Event()

    def ring(key: Key) -> None:
        heard.append(key.name)
        if key == A:
            alarms.set(B, 0.0)
        else:
            done.set()

    alarms = Alarms(ring)
    alarms.set(A, 0.0)
    await asyncio.wait_for(done.wait(), 5)
    assert heard == ["a", "b"]


async def test_times_that_no_longer_count_do_not_pile_up() -> None:
    alarms = Alarms(lambda key: None)
    for number in range(10 * SPARE):
        alarms.set(A, 1000.0 + number)
        assert len(alarms._heap) <= SPARE + 3
    assert alarms._due.keys() == {A}
