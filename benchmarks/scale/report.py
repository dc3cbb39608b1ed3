"""What was measured, as a table, as JSON and as a plot."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.goals import table
from benchmarks.scale.figures import GOALS

mpl.use("Agg")


@dataclass(frozen=True)
class Grown:
    """One point of how cost grows with the number of resources."""

    count: int
    seconds: float
    cpu: float
    memory: float


@dataclass
class Report:
    """``figures`` by the names of ``figures.GOALS``; ``seen``: everything else that was measured."""

    figures: dict[str, float] = field(default_factory=dict)
    seen: dict[str, object] = field(default_factory=dict)
    trainings: list[Grown] = field(default_factory=list)
    services: list[Grown] = field(default_factory=list)

    def write(self, folder: Path) -> Sequence[str]:
        """Into scale.json, scale.md and scale.png; gives the table's lines."""
        folder.mkdir(parents=True, exist_ok=True)
        lines = list(table(GOALS, self.figures))
        machine = {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[2]}
        growth = {name: [asdict(one) for one in points] for name, points in self._growth().items()}
        content = {"figures": self.figures, "growth": growth, "seen": self.seen, "machine": machine}
        (folder / "scale.json").write_text(json.dumps(content, indent=1) + "\n")
        (folder / "scale.md").write_text("\n".join(lines) + "\n")
        if any(len(points) > 1 for points in self._growth().values()):
            plot(self._growth()).savefig(folder / "scale.png", dpi=120)
        return lines

    def _growth(self) -> Mapping[str, list[Grown]]:
        return {"trainings": self.trainings, "as many deployments and policies, a look at all": self.services}


def plot(growth: Mapping[str, Sequence[Grown]]) -> Figure:
    """How each cost grows; in proportion to the number it is a straight line through the origin."""
    figure = Figure(figsize=(12, 4), layout="constrained")
    panels: list[Axes] = list(figure.subplots(1, 3))
    titles = (
        "seconds (trainings: until all succeeded)",
        "CPU of the operator, s",
        "memory, MiB",
    )
    for panel, title in zip(panels, titles, strict=True):
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("resources")
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.grid(visible=True, which="both", alpha=0.3)
    for name, points in growth.items():
        counts = [one.count for one in points]
        for panel, values in zip(
            panels,
            ([one.seconds for one in points], [one.cpu for one in points], [one.memory for one in points]),
            strict=True,
        ):
            panel.plot(counts, values, marker="o", label=name)
    panels[0].legend(fontsize=9)
    return figure
