"""PromQL that gives the sums of a ``Window`` again, whenever it is asked: it names the window's ends by ``@``.

A window is cut from samples on a grid (``Reading.start`` and ``step``; a multiple of the step, as it is for
Prometheus' subqueries). What was counted in ``(start, end]`` is then, over all series of an expression::

    sum(last_over_time((...)[back:step] @ end)) - sum(last_over_time((...)[back:step] @ start)) + lost

    a pod that is gone at an end      ``back`` reaches to its last sample on the grid
    a pod that was born in between    is not in the second sum: it counts from 0
    a process that began anew at 0    what it had counted before is ``lost`` to the first sum, so it is added

The rules are those of ``modelcycle.metricstore.curves``; a window must not begin before ``sure_from``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import floor

from modelcycle.metricstore.curves import Window
from modelcycle.metricstore.port import Reading, Series


@dataclass(frozen=True, slots=True)
class Ends:
    """A window's ends on the grid, in unix seconds: what grew at ``start`` itself is outside, at ``end`` inside."""

    start: float
    end: float
    step: float


def ends(window: Window, reading: Reading) -> Ends:
    """Raises ValueError for the reading of an instant query."""
    if reading.start is None or reading.step is None:
        raise ValueError("a window is cut from the reading of a range query")
    first, step = reading.start, reading.step
    start, end = (first + floor((time - first) / step) * step for time in (window.start, window.end))
    return Ends(max(start, first), end, step)


def counted(expression: str, series: Sequence[Series], window: Ends, by: str = "") -> str | None:
    """What ``expression`` counted in the window, as in the head of the module without ``lost``.

    ``series`` are those that ``expression`` selects; ``by`` is a label by which to sum. None where there are none.
    """
    grouping = f" by ({by}) " if by else ""
    sums = [
        f"sum{grouping}(last_over_time({expression}[{duration(back)}:{duration(window.step)}] @ {time:.0f}))"
        for time in (window.end, window.start)
        if (back := _back(series, time, window.step)) is not None
    ]
    return " - ".join(sums) or None


def lost(series: Sequence[Series], window: Ends) -> float:
    """What processes had counted before they began anew within the window."""
    return sum(
        before
        for one in series
        for (_, before), (time, value) in pairwise(one.points)
        if value < before and window.start < time <= window.end
    )


def duration(seconds: float) -> str:
    """As PromQL writes it; exact to the millisecond."""
    return f"{seconds:.0f}s" if seconds == floor(seconds) else f"{seconds * 1000:.0f}ms"


def _back(series: Sequence[Series], time: float, step: float) -> float | None:
    """How far before ``time`` the last samples of all series lie; None where no series had begun.

    Half a step more, since versions of Prometheus differ in whether a range holds its first instant.
    """
    lasts = [last for one in series if (last := _last(one, time)) is not None]
    return time - min(lasts) + step / 2 if lasts else None


def _last(series: Series, time: float) -> float | None:
    index = bisect_right(series.points, time, key=lambda point: point[0])
    return series.points[index - 1][0] if index else None
