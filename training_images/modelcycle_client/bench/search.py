"""The greatest rate that a server carries, by halving."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from modelcycle_client.bench.runs import Run

RESOLUTION = 0.04
"""Of the rate that a closed loop reached."""
TRIES = 3
"""Of a rate, until the generator keeps up with it: other programs may have had its CPU."""


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


def find(run: Callable[[float | None], Run], carried: Callable[[Run], bool]) -> tuple[list[Run], float | None]:
    """All runs, and the greatest rate that was carried; None where the generator never kept up with one."""
    runs = [run(None)]
    state = begin(runs[0].rate)
    while (rate := state.next_rate()) is not None:
        for _ in range(TRIES):
            runs.append(run(rate))
            if runs[-1].kept_up:
                break
        else:
            return runs, None
        state = state.told(rate, carried=carried(runs[-1]))
    return runs, state.carried


def begin(closed_rate: float) -> Search:
    """From the rate of a closed loop, which no open loop goes far beyond."""
    return Search(RESOLUTION * closed_rate, 0.0, 1.2 * closed_rate)
