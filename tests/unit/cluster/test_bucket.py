from __future__ import annotations

from time import monotonic

import pytest

from modelcycle.cluster.bucket import TokenBucket


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def test_a_burst_goes_through_and_the_rest_waits_in_order(time: Time) -> None:
    bucket = TokenBucket(10.0, 3, time)
    assert [bucket.reserve() for _ in range(6)] == pytest.approx([0, 0, 0, 0.1, 0.2, 0.3])


def test_it_fills_again_but_not_beyond_the_burst(time: Time) -> None:
    bucket = TokenBucket(10.0, 3, time)
    for _ in range(3):
        bucket.reserve()
    time.now = 100.0
    assert [bucket.reserve() for _ in range(4)] == pytest.approx([0, 0, 0, 0.1])


def test_in_the_long_run_it_keeps_to_its_rate(time: Time) -> None:
    bucket = TokenBucket(50.0, 100, time)
    assert [bucket.reserve() for _ in range(1000)][-1] == pytest.approx(900 / 50)


def test_a_pause_holds_up_everybody(time: Time) -> None:
    bucket = TokenBucket(10.0, 3, time)
    bucket.pause(5.0)
    assert bucket.reserve() == pytest.approx(5.0)
    time.now = 5.0
    assert bucket.reserve() == pytest.approx(0.1)


def test_a_shorter_pause_does_not_end_a_longer_one(time: Time) -> None:
    bucket = TokenBucket(10.0, 3, time)
    bucket.pause(5.0)
    bucket.pause(1.0)
    assert bucket.reserve() == pytest.approx(5.0)


async def test_take_waits_for_its_token() -> None:
    bucket = TokenBucket(50.0, 1)
    started = monotonic()
    for _ in range(3):
        await bucket.take()
    assert monotonic() - started >= 0.039
