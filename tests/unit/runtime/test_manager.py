from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from modelcycle.cluster.kinds import JOB, MODEL_TRAINING
from modelcycle.core.plan import Plan
from modelcycle.errors import Expired, NotFound, Unavailable
from modelcycle.runtime import manager as manager_module
from modelcycle.runtime import resync as resync_module
from modelcycle.runtime.cache import Cache
from modelcycle.runtime.metrics import Metrics
from modelcycle.runtime.ports import Key
from modelcycle.runtime.resync import RELIST_SECONDS, Resync
from tests.unit.runtime.builders import job, training
from tests.unit.runtime.memory_cluster import MemoryCluster
from tests.unit.runtime.test_controller import World, plan
from tests.unit.runtime.test_effects import Ring


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager_module, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(resync_module, "RETRY_SECONDS", 0.01)


@pytest.fixture
async def world() -> World:
    world = World()
    world.queue.close()
    await world.cluster.create(MODEL_TRAINING, training())
    world.cluster.calls.clear()
    world.domain.script = plan
    return world


@asynccontextmanager
async def on_duty(world: World) -> AsyncIterator[None]:
    worker = asyncio.create_task(world.controller.work())
    duty = asyncio.create_task(world.manager.duty())
    try:
        yield
    finally:
        for task in (duty, worker):
            task.cancel()
        await asyncio.wait({duty, worker})


async def test_a_standby_keeps_its_cache_warm_and_decides_nothing(world: World) -> None:
    await world.manager.prime()
    assert await world.settle() == 0
    assert world.resource.name == "ranker"
    assert world.cluster.writes() == []


async def test_the_first_decisions_of_a_leader_rest_on_a_fresh_list(world: World) -> None:
    await world.manager.prime()
    uid = world.resource.uid
    await world.cluster.create(JOB, job(owner=uid))  # the former leader's last act, which no watch has told of
    async with on_duty(world):
        await asyncio.sleep(0.05)
    assert [view.name for view in world.domain.seen[0].jobs] == ["ranker-1"]
    assert world.metrics.registry.get_sample_value("modelcycle_leader") == 0


async def test_an_api_server_that_is_away_delays_the_duty(world: World) -> None:
    def fail(call: str) -> None:
        raise Unavailable(call)

    world.cluster.fail = fail
    async with on_duty(world):
        await asyncio.sleep(0.03)
        assert world.domain.seen == []
        world.cluster.fail = lambda call: None
        await asyncio.sleep(0.1)
        assert world.domain.seen != []
        assert world.metrics.registry.get_sample_value("modelcycle_leader") == 1


async def test_who_is_off_duty_takes_no_more_keys(world: World) -> None:
    async with on_duty(world):
        await asyncio.sleep(0.05)
    passes = len(world.domain.seen)
    world.queue.add(Key("ModelTraining", "shop", "ranker"))
    await world.settle()
    assert len(world.domain.seen) == passes


async def test_a_stop_waits_for_what_is_under_way(world: World) -> None:
    release = asyncio.Event()

    async def ring(effect: Ring) -> str:
        await release.wait()
        return "rang"

    world.manager.effects._handlers = {Ring: ring}
    world.domain.script = lambda observed, now: Plan(status=observed.resource.status, effects=(Ring("big"),))
    async with on_duty(world):
        await asyncio.sleep(0.05)
        draining = asyncio.create_task(world.manager.drain())
        await asyncio.sleep(0.02)
        assert not draining.done()
        release.set()
        await asyncio.wait_for(draining, 1)
        uid = world.resource.uid
        assert world.manager.effects._book.of(uid)[Ring("big")].value == "rang"


async def test_priming_waits_for_crds_and_for_the_api_server(world: World, caplog: pytest.LogCaptureFixture) -> None:
    answers = iter([Unavailable("no answer"), NotFound("no such kind")])

    def fail(call: str) -> None:
        error = next(answers, None)
        if error is not None:
            raise error

    world.cluster.fail = fail
    assert world.manager.ready() == {"caches": "not filled yet"}
    await asyncio.wait_for(world.manager.prime(), 5)
    assert world.manager.ready() == {"caches": None}
    assert "CRDs are not installed" in caplog.text


async def test_a_loop_that_is_late_is_not_alive(world: World) -> None:
    assert world.manager.live() == {"event-loop": None, "watches": None}
    world.manager._lag = 11.0
    assert world.manager.live()["event-loop"] == "it is 11 s late"


async def test_the_age_of_watches_is_exposed(world: World) -> None:
    world.manager.seen(MODEL_TRAINING, training())
    registry = world.manager.exposed()
    age = registry.get_sample_value("modelcycle_watch_age_seconds", {"kind": "ModelTraining"})
    assert age is not None
    assert 0 <= age < 5


# --- resync ----------------------------------------------------------------------------------------------------------
class Watched:
    """A resync whose clock stands still."""

    def __init__(self, relist_seconds: float = RELIST_SECONDS) -> None:
        self.cluster, self.now = MemoryCluster(), 1000.0
        self.metrics = Metrics()
        self.cache = Cache(lambda kind, view: None, self.metrics)
        self.looked = 0
        self.resync = Resync(self.cluster, self.cache, self.metrics, (), self._look, lambda: self.now, relist_seconds)

    def _look(self) -> None:
        self.looked += 1


@pytest.mark.parametrize(
    ("heard", "missed", "is_dead"),
    [
        pytest.param(False, True, True, id="silent while things changed"),
        pytest.param(True, True, False, id="heard of since, merely a moment behind"),
        pytest.param(False, False, False, id="silent since nothing happened"),
    ],
)
async def test_a_dead_watch_is_found(heard: bool, missed: bool, is_dead: bool) -> None:
    watched = Watched()
    await watched.resync.everything()
    watched.now += RELIST_SECONDS
    if missed:
        await watched.cluster.create(JOB, job())
    if heard:
        watched.resync.heard(JOB)
    await watched.resync.everything()
    assert watched.resync.silent() == ({"Job"} if is_dead else frozenset())
    repairs = watched.metrics.registry.get_sample_value("modelcycle_cache_repairs_total", {"kind": "Job"})
    assert repairs == (1 if missed else None)
    watched.resync.heard(JOB)
    assert watched.resync.silent() == frozenset()


async def test_a_first_list_is_no_repair() -> None:
    watched = Watched()
    await watched.cluster.create(JOB, job())
    await watched.resync.everything()
    assert watched.resync.silent() == frozenset()


async def test_children_are_listed_by_our_label() -> None:
    watched = Watched()
    await watched.cluster.create(JOB, job(metadata={"labels": {}}))
    await watched.resync.everything()
    assert list(watched.cache.keys("Job")) == []


@pytest.mark.parametrize("times", [pytest.param(1, id="once"), pytest.param(99, id="always")])
async def test_a_list_that_is_outdated_half_way_is_begun_again(times: int) -> None:
    watched = Watched()
    await watched.cluster.create(JOB, job("ghost"))
    await watched.resync.everything()
    for name in ("one", "two", "three"):
        await watched.cluster.create(JOB, job(name))
    pages = expired = 0

    def fail(call: str) -> None:
        nonlocal pages, expired
        pages += call.startswith("list Job")
        if call.startswith("list Job") and pages % 2 == 0 and expired < times:
            expired += 1
            watched.cluster.objects.pop(("Job", "shop", "ghost"), None)
            raise Expired(call)

    watched.cluster.fail = fail
    if times == 1:
        await watched.resync.everything()
        assert {key.name for key in watched.cache.keys("Job")} == {"one", "two", "three"}, "what went meanwhile is gone"
        return
    with pytest.raises(Unavailable, match="list jobs: the list is outdated before it is read, 3 times"):
        await watched.resync.everything()


async def test_the_relist_goes_round_and_survives_errors() -> None:
    watched = Watched(relist_seconds=0.01)

    def fail(call: str) -> None:
        if "Pod" in call:
            raise Unavailable(call)

    watched.cluster.fail = fail
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watched.resync.run(), 0.5)
    assert watched.looked >= 2
