"""The live loss of the champion, and the reference it is compared with."""

from __future__ import annotations

from dataclasses import replace

from modelcycle import constants as names
from modelcycle.api.v1alpha1.common import seconds
from modelcycle.api.v1alpha1.retrain import LossReference, LossTrigger
from modelcycle.api.v1alpha1.retrain_status import BaselineLoss, LossSource, RetrainStatus
from modelcycle.metricstore.curves import Curve, Window, curves_by, sure_from, window
from modelcycle.metricstore.port import Reading
from modelcycle.metricstore.promql import counted, ends, lost
from modelcycle.registry.port import VersionInfo
from modelcycle.retrain.evidence import Finding, fitting, judge_loss, loss_threshold, number, unknown
from modelcycle.retrain.metrics import Ask, Source, Wanted, feedback_query, loss_expression, reading_that_holds, rows_of


def look_at_loss(
    source: Source, trigger: LossTrigger, version: str, since: float, status: RetrainStatus
) -> tuple[Finding, Ask]:
    """What the loss trigger says of ``version``, champion since ``since`` (unix seconds); and what was asked for it."""
    wanted = Wanted(since=since, rows=trigger.window.rows)
    if trigger.window.time:
        wanted = Wanted(since=max(since, source.now.timestamp() - seconds(trigger.window.time)))
    ask = reading_that_holds(source, feedback_query(source), rows_of(version), wanted)
    if ask.reading is None:
        return unknown(ask.reason, ask.error), ask
    cut = _window(ask.reading, trigger, version, since)
    threshold = loss_threshold(trigger, _of_version(status.baseline, version), status.best)
    finding = judge_loss(trigger, mean_loss(cut), cut.rows, threshold)
    return replace(finding, query=fitting(mean_loss_query(source, version, ask.reading, cut))), ask


def mean_loss(cut: Window) -> float:
    """(positive part - negative part) / rows; 0 for no rows, which nobody may judge by."""
    positive, negative = cut.sums
    return (positive - negative) / cut.rows if cut.rows else 0.0


def mean_loss_query(source: Source, version: str, reading: Reading, cut: Window) -> str | None:
    """PromQL that gives ``mean_loss(cut)`` at any later time; None where there is nothing to divide."""
    within = ends(cut, reading)
    positive, negative = (
        tuple(s for s in reading.series if (s.label("__name__"), s.label("version")) == (metric, version))
        for metric in (names.METRIC_LOSS_POSITIVE, names.METRIC_LOSS_NEGATIVE)
    )
    grown = counted(loss_expression(source, version), positive, within)
    restarted = lost(positive, within) - lost(negative, within)
    if grown is None or not cut.rows:
        return None
    return f"({grown}{f' + {restarted!r}' if restarted else ''}) / {cut.rows}"


def _window(reading: Reading, trigger: LossTrigger, version: str, since: float) -> Window:
    curves = curves_by(reading, "__name__", "version")
    rows, positive, negative = (
        curves.get((metric, version), Curve())
        for metric in (names.METRIC_FEEDBACK_ROWS, names.METRIC_LOSS_POSITIVE, names.METRIC_LOSS_NEGATIVE)
    )
    return window(
        rows,
        positive,
        negative,
        since=max(since, sure_from(reading)),
        now=reading.time,
        last_rows=trigger.window.rows,
        last_seconds=seconds(trigger.window.time) if trigger.window.time else None,
    )


def _of_version(baseline: BaselineLoss | None, version: str) -> BaselineLoss | None:
    return baseline if baseline is not None and baseline.version == version else None


# --- the reference ---------------------------------------------------------------------------------------------------
def needs_reference(triggers: tuple[LossTrigger, ...]) -> bool:
    return any(trigger.reference is not LossReference.ABSOLUTE for trigger in triggers)


def reference_of_training(version: VersionInfo) -> BaselineLoss | None:
    """The mean loss that the version had at its training, if its baseline.json says so."""
    loss = version.tag(names.TAG_BASELINE_LOSS)
    return BaselineLoss(version=version.version, loss=loss, source=LossSource.TRAINING) if loss else None


def reference_of_live_rows(source: Source, version: str, since: float, rows: int) -> tuple[BaselineLoss | None, Ask]:
    """The mean loss of the version's first rows, once there are ``rows`` of them; for versions without a baseline."""
    ask = reading_that_holds(source, feedback_query(source), rows_of(version), Wanted(since=since))
    if ask.reading is None:
        return None, ask
    curves = {
        key[0]: curve for key, curve in curves_by(ask.reading, "__name__", "version").items() if key[1] == version
    }
    counted = curves.get(names.METRIC_FEEDBACK_ROWS)
    if counted is None or counted.between(since, ask.reading.time) < rows:
        return None, ask
    before = counted.at(since)
    end = next(time for time, value in zip(counted.times, counted.values, strict=True) if value - before >= rows)
    parts = [curves[name].between(since, end) for name in (names.METRIC_LOSS_POSITIVE, names.METRIC_LOSS_NEGATIVE)]
    loss = (parts[0] - parts[1]) / counted.between(since, end)
    return BaselineLoss(version=version, loss=number(loss) or "0", source=LossSource.LIVE), ask


def better(best: BaselineLoss | None, candidate: BaselineLoss) -> BaselineLoss:
    return candidate if best is None or float(candidate.loss) < float(best.loss) else best
