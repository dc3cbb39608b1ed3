"""How the figures of the benchmark of serving come of what was measured."""

from __future__ import annotations

import pytest

from benchmarks.goals import Goal, table
from benchmarks.serving.figures import GOALS, cost, ratio, stated


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([8.0], [2.0], 4.0),
        ([10.0, 1.0, 30.0], [5.0, 0.5, 10.0], 2.0),  # a round in which all were ten times slower changes nothing
        ([10.0, 40.0], [5.0, 10.0], 3.0),
    ],
)
def test_the_ratio_is_that_of_the_middle_round(ours: list[float], theirs: list[float], expected: float) -> None:
    assert ratio(ours, theirs) == expected


def test_rounds_that_do_not_belong_together_have_no_ratio() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        ratio([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("plain", "watched", "expected"),
    [([100.0, 50.0], [98.0, 49.0], 2.0), ([100.0], [100.0], 0.0), ([100.0], [101.0], -1.0)],
)
def test_the_cost_is_what_is_lost_in_percent(plain: list[float], watched: list[float], expected: float) -> None:
    assert cost(plain, watched) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("goal", "value", "reached"),
    [
        (Goal("a", "", 8, least=True), 8.0, True),
        (Goal("a", "", 8, least=True), 7.9, False),
        (Goal("a", "", 2), 2.0, True),
        (Goal("a", "", 2), 2.1, False),
        (Goal("a", "", None), 2.1, None),
    ],
)
def test_a_goal_is_reached_at_its_bound(goal: Goal, value: float, reached: bool | None) -> None:
    assert goal.reached(value) is reached


def test_only_what_was_measured_is_stated() -> None:
    assert stated({"tail": 2.5, "json_kserve": 9.0}) == {
        "json_kserve": {
            "what": "the same over KServe's Python server's",
            "value": 9.0,
            "must": None,
            "reached": None,
        },
        "tail": {
            "what": "p99.9 over p50 at 70 % of capacity, over the echo's",
            "value": 2.5,
            "must": "≤ 2",
            "reached": False,
        },
    }
    lines = list(table(GOALS, {"tail": 2.5}))
    assert lines[2:] == ["| p99.9 over p50 at 70 % of capacity, over the echo's | ≤ 2 | 2.5 | **no** |"]


def test_figures_have_names_of_their_own() -> None:
    names = [goal.name for goal in GOALS]
    assert len(set(names)) == len(names)
