from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from modelcycle.core.plan import Effect, Fact, FactRequest
from modelcycle.errors import Refused, Unavailable
from modelcycle.runtime import facts as facts_module
from modelcycle.runtime.facts import SILENT_SECONDS, FactBook, is_given_up, poll
from modelcycle.runtime.metrics import Metrics
from modelcycle.runtime.ports import EffectHandler, FactReadings, Key, Poller
from tests.unit.runtime.builders import NOW

A, B = Key("ModelDeployment", "shop", "a"), Key("ModelDeployment", "shop", "b")
INTERVAL = 0.02


@dataclass(frozen=True, slots=True)
class Height(FactRequest):
    of: str
    endpoint: str = "main"


@dataclass(frozen=True, slots=True)
class Weight(FactRequest):
    of: str
    endpoint: str = "main"


class Scale:
    """A poller whose answers the test decides."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.asked: list[set[str]] = []
        self.broken: Exception | None = None

    @property
    def interval(self) -> float:
        return INTERVAL

    async def read(self, requests: Collection[FactRequest]) -> FactReadings:
        heights = [one for one in requests if isinstance(one, Height)]
        self.asked.append({one.of for one in heights})
        if self.broken is not None:
            raise self.broken
        return {one: self.values[one.of] for one in heights}


class Instruments:
    """An adapter with one endpoint."""

    effects: Mapping[type[Effect], EffectHandler] = {}
    facts: frozenset[type[FactRequest]] = frozenset({Height})

    def __init__(self, scale: Scale) -> None:
        self.pollers: Mapping[str, Poller] = {"main": scale}

    async def close(self) -> None:
        return


class World:
    def __init__(self) -> None:
        self.now = NOW
        self.scale = Scale()
        self.enqueued: list[Key] = []
        self.book = FactBook([Instruments(self.scale)], self.enqueued.append, self.clock)

    def clock(self) -> datetime:
        return self.now

    def store(self, value: Any) -> list[Key]:
        """A reading of the height of x; the keys that it brings back."""
        self.enqueued.clear()
        self.book.store({Height("x"): value}, self.now)
        return sorted(self.enqueued)

    @asynccontextmanager
    async def polling(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(poll(line, self.book, Metrics())) for line in self.book.lines]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(facts_module, "SOONEST", 0.01)
    return World()


X = frozenset({Height("x")})


async def test_a_change_brings_back_whoever_wants_to_know(world: World) -> None:
    world.book.subscribe(A, X)
    world.book.subscribe(B, X)
    assert world.store(1) == [A, B]
    assert world.store(1) == []
    assert world.store(2) == [A, B]
    assert world.book.of(A)[Height("x")].value == 2


async def test_an_error_is_a_change_and_keeps_the_last_value_with_its_time(world: World) -> None:
    world.book.subscribe(A, X)
    world.store(1)
    world.now += timedelta(seconds=20)
    assert world.store(Unavailable("away")) == [A]
    assert world.store(Unavailable("away")) == []
    fact = world.book.of(A)[Height("x")]
    assert (fact.at, fact.value, fact.error) == (NOW, 1, "away")
    assert not fact.fresh(world.now, timedelta(seconds=10))
    assert world.store(1) == [A]
    assert world.book.of(A)[Height("x")].error is None


async def test_what_was_never_read_is_an_error_from_the_second_failure_on(world: World) -> None:
    world.book.subscribe(A, X)
    assert world.store(Unavailable("away")) == []
    assert world.book.of(A) == {}, "one call that fails is no outage"
    assert world.store(Unavailable("away")) == [A]
    assert world.book.of(A)[Height("x")] == Fact(None, error="away")
    world.book.forget(A)
    world.book.subscribe(A, X)
    assert world.store(Unavailable("away")) == [], "asked anew"


async def test_what_can_never_be_read_is_an_error_at_once(world: World) -> None:
    world.book.subscribe(A, X)
    assert world.store(Refused("no")) == [A]
    assert world.book.of(A)[Height("x")].error == "no"


def known(seconds: float, error: str | None = "away") -> Fact:
    """A value that is so old, and what the latest try to read it anew came to."""
    return Fact(NOW - timedelta(seconds=seconds), 1, error)


@pytest.mark.parametrize(
    ("before", "interval", "given_up"),
    [
        pytest.param(known(6, None), 5, False, id="the first failure"),
        pytest.param(known(60, None), 5, False, id="the first failure, after a long time: one call is no outage"),
        pytest.param(known(16), 5, False, id="the second failure, one of them a time-out"),
        pytest.param(known(24.9), 5, False, id="not yet"),
        pytest.param(known(25), 5, True, id="silent for 25 s"),
        pytest.param(known(60), 5, True, id="silent for long"),
        pytest.param(known(6), 1, False, id="many short turns are no long time"),
        pytest.param(known(60), 15, False, id="four turns of 15 s"),
        pytest.param(known(75), 15, True, id="five turns of 15 s"),
        pytest.param(Fact(None, error="away"), 5, True, id="it never answered"),
    ],
)
def test_when_the_last_value_is_given_up(before: Fact, interval: float, given_up: bool) -> None:
    assert is_given_up(before, NOW, interval) is given_up


REFUSED = [(second, second) for second in range(5, 60, 5)]
BLACK_HOLE = [(5, 15), *((second, second + 10) for second in range(16, 60, 11))]


@pytest.mark.parametrize(
    ("tries", "said"),
    [
        pytest.param(REFUSED, 25, id="connections are refused"),
        pytest.param(BLACK_HOLE, 26, id="packets vanish: each try takes its ten seconds"),
    ],
)
async def test_an_outage_is_said_within_half_a_minute(
    tries: list[tuple[int, int]], said: int, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``tries``: seconds, since the last answer was asked for, of each question and of its failure."""
    monkeypatch.setattr(Scale, "interval", 5.0)
    world.book.subscribe(A, X)
    world.store(1)
    told: list[int] = []
    for asked, failed in tries:
        world.now = NOW + timedelta(seconds=failed)
        world.enqueued.clear()
        world.book.store({Height("x"): Unavailable("away")}, NOW + timedelta(seconds=asked))
        told += [failed] if world.enqueued else []
    assert told == [tries[0][1], said], "the first failure and the end of patience bring the key back, nothing else"
    assert world.book.of(A)[Height("x")] == Fact(None, error="away")
    assert said < SILENT_SECONDS + 5


async def test_an_endpoint_that_fails_now_and_then_is_never_given_up(world: World) -> None:
    world.book.subscribe(A, X)
    for _ in range(10):
        world.store(1)
        world.now += timedelta(seconds=15)
        world.store(Unavailable("away"))
        assert world.book.of(A)[Height("x")].value == 1


async def test_what_nobody_wants_any_more_is_forgotten(world: World) -> None:
    world.book.subscribe(A, X)
    world.book.subscribe(B, X)
    world.store(1)
    world.book.subscribe(A, frozenset())
    assert world.book.of(A) == {}
    assert world.store(2) == [B]
    world.book.forget(B)
    assert world.store(3) == []
    world.book.subscribe(A, X)
    assert world.book.of(A) == {}


async def test_clear_forgets_everything(world: World) -> None:
    world.book.subscribe(A, X)
    world.store(1)
    world.book.clear()
    assert world.store(2) == []
    assert [line.requests for line in world.book.lines] == [set()]


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(Height("x", "elsewhere"), id="an endpoint that nobody defined"),
        pytest.param(Weight("x"), id="a type that no adapter reads"),
    ],
)
async def test_what_nobody_reads_is_an_error_at_once(world: World, request_: Height | Weight) -> None:
    world.book.subscribe(A, frozenset({request_}))
    fact = world.book.of(A)[request_]
    assert fact.at is None
    assert f"no endpoint named {request_.endpoint}" in str(fact.error)


async def test_the_poller_reads_what_is_wanted_again_and_again(world: World) -> None:
    world.scale.values["x"] = 1
    async with world.polling():
        await asyncio.sleep(2 * INTERVAL)
        assert world.scale.asked == []
        world.book.subscribe(A, X)
        await asyncio.sleep(5 * INTERVAL)
        assert world.book.of(A)[Height("x")].value == 1
        world.scale.values["x"] = 2
        await asyncio.sleep(5 * INTERVAL)
        assert world.book.of(A)[Height("x")].value == 2
    assert len(world.scale.asked) >= 3


async def test_a_fact_is_as_old_as_its_question(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    read = world.scale.read

    async def slow(requests: Collection[FactRequest]) -> FactReadings:
        world.now += timedelta(seconds=9)
        return await read(requests)

    monkeypatch.setattr(world.scale, "read", slow)
    world.scale.values["x"] = 1
    world.book.subscribe(A, X)
    await facts_module._read(world.book.lines[0], X, world.book, Metrics())
    assert world.book.of(A)[Height("x")].at == NOW


async def test_a_new_request_does_not_wait_for_the_next_turn(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scale, "interval", 60.0)
    world.scale.values |= {"x": 1, "y": 2}
    async with world.polling():
        world.book.subscribe(A, X)
        await asyncio.sleep(0.05)
        world.book.subscribe(B, X | {Height("y")})
        await asyncio.sleep(0.05)
    assert world.scale.asked == [{"x"}, {"y"}]


async def test_requests_that_change_all_the_time_do_not_storm_the_endpoint(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scale, "interval", 60.0)
    monkeypatch.setattr(facts_module, "SOONEST", 0.05)
    started = asyncio.get_running_loop().time()
    async with world.polling():
        for number in range(100):
            world.scale.values[str(number)] = number
            world.book.subscribe(A, frozenset({Height(str(number))}))
            await asyncio.sleep(0.001)
    seconds = asyncio.get_running_loop().time() - started
    assert len(world.scale.asked) <= 2 + seconds / 0.05
    assert len(world.scale.asked) < 100


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        pytest.param(Unavailable("away"), "away", id="the endpoint is away"),
        pytest.param(ZeroDivisionError("oops"), "failed unexpectedly", id="a bug of the adapter"),
    ],
)
async def test_a_poller_that_raises_goes_on(world: World, broken: Exception, told: str) -> None:
    world.scale.values["x"] = 1
    world.scale.broken = broken
    world.book.subscribe(A, X)
    async with world.polling():
        async with asyncio.timeout(30):
            while Height("x") not in world.book.of(A):  # noqa: ASYNC110 (a fact sets no event)
                await asyncio.sleep(INTERVAL)
        assert told in str(world.book.of(A)[Height("x")].error)
        world.scale.broken = None
        await asyncio.sleep(5 * INTERVAL)
        assert world.book.of(A)[Height("x")].value == 1
