"""Watching: what the metrics say of the champion, trigger by trigger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from modelcycle.api.v1alpha1.deployment import ServedVersion
from modelcycle.api.v1alpha1.retrain import Trigger
from modelcycle.api.v1alpha1.retrain_status import BaselineLoss, EvidenceState, TriggerStatus
from modelcycle.registry.port import ReadVersion
from modelcycle.retrain import losses
from modelcycle.retrain.draft import Draft
from modelcycle.retrain.drift import look_for_drift
from modelcycle.retrain.evaluated import look
from modelcycle.retrain.evidence import (
    Finding,
    due_by_age,
    judge_age,
    judge_schedule,
    next_time,
    trigger_status,
    unknown,
)
from modelcycle.retrain.metrics import UNAVAILABLE, UNREAD, Source

Findings = tuple[tuple[Trigger, Finding], ...]


def watch(draft: Draft, source: Source) -> Findings:
    """Bring ``evaluated``, the reference loss and the triggers of the status up to date; gives the findings."""
    stable = draft.deployment.status.stable
    champion = stable.version if stable else None
    evaluated, ask = look(source, draft.status.evaluated, champion)
    draft.want(ask)
    schedule_since = draft.status.schedule_since or draft.policy.created
    draft.change(evaluated=evaluated, schedule_since=schedule_since)
    if stable is not None:
        _know_reference(draft, source, stable)
    findings = tuple((trigger, _find(draft, source, trigger, stable)) for trigger in draft.spec.triggers)
    _record(draft, findings)
    return findings


def _find(draft: Draft, source: Source, trigger: Trigger, stable: ServedVersion | None) -> Finding:
    if trigger.schedule is not None:
        return _scheduled(draft, trigger)
    if stable is None or stable.since is None:
        return unknown("NothingServed", "no version serves yet")
    since = stable.since.timestamp()
    if trigger.age is not None:
        draft.look_again_at(
            due_by_age(trigger.age, stable.since) if due_by_age(trigger.age, stable.since) > draft.now else None
        )
        return judge_age(trigger.age, stable.since, draft.now)
    if trigger.drift is not None:
        finding, ask = look_for_drift(source, trigger.drift, stable.version, since)
    elif trigger.loss is not None:
        finding, ask = losses.look_at_loss(source, trigger.loss, stable.version, since, draft.status)
    else:
        return unknown("Unspecified", "the trigger names nothing to look at")
    draft.want(ask)
    return finding


def _scheduled(draft: Draft, trigger: Trigger) -> Finding:
    since = draft.status.schedule_since or draft.policy.created
    if trigger.schedule is None:
        return unknown("Unspecified")
    finding = judge_schedule(trigger.schedule, since, draft.now)
    if finding.state is EvidenceState.CLEAR:
        draft.look_again_at(next_time(trigger.schedule, since))
    return finding


def _record(draft: Draft, findings: Findings) -> None:
    """The triggers' lines in the status, and an event for each that begins to fire."""
    before = {status.name: status for status in draft.status.triggers}
    rows = draft.status.evaluated.rows
    after = tuple(_line(t.name, finding, before.get(t.name), rows, draft.now) for t, finding in findings)
    draft.change(triggers=after)
    for status in after:
        earlier = before.get(status.name)
        if status.state is EvidenceState.FIRING and (earlier is None or earlier.state is not EvidenceState.FIRING):
            # Named after what is persisted: the same event again if this pass does not come to its status.
            since = earlier.since.timestamp() if earlier and earlier.since else 0
            note = f"version {draft.status.evaluated.version}: {described(status)}"
            draft.say("TriggerFiring", note, f"firing-{status.name}-after-{since:.0f}", warning=True)
    if _became_blind(before, after):
        blind = next(status for status in after if status.reason == UNAVAILABLE)
        note = (
            f"Prometheus endpoint {draft.spec.prometheus!r} gives no metrics, so nothing can be judged: {blind.detail}"
        )
        draft.say(UNAVAILABLE, note, f"blind-{rows}-{_latest_change(before)}", warning=True)


def _line(name: str, finding: Finding, before: TriggerStatus | None, rows: int, now: datetime) -> TriggerStatus:
    """What was not asked yet since the operator started says nothing new: since when it fires is not to be lost."""
    if before is not None and finding.reason == UNREAD:
        return before
    return trigger_status(name, finding, before, rows, now)


def _became_blind(before: Mapping[str, TriggerStatus], after: Iterable[TriggerStatus]) -> bool:
    """Whether the metrics can't be read any more; said once for all triggers."""
    blind = any(status.reason == UNAVAILABLE for status in after)
    return blind and all(status.reason != UNAVAILABLE for status in before.values())


def _latest_change(before: Mapping[str, TriggerStatus]) -> float:
    """Tells one outage from the next by what is persisted: unix seconds."""
    return max((status.since.timestamp() for status in before.values() if status.since), default=0.0)


def described(status: TriggerStatus) -> str:
    """A trigger's state in a sentence's part."""
    numbers = f" {status.value} against {status.threshold}" if status.value is not None else ""
    rows = f" over {status.rows} rows" if status.rows is not None else ""
    detail = f" ({status.detail})" if status.detail else ""
    return f"{status.name}: {status.reason}{numbers}{rows}{detail}"


# --- the reference loss ----------------------------------------------------------------------------------------------
def _know_reference(draft: Draft, source: Source, stable: ServedVersion) -> None:
    """What the champion's loss is compared with: from its training, or else from its first live rows."""
    known = draft.status.baseline
    wanted = tuple(trigger.loss for trigger in draft.spec.triggers if trigger.loss is not None)
    if not losses.needs_reference(wanted) or (known is not None and known.version == stable.version):
        return
    outcome = draft.ask(ReadVersion(draft.deployment.spec.mlflow, draft.deployment.spec.model.name, stable.version))
    if outcome is None or not outcome.ok:
        return
    reference = losses.reference_of_training(outcome.value)
    if reference is None and stable.since is not None:
        rows = max(trigger.min_rows for trigger in wanted)
        reference, ask = losses.reference_of_live_rows(source, stable.version, stable.since.timestamp(), rows)
        draft.want(ask)
    if reference is not None:
        _remember(draft, reference)


def _remember(draft: Draft, reference: BaselineLoss) -> None:
    draft.change(baseline=reference, best=losses.better(draft.status.best, reference))
