"""What each trigger says: Firing, Clear, or Unknown with a reason. No data is Unknown; it neither fires nor clears."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from modelcycle.api.v1alpha1.common import Extent, as_timedelta, seconds
from modelcycle.api.v1alpha1.retrain import AgeTrigger, LossReference, LossTrigger, ScheduleTrigger
from modelcycle.api.v1alpha1.retrain_status import QUERY_BYTES, BaselineLoss, EvidenceState, TriggerStatus

FIRING, CLEAR, UNKNOWN = EvidenceState.FIRING, EvidenceState.CLEAR, EvidenceState.UNKNOWN


@dataclass(frozen=True, slots=True)
class Finding:
    """What a trigger says at one moment. ``value`` and ``threshold`` are in the unit of what is measured."""

    state: EvidenceState
    reason: str
    value: float | None = None
    threshold: float | None = None
    rows: int | None = None
    detail: str | None = None
    query: str | None = None


def unknown(reason: str, detail: str | None = None, rows: int | None = None) -> Finding:
    return Finding(UNKNOWN, reason, detail=detail, rows=rows)


def fitting(query: str | None) -> str | None:
    """``query`` if the status has room for it: half of one is none."""
    return query if query and len(query.encode()) <= QUERY_BYTES else None


def number(value: float | None) -> str | None:
    """A measured number as the status and the history show it."""
    return None if value is None else f"{value:.6g}"


# --- loss ------------------------------------------------------------------------------------------------------------
def loss_threshold(trigger: LossTrigger, baseline: BaselineLoss | None, best: BaselineLoss | None) -> float | None:
    """The mean loss above which the trigger fires; None while its reference is not known.

    A reference that is negative (log-likelihoods, qlike) moves up by the factor's distance from 100 %, so that a factor
    above 100 always means "worse than the reference".
    """
    if trigger.reference is LossReference.ABSOLUTE:
        return float(trigger.bound) if trigger.bound else None
    reference = best if trigger.reference is LossReference.BEST else baseline
    if reference is None:
        return None
    value = float(reference.loss)
    bound = value + abs(value) * (trigger.factor_percent / 100 - 1)
    return max(bound, float(trigger.bound)) if trigger.bound else bound


def judge_loss(trigger: LossTrigger, mean: float, rows: int, threshold: float | None) -> Finding:
    """The mean loss over the window's ``rows`` against its threshold."""
    if rows < trigger.min_rows:
        return unknown("TooFewRows", f"{rows} labelled rows of this version, {trigger.min_rows} needed", rows)
    if threshold is None:
        return unknown("NoReference", "the version's loss at training is not known yet", rows)
    state, reason = (FIRING, "LossAboveThreshold") if mean > threshold else (CLEAR, "LossWithinThreshold")
    return Finding(state, reason, value=mean, threshold=threshold, rows=rows)


# --- time ------------------------------------------------------------------------------------------------------------
def judge_age(trigger: AgeTrigger, since: datetime, now: datetime) -> Finding:
    """How long the version has been champion, in days: at least so many tenths of the limit, and all of them at most.

    A value that grows with each look would be a write with each look, and each write is a reason to look again.
    """
    age, limit = now - since, as_timedelta(trigger.max_age)
    state, reason = (FIRING, "TooOld") if age >= limit else (CLEAR, "YoungEnough")
    days = limit / timedelta(days=1)
    tenths = max(0, min(10, 10 * age // limit))
    return Finding(state, reason, value=days * tenths / 10, threshold=days, detail="days")


def due_by_age(trigger: AgeTrigger, since: datetime) -> datetime:
    return since + as_timedelta(trigger.max_age)


def next_time(trigger: ScheduleTrigger, after: datetime) -> datetime:
    """The schedule's first time after ``after``. Raises ValueError for an expression or a zone that does not exist."""
    try:
        zone = ZoneInfo(trigger.time_zone)
        return next(CronSim(trigger.cron, after.astimezone(zone))).astimezone(UTC)
    except (CronSimError, KeyError, OSError, StopIteration) as error:
        raise ValueError(f"cron {trigger.cron!r} in {trigger.time_zone!r}: {error}") from error


def judge_schedule(trigger: ScheduleTrigger, since: datetime, now: datetime) -> Finding:
    """Whether a time of the schedule has passed since ``since``; several missed times fire once."""
    try:
        due = next_time(trigger, since)
    except ValueError as error:
        return unknown("InvalidSchedule", str(error))
    when = due.strftime("%Y-%m-%dT%H:%M:%SZ")
    return Finding(FIRING, "Due", detail=when) if due <= now else Finding(CLEAR, "NotDue", detail=when)


# --- from findings to status -----------------------------------------------------------------------------------------
def trigger_status(
    name: str, finding: Finding, before: TriggerStatus | None, rows: int, now: datetime
) -> TriggerStatus:
    """The trigger's line in the status; ``since`` moves only with the state."""
    unmoved = before is not None and before.state is finding.state
    return TriggerStatus(
        name=name,
        state=finding.state,
        reason=finding.reason,
        value=number(finding.value),
        threshold=number(finding.threshold),
        rows=finding.rows,
        detail=finding.detail,
        since=before.since if before and unmoved else now,
        since_rows=before.since_rows if before and unmoved else rows,
    )


def persisted(status: TriggerStatus, persistence: Extent | None, rows: int, now: datetime) -> bool:
    """Whether a firing trigger has gone on firing for as long as ``persistence`` asks."""
    if persistence is None:
        return True
    if persistence.rows is not None:
        return rows - (status.since_rows or 0) >= persistence.rows
    return status.since is not None and (now - status.since).total_seconds() >= seconds(persistence.time or "1s")
