"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Rounds, and seconds of each measurement, the warm-up not counted."""

    rounds: int = 4
    seconds: float = 2.5
    half_rounds: int = 2
    half_seconds: float = 4.0
    curve_seconds: float = 1.5
    tail_seconds: float = 60.0
    tail_piece: float = 15.0
    cost_rounds: int = 30
    cost_seconds: float = 0.8
    model_rounds: int = 3
    model_seconds: float = 4.0
    starts: int = 9


DEFAULT = Sizes()
LONG = Sizes(tail_seconds=600.0, tail_piece=60.0)
QUICK = Sizes(
    rounds=1,
    seconds=1.0,
    half_rounds=1,
    half_seconds=2.0,
    curve_seconds=1.0,
    tail_seconds=4.0,
    tail_piece=2.0,
    cost_rounds=4,
    model_rounds=1,
    model_seconds=2.0,
    starts=3,
)
