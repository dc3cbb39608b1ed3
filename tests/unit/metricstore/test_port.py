from __future__ import annotations

import pytest

from modelcycle.metricstore.port import selector, selector_of_any
from modelcycle.metricstore.prometheus import grid_step


@pytest.mark.parametrize(
    ("query", "text"),
    [
        pytest.param(selector("up"), "up{}", id="no labels"),
        pytest.param(selector("up", b="2", a="1"), 'up{a="1",b="2"}', id="labels in order"),
        pytest.param(
            selector("up", a='"} or vector(1) #\\\n'), 'up{a="\\"} or vector(1) #\\\\\\n"}', id="hostile value"
        ),
        pytest.param(selector_of_any(["b", "a"]), '{__name__=~"a|b"}', id="several metrics"),
        pytest.param(selector_of_any(["a"], pod='"'), '{__name__=~"a",pod="\\""}', id="several metrics with labels"),
    ],
)
def test_selectors(query: str, text: str) -> None:
    assert query == text


@pytest.mark.parametrize(
    ("length", "step", "expected"),
    [
        pytest.param(0, 5, 5, id="an instant"),
        pytest.param(55_000, 5, 5, id="exactly 11,000 steps"),
        pytest.param(55_001, 5, 10, id="one second more doubles it"),
        pytest.param(30 * 86_400, 5, 240, id="thirty days every five seconds"),
        pytest.param(365 * 86_400, 3600, 3600, id="a year by the hour"),
        pytest.param(-7, 5, 5, id="a range that has not begun"),
    ],
)
def test_a_range_keeps_below_the_bound_of_points(length: int, step: int, expected: int) -> None:
    assert grid_step(length, step) == expected
    assert length / expected <= 11_000
    assert expected % step == 0
