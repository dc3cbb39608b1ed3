from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from modelcycle.api.v1alpha1.common import Condition
from modelcycle.api.v1alpha1.training import TrainingStatus
from modelcycle.cluster.kinds import JOB, MODEL_TRAINING
from modelcycle.cluster.views import View
from modelcycle.core.conditions import TRUE, UNKNOWN, find
from modelcycle.core.observed import JobView, Observed, Resource
from modelcycle.core.plan import Event, FactRequest, Facts, Manifest, Outcome, Outcomes, Plan, Ref
from modelcycle.errors import Fenced, Refused, Terminating, Unavailable
from modelcycle.runtime.manager import Manager
from modelcycle.runtime.metrics import Metrics
from modelcycle.runtime.ports import CacheReader, Key
from modelcycle.runtime.rush import MANY
from modelcycle.settings import Settings
from tests.unit.runtime.builders import TRAINING, clock, training, wanted_job
from tests.unit.runtime.memory_cluster import MemoryCluster
from tests.unit.runtime.test_effects import Fence, Ring

SETTINGS = Settings(cluster_id="c1", serving_image="localhost/serving:1")
Decide = Callable[[Observed[Any, Any], datetime], Plan[Any]]


class Scripted:
    """A domain whose decision the test writes."""

    kind = "ModelTraining"

    def __init__(self) -> None:
        self.script: Decide = lambda observed, now: Plan(status=observed.resource.status)
        self.expects: tuple[Ref, ...] = ()
        self.seen: list[Observed[Any, Any]] = []

    def observe(
        self, resource: Resource[Any, Any], cache: CacheReader, outcomes: Outcomes, facts: Facts, settings: Settings
    ) -> Observed[Any, Any]:
        jobs = cache.owned(JobView, resource.uid)
        return Observed(resource, settings, jobs=jobs, outcomes=outcomes, facts=facts)

    def expected(self, resource: Resource[Any, Any]) -> Iterable[Ref]:
        return self.expects

    def decide(self, observed: Observed[Any, Any], now: datetime) -> Plan[Any]:
        self.seen.append(observed)
        return self.script(observed, now)

    def concerned(self, kind: str, view: View, cache: CacheReader) -> Iterable[Key]:
        return ()


class World:
    """One controller with everything around it, over a cluster in memory."""

    def __init__(self) -> None:
        self.cluster, self.domain, self.fence, self.metrics = MemoryCluster(), Scripted(), Fence(), Metrics()
        self.forgotten: list[Key] = []
        self.manager = Manager(
            cluster=self.cluster,
            domains=[self.domain],
            adapters=[],
            settings=SETTINGS,
            fence=self.fence,
            metrics=self.metrics,
            clock=clock,
            identity="replica-1",
            forgotten=self.forgotten.append,
        )
        self.controller = self.manager.controllers[0]
        self.queue = self.controller.queue
        self.queue.open()

    async def begin(self) -> None:
        self.manager.seen(MODEL_TRAINING, await self.cluster.create(MODEL_TRAINING, training()))
        self.cluster.calls.clear()

    @property
    def resource(self) -> Resource[Any, Any]:
        resource = self.manager.cache.get(Resource, "ModelTraining", "shop", "ranker")
        assert resource is not None
        return resource

    def stored(self) -> Manifest:
        return self.cluster.objects["ModelTraining", "shop", "ranker"]

    async def settle(self, passes: int = 20) -> int:
        """Work on the queue until it is empty; how many passes it took."""
        worker = asyncio.create_task(self.controller.work())
        before = len(self.domain.seen)
        for _ in range(passes):
            await asyncio.sleep(0.002)
        worker.cancel()
        await asyncio.wait({worker})
        return len(self.domain.seen) - before

    def result(self, name: str) -> float:
        labels = {"controller": "ModelTraining", "result": name}
        return self.metrics.registry.get_sample_value("controller_runtime_reconcile_total", labels) or 0.0

    def events(self) -> list[str]:
        return [raw["reason"] for (kind, _, _), raw in self.cluster.objects.items() if kind == "Event"]


@pytest.fixture
async def world() -> World:
    world = World()
    await world.begin()
    return world


def plan(observed: Observed[Any, Any], now: datetime) -> Plan[Any]:
    """A Job, and a status that counts Jobs."""
    uid = observed.resource.uid
    return Plan(status=TrainingStatus(summary=f"{len(observed.jobs)} Jobs"), apply=(wanted_job(owner=uid),))


async def test_a_plan_is_carried_out_in_its_order_and_then_comes_to_rest(world: World) -> None:
    told = (Event("Made", "a Job", "1"),)
    world.domain.script = lambda observed, now: replace(plan(observed, now), events=told)
    assert await world.settle() == 3
    kinds = [" ".join(call.split()[:2]) for call in world.cluster.writes()]
    # The Job and the status that are written bring the key back: then the Job is seen, and then there is nothing to do.
    assert kinds == ["create Job", "create Event", "status ModelTraining", "status ModelTraining"]
    assert world.stored()["status"]["summary"] == "1 Jobs"
    world.queue.add(TRAINING)
    assert await world.settle() == 1
    assert world.cluster.calls == []


@pytest.mark.parametrize(("ended", "kept"), [(False, 1), (True, 0)], ids=["while it is open", "when it has ended"])
async def test_outcomes_are_kept_while_they_may_be_needed(world: World, ended: bool, kept: int) -> None:
    over = Condition(type="Succeeded", status=TRUE if ended else UNKNOWN, reason="R", last_transition_time=clock())
    world.domain.script = lambda observed, now: Plan(status=TrainingStatus(conditions=(over,)))
    book = world.controller._parts.outcomes
    uid = world.resource.uid
    book.store(uid, Ring("big"), Outcome(at=clock()))
    await world.settle()
    assert len(book.of(uid)) == kept


async def test_a_change_of_the_status_brings_the_key_back_at_once(world: World) -> None:
    def count(observed: Observed[Any, Any], now: datetime) -> Plan[Any]:
        seconds = observed.resource.status.running_seconds
        return Plan(status=TrainingStatus(running_seconds=min(seconds + 1, 3)))

    world.domain.script = count
    assert await world.settle() == 4
    assert world.stored()["status"]["runningSeconds"] == 3


@pytest.mark.parametrize("failing", ["create Job applied", "create Job created", "delete Job old", "create Event"])
async def test_after_an_error_nothing_of_what_comes_later_is_done(world: World, failing: str) -> None:
    def script(observed: Observed[Any, Any], now: datetime) -> Plan[Any]:
        uid = observed.resource.uid
        return Plan(
            apply=(wanted_job("applied", uid),),
            create=(wanted_job("created", uid),),
            delete=(Ref("batch/v1", "Job", "shop", "old"),),
            events=(Event("Made", "a Job", "1"),),
            status=TrainingStatus(summary="done"),
        )

    def fail(call: str) -> None:
        if call.startswith(failing):
            raise Unavailable(f"{call}: no answer")

    world.manager.cache.put(JOB, await world.cluster.create(JOB, wanted_job("old", world.resource.uid)))
    world.cluster.calls.clear()
    world.cluster.fail = fail
    world.domain.script = script
    await world.settle()
    order = ["create Job applied", "create Job created", "delete Job old", "create Event", "status ModelTraining"]
    done = world.cluster.writes()
    count = order.index(failing) + 1
    assert [call.startswith(one) for call, one in zip(done, order[:count], strict=False)] == [True] * count
    assert not any(call.startswith("status ModelTraining") for call in done)
    assert world.queue.failures(TRAINING) >= 1
    world.cluster.fail = lambda call: None
    world.queue.add(TRAINING)
    await world.settle()
    assert world.stored()["status"]["summary"] == "done"
    assert world.queue.failures(TRAINING) == 0


async def test_effects_are_asked_for_and_the_status_does_not_wait_for_them(world: World) -> None:
    release = asyncio.Event()

    async def ring(effect: Ring) -> str:
        await release.wait()
        return "rang"

    world.manager.effects._handlers = {Ring: ring}

    def script(observed: Observed[Any, Any], now: datetime) -> Plan[Any]:
        outcome = observed.outcomes.get(Ring("big"))
        return Plan(status=TrainingStatus(summary=outcome.value if outcome else "waiting"), effects=(Ring("big"),))

    world.domain.script = script
    await world.settle()
    assert world.stored()["status"]["summary"] == "waiting"
    release.set()
    await world.settle()
    assert world.stored()["status"]["summary"] == "rang"


async def test_what_the_status_says_must_exist_is_asked_for_before_the_decision(world: World) -> None:
    await world.cluster.create(JOB, wanted_job("ranker-1", world.resource.uid))
    world.domain.expects = (Ref("batch/v1", "Job", "shop", "ranker-1"),)
    await world.settle()
    assert [view.name for view in world.domain.seen[0].jobs] == ["ranker-1"]


async def test_a_status_that_somebody_else_wrote_first_is_decided_anew(world: World) -> None:
    world.domain.script = lambda observed, now: Plan(
        status=observed.resource.status.evolve(running_seconds=observed.resource.status.running_seconds or 5)
    )
    raw = world.stored()
    world.cluster.edit(MODEL_TRAINING, "shop", "ranker", status={"runningSeconds": 70})
    assert raw is not world.stored()
    await world.settle()
    assert world.stored()["status"]["runningSeconds"] == 70
    assert world.result("requeue") == 1
    assert world.events() == []


async def test_an_error_is_an_event_once_and_then_a_condition(world: World) -> None:
    def fail(call: str) -> None:
        if call.startswith("create Job"):
            raise Refused("exceeded quota: count/jobs.batch=0")

    world.cluster.fail = fail
    world.domain.script = plan
    await world.settle()
    assert world.events() == ["ReconcileError"]
    assert "conditions" not in world.stored().get("status", {})
    for _ in range(3):
        world.queue.add(TRAINING)
        await world.settle()
    assert world.events() == ["ReconcileError"]
    stalled = find(world.resource.status.conditions, "Stalled")
    assert stalled is not None
    assert (stalled.reason, stalled.message) == ("ApiServerRefused", "exceeded quota: count/jobs.batch=0")
    value = world.metrics.registry.get_sample_value
    assert value("modelcycle_failing_keys", {"controller": "ModelTraining"}) == 1
    world.cluster.fail = lambda call: None
    world.queue.add(TRAINING)
    await world.settle()
    assert find(world.resource.status.conditions, "Stalled") is None
    assert value("modelcycle_failing_keys", {"controller": "ModelTraining"}) == 0


async def test_a_bug_in_a_decision_is_told_and_does_not_stop_the_worker(world: World) -> None:
    def broken(observed: Observed[Any, Any], now: datetime) -> Plan[Any]:
        raise ZeroDivisionError("oops")

    world.domain.script = broken
    await world.settle()
    assert world.result("error") == 1
    assert world.events() == ["ReconcileError"]
    world.domain.script = plan
    world.queue.add(TRAINING)
    await world.settle()
    assert world.result("success") >= 1


async def test_that_the_api_server_is_away_is_no_event(world: World) -> None:
    def fail(call: str) -> None:
        if call.startswith("create"):
            raise Unavailable("no answer", after=33.0)

    world.cluster.fail = fail
    world.domain.script = plan
    await world.settle()
    assert world.events() == []
    assert world.queue._alarms._due[TRAINING] - asyncio.get_running_loop().time() == pytest.approx(33, abs=1)


async def test_in_a_namespace_that_is_being_deleted_nothing_is_tried_twice_nor_told(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(call: str) -> None:
        if call.startswith("create"):
            raise Terminating("namespace shop is being terminated")

    world.cluster.fail = fail
    world.domain.script = lambda observed, now: Plan(
        status=observed.resource.status,
        apply=(wanted_job(owner=observed.resource.uid),),
        look_again=timedelta(milliseconds=1),
    )
    with caplog.at_level("INFO"):
        await world.settle()
        for number in range(3):  # what is deleted around it brings the key back
            world.manager.seen(
                MODEL_TRAINING,
                world.cluster.edit(MODEL_TRAINING, "shop", "ranker", spec={"image": f"train:{number}"}),
            )
            await world.settle()
    assert world.cluster.writes() == ["create Job ranker-1"]
    assert [record.levelname for record in caplog.records if "namespace" in record.message] == ["INFO"]
    assert (world.result("error"), world.queue.failures(Key("ModelTraining", "shop", "ranker"))) == (0, 0)


async def test_a_namesake_in_a_namespace_made_anew_is_looked_after(world: World) -> None:
    def fail(call: str) -> None:
        raise Terminating("namespace shop is being terminated")

    world.domain.script = lambda observed, now: Plan(
        status=observed.resource.status, apply=(wanted_job(owner=observed.resource.uid),)
    )
    world.cluster.fail = fail
    await world.settle()
    world.cluster.fail = lambda call: None
    gone = world.stored()
    await world.cluster.delete(MODEL_TRAINING, "shop", "ranker", gone["metadata"]["uid"])
    world.manager.deleted(MODEL_TRAINING, gone)
    await world.begin()
    await world.settle()
    assert world.cluster.writes() == ["create Job ranker-1"]


async def test_who_may_not_write_any_more_drops_the_key(world: World) -> None:
    def fail(call: str) -> None:
        raise Fenced("not the leader")

    world.cluster.fail = fail
    world.domain.script = plan
    await world.settle()
    assert world.result("fenced") == 1
    assert world.queue.failures(TRAINING) == 0


async def test_a_status_that_cannot_be_read_is_left_alone(world: World) -> None:
    future = {"attempts": [{"number": 1, "job": "ranker-1", "state": "Teleported"}]}
    world.manager.seen(MODEL_TRAINING, world.cluster.edit(MODEL_TRAINING, "shop", "ranker", status=future))
    for _ in range(2):
        world.queue.add(TRAINING)
        await world.settle()
    assert world.domain.seen == []
    assert world.stored()["status"] == future
    assert world.events() == ["ReconcileError"]


async def test_a_spec_that_is_invalid_is_still_decided_on(world: World) -> None:
    world.manager.seen(MODEL_TRAINING, world.cluster.edit(MODEL_TRAINING, "shop", "ranker", spec={}))
    await world.settle()
    resource = world.domain.seen[-1].resource
    assert resource.spec is None
    assert "spec.image: Field required" in str(resource.invalid)


@pytest.mark.parametrize("others", [0, MANY])
async def test_a_decision_knows_whether_many_came_at_once(world: World, others: int) -> None:
    names = [f"other-{number}" for number in range(others)]
    for name in names:
        made = await world.cluster.create(MODEL_TRAINING, training(name, uid=name))
        world.manager.seen(MODEL_TRAINING, made)
    await world.settle()
    assert world.domain.seen[-1].rush is bool(others)


async def test_look_again_comes_from_the_plan(world: World) -> None:
    world.domain.script = lambda observed, now: Plan(
        status=observed.resource.status, look_again=timedelta(milliseconds=20)
    )
    assert await world.settle(passes=60) >= 3
    assert world.result("requeue_after") >= 3
    world.queue.forget(TRAINING)


async def test_what_is_gone_is_forgotten(world: World) -> None:
    wanted: frozenset[FactRequest] = frozenset()
    world.domain.script = lambda observed, now: Plan(status=observed.resource.status, facts=wanted)
    await world.settle()
    world.manager.deleted(MODEL_TRAINING, world.stored())
    assert await world.settle() == 0
    assert world.forgotten == [TRAINING]


async def test_a_namesake_starts_a_life_of_its_own(world: World) -> None:
    await world.settle()
    world.manager.seen(MODEL_TRAINING, training(uid="uid-second", version=9000))
    await world.settle()
    assert world.forgotten == [TRAINING]
    assert world.domain.seen[-1].resource.uid == "uid-second"


async def test_what_came_of_a_former_life_is_not_this_ones(world: World) -> None:
    rung: list[str] = []

    async def ring(effect: Ring) -> str:
        rung.append(effect.bell)
        return "rang"

    world.manager.effects._handlers = {Ring: ring}
    world.domain.script = lambda observed, now: Plan(status=observed.resource.status, effects=(Ring("big"),))
    await world.settle()
    world.domain.seen.clear()
    world.manager.seen(MODEL_TRAINING, training(uid="uid-second", version=9000))
    await world.settle()
    assert world.domain.seen[0].outcomes == {}
    assert rung == ["big", "big"]


async def test_what_is_being_deleted_is_let_alone(world: World) -> None:
    deleting = training(uid=world.resource.uid, version=9000, metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    world.manager.seen(MODEL_TRAINING, deleting)
    assert await world.settle() == 0
