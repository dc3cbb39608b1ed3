"""Figures with what they have to reach, as a table. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """``least``: the figure has to be at least, otherwise at most, ``bound``; None bounds nothing."""

    name: str
    text: str
    bound: float | None
    least: bool = False

    def reached(self, value: float) -> bool | None:
        if self.bound is None:
            return None
        return value >= self.bound if self.least else value <= self.bound

    def told(self) -> str:
        return "" if self.bound is None else f"{'≥' if self.least else '≤'} {self.bound:g}"


_VERDICTS = {True: "yes", False: "**no**", None: ""}


def table(goals: Sequence[Goal], values: Mapping[str, float]) -> Iterable[str]:
    """Lines of Markdown; a figure that was not measured is left out."""
    yield "| figure | must reach | reached | |"
    yield "|---|---|---|---|"
    for goal in goals:
        if goal.name in values:
            value = values[goal.name]
            yield f"| {goal.text} | {goal.told()} | {value:.3g} | {_VERDICTS[goal.reached(value)]} |"
