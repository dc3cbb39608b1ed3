from __future__ import annotations

import time
from typing import Any

import pytest

from modelcycle_runtime.serve.errors import BadRequest
from modelcycle_runtime.serve.inference import event_times
from modelcycle_runtime.table import nanoseconds, timestamp

DAY = "2008-09-15T00:00:00Z"


def test_without_one_the_event_is_now() -> None:
    before = time.time_ns()
    assert all(before <= moment <= time.time_ns() for moment in event_times(None, 2))


@pytest.mark.parametrize("sent", [DAY, [DAY, DAY]], ids=["one for all rows", "one a row"])
def test_one_for_all_or_one_a_row(sent: Any) -> None:
    assert event_times(sent, 2) == [nanoseconds(DAY)] * 2


@pytest.mark.parametrize(
    "sent",
    ["2008-09-15 00:00:00Z", "2008-09-15T00:00:00.000+00:00", "2008-09-14T20:00:00-04:00"],
)
def test_other_ways_to_write_it(sent: str) -> None:
    assert event_times(sent, 1) == [nanoseconds(DAY)]


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        pytest.param([DAY], "a list of 2", id="too few"),
        pytest.param(1.5, "a list of 2", id="a number"),
        pytest.param("yesterday", "'yesterday' is no RFC 3339 time", id="no time"),
        pytest.param("2008-09-15", "no RFC 3339 time: date, time and offset", id="a date"),
        pytest.param("2008-09-15T00:00:00", "date, time and offset, for example", id="without an offset"),
        pytest.param("20080915T000000Z", "no RFC 3339 time", id="another form of ISO 8601"),
        pytest.param("2008-09-31T00:00:00Z", "no RFC 3339 time", id="a day that is none"),
        pytest.param([DAY, None], "'None' is no RFC 3339 time", id="a row without"),
        pytest.param("9999-01-01T00:00:00Z", "no RFC 3339 time", id="after all times"),
        pytest.param(timestamp(time.time_ns() + 90_000 * 10**9), "more than a day ahead", id="the day after tomorrow"),
    ],
)
def test_other_times_are_refused(sent: Any, said: str) -> None:
    with pytest.raises(BadRequest, match=f"parameters.event_time: .*{said}"):
        event_times(sent, 2)
