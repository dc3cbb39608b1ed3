"""What holds a firing trigger back: a pin, health, cooldown, new data, budget, no better model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from modelcycle.api.v1alpha1.common import as_timedelta
from modelcycle.api.v1alpha1.retrain import Mode, RetrainSpec
from modelcycle.api.v1alpha1.retrain_status import CycleOutcome, RetrainStatus
from modelcycle.core.conditions import find
from modelcycle.core.text import number_of
from modelcycle.retrain.observed import Deployment

MAX_DOUBLINGS = 3
INEFFECTIVE_AFTER = 3
EPOCH = datetime.fromtimestamp(0, UTC)
"""No asOf is earlier, whatever the lag: 999999 days before today there were no dates that anybody can write."""
LONGEST = timedelta(days=36_500)
"""No cooldown is longer, doubled or not: later dates can't be written."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Why no cycle starts now. ``until``: when that may change by itself, if time alone can change it."""

    reason: str
    message: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """What the guards look at."""

    spec: RetrainSpec
    status: RetrainStatus
    deployment: Deployment
    now: datetime


def held_back(situation: Situation) -> Hold | None:
    """The first guard that holds, if any."""
    return next((hold for guard in GUARDS if (hold := guard(situation)) is not None), None)


def pinned(situation: Situation) -> Hold | None:
    """What serves was chosen by a person: its loss is no reason to train, and it is not what a challenger must beat."""
    return held_by_pin(situation.deployment)


def held_by_pin(deployment: Deployment) -> Hold | None:
    version = deployment.spec.model.version
    if version is None:
        return None
    message = (
        f"version {version} is pinned, so no cycle starts and none sets a challenger: "
        f"remove spec.model.version of ModelDeployment {deployment.name} to go on"
    )
    return Hold("Pinned", message)


def not_serving(situation: Situation) -> Hold | None:
    """A model that is not served well is not judged by its loss: first serving has to be mended."""
    status = situation.deployment.status
    if status.stable is None:
        return Hold("NothingServed", f"{situation.deployment.name} serves no version yet")
    degraded = find(status.conditions, "Degraded")
    if degraded is not None and degraded.status == "True":
        return Hold("ServingDegraded", f"{situation.deployment.name} is degraded: {degraded.message}")
    return None


def rollout_under_way(situation: Situation) -> Hold | None:
    candidate = situation.deployment.status.candidate
    if candidate is None:
        return None
    return Hold("RolloutUnderWay", f"version {candidate.version} is being rolled out")


def only_observed(situation: Situation) -> bool:
    """Whether the last decision was only written down, in Observe mode, and is enforced now: nothing was done."""
    history = situation.status.history
    observed = bool(history) and history[-1].outcome is CycleOutcome.OBSERVED
    return observed and situation.spec.mode is Mode.ENFORCE


def cooling_down(situation: Situation) -> Hold | None:
    status = situation.status
    if only_observed(situation):
        return None
    if status.cooldown_until_rows is not None and status.evaluated.rows < status.cooldown_until_rows:
        left = status.cooldown_until_rows - status.evaluated.rows
        return Hold("CoolingDown", f"{number_of(left, 'more labelled row')} must come first")
    if status.cooldown_until is not None and situation.now < status.cooldown_until:
        when = status.cooldown_until.strftime("%Y-%m-%d %H:%M:%SZ")
        return Hold("CoolingDown", f"nothing is started before {when}", until=status.cooldown_until)
    return None


def too_few_new_rows(situation: Situation) -> Hold | None:
    """The same data would only give the same model again."""
    started = situation.status.last_started_rows
    if started is None or only_observed(situation):
        return None
    missing = started + situation.spec.min_new_rows - situation.status.evaluated.rows
    if missing <= 0:
        return None
    return Hold("TooFewNewRows", f"{number_of(missing, 'more labelled row')} must come first")


def not_helping(situation: Situation) -> Hold | None:
    """A model that three cycles in a row did not mend is left to a person, or to data that no gate has seen yet."""
    if not ineffective(situation.status):
        return None
    gate = situation.spec.gate
    wanted = (situation.status.last_started_rows or 0) + max(gate.holdout.rows or 0, gate.min_rows)
    missing = wanted - situation.status.evaluated.rows
    if missing <= 0:
        return None
    failures, rows = situation.status.consecutive_failures, number_of(missing, "more labelled row")
    message = f"{failures} cycles in a row did not help; {rows} must come"
    return Hold("RetrainIneffective", message)


def over_budget(situation: Situation) -> Hold | None:
    budget = situation.spec.budget
    recent = recent_starts(situation.status, budget.per, situation.now)
    if len(recent) < budget.trainings:
        return None
    until = min(recent) + as_timedelta(budget.per)
    message = (
        f"{len(recent)} trainings in {budget.per} used up the budget; the next may start at {until:%Y-%m-%d %H:%MZ}"
    )
    return Hold("BudgetUsedUp", message, until=until)


def no_watermark(situation: Situation) -> Hold | None:
    """Without a label nobody knows up to when the world may be known."""
    if as_of(situation.spec, situation.status, situation.now) is not None:
        return None
    return Hold("NoWatermark", "no labelled row has come yet, so asOf can't be told")


GUARDS: tuple[Callable[[Situation], Hold | None], ...] = (
    pinned,
    not_serving,
    rollout_under_way,
    cooling_down,
    too_few_new_rows,
    not_helping,
    over_budget,
    no_watermark,
)


def recent_starts(status: RetrainStatus, per: str, now: datetime) -> tuple[datetime, ...]:
    """The starts that count against the budget now."""
    return tuple(start for start in status.starts if now - start < as_timedelta(per))


def as_of(spec: RetrainSpec, status: RetrainStatus, now: datetime) -> datetime | None:
    """Up to when the next training may know the world."""
    origin = status.evaluated.watermark if spec.as_of.from_.value == "Watermark" else now
    lag = as_timedelta(spec.as_of.lag) if spec.as_of.lag else timedelta(0)
    return origin - min(lag, origin - EPOCH) if origin is not None else None


def cooldown(spec: RetrainSpec, rows: int, failures: int, now: datetime) -> tuple[int | None, datetime | None]:
    """Rows and time before which nothing fires again; doubled with each useless cycle in a row, up to 8 x."""
    factor = 2 ** min(failures, MAX_DOUBLINGS)
    if spec.cooldown.rows is not None:
        return rows + factor * spec.cooldown.rows, None
    return None, now + min(factor * as_timedelta(spec.cooldown.time or "1s"), LONGEST)


def cooldown_left(spec: RetrainSpec, status: RetrainStatus, now: datetime) -> tuple[int | None, datetime | None]:
    """What the status has of ``cooldown``; one that the spec has made shorter since counts from now on.

    Otherwise a cooldown that was too long by mistake could not be taken back.
    """
    rows, until = status.cooldown_until_rows, status.cooldown_until
    by_rows, by_time = cooldown(spec, status.evaluated.rows, status.consecutive_failures, now)
    if (rows is None or rows <= status.evaluated.rows) and (until is None or until <= now):
        return rows, until
    return min(by_rows, rows) if by_rows and rows else by_rows, min(by_time, until) if by_time and until else by_time


def ineffective(status: RetrainStatus) -> bool:
    """Whether retraining has not helped so often in a row that a person should look."""
    return status.consecutive_failures >= INEFFECTIVE_AFTER
