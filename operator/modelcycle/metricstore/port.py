"""What decisions may ask of a metric store: queries that are kept fresh.

Values are exactly what the store answered: no series is an empty tuple (not zero), and NaN or infinite samples are left
out. A partial answer (warnings) is an error, so that it is Unknown to whoever asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from modelcycle.core.plan import FactRequest


@dataclass(frozen=True, slots=True)
class Series:
    """``points``: (unix seconds, value), oldest first; one point for an instant query."""

    labels: tuple[tuple[str, str], ...]
    points: tuple[tuple[float, float], ...]

    def label(self, name: str) -> str | None:
        return next((value for key, value in self.labels if key == name), None)


@dataclass(frozen=True, slots=True)
class MetricQuery(FactRequest):
    """Keep a PromQL query fresh. Value: ``Reading``.

    ``start``: unix seconds from which on a range is read up to now, every ``step_seconds`` (widened so that no series
    has more than 11,000 points); None asks for the present value only.
    """

    endpoint: str
    query: str
    start: int | None = None
    step_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """``time``: evaluation time that was sent with the query, unix seconds; with it the answer can be had again.

    ``start`` and ``step``: those of a range, as they were sent (a step may be wider than what was asked for, and the
    start is a multiple of it).
    """

    time: float
    series: tuple[Series, ...]
    start: float | None = None
    step: float | None = None


def escape_label(value: str) -> str:
    """``value`` as the inside of a PromQL string literal."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def selector(metric: str, **labels: str) -> str:
    """``metric{name="value",...}`` with every value escaped; the only way by which names of users enter a query."""
    return f"{metric}{{{_matchers(labels)}}}"


def selector_of_any(metrics: Iterable[str], **labels: str) -> str:
    """``{__name__=~"a|b",name="value",...}``: several metrics in one query, so that they are of the same scrapes."""
    names = f'__name__=~"{"|".join(sorted(metrics))}"'
    return "{" + ",".join(filter(None, (names, _matchers(labels)))) + "}"


def _matchers(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{escape_label(value)}"' for name, value in sorted(labels.items()))
