"""The hedge outside of the cluster, over several seeds: the sample's training code and the operator's own rules."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from e2e.demo.fitting import Fit, network, ridge
from e2e.demo.loop import Cycle, Rules, play, read_rules, train_first
from e2e.demo.market import first_row_from, load_market, write_market
from e2e.demo.yardsticks import by_quarter, dates, weekly
from e2e.progress import step
from modelcycle_runtime.losses import squared
from modelcycle_runtime.table import Table, nanoseconds

START_AS_OF = "2006-12-31T00:00:00Z"
FIRST_DAY, LAST_DAY = "2007-01-01", "2012-12-31"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One seed: mean squared hedging errors, by quarter and in all, and the cycles of the loop."""

    seed: int
    periods: list[dict[str, object]]
    totals: dict[str, float]
    cycles: tuple[Cycle, ...]


def replayed_days(table: Table) -> range:
    """Rows of 2007 to 2012."""
    return range(first_row_from(table, FIRST_DAY), first_row_from(table, "2013-01-01"))


def run_seed(table: Table, fit: Fit, rules: Rules, seed: int) -> Outcome:
    """Play six years, with and without retraining."""
    days, start = replayed_days(table), nanoseconds(START_AS_OF)
    first = train_first(table, start, rules, fit, seed)
    played = play(table, fit, rules, days, seed=seed, start_as_of=start)
    label = table.label[days.start : days.stop]
    losses = {
        "none": squared(label, np.zeros(len(label))),
        "static": squared(label, first.answers[days.start : days.stop]),
        "loop": squared(label, played.predictions),
        "weekly": squared(label, weekly(table, days)),
    }
    totals = {name: round(float(values.mean()), 4) for name, values in losses.items()}
    return Outcome(seed, by_quarter(dates(table, days), losses), totals, played.cycles)


@contextmanager
def fitter(table: Table, *, torch: bool) -> Iterator[Fit]:
    """The sample's network in its image, or a ridge regression that runs anywhere."""
    if not torch:
        yield ridge(table)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "hedge.csv")
        write_market(file)
        with network(file) as fit:
            yield fit


def run(seeds: int, *, torch: bool) -> list[Outcome]:
    """Run the experiment for seeds 1 to ``seeds``."""
    table, rules, outcomes = load_market(), read_rules(), []
    with fitter(table, torch=torch) as fit:
        for seed in range(1, seeds + 1):
            with step(f"2007 to 2012 with seed {seed}"):
                outcomes.append(run_seed(table, fit, rules, seed))
    return outcomes


def render(outcomes: list[Outcome]) -> str:
    """The outcomes as a table, and the cycles of the first seed."""
    lines = ["seed   none  never retrained   loop  weekly  trainings  promoted"]
    for one in outcomes:
        t, promoted = one.totals, sum(cycle.verdict.outcome == "Passed" for cycle in one.cycles)
        lines.append(
            f"{one.seed:4d}  {t['none']:.3f}            {t['static']:.3f}  {t['loop']:.3f}   {t['weekly']:.3f}"
            f"  {len(one.cycles):9d}  {promoted:8d}"
        )
    lines += ["", f"cycles with seed {outcomes[0].seed}:"]
    lines += [_cycle(cycle) for cycle in outcomes[0].cycles]
    return "\n".join(lines)


def _cycle(cycle: Cycle) -> str:
    verdict = cycle.verdict
    return (
        f"  {cycle.day}  {cycle.trigger} {cycle.value:.3f} > {cycle.threshold:.3f}, version {cycle.version}: "
        f"{verdict.outcome} ({verdict.message})"
    )


def record(outcomes: list[Outcome]) -> str:
    """The outcomes as JSON."""
    return json.dumps([{"seed": o.seed, "totals": o.totals, "periods": o.periods} for o in outcomes], indent=1)
