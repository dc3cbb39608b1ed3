"""The greatest rate that a server carries, by halving."""

from __future__ import annotations

from dataclasses import dataclass, replace

RESOLUTION = 0.04
"""Of the rate that a closed loop reached."""


@dataclass(frozen=True, slots=True)
class Search:
    """What is known: ``carried`` was, ``refused`` was not."""

    step: float
    carried: float
    refused: float

    def next_rate(self) -> float | None:
        """The next rate to try; None when the answer is known well enough."""
        return (self.carried + self.refused) / 2 if self.refused - self.carried > self.step else None

    def told(self, rate: float, *, carried: bool) -> Search:
        return replace(self, carried=rate) if carried else replace(self, refused=rate)


def begin(closed_rate: float) -> Search:
    """From the rate of a closed loop, which no open loop goes far beyond."""
    return Search(RESOLUTION * closed_rate, 0.0, 1.2 * closed_rate)
