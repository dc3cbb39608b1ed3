from __future__ import annotations

import asyncio
import itertools

import pytest

from modelcycle.runtime.metrics import Metrics
from modelcycle.runtime.ports import Key
from modelcycle.runtime.queue import CROWD, FAIR_SHARE, WorkQueue, backoff

SOON = 0.05


def key(name: str) -> Key:
    return Key("ModelTraining", "shop", name)


A, B, C = key("a"), key("b"), key("c")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def queue(metrics: Metrics) -> WorkQueue:
    queue = WorkQueue("mt", metrics, jitter=lambda: 0.0)
    queue.open()
    return queue


async def taken(queue: WorkQueue, count: int) -> list[str]:
    """The names of the next keys, each done at once."""
    names = []
    for _ in range(count):
        one = await asyncio.wait_for(queue.get(), 1)
        queue.done(one)
        names.append(one.name)
    return names


async def is_empty(queue: WorkQueue) -> bool:
    try:
        await asyncio.wait_for(queue.get(), SOON)
    except TimeoutError:
        return True
    return False


async def test_a_key_that_is_added_often_is_handed_out_once(queue: WorkQueue) -> None:
    for one in (A, B, A, A, B):
        queue.add(one)
    assert await taken(queue, 2) == ["a", "b"]
    assert await is_empty(queue)


async def test_a_key_that_is_added_while_it_is_worked_on_comes_again_after_that(queue: WorkQueue) -> None:
    queue.add(A)
    working = await queue.get()
    queue.add(A)
    queue.add(A)
    assert await is_empty(queue)
    queue.done(working)
    assert await taken(queue, 1) == ["a"]
    assert await is_empty(queue)


async def test_no_two_workers_ever_have_the_same_key(queue: WorkQueue) -> None:
    at_work: set[Key] = set()
    most = 0

    async def work() -> None:
        nonlocal most
        while True:
            one = await queue.get()
            assert one not in at_work
            at_work.add(one)
            most = max(most, len(at_work))
            await asyncio.sleep(0.001)
            at_work.discard(one)
            queue.done(one)

    workers = [asyncio.create_task(work()) for _ in range(4)]
    for _ in range(100):
        for one in (A, B, C):
            queue.add(one)
        await asyncio.sleep(0.0005)
    await queue.idle()
    for worker in workers:
        assert not worker.done()
        worker.cancel()
    assert most == 3


async def test_a_closed_queue_takes_in_but_hands_nothing_out(queue: WorkQueue, metrics: Metrics) -> None:
    queue.close()
    queue.add(A)
    assert await is_empty(queue)
    assert metrics.registry.get_sample_value("workqueue_depth", {"name": "mt"}) == 1
    queue.open()
    assert await taken(queue, 1) == ["a"]


@pytest.mark.parametrize(
    ("known", "order"),
    [
        pytest.param(1, ["new", "0", "again"], id="its pod is to start"),
        pytest.param(CROWD, ["0", "new", "1"], id="some are finished before more are begun"),
    ],
)
async def test_the_order_of_the_lines(queue: WorkQueue, known: int, order: list[str]) -> None:
    names = [key(str(number)) for number in range(known)]
    for one in names:
        queue.add(one)
    await taken(queue, known)
    for one in names:
        queue.add(one)
    queue.add(key("again"), resync=True)
    queue.add(key("new"))
    assert await taken(queue, 3) == order


async def test_what_was_forgotten_is_new_again_but_waits_only_once(queue: WorkQueue) -> None:
    queue.add(A)
    await taken(queue, 1)
    queue.add(A)
    queue.forget(A)
    queue.add(A)
    assert await taken(queue, 1) == ["a"]
    assert await is_empty(queue)
    queue.forget(A)
    queue.add(B)
    await taken(queue, 1)
    queue.add(B)
    queue.add(A)
    assert await taken(queue, 2) == ["a", "b"]


async def test_nobody_waits_for_ever(queue: WorkQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    times = itertools.count()
    monkeypatch.setattr(queue, "_now", lambda: float(next(times)))
    queue.add(A)
    queue.add(B, resync=True)
    queue.add(C)
    order = []
    for _ in range(3 * FAIR_SHARE):
        order += await taken(queue, 1)
        queue.add(A)
    assert {"b", "c"} < set(order[:FAIR_SHARE])


async def test_a_key_of_the_resync_line_moves_up_when_something_happens_to_it(queue: WorkQueue) -> None:
    for one in (A, B, C):
        queue.add(one, resync=True)
    queue.add(C)
    queue.add(C, resync=True)
    assert await taken(queue, 3) == ["c", "a", "b"]
    assert await is_empty(queue)


async def test_look_again_adds_the_key_when_its_time_has_come(queue: WorkQueue) -> None:
    queue.look_again(A, 4 * SOON)
    assert await is_empty(queue)
    assert await taken(queue, 1) == ["a"]


async def test_look_again_replaces_what_was_asked_before(queue: WorkQueue) -> None:
    queue.look_again(A, SOON)
    queue.look_again(A, 60)
    queue.look_again(B, SOON)
    queue.look_again(B, None)
    await asyncio.sleep(2 * SOON)
    assert await is_empty(queue)
    queue.look_again(A, None)


@pytest.mark.parametrize(
    ("failures", "jitter", "seconds"),
    [
        pytest.param(1, 0.0, 1, id="the first failure"),
        pytest.param(2, 0.0, 2, id="it doubles"),
        pytest.param(5, 0.0, 16, id="and doubles"),
        pytest.param(9, 0.0, 256, id="up to"),
        pytest.param(10, 0.0, 300, id="five minutes"),
        pytest.param(10_000, 0.0, 300, id="however often it fails"),
        pytest.param(1, 1.0, 1.2, id="jitter adds a fifth at most"),
    ],
)
def test_backoff(failures: int, jitter: float, seconds: float) -> None:
    assert backoff(failures, jitter) == pytest.approx(seconds)


async def test_retry_counts_failures_until_the_key_succeeds(queue: WorkQueue) -> None:
    assert [queue.retry(A) for _ in range(3)] == [1, 2, 4]
    assert queue.retry(B) == 1
    queue.succeeded(A)
    assert queue.retry(A) == 1
    queue.forget(A)
    queue.forget(B)


async def test_retry_waits_as_long_as_the_other_side_asks(queue: WorkQueue) -> None:
    assert queue.retry(A, after=30) == 30
    assert queue.retry(B, after=0.5) == 1
    queue.forget(A)
    queue.forget(B)


async def test_idle_waits_for_work_under_way(queue: WorkQueue) -> None:
    queue.add(A)
    working = await queue.get()
    queue.close()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.idle(), SOON)
    queue.done(working)
    await asyncio.wait_for(queue.idle(), SOON)


async def test_metrics_have_the_names_of_controller_runtime(queue: WorkQueue, metrics: Metrics) -> None:
    queue.add(A)
    await taken(queue, 1)
    queue.retry(A)
    queue.forget(A)
    value = metrics.registry.get_sample_value
    labels = {"name": "mt"}
    assert value("workqueue_adds_total", labels) == 1
    assert value("workqueue_retries_total", labels) == 1
    assert value("workqueue_depth", labels) == 0
    assert value("workqueue_queue_duration_seconds_count", labels) == 1
    assert value("workqueue_work_duration_seconds_count", labels) == 1
