from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from modelcycle.cluster.kinds import JOB, MODEL_TRAINING
from modelcycle.cluster.views import View
from modelcycle.runtime.cache import Cache
from modelcycle.runtime.metrics import Metrics
from modelcycle.runtime.ports import CacheReader, Key
from modelcycle.runtime.queue import WorkQueue
from modelcycle.runtime.router import Router
from tests.unit.runtime.builders import TRAINING, job, training
from tests.unit.runtime.test_controller import Scripted

POLICY = Key("RetrainPolicy", "shop", "keep-good")


class Policies(Scripted):
    """A domain that every ModelTraining concerns."""

    kind = "RetrainPolicy"

    def concerned(self, kind: str, view: View, cache: CacheReader) -> Iterable[Key]:
        return [POLICY] if kind == "ModelTraining" else []


class Broken(Policies):
    def concerned(self, kind: str, view: View, cache: CacheReader) -> Iterable[Key]:
        raise ZeroDivisionError("oops")


class World:
    def __init__(self, *domains: Any) -> None:
        metrics = Metrics()
        self.queues = {domain.kind: WorkQueue(domain.kind, metrics) for domain in domains}
        router = self.router = Router()
        self.cache = Cache(router.changed, metrics)
        router.connect(self.cache, domains, self.queues)

    async def waiting(self) -> set[Key]:
        found = set()
        for queue in self.queues.values():
            queue.open()
            while queue._waiting():
                key = await queue.get()
                queue.done(key)
                found.add(key)
            queue.close()
        return found


async def test_a_change_concerns_the_resource_itself_and_whom_the_domains_say() -> None:
    world = World(Scripted(), Policies())
    world.cache.put(MODEL_TRAINING, training())
    assert await world.waiting() == {TRAINING, POLICY}


async def test_a_change_of_a_child_concerns_its_owner() -> None:
    world = World(Scripted(), Policies())
    world.cache.put(MODEL_TRAINING, training())
    await world.waiting()
    world.cache.put(JOB, job())
    assert await world.waiting() == {TRAINING}
    world.cache.remove(JOB, "shop", "ranker-1", "uid-job")
    assert await world.waiting() == {TRAINING}


async def test_a_child_whose_owner_is_not_known_yet_waits_for_it() -> None:
    world = World(Scripted())
    world.cache.put(JOB, job())
    assert await world.waiting() == set()
    world.cache.put(MODEL_TRAINING, training())
    assert await world.waiting() == {TRAINING}


async def test_kinds_without_a_controller_are_nobodys_business() -> None:
    world = World(Policies())
    world.cache.put(MODEL_TRAINING, training())
    assert await world.waiting() == {POLICY}


async def test_a_bug_in_one_domain_does_not_keep_the_change_from_others(caplog: pytest.LogCaptureFixture) -> None:
    world = World(Scripted(), Broken())
    world.cache.put(MODEL_TRAINING, training())
    assert await world.waiting() == {TRAINING}
    assert "RetrainPolicy can't tell whom ModelTraining shop/ranker concerns" in caplog.text


async def test_a_resync_adds_every_key() -> None:
    world = World(Scripted())
    for name in ("a", "b"):
        world.cache.put(MODEL_TRAINING, training(name, uid=name))
    await world.waiting()
    world.router.resync()
    assert {key.name for key in await world.waiting()} == {"a", "b"}
    await asyncio.sleep(0)
