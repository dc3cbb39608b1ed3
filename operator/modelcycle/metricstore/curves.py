"""From counters of several pods to exact increases: pure functions over the samples of a range query.

Prometheus' own ``increase()`` extrapolates, so that three labelled rows become 3.27, and it can't answer "the last 500
rows". Here a counter's samples become a ``Curve``, the cumulative increase over time, and a ``Window`` is cut from the
end of it, by rows or by time.

How a series is read (``start`` and ``step`` are those of the range query, both in seconds)::

    first sample within two steps of start   it lived before: its first value is the base, not an increase
    first sample later than that             it was born inside the range: it counts from 0, first value included
    a value lower than the one before        the process was started again at 0: the new value is the increase
    no samples any more                      the pod is gone: what it had counted stays

What follows from it, for whoever asks:

- A series that is born within two steps after ``start`` loses what it had counted at its first sample. Let the range
  start at least three steps before the first row that matters, and say what matters by ``since``.
- The first samples of a store that was down for more than two steps after ``start`` count as births.
- What a pod counts after its last sample on the grid is never seen; a restart that is back above its old value between
  two samples is seen as a plain increase. Both shrink with ``step``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from modelcycle.metricstore.port import Reading, Series

BIRTH_STEPS = 2

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Curve:
    """A cumulative increase: ``values[i]`` from ``times[i]`` (unix seconds) on, 0 before; only times of growth."""

    times: tuple[float, ...] = ()
    values: tuple[float, ...] = ()

    def at(self, time: float) -> float:
        """The increase up to and including ``time``."""
        index = bisect_right(self.times, time)
        return self.values[index - 1] if index else 0.0

    def between(self, after: float, until: float) -> float:
        """The increase in ``(after, until]``."""
        return self.at(until) - self.at(after)


@dataclass(frozen=True, slots=True)
class Window:
    """What was counted in ``(start, end]``: ``rows``, and the sums of the other curves in the order as given.

    ``rows`` may be less than was asked for, when there are no more.
    """

    rows: int
    sums: tuple[float, ...]
    start: float
    end: float


def increase(points: Points, *, start: float, step: float) -> float:
    """By how much the counter grew over the samples; see the head of the module for births and restarts."""
    return sum(growth for _, growth in _growths(points, start, step))


def merge(series: Iterable[Series], *, start: float, step: float) -> Curve:
    """The cumulative increase of all series together, over the union of their sample times."""
    return _cumulated(growth for one in series for growth in _growths(one.points, start, step))


def add(curves: Iterable[Curve]) -> Curve:
    """The sum of curves, for example of a feature's bins, which is the number of its rows."""
    return _cumulated(growth for curve in curves for growth in _steps(curve))


def curves_by(reading: Reading, *labels: str) -> dict[tuple[str, ...], Curve]:
    """One curve for each combination of ``labels``, summed over all others (pods); an absent label is ``""``.

    ``curves_by(reading, "__name__")`` takes apart what one query asked for by ``selector_of_any``. Raises ValueError
    for the reading of an instant query, which has no history.
    """
    if reading.start is None or reading.step is None:
        raise ValueError("a curve needs the reading of a range query: give MetricQuery start and step_seconds")
    groups: dict[tuple[str, ...], list[Series]] = defaultdict(list)
    for series in reading.series:
        groups[tuple(series.label(name) or "" for name in labels)].append(series)
    return {key: merge(group, start=reading.start, step=reading.step) for key, group in groups.items()}


def window(
    rows: Curve,
    *sums: Curve,
    since: float,
    now: float,
    last_rows: int | None = None,
    last_seconds: float | None = None,
) -> Window:
    """The end of the curves that holds the last rows, or the last seconds; nothing before ``since`` counts.

    With ``last_rows`` it is the shortest that holds at least so many rows: a little more where several rows arrived
    between two samples. Without either it is all since ``since``. ``rows`` is the curve of the number of rows; the
    other curves are summed over the same time. Times are unix seconds.
    """
    start = since
    if last_rows is not None:
        start = max(start, _start_of_last(rows, last_rows, now))
    if last_seconds is not None:
        start = max(start, now - last_seconds)
    return Window(
        rows=round(rows.between(start, now)),
        sums=tuple(curve.between(start, now) for curve in sums),
        start=start,
        end=now,
    )


def sure_from(reading: Reading) -> float:
    """The first time from which on what a series counts at its first sample is known to be an increase."""
    return (reading.start or 0.0) + BIRTH_STEPS * (reading.step or 0.0)


def _start_of_last(rows: Curve, wanted: int, now: float) -> float:
    """The latest time after which at least ``wanted`` rows were counted; minus infinity where there never were."""
    index = bisect_right(rows.values, rows.at(now) - wanted)
    return rows.times[index - 1] if index else float("-inf")


def _growths(points: Points, start: float, step: float) -> Iterable[tuple[float, float]]:
    """(time, growth) of one counter, growths of zero left out."""
    if not points:
        return
    birth, first = points[0]
    if birth > start + BIRTH_STEPS * step and first:
        yield birth, first
    for (_, before), (time, value) in pairwise(points):
        growth = value - before if value >= before else value
        if growth:
            yield time, growth


def _steps(curve: Curve) -> Iterable[tuple[float, float]]:
    return zip(curve.times, (after - before for before, after in pairwise((0.0, *curve.values))), strict=True)


def _cumulated(growths: Iterable[tuple[float, float]]) -> Curve:
    by_time: dict[float, float] = defaultdict(float)
    for time, growth in growths:
        by_time[time] += growth
    times = sorted(by_time)
    return Curve(tuple(times), tuple(accumulate(by_time[time] for time in times)))
