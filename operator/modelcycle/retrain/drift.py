"""Drift: the bins that were counted live against the baseline that was frozen at training."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

from modelcycle import constants as names
from modelcycle.api.v1alpha1.common import seconds
from modelcycle.api.v1alpha1.retrain import DriftOf, DriftTrigger
from modelcycle.metricstore.curves import Curve, Window, add, curves_by, sure_from, window
from modelcycle.metricstore.port import Reading, selector
from modelcycle.metricstore.promql import counted, ends
from modelcycle.retrain.evidence import CLEAR, FIRING, Finding, fitting, unknown
from modelcycle.retrain.metrics import Ask, Source, Wanted, baseline_reading, bins_query, reading_that_holds
from modelcycle.retrain.statistics import drift_floor, population_stability_index

COARSE = 16  # bins are thousands of series: some fifty points each keep an answer within the store's bounds


@dataclass(frozen=True, slots=True)
class Column:
    """Baseline and live counts of one feature or output over the same bins; the live ones since ``since``."""

    name: str
    reference: tuple[float, ...]
    current: tuple[float, ...]
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class _Kind:
    live: str
    baseline: str
    label: str


_KINDS = {
    DriftOf.FEATURES: _Kind(names.METRIC_FEATURE_BINS, names.METRIC_BASELINE_FEATURE_BINS, "feature"),
    DriftOf.PREDICTIONS: _Kind(names.METRIC_PREDICTION_BINS, names.METRIC_BASELINE_PREDICTION_BINS, "output"),
}


def look_for_drift(source: Source, trigger: DriftTrigger, version: str, since: float) -> tuple[Finding, Ask]:
    """What the drift trigger says of ``version``, serving since ``since`` (unix seconds); and what was asked for it."""
    kind = _KINDS[trigger.of]
    wanted = Wanted(since=since, rows=trigger.window.rows)
    if trigger.window.time:
        wanted = Wanted(since=max(since, source.now.timestamp() - seconds(trigger.window.time)))
    baseline = baseline_reading(source, version, kind.baseline, kind.label)
    query = bins_query(source, version, kind.live)
    live = reading_that_holds(source, query, lambda reading: _rows(reading, kind), wanted, coarse=COARSE)
    ask = replace(live, facts=live.facts | baseline.facts)
    if live.reading is None or baseline.reading is None:
        blind = live if live.reading is None else baseline
        return unknown(blind.reason, blind.error), ask
    columns = _columns(live.reading, _counts(baseline.reading, kind), kind, trigger, since)
    if not columns:
        return unknown("NoBaseline", "the version has no baseline.json, or no pod of it is running"), ask
    finding = judge_drift(trigger, columns)
    worst = next((column for column in columns if column.name == finding.detail), None)
    return replace(finding, query=fitting(_counts_query(source, version, kind, live.reading, worst))), ask


def judge_drift(trigger: DriftTrigger, columns: tuple[Column, ...]) -> Finding:
    """PSI of the worst column against max(threshold, chi-squared floor), alpha shared out among the columns."""
    rows = round(min(sum(column.current) for column in columns))
    if rows < trigger.min_rows:
        return unknown("TooFewRows", f"{rows} rows of this version, {trigger.min_rows} needed", rows)
    alpha = float(trigger.alpha) / len(columns)
    scores = [(_score(column), _bound(trigger, column, alpha), column.name) for column in columns]
    value, bound, name = max(scores, key=lambda score: score[0] - score[1])
    state, reason = (FIRING, "DistributionMoved") if value > bound else (CLEAR, "DistributionAsTrained")
    return Finding(state, reason, value=value, threshold=bound, rows=rows, detail=name)


def _counts_query(source: Source, version: str, kind: _Kind, reading: Reading, column: Column | None) -> str | None:
    """PromQL that gives the counts of ``column`` in its window, bin by bin."""
    if column is None:
        return None
    cut = Window(rows=0, sums=(), start=column.since, end=reading.time)
    series = tuple(one for one in reading.series if one.label(kind.label) == column.name)
    expression = selector(kind.live, version=version, **{kind.label: column.name}, **source.labels)
    return counted(expression, series, ends(cut, reading), by="bin")


def _score(column: Column) -> float:
    return population_stability_index(column.reference, column.current)


def _bound(trigger: DriftTrigger, column: Column, alpha: float) -> float:
    used = sum(1 for r, c in zip(column.reference, column.current, strict=True) if r or c)
    floor = drift_floor(used, sum(column.reference), sum(column.current), alpha)
    return max(float(trigger.threshold), floor)


def _rows(reading: Reading, kind: _Kind) -> Curve:
    """Rows are the sum over the bins of any one column; the first by name is taken."""
    bins = curves_by(reading, kind.label, "bin")
    first = min((column for column, _ in bins), default="")
    return add(curve for (column, _), curve in bins.items() if column == first)


def _counts(reading: Reading, kind: _Kind) -> dict[str, dict[str, float]]:
    """Baseline counts by column and bin."""
    counts: dict[str, dict[str, float]] = defaultdict(dict)
    for series in reading.series:
        counts[series.label(kind.label) or ""][series.label("bin") or ""] = series.points[-1][1]
    return counts


def _columns(
    reading: Reading, baseline: dict[str, dict[str, float]], kind: _Kind, trigger: DriftTrigger, since: float
) -> tuple[Column, ...]:
    live: dict[str, dict[str, Curve]] = defaultdict(dict)
    for (column, bin_), curve in curves_by(reading, kind.label, "bin").items():
        live[column][bin_] = curve
    return tuple(
        _column(name, counts, live.get(name, {}), reading, trigger, since) for name, counts in sorted(baseline.items())
    )


def _column(
    name: str,
    reference: dict[str, float],
    live: dict[str, Curve],
    reading: Reading,
    trigger: DriftTrigger,
    since: float,
) -> Column:
    bins = sorted(reference)
    curves = [live.get(bin_, Curve()) for bin_ in bins]
    cut = window(
        add(curves),
        *curves,
        since=max(since, sure_from(reading)),
        now=reading.time,
        last_rows=trigger.window.rows,
        last_seconds=seconds(trigger.window.time) if trigger.window.time else None,
    )
    return Column(name, tuple(reference[bin_] for bin_ in bins), cut.sums, cut.start)
