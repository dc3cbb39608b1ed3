from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from modelcycle.cluster.kinds import LEASE
from modelcycle.errors import Fenced, Unavailable
from modelcycle.runtime import elector as elector_module
from modelcycle.runtime.elector import LEASE_SECONDS, RENEW_SECONDS, Elector, LeaseName, pause
from modelcycle.runtime.fence import LeaseFence
from tests.unit.runtime.builders import clock
from tests.unit.runtime.memory_cluster import MemoryCluster

NAME = LeaseName("system", "modelcycle")
TICK = 0.005


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elector_module, "RETRY_SECONDS", TICK)


class Time:
    """A monotonic clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Replica:
    def __init__(self, name: str, cluster: MemoryCluster, time: Time) -> None:
        self.fence = LeaseFence(time)
        self.duties = 0
        self.begun = 0
        self.elector = Elector(cluster, NAME, name, self.fence, self._duty, clock, time)

    async def _duty(self) -> None:
        self.duties += 1
        self.begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.duties -= 1

    def is_on_duty(self) -> bool:
        return self.duties == 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.elector.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            await self.elector.stop()

    def may_write(self) -> bool:
        try:
            self.fence.check()
        except Fenced:
            return False
        return True


async def some_turns() -> None:
    for _ in range(20):  # not one long sleep: on a busy machine the elector's short ones would all be over with it
        await asyncio.sleep(TICK)


def spec(cluster: MemoryCluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.objects["Lease", "system", "modelcycle"]["spec"]
    return found


@pytest.fixture
def cluster() -> MemoryCluster:
    return MemoryCluster()


@pytest.fixture
def time() -> Time:
    return Time()


async def test_the_first_replica_makes_the_lease_and_goes_on_duty(cluster: MemoryCluster, time: Time) -> None:
    one = Replica("one", cluster, time)
    assert not one.may_write()
    async with one.running():
        await some_turns()
        assert one.is_on_duty()
        assert one.may_write()
        assert spec(cluster)["holderIdentity"] == "one"
        assert spec(cluster)["leaseDurationSeconds"] == 15


async def test_the_second_replica_waits(cluster: MemoryCluster, time: Time) -> None:
    one, two = Replica("one", cluster, time), Replica("two", cluster, time)
    async with one.running():
        await some_turns()
        async with two.running():
            await some_turns()
            assert (one.is_on_duty(), two.is_on_duty()) == (True, False)
            assert not two.may_write()


async def test_a_lease_that_is_given_back_is_taken_at_once(cluster: MemoryCluster, time: Time) -> None:
    one, two = Replica("one", cluster, time), Replica("two", cluster, time)
    async with two.running():
        async with one.running():
            await some_turns()
        assert not one.is_on_duty()
        assert not one.may_write()
        await some_turns()
        assert two.is_on_duty()
        assert spec(cluster)["holderIdentity"] == "two"


async def test_a_dead_leaders_lease_is_taken_after_its_time_as_the_candidate_saw_it(
    cluster: MemoryCluster, time: Time
) -> None:
    # renewTime is long ago, or far in the future: clocks of other nodes say nothing.
    held = {"holderIdentity": "dead", "leaseDurationSeconds": 15, "renewTime": "1999-01-01T00:00:00.000000Z"}
    metadata = {"namespace": "system", "name": "modelcycle"}
    await cluster.create(LEASE, {"apiVersion": LEASE.api_version, "kind": "Lease", "metadata": metadata, "spec": held})
    two = Replica("two", cluster, time)
    async with two.running():
        await some_turns()
        time.now += LEASE_SECONDS - 0.1
        await some_turns()
        assert not two.is_on_duty()
        time.now += 0.2
        await some_turns()
        assert two.is_on_duty()
        assert spec(cluster)["leaseTransitions"] == 1


async def test_the_fence_closes_at_the_deadline_even_if_nobody_notices(cluster: MemoryCluster, time: Time) -> None:
    one = Replica("one", cluster, time)
    async with one.running():
        await some_turns()

        def fail(call: str) -> None:
            raise Unavailable(call)

        cluster.fail = fail
        time.now += RENEW_SECONDS + 0.1
        assert not one.may_write()  # before the elector had its turn
        await some_turns()
        assert not one.is_on_duty()
        cluster.fail = lambda call: None
        await some_turns()
        assert one.is_on_duty()
        assert one.may_write()


async def test_the_time_of_the_lease_begins_when_it_is_asked_for(cluster: MemoryCluster, time: Time) -> None:
    one = Replica("one", cluster, time)

    def fail(call: str) -> None:
        if "create" not in call:
            raise Unavailable(call)

    def slow(call: str) -> None:
        if "create" in call:
            time.now += 2.5  # the API server takes its time, and others count from before
            cluster.fail = fail

    sent, cluster.fail = time.now, slow
    async with one.running():
        await some_turns()
        time.now = sent + RENEW_SECONDS - 0.1
        assert one.may_write()
        time.now = sent + RENEW_SECONDS + 0.1
        assert not one.may_write()


async def test_a_short_failure_does_not_cost_the_lease(cluster: MemoryCluster, time: Time) -> None:
    one = Replica("one", cluster, time)
    async with one.running():
        await some_turns()

        def fail(call: str) -> None:
            raise Unavailable(call)

        cluster.fail = fail
        time.now += RENEW_SECONDS / 2
        await some_turns()
        assert one.is_on_duty()
        assert one.may_write()


async def test_an_answer_that_got_lost_does_not_cost_the_lease(cluster: MemoryCluster, time: Time) -> None:
    one = Replica("one", cluster, time)
    async with one.running():
        await some_turns()
        cluster.edit(LEASE, "system", "modelcycle")  # our own write, committed, whose version we never heard of
        await some_turns()
        assert one.is_on_duty()
        transitions = spec(cluster)["leaseTransitions"]
    assert transitions == 0


async def test_a_leader_that_finds_another_in_its_place_goes_off_duty(cluster: MemoryCluster, time: Time) -> None:
    one = Replica("one", cluster, time)
    async with one.running():
        await some_turns()
        taken = spec(cluster) | {"holderIdentity": "two"}
        cluster.edit(LEASE, "system", "modelcycle", spec=taken)
        await some_turns()
        assert not one.is_on_duty()
        assert not one.may_write()
    assert spec(cluster)["holderIdentity"] == "two"


async def test_a_leader_that_was_late_and_has_the_lease_all_the_same_looks_at_everything_again(
    cluster: MemoryCluster, time: Time
) -> None:
    # Between its deadline and now its writes were refused, and whoever they were for waits.
    one = Replica("one", cluster, time)
    async with one.running():
        await some_turns()
        time.now += RENEW_SECONDS - 0.1
        await some_turns()
        assert one.begun == 1
        time.now += RENEW_SECONDS + 0.1
        await some_turns()
        assert (one.is_on_duty(), one.may_write(), one.begun) == (True, True, 2)


@pytest.mark.parametrize(
    ("free_in", "seconds"),
    [
        pytest.param(14.9, 2.0, id="held by somebody: look again in 2 s"),
        pytest.param(0.3, 0.3, id="free before that, unless it is renewed"),
        pytest.param(0.0, 2.0, id="free, and another was faster, or the server does not answer"),
        pytest.param(float("-inf"), 2.0, id="never seen"),
    ],
)
def test_pause(free_in: float, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elector_module, "RETRY_SECONDS", 2.0)
    assert pause(100.0, 100.0 + free_in) == pytest.approx(seconds)


async def test_a_duty_that_fails_ends_the_elector(cluster: MemoryCluster, time: Time) -> None:
    async def duty() -> None:
        raise RuntimeError("broken")

    elector = Elector(cluster, NAME, "one", LeaseFence(time), duty, clock, time)
    with pytest.raises(RuntimeError, match="broken"):
        await asyncio.wait_for(elector.run(), 5)
