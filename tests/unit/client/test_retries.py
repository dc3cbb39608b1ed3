from __future__ import annotations

import pytest

from modelcycle_client import (
    BadRequest,
    BrokenOff,
    Busy,
    ClientError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    GarbledAnswer,
    InvalidInput,
    NotServed,
    Retries,
    ServerFault,
)
from modelcycle_client.retries import Course, pause

FIVE = Retries(attempts=5, pause=0.1, longest_pause=0.3)


@pytest.mark.parametrize(
    ("error", "attempt", "left", "chance", "expected"),
    [
        pytest.param(ConnectFailed("x"), 1, 9.0, 1.0, 0.1, id="nobody there"),
        pytest.param(ConnectFailed("x"), 1, 9.0, 0.0, 0.05, id="half of it at least"),
        pytest.param(ConnectFailed("x"), 2, 9.0, 1.0, 0.2, id="twice as long"),
        pytest.param(ConnectFailed("x"), 4, 9.0, 1.0, 0.3, id="no longer than that"),
        pytest.param(ConnectFailed("x"), 5, 9.0, 1.0, None, id="often enough"),
        pytest.param(ConnectFailed("x"), 1, 0.1, 1.0, None, id="no time left"),
        pytest.param(ConnectFailed("x"), 1, None, 1.0, 0.1, id="all the time"),
        pytest.param(ConnectionLost("x"), 1, 9.0, 1.0, 0.0, id="a kept connection ended"),
        pytest.param(ConnectionLost("x"), 2, 9.0, 1.0, 0.2, id="a new one, too"),
        pytest.param(Busy(503, "x", 1.0), 1, 9.0, 0.0, 1.0, id="as long as asked"),
        pytest.param(Busy(503, "x", 1.0), 1, 9.0, 1.0, 1.5, id="not all at once"),
        pytest.param(Busy(503, "x", 1.0), 1, 0.9, 0.0, None, id="asked for more than is left"),
        pytest.param(Busy(503, "x", None), 1, 9.0, 0.0, None, id="nobody said when"),
        pytest.param(BrokenOff("x"), 1, 9.0, 0.0, None, id="within the answer"),
        pytest.param(DeadlineExceeded("x"), 1, 9.0, 0.0, None, id="too late"),
        pytest.param(GarbledAnswer("x"), 1, 9.0, 0.0, None, id="no answer"),
        pytest.param(InvalidInput("x"), 1, 9.0, 0.0, None, id="never sent"),
        pytest.param(BadRequest(400, "x"), 1, 9.0, 0.0, None, id="wrong"),
        pytest.param(NotServed(404, "x"), 1, 9.0, 0.0, None, id="not here"),
        pytest.param(ServerFault(500, "x"), 1, 9.0, 0.0, None, id="the model failed"),
    ],
)
def test_when_it_is_sent_again(
    error: ClientError, attempt: int, left: float | None, chance: float, expected: float | None
) -> None:
    assert pause(error, attempt, FIVE, left, chance) == pytest.approx(expected)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_course_ends_with_its_timeout() -> None:
    clock = Clock()
    course = Course(FIVE, 1.0, clock, lambda: 1.0)
    assert course.begin() == 1.0
    clock.now += 0.4
    assert course.after(ConnectFailed("x")) == pytest.approx(0.1)
    clock.now += 0.1
    assert course.begin() == pytest.approx(0.5)
    clock.now += 0.45
    with pytest.raises(ConnectFailed):
        course.after(ConnectFailed("x"))
    clock.now += 0.1
    with pytest.raises(DeadlineExceeded, match="within 1 s"):
        course.begin()


@pytest.mark.parametrize(
    ("error", "twice"), [(ConnectionLost("x"), True), (ConnectFailed("x"), False), (Busy(503, "x", 0.0), False)]
)
def test_what_may_have_been_carried_out_twice(error: ClientError, *, twice: bool) -> None:
    course = Course(FIVE, None)
    course.begin()
    course.after(error)
    course.begin()
    assert course.may_be_twice is twice
