"""What the benchmark of serving writes down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.serving.load import Load, read
from benchmarks.serving.report import Point, Rate, Report, rates_table


def test_a_run_of_the_generator_is_read() -> None:
    latency = {"p50": 100.0, "p99": 300.0, "p99.9": 250.0}
    load = read({"rate": 10.0, "latency_us": latency, "at_most_us": latency, "failed": 1, "cpu": 0.5})
    assert (load.rate, load.failed, load.cpu, load.kept_up) == (10.0, 1, 0.5, True)
    assert load.tail == pytest.approx(2.5)


def test_where_the_generator_did_not_keep_up_there_are_bounds_only() -> None:
    run = {"rate": 10.0, "latency_us": None, "at_most_us": {"p99": 300.0}, "failed": 0, "cpu": 0.99}
    load = read(run)
    assert load == Load(10.0, {}, {"p99": 300.0}, 0, 0.99)
    assert not load.kept_up


def test_the_middle_round_stands_in_the_table() -> None:
    rates = {"echo": Rate((9.0, 2000.0, 3000.0), None, None, 0, 0.97, 0.5), "ours": Rate((5.0,), 1500, 2500, 1, 0.1, 1)}
    assert rates_table(rates)[2:] == [
        "| echo | 2,000 |  |  | 0 | 50% | 97% |",
        "| ours | 5 | 1.50 | 2.50 | 1 | 100% | 10% |",
    ]


def test_figures_by_name_and_curves_are_written(tmp_path: Path) -> None:
    report = Report(figures={"echo_share": 0.6}, curves={"echo": [Point(10, 100, 200), Point(20, 100, 300)]})
    lines = report.write(tmp_path)
    written = json.loads((tmp_path / "serving.json").read_text())
    assert written["figures"]["echo_share"]["reached"] is True
    assert written["curves"]["echo"][1] == {"rate": 20, "p50": 100, "p99": 300}
    assert (tmp_path / "serving.md").read_text().splitlines() == list(lines)
    assert (tmp_path / "serving.png").stat().st_size > 10_000
