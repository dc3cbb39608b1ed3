"""What was measured, as a table, as JSON and as plots."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
import onnxruntime
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from benchmarks.goals import table
from benchmarks.serving.figures import GOALS, stated

mpl.use("Agg")


@dataclass(frozen=True)
class Point:
    """One rate of a server, requests/s, and its latencies in microseconds."""

    rate: float
    p50: float
    p99: float


@dataclass(frozen=True)
class Rate:
    """How fast a server was, round by round.

    ``p50``, ``p99``: microseconds; None where the generator was the limit. ``generator``, ``server``: the shares that
    they used of their CPUs.
    """

    rates: tuple[float, ...]
    p50: float | None
    p99: float | None
    failed: int
    generator: float
    server: float


@dataclass
class Report:
    """``figures`` by the names of ``figures.GOALS``; ``seen``: everything else that was measured."""

    figures: dict[str, float] = field(default_factory=dict)
    seen: dict[str, object] = field(default_factory=dict)
    rates: dict[str, Rate] = field(default_factory=dict)
    curves: dict[str, list[Point]] = field(default_factory=dict)

    def write(self, folder: Path) -> Sequence[str]:
        """Into serving.json, serving.md and serving.png; gives the tables' lines."""
        folder.mkdir(parents=True, exist_ok=True)
        lines = [*table(GOALS, self.figures), *([""] if self.rates else []), *rates_table(self.rates)]
        content = {
            "figures": stated(self.figures),
            "rates": {name: asdict(rate) for name, rate in self.rates.items()},
            "curves": {name: [asdict(point) for point in points] for name, points in self.curves.items()},
            "seen": self.seen,
            "machine": _machine(),
        }
        (folder / "serving.json").write_text(json.dumps(content, indent=1) + "\n")
        (folder / "serving.md").write_text("\n".join(lines) + "\n")
        if self.curves:
            plot(self.curves).savefig(folder / "serving.png", dpi=130)
        return lines


def rates_table(rates: Mapping[str, Rate]) -> Sequence[str]:
    """Lines of Markdown, the median of the rounds of each server."""
    if not rates:
        return []
    lines = [
        "| server | requests/s | p50 ms | p99 ms | failed | its CPU | the generator's CPU |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in rates.items():
        middle = sorted(one.rates)[len(one.rates) // 2]
        lines.append(
            f"| {name} | {middle:,.0f} | {_milliseconds(one.p50)} | {_milliseconds(one.p99)} | {one.failed} "
            f"| {one.server:.0%} | {one.generator:.0%} |"
        )
    return lines


def _milliseconds(micros: float | None) -> str:
    return "" if micros is None else f"{micros / 1000:.2f}"


def _machine() -> dict[str, object]:
    return {
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "load": os.getloadavg()[2],
    }


_STYLES: Mapping[str, dict[str, Any]] = {
    "echo": {"linestyle": "--", "color": "grey"},
    "modelcycle": {"linewidth": 2.5, "color": "black"},
}


def plot(curves: Mapping[str, Sequence[Point]]) -> Figure:
    """Latency over throughput, one line for each server; p50 and p99 side by side."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for panel, name in ((left, "p50"), (right, "p99")):
        _axes(panel, name)
        for server, points in curves.items():
            style = _STYLES.get(server, {})
            values = [getattr(point, name) / 1000 for point in points]
            panel.plot([point.rate for point in points], values, marker="o", markersize=4, label=server, **style)
    left.set_ylabel("latency from the planned send, ms")
    left.legend(fontsize=9)
    figure.suptitle("32-64-64-1, JSON, one row a request, one CPU for the server, open loop", fontsize=11)
    return figure


def _axes(panel: Axes, name: str) -> None:
    panel.set_title(name, fontsize=10)
    panel.set_xlabel("requests answered a second")
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.grid(visible=True, which="both", alpha=0.25)
