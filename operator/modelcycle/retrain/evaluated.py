"""How far a policy has looked: every labelled row of the deployment counted once, whatever pods came and went.

The total is ``base_rows`` plus what the curve grew since ``base_time``. The base moves forward only to times that have
settled, so that a sample that the store takes in late is never missed, and never counted twice.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from modelcycle import constants as names
from modelcycle.api.v1alpha1.retrain_status import Evaluated
from modelcycle.metricstore.curves import Curve
from modelcycle.metricstore.port import Reading
from modelcycle.retrain.metrics import Ask, Source, Wanted, feedback_query, reading_that_holds, rows_of

SETTLED = timedelta(seconds=60)
REBASE_AFTER = timedelta(minutes=8)
ALL_ROWS = rows_of(version=None)


def look(source: Source, before: Evaluated, champion: str | None) -> tuple[Evaluated, Ask]:
    """The new ``Evaluated``, or the old one where nothing could be read; and what was asked."""
    base_time = before.base_time or source.deployment.created
    ask = reading_that_holds(source, feedback_query(source), ALL_ROWS, Wanted(since=base_time.timestamp()))
    if ask.reading is None:
        return before, ask
    curve = ALL_ROWS(ask.reading)
    grown = round(curve.between(base_time.timestamp(), ask.reading.time))
    after = before.evolve(
        rows=max(before.rows, before.base_rows + grown),
        watermark=_watermark(before.watermark, ask.reading),
        version=champion,
    )
    return _rebased(after, base_time, curve, ask.reading), ask


def _rebased(evaluated: Evaluated, base_time: datetime, curve: Curve, reading: Reading) -> Evaluated:
    settled = datetime.fromtimestamp(int(reading.time), UTC) - SETTLED
    if settled - base_time < REBASE_AFTER:
        return evaluated
    grown = round(curve.between(base_time.timestamp(), settled.timestamp()))
    if not grown and evaluated.base_time is not None and settled - base_time < timedelta(hours=2):
        return evaluated  # nothing happened: a status that is not written costs nobody anything
    return evaluated.evolve(base_rows=evaluated.base_rows + grown, base_time=settled)


def _watermark(before: datetime | None, reading: Reading) -> datetime | None:
    """The greatest event time seen so far; it never goes back, also when the pod that saw it is gone."""
    seen = [
        value
        for series in reading.series
        if series.label("__name__") == names.METRIC_WATERMARK
        for _, value in series.points
    ]
    if not seen:
        return before
    latest = datetime.fromtimestamp(int(max(seen)), UTC)
    return max(before, latest) if before else latest
