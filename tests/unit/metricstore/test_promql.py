from __future__ import annotations

import pytest

from modelcycle.metricstore.curves import Window, curves_by, window
from modelcycle.metricstore.port import Reading, Series
from modelcycle.metricstore.promql import Ends, counted, duration, ends, lost

START, STEP = 900.0, 15.0
WITHIN = Ends(start=960.0, end=1020.0, step=STEP)


def series(*points: tuple[float, float], pod: str = "a") -> Series:
    return Series((("pod", pod),), points)


def steady(first: float, last: float, pod: str = "a") -> Series:
    """One more at each point of the grid."""
    count = int((last - first) / STEP) + 1
    return series(*((first + i * STEP, float(i)) for i in range(count)), pod=pod)


@pytest.mark.parametrize(
    ("start", "now", "expected"),
    [
        pytest.param(960, 1020, (960, 1020), id="on the grid"),
        pytest.param(974.9, 1034.9, (960, 1020), id="between points: what the last one said"),
        pytest.param(100, 1020, (900, 1020), id="before the grid"),
    ],
)
def test_the_ends_of_a_window_lie_on_the_grid(start: float, now: float, expected: tuple[float, float]) -> None:
    found = ends(Window(1, (), start, now), Reading(now, (), START, STEP))
    assert (found.start, found.end) == expected


def test_an_instant_has_no_window() -> None:
    with pytest.raises(ValueError, match="range query"):
        ends(Window(1, (), 0, 1), Reading(1, ()))


@pytest.mark.parametrize(
    ("pods", "text"),
    [
        pytest.param([], None, id="nothing was counted"),
        pytest.param([steady(1035, 1050)], None, id="nothing was counted yet"),
        pytest.param(
            [steady(900, 1050)],
            "sum(last_over_time(x[7500ms:15s] @ 1020)) - sum(last_over_time(x[7500ms:15s] @ 960))",
            id="a pod that is there all the time",
        ),
        pytest.param([steady(975, 1050)], "sum(last_over_time(x[7500ms:15s] @ 1020))", id="none was there before"),
        pytest.param(
            [steady(900, 990), steady(975, 1050)],
            "sum(last_over_time(x[37500ms:15s] @ 1020)) - sum(last_over_time(x[7500ms:15s] @ 960))",
            id="one that is gone is looked for where it was",
        ),
        pytest.param(
            [steady(900, 915), steady(900, 1050)],
            "sum(last_over_time(x[112500ms:15s] @ 1020)) - sum(last_over_time(x[52500ms:15s] @ 960))",
            id="gone before the window: the same in both sums",
        ),
    ],
)
def test_what_was_counted_in_a_window(pods: list[Series], text: str | None) -> None:
    assert counted("x", pods, WITHIN) == text


def test_counts_may_be_summed_by_a_label() -> None:
    assert counted("x", [steady(975, 1050)], WITHIN, by="bin") == "sum by (bin) (last_over_time(x[7500ms:15s] @ 1020))"


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        pytest.param([steady(900, 1050)], 0, id="nothing began anew"),
        pytest.param([series((945, 7), (960, 1))], 0, id="before the window"),
        pytest.param([series((960, 7), (975, 1))], 7, id="at its first point"),
        pytest.param([series((1005, 7.5), (1020, 1))], 7.5, id="at its last point"),
        pytest.param([series((1020, 7), (1035, 1))], 0, id="after it"),
        pytest.param([series((930, 7), (1005, 1))], 7, id="after a time without samples"),
        pytest.param([series((975, 7), (990, 1), (1005, 4), (1020, 2)), series((975, 5), (990, 0))], 16, id="often"),
    ],
)
def test_what_restarted_processes_had_counted_is_lost_to_the_sum(pods: list[Series], expected: float) -> None:
    assert lost(pods, WITHIN) == expected


def test_last_values_and_what_is_lost_make_the_curve() -> None:
    """The formula of the head of the module, by hand, against the curve that a decision rests on."""
    pods = (
        steady(900, 1020),
        series((900, 5.0), (975, 9.0), (990, 2.0), pod="b"),
        series((990, 3.0), (1020, 4.0), pod="c"),
    )
    reading = Reading(1020, pods, START, STEP)
    cut = window(curves_by(reading)[()], since=960, now=1020)
    assert cut.rows == (8 + 2 + 4) - (4 + 5) + lost(pods, ends(cut, reading))


@pytest.mark.parametrize(("seconds", "text"), [(15, "15s"), (7.5, "7500ms"), (86400.5, "86400500ms")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
