"""Progress of a training: every step is checked, some are shown, fewer are sent to MLflow."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from modelcycle_runtime.errors import NonFiniteLoss

SECONDS_BETWEEN_LINES = 5.0
SECONDS_BETWEEN_METRICS = 10.0

SendMetrics = Callable[[Mapping[str, float], int], None]


class Progress:
    """Prints the first and the last step and one every few seconds; sends metrics to MLflow more sparsely still."""

    def __init__(self, send: SendMetrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._send = send
        self._clock = clock
        self._start = clock()
        self._shown = -math.inf
        self._sent = -math.inf

    def report(self, step: int, total: int, metrics: Mapping[str, float]) -> None:
        """Report that ``step`` of ``total`` is done.

        Raises:
            NonFiniteLoss: a metric is NaN or infinite: training on would be a waste, and its model of no use.
        """
        check_finite(metrics, f"at step {step} of {total}")
        now, last = self._clock(), step >= total
        if last or now - self._shown >= SECONDS_BETWEEN_LINES:
            self._shown = now
            print(line(now - self._start, step, total, metrics), flush=True)
        if metrics and (last or now - self._sent >= SECONDS_BETWEEN_METRICS):
            self._sent = now
            self._send(metrics, step)


def check_finite(metrics: Mapping[str, float], where: str) -> None:
    """Raise NonFiniteLoss if a metric is NaN or infinite."""
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise NonFiniteLoss(f"{name} is {value} {where}: look at the learning rate, and at the data for outliers")


def line(seconds: float, step: int, total: int, metrics: Mapping[str, float]) -> str:
    """One line of the log, for example ``[  12.3s] 40/200 (20%) loss=0.9731``."""
    numbers = "".join(f" {name}={value:.6g}" for name, value in metrics.items())
    return f"[{seconds:6.1f}s] {step}/{total} ({100 * step // max(total, 1)}%){numbers}"
