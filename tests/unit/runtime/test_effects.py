from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from modelcycle.core.plan import Effect, Outcome
from modelcycle.errors import Fenced, NotFound, Unavailable, Unusable
from modelcycle.runtime import effects as effects_module
from modelcycle.runtime.effects import EffectRunner
from modelcycle.runtime.metrics import Metrics
from modelcycle.runtime.outcomes import OutcomeBook
from modelcycle.runtime.ports import EffectHandler, Key
from tests.unit.runtime.builders import NOW, TRAINING, clock

UID = "uid-mt"
OTHER = Key("ModelTraining", "shop", "other")


@dataclass(frozen=True, slots=True)
class Ring(Effect):
    bell: str
    endpoint: str = "tower"


class Fence:
    def __init__(self) -> None:
        self.closed = False

    def check(self) -> None:
        if self.closed:
            raise Fenced("closed")


class World:
    """A bell ringer, and what came of it."""

    def __init__(self) -> None:
        self.rung: list[str] = []
        self.at_once = self.most_at_once = 0
        self.enqueued: list[Key] = []
        self.answer: Callable[[Ring], Any] = lambda ring: f"{ring.bell} rang"
        self.book = OutcomeBook()
        self.fence = Fence()
        self.metrics = Metrics()
        handlers: Mapping[type[Effect], EffectHandler] = {Ring: self._ring}
        self.runner = EffectRunner(handlers, self.book, self.fence, self.enqueued.append, clock, self.metrics)

    async def _ring(self, ring: Ring) -> Any:
        self.rung.append(ring.bell)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0.001)
            return self.answer(ring)
        finally:
            self.at_once -= 1

    async def ask(self, *bells: str, key: Key = TRAINING, uid: str = UID) -> None:
        self.runner.request(key, uid, [Ring(bell) for bell in bells])
        await asyncio.wait_for(self.runner.idle(), 5)


def failing(error: Exception) -> Callable[[Ring], Any]:
    def answer(ring: Ring) -> Any:
        raise error

    return answer


@pytest.fixture
async def world() -> World:
    return World()


async def test_the_result_is_in_the_book_and_the_key_comes_back(world: World) -> None:
    await world.ask("big")
    outcome = world.book.of(UID)[Ring("big")]
    assert (outcome.value, outcome.ok, outcome.at) == ("big rang", True, NOW)
    assert world.enqueued == [TRAINING]


async def test_an_effect_that_succeeded_is_not_run_again(world: World) -> None:
    for _ in range(3):
        await world.ask("big")
    assert world.rung == ["big"]


async def test_effects_of_one_resource_run_one_after_the_other(world: World) -> None:
    await world.ask("big", "small", "tiny")
    assert world.rung == ["big", "small", "tiny"]
    assert world.most_at_once == 1


async def test_effects_of_several_resources_run_side_by_side(world: World) -> None:
    for number in range(4):
        world.runner.request(OTHER, f"uid-{number}", [Ring("big")])
    await world.runner.idle()
    assert world.most_at_once == 4


async def test_one_endpoint_is_asked_for_a_bounded_number_at_once(world: World) -> None:
    for number in range(effects_module.AT_ENDPOINT + 10):
        world.runner.request(OTHER, f"uid-{number}", [Ring("big")])
    await world.runner.idle()
    assert world.most_at_once == effects_module.AT_ENDPOINT
    assert len(world.rung) == effects_module.AT_ENDPOINT + 10


async def test_whoever_has_come_furthest_is_the_first_to_get_a_place(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effects_module, "AT_ENDPOINT", 1)
    await world.ask("first step")
    for number in range(3):
        world.runner.request(OTHER, f"uid-{number}", [Ring(f"of {number}")])
    world.runner.request(TRAINING, UID, [Ring("second step"), Ring("third step")])
    await world.runner.idle()
    assert world.rung == ["first step", "of 0", "second step", "third step", "of 1", "of 2"]


async def test_what_waits_for_a_place_is_not_asked_for_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects_module, "AT_ENDPOINT", 1)
    for _ in range(2):
        world.runner.request(OTHER, "uid-0", [Ring("big")])
        world.runner.request(TRAINING, UID, [Ring("small")])
    await world.runner.idle()
    assert world.rung == ["big", "small"]


async def test_an_endpoint_that_hangs_holds_up_no_other(world: World) -> None:
    gate = asyncio.Event()

    async def hang(ring: Ring) -> str:
        if ring.endpoint == "dead":
            await gate.wait()
        return "rang"

    world.runner = EffectRunner({Ring: hang}, world.book, world.fence, world.enqueued.append, clock, world.metrics)
    for number in range(20):
        world.runner.request(OTHER, f"uid-{number}", [Ring("x", "dead")])
    world.runner.request(TRAINING, UID, [Ring("big")])
    await asyncio.sleep(0.02)
    assert world.book.of(UID)[Ring("big")].ok
    gate.set()
    await world.runner.idle()


@pytest.mark.parametrize(
    ("error", "kind", "retryable"),
    [
        pytest.param(Unavailable("no answer"), "Unavailable", True, id="the other side is away"),
        pytest.param(NotFound("no such run"), "NotFound", False, id="it says no"),
        pytest.param(Unusable("NoModelLogged", "nothing there"), "NoModelLogged", False, id="a reason of its own"),
        pytest.param(ZeroDivisionError("oops"), "InternalError", False, id="a bug of the adapter"),
    ],
)
async def test_a_failure_is_an_outcome(world: World, error: Exception, kind: str, retryable: bool) -> None:
    world.answer = failing(error)
    await world.ask("big")
    outcome = world.book.of(UID)[Ring("big")]
    assert (outcome.ok, outcome.error_kind, outcome.retryable) == (False, kind, retryable)
    assert str(error) in str(outcome.error)
    assert world.enqueued == [TRAINING]
    value = world.metrics.registry.get_sample_value
    assert value("modelcycle_effects_total", {"effect": "Ring", "result": kind}) == 1
    world.runner.forget(UID)


async def test_a_failed_effect_holds_back_no_other(world: World) -> None:
    world.answer = lambda ring: ring.bell if ring.bell == "small" else failing(Unavailable("x"))(ring)
    await world.ask("big", "small")
    assert [outcome.ok for outcome in world.book.of(UID).values()] == [False, True]
    world.runner.forget(UID)


async def test_a_retryable_failure_is_tried_again_after_its_backoff_and_brings_the_key_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effects_module, "backoff", lambda times, jitter: 0.05 * times)
    world.answer = failing(Unavailable("no answer"))
    await world.ask("big")
    await world.ask("big")
    assert world.rung == ["big"]
    world.enqueued.clear()
    await asyncio.sleep(0.1)
    assert world.enqueued == [TRAINING]
    world.answer = lambda ring: "rang"
    await world.ask("big")
    assert world.book.of(UID)[Ring("big")].value == "rang"


@pytest.mark.parametrize(
    ("error", "times", "seconds"),
    [
        pytest.param(Unavailable("x"), 1, 1.0, id="first failure"),
        pytest.param(Unavailable("x"), 4, 8.0, id="fourth failure"),
        pytest.param(Unavailable("x"), 50, 60.0, id="a minute at most"),
        pytest.param(Unavailable("x", after=30.0), 1, 30.0, id="the other side asks for more"),
        pytest.param(NotFound("x"), 1, 300.0, id="trying again hardly helps"),
    ],
)
def test_pause(error: Any, times: int, seconds: float) -> None:
    assert effects_module._pause(error, times) == pytest.approx(seconds)


async def test_what_the_fence_ends_half_way_has_no_outcome(world: World) -> None:
    world.answer = failing(Fenced("between two requests"))
    await world.ask("big", "small")
    assert (world.rung, dict(world.book.of(UID)), world.enqueued) == (["big"], {}, [])


async def test_nothing_is_started_by_who_may_not_write(world: World) -> None:
    world.fence.closed = True
    await world.ask("big")
    assert world.rung == []
    assert world.book.of(UID) == {}


async def test_a_resource_that_is_gone_leaves_nothing_behind(world: World) -> None:
    world.answer = failing(Unavailable("no answer"))
    await world.ask("big")
    world.runner.forget(UID)
    assert world.book.of(UID) == {}
    world.enqueued.clear()
    await world.ask("big")
    assert world.rung == ["big", "big"]
    world.runner.forget(UID)


async def test_stop_cancels_what_is_under_way_and_forgets_everything(world: World) -> None:
    await world.ask("done")
    for number in range(effects_module.AT_ENDPOINT + 10):
        world.runner.request(TRAINING, f"uid-{number}", [Ring("big")])
    await asyncio.sleep(0)
    await world.runner.stop()
    assert world.rung == ["done"] + ["big"] * effects_module.AT_ENDPOINT
    assert world.book.of(UID) == {}
    await asyncio.wait_for(world.runner.idle(), 1)
    await world.ask("small")
    assert world.rung[-1] == "small", "all places are free again"


def test_the_book_is_bounded() -> None:
    book = OutcomeBook()
    for number in range(200):
        book.store(UID, Ring(str(number)), Outcome(at=NOW))
    page = book.of(UID)
    assert len(page) == 64
    assert Ring("199") in page
