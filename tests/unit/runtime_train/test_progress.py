from __future__ import annotations

from collections.abc import Mapping
from itertools import count

import pytest

from modelcycle_runtime.errors import NonFiniteLoss
from modelcycle_runtime.train.progress import Progress, line


class Sent:
    """Remembers what went to MLflow."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def __call__(self, metrics: Mapping[str, float], step: int) -> None:
        assert metrics
        self.steps.append(step)


def run(seconds_a_step: int, steps: int) -> Sent:
    sent = Sent()
    ticks = count(0, seconds_a_step)
    progress = Progress(sent, clock=lambda: float(next(ticks)))
    for step in range(1, steps + 1):
        progress.report(step, steps, {"loss": 1.0})
    return sent


def test_lines_come_every_few_seconds_metrics_more_sparsely_and_the_last_step_always(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sent = run(seconds_a_step=1, steps=33)
    shown = [int(text.split("]")[1].split("/")[0]) for text in capsys.readouterr().out.splitlines()]
    assert shown == [1, 6, 11, 16, 21, 26, 31, 33]
    assert sent.steps == [1, 11, 21, 31, 33]


def test_a_quick_training_says_two_lines(capsys: pytest.CaptureFixture[str]) -> None:
    sent = run(seconds_a_step=0, steps=1000)
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert sent.steps == [1, 1000]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_not_finite_ends_the_training_also_between_two_lines(value: float) -> None:
    progress = Progress(Sent(), clock=lambda: 0.0)
    progress.report(1, 10, {"loss": 1.0})
    with pytest.raises(NonFiniteLoss, match=r"loss is .* at step 2 of 10"):
        progress.report(2, 10, {"loss": value})


@pytest.mark.parametrize(
    ("step", "total", "metrics", "expected"),
    [
        pytest.param(40, 200, {"loss": 0.97312345}, "[  12.3s] 40/200 (20%) loss=0.973123", id="with a loss"),
        pytest.param(1, 3, {}, "[  12.3s] 1/3 (33%)", id="without metrics"),
        pytest.param(0, 0, {}, "[  12.3s] 0/0 (0%)", id="nothing to do"),
    ],
)
def test_a_line_says_how_far_and_how_good(step: int, total: int, metrics: dict[str, float], expected: str) -> None:
    assert line(12.345, step, total, metrics) == expected
