from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelcycle.metricstore.curves import Curve, add, curves_by, increase, merge, window
from modelcycle.metricstore.port import Reading, Series

START, STEP = 1000.0, 10.0


def points(first: float, *values: float) -> tuple[tuple[float, float], ...]:
    """Samples on the grid: the first at ``START + first * STEP``."""
    return tuple((START + (first + i) * STEP, value) for i, value in enumerate(values))


@pytest.mark.parametrize(
    ("samples", "grown"),
    [
        pytest.param((), 0, id="no samples are no increase"),
        pytest.param(points(0, 7), 0, id="one sample at the start is the base"),
        pytest.param(points(0, 7, 7, 9), 2, id="older than the range: the first value is the base"),
        pytest.param(points(2, 7, 9), 2, id="two steps late may be a slow first scrape: still the base"),
        pytest.param(points(3, 7, 9), 9, id="three steps late was born inside: its first value counts"),
        pytest.param(points(3, 0, 9), 9, id="born at zero"),
        pytest.param(points(0, 5, 8, 2, 4), 7, id="a restart counts from zero"),
        pytest.param(points(0, 5, 0, 0, 0), 0, id="a restart to zero adds nothing"),
        pytest.param(points(0, 5, 5, 5), 0, id="nothing happened"),
        pytest.param((*points(0, 5), *points(40, 9)), 4, id="a long gap in a series is no birth"),
        pytest.param(points(0, 9, 1, 9, 1), 10, id="several restarts"),
    ],
)
def test_increase(samples: tuple[tuple[float, float], ...], grown: float) -> None:
    assert increase(samples, start=START, step=STEP) == grown


def series(*samples: tuple[float, float], **labels: str) -> Series:
    return Series(tuple(sorted(labels.items())), samples)


def test_pods_that_come_and_go_are_one_curve() -> None:
    old = series(*points(0, 100, 103, 104), pod="old")
    new = series(*points(4, 2, 5), pod="new")
    curve = merge([old, new], start=START, step=STEP)
    assert curve == Curve((1010.0, 1020.0, 1040.0, 1050.0), (3.0, 4.0, 6.0, 9.0))


@pytest.mark.parametrize(
    ("time", "value"),
    [
        pytest.param(0, 0, id="before all"),
        pytest.param(1010, 3, id="at a step"),
        pytest.param(1019, 3, id="between two"),
        pytest.param(5000, 9, id="after all"),
    ],
)
def test_a_curve_is_a_step_function(time: float, value: float) -> None:
    assert Curve((1010, 1020), (3, 9)).at(time) == value


def test_curves_by_labels_sum_over_the_others() -> None:
    reading = Reading(
        time=1050,
        start=START,
        step=STEP,
        series=(
            series(*points(0, 0, 4), __name__="rows", pod="a"),
            series(*points(0, 1, 4), __name__="rows", pod="b"),
            series(*points(0, 0.0, 2.5), __name__="loss", pod="a"),
            series(*points(0, 0, 1), pod="c"),
        ),
    )
    curves = curves_by(reading, "__name__")
    assert {key: curve.at(1050) for key, curve in curves.items()} == {("rows",): 7, ("loss",): 2.5, ("",): 1}


def test_an_instant_reading_has_no_curve() -> None:
    with pytest.raises(ValueError, match="range query"):
        curves_by(Reading(time=1, series=()), "pod")


ROWS = Curve((1010, 1020, 1030, 1040), (3, 4, 8, 10))
LOSS = Curve((1010, 1030, 1040), (1.5, 3.5, 3.75))


@pytest.mark.parametrize(
    ("extent", "since", "now", "rows", "loss", "start"),
    [
        pytest.param({"last_rows": 2}, 1000, 1050, 2, 0.25, 1030, id="the last sample has exactly enough"),
        pytest.param({"last_rows": 3}, 1000, 1050, 6, 2.25, 1020, id="rows that came together stay together"),
        pytest.param({"last_rows": 6}, 1000, 1050, 6, 2.25, 1020, id="exactly at a step"),
        pytest.param({"last_rows": 10}, 1000, 1050, 10, 3.75, 1000, id="all there are"),
        pytest.param({"last_rows": 99}, 1000, 1050, 10, 3.75, 1000, id="fewer than asked for: the whole"),
        pytest.param({"last_rows": 6}, 1035, 1050, 2, 0.25, 1035, id="nothing before since"),
        pytest.param({"last_rows": 3}, 1000, 1030, 4, 2.0, 1020, id="seen from an earlier time"),
        pytest.param({"last_seconds": 15}, 1000, 1050, 2, 0.25, 1035, id="by time"),
        pytest.param({"last_seconds": 10}, 1000, 1050, 0, 0.0, 1040, id="what came at its very start is outside"),
        pytest.param({"last_seconds": 9999}, 1000, 1050, 10, 3.75, 1000, id="longer than there is"),
        pytest.param({}, 1015, 1050, 7, 2.25, 1015, id="all since"),
        pytest.param({"last_rows": 1}, 1000, 1005, 0, 0.0, 1000, id="no rows yet"),
    ],
)
def test_window(extent: dict[str, int], since: float, now: float, rows: int, loss: float, start: float) -> None:
    cut = window(ROWS, LOSS, since=since, now=now, **extent)
    assert (cut.rows, cut.sums, cut.start, cut.end) == (rows, (loss,), start, now)


def test_adding_curves_sums_them() -> None:
    assert add([Curve((1, 3), (2, 5)), Curve((2, 3), (1, 2))]) == Curve((1, 2, 3), (2, 3, 7))
    assert add([]) == Curve()


# --- properties: pods that count, restart, come and go, against a plain simulation ------------------------------------
Truth = list[tuple[float, int]]  # (time, what was counted since the sample before)
Pod = tuple[tuple[tuple[float, float], ...], Truth]  # its samples, and the truth


@st.composite
def pods(draw: st.DrawFn) -> Pod:
    """A pod that starts at 0, perhaps late, and is restarted now and then right before a sample."""
    birth = draw(st.integers(0, 20))
    counter = 0
    samples, truth = [], []
    for i, more in enumerate(draw(st.lists(st.integers(0, 5), min_size=1, max_size=30))):
        restarted = i > 0 and draw(st.integers(0, 4)) == 0
        seen = 0 if restarted or (i == 0 and birth <= 2) else more
        counter = 0 if restarted else counter + seen
        time = START + (birth + i) * STEP
        samples.append((time, float(counter)))
        truth.append((time, seen))
    return tuple(samples), truth


@given(st.lists(pods(), max_size=5))
def test_nothing_is_lost_and_nothing_counted_twice(
    all_pods: list[Pod],
) -> None:
    curve = merge((Series((), samples) for samples, _ in all_pods), start=START, step=STEP)
    truth = [one for _, counted in all_pods for one in counted]
    assert curve.at(float("inf")) == sum(more for _, more in truth)
    for time in {time for time, _ in truth}:
        assert curve.at(time) == sum(more for at, more in truth if at <= time)
    assert all(before < after for before, after in pairwise(curve.values))
    assert all(before < after for before, after in pairwise(curve.times))


@given(st.lists(pods(), max_size=5))
def test_merging_is_adding(all_pods: list[Pod]) -> None:
    one_by_one = [merge([Series((), samples)], start=START, step=STEP) for samples, _ in all_pods]
    assert add(one_by_one) == merge((Series((), samples) for samples, _ in all_pods), start=START, step=STEP)


@given(st.lists(pods(), min_size=1, max_size=5), st.integers(1, 100), st.integers(0, 60))
def test_a_window_is_the_shortest_tail_with_enough_rows(all_pods: list[Pod], wanted: int, until: int) -> None:
    now = START + until * STEP
    rows = merge((Series((), samples) for samples, _ in all_pods), start=START, step=STEP)
    cut = window(rows, rows, since=START - 1, now=now, last_rows=wanted)
    assert cut.sums[0] == cut.rows
    assert cut.rows >= min(wanted, rows.at(now))
    later = [time for time in rows.times if cut.start < time <= now]
    if cut.rows > wanted:
        assert rows.between(min(later), now) < wanted


@given(st.lists(pods(), max_size=3), st.floats(900, 1500), st.floats(900, 1500))
def test_two_neighbouring_windows_are_the_whole(all_pods: list[Pod], one: float, other: float) -> None:
    first, cut = sorted((one, other))
    rows = merge((Series((), samples) for samples, _ in all_pods), start=START, step=STEP)
    before, after = window(rows, since=first, now=cut), window(rows, since=cut, now=2000)
    assert before.rows + after.rows == window(rows, since=first, now=2000).rows
