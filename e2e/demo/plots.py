"""The report's pictures, as SVG."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from e2e.demo.results import Floats, Results

COLORS = {"none": "#8a8f98", "static": "#c8402f", "loop": "#1769aa", "weekly": "#b9a24a"}
NAMES = {
    "none": "no hedge",
    "static": "model of 2006, never retrained",
    "loop": "modelcycle",
    "weekly": "ridge, refitted every week",
}
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa0a8",
    "axes.grid": True,
    "grid.color": "#eceef1",
    "xtick.color": "#555b63",
    "ytick.color": "#555b63",
    "svg.fonttype": "none",
    "svg.hashsalt": "modelcycle",
}


def draw_gain(results: Results) -> str:
    """What a hedge won or lost against none, added up: the picture that tells the story."""
    with _figure(4.3) as (axes, svg):
        days = _dates(results)
        for name in ("weekly", "static", "loop"):
            gain = np.cumsum(results.losses["none"] - results.losses[name])
            width = 2.6 if name == "loop" else 1.6
            axes.plot(
                days, gain, color=COLORS[name], linewidth=width, label=NAMES[name], zorder=3 if name == "loop" else 2
            )
            axes.annotate(
                NAMES[name], (days[-1], gain[-1]), (6, 0), textcoords="offset points", color=COLORS[name], va="center",
                fontweight="bold" if name == "loop" else "normal",
            )  # fmt: skip
        axes.axhline(0, color=COLORS["none"], linewidth=1.2)
        axes.annotate("no hedge", (days[-1], 0), (6, 0), textcoords="offset points", color=COLORS["none"], va="center")
        _mark_retrains(axes, results, np.cumsum(results.losses["none"] - results.losses["loop"]))
        axes.set_ylabel("squared error saved, added up")
        _along_the_days(axes, days)
    return svg.getvalue()


def draw_quarters(results: Results) -> str:
    """Mean squared hedging error by quarter."""
    with _figure(3.4, bottom=0.85) as (axes, svg):
        periods = results.periods()
        places = np.arange(len(periods))
        for name in ("none", "weekly", "static", "loop"):
            axes.plot(
                places, [one[name] for one in periods], color=COLORS[name], label=NAMES[name],
                linewidth=2.6 if name == "loop" else 1.5, linestyle=":" if name == "none" else "-",
            )  # fmt: skip
        axes.set_xticks(places[::2], [one["period"] for one in periods][::2], rotation=45, ha="right")
        axes.set_ylim(bottom=0)
        axes.set_ylabel("mean squared error")
        axes.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.18), fontsize=9)
    return svg.getvalue()


def draw_correlation(results: Results) -> str:
    """What changed in the market: oil and stocks began to move together."""
    with _figure(2.2) as (axes, svg):
        days = _dates(results)
        axes.axhspan(-0.2, 0.2, color="#f0f2f4", zorder=0)
        axes.annotate(
            "every year until 2007", (days[0], 0.2), (3, -11), textcoords="offset points", color="#777", size=9
        )
        axes.plot(days, results.correlation, color="#333a44", linewidth=1.6)
        axes.axhline(0, color="#9aa0a8", linewidth=0.8)
        axes.set_ylim(-0.3, 0.8)
        axes.set_ylabel("correlation")
        _along_the_days(axes, days)
    return svg.getvalue()


def draw_versions(results: Results) -> str:
    """Which version answered each day's request."""
    with _figure(1.7) as (axes, svg):
        days = _dates(results)
        served = sorted(set(results.versions), key=int)
        shades = mpl.colormaps["Blues"](np.linspace(0.45, 0.9, max(len(served), 1)))
        for shade, version in zip(shades, served, strict=True):
            own = days[np.array(results.versions) == version]
            axes.plot(own, np.full(len(own), served.index(version)), "|", color=shade, markersize=11)
        axes.set_yticks(range(len(served)), [f"version {name}" for name in served])
        axes.set_ylim(-0.6, len(served) - 0.4)
        _along_the_days(axes, days)
    return svg.getvalue()


def _mark_retrains(axes: Axes, results: Results, height: Floats) -> None:
    days = _dates(results)
    for one in results.retrains:
        place = min(int(np.searchsorted(np.array(results.days), one["date"])), len(results.days) - 1)
        good = one["verdict"] == "Promoted"
        axes.plot(
            days[place], height[place], "o" if good else "X",
            color=COLORS["loop"] if good else "#ffffff", markeredgecolor=COLORS["loop"], markersize=9, zorder=5,
        )  # fmt: skip
        words = f"version {one['versions']['challenger']}" if good else "refused"
        axes.annotate(
            words, (days[place], height[place]), (0, 10), textcoords="offset points",
            ha="center", size=8.5, color=COLORS["loop"] if good else "#667",
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
        )  # fmt: skip


def _dates(results: Results) -> Floats:
    """Days since 1970, as matplotlib counts them."""
    return np.array(results.days, dtype="datetime64[D]").astype(np.float64)


def _along_the_days(axes: Axes, days: Floats) -> None:
    """The same horizontal axis for all pictures, with room for names on the right."""
    axes.xaxis_date()
    axes.set_xlim(days[0], days[-1])
    axes.figure.subplots_adjust(right=0.76)


@contextmanager
def _figure(height: float, *, width: float = 10, bottom: float = 0.35) -> Iterator[tuple[Axes, io.StringIO]]:
    svg = io.StringIO()
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height))
        axes = figure.add_subplot()
        # Margins in inches: pictures differ in height.
        figure.subplots_adjust(left=0.08, right=0.98, top=1 - 0.3 / height, bottom=bottom / height)
        yield axes, svg
        # Without metadata: the same numbers give the same file.
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
