"""Runs as a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modelcycle_client.bench.runs import Run

_PERCENTILES = ("p50", "p90", "p99", "p99.9", "max")
_HEADS = ("planned/s", "answered/s", *_PERCENTILES, "not answered well", "late p99", "CPU")


def table(runs: Sequence[Run]) -> str:
    """One line for each run; times in milliseconds."""
    lines = [_HEADS, *(_cells(run) for run in runs)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(_HEADS))]
    text = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    notes = [f"* {_rate(run)}: {note}" for run in runs for note in _notes(run)]
    return "\n".join([*text, *notes])


def _cells(run: Run) -> tuple[str, ...]:
    latency = [_milliseconds(run.latency_us, name) for name in _PERCENTILES]
    late = _milliseconds(run.lag_us, "p99")
    return _rate(run), f"{run.rate:,.0f}", *latency, _failed(run), late, "" if run.cpu is None else f"{run.cpu:.0%}"


def _rate(run: Run) -> str:
    return "closed loop" if run.planned_rate is None else f"{run.planned_rate:,.0f}"


def _milliseconds(spread: Mapping[str, float] | None, name: str) -> str:
    return "-" if spread is None else f"{spread[name] / 1e3:.2f}"


def _failed(run: Run) -> str:
    """The number, and how many of each kind."""
    bad = {**run.answers, **run.failures}
    kinds = ", ".join(f"{name}: {count:,}" for name, count in sorted(bad.items()) if name not in _GOOD)
    return f"{run.failed:,}" + (f" ({kinds})" if run.failed else "")


_GOOD = frozenset({"OK", *(str(code) for code in range(200, 300))})


def _notes(run: Run) -> list[str]:
    notes = [] if run.why is None else [f"no latencies, as they would not be the server's: {run.why}"]
    if run.resent:
        notes.append(f"{run.resent:,} requests were sent again, as their connection had ended before an answer")
    return notes
