"""From what a policy knows to its conditions and its one sentence for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from modelcycle import constants as names
from modelcycle.api.v1alpha1.retrain_status import EvidenceState, RetrainStatus, TriggerStatus
from modelcycle.core.conditions import FALSE, TRUE, UNKNOWN, Judgement, find, merge
from modelcycle.core.plan import Event, EventType
from modelcycle.core.text import number_of, sentence
from modelcycle.retrain.guards import Hold, ineffective
from modelcycle.retrain.observed import Policy
from modelcycle.retrain.watch import described

STALLED = "Stalled"


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing can be judged until somebody acts."""

    reason: str
    message: str


def stalled(policy: Policy, status: RetrainStatus, stall: Stall, now: datetime) -> RetrainStatus:
    """The status of a policy that stays out."""
    judgements = [
        Judgement("Ready", FALSE, stall.reason, stall.message),
        Judgement(STALLED, TRUE, stall.reason, stall.message),
    ]
    return _with(status, policy, judgements, stall.message, now)


def stall_event(policy: Policy, stall: Stall) -> tuple[Event, ...]:
    """An event when a policy comes to stay out, named after what is persisted."""
    before = find(policy.status.conditions, STALLED)
    if before is not None and before.reason == stall.reason:
        return ()
    ready = find(policy.status.conditions, "Ready")
    since = ready.last_transition_time.isoformat() if ready else "new"
    return (Event(stall.reason, stall.message, f"{stall.reason}-{since}", EventType.WARNING),)


def watching(
    policy: Policy, status: RetrainStatus, doing: str, hold: Hold | None, *, suspended: bool, now: datetime
) -> RetrainStatus:
    """The status of a policy that works. ``doing``: what its cycle is at; ``hold``: what it or a trigger awaits."""
    judgements = [
        Judgement("Ready", TRUE, "Watching", "the policy works"),
        _drift(status.triggers),
        _retraining(status, doing, hold),
    ]
    if suspended:
        message = "spec.suspend is true: nothing is judged and nothing started"
        judgements = [Judgement("Ready", FALSE, "Suspended", message), *judgements[1:]]
        judgements.append(Judgement("Suspended", TRUE, "Suspended", message))
    if ineffective(status):
        message = (
            f"{status.consecutive_failures} cycles in a row brought no better model; to start one all the same: "
            f"kubectl -n {policy.namespace} annotate rp {policy.name} --overwrite "
            f'{names.ANNOTATION_RETRAIN}="$(date -u +%FT%TZ)"'
        )
        judgements.append(Judgement("RetrainIneffective", TRUE, "NoBetterModel", message))
    return _with(status, policy, judgements, _summary(status, doing, hold, suspended=suspended), now)


def _with(
    status: RetrainStatus, policy: Policy, judgements: list[Judgement], summary: str, now: datetime
) -> RetrainStatus:
    conditions = merge(status.conditions, judgements, policy.generation, now)
    return status.evolve(conditions=conditions, observed_generation=policy.generation, summary=summary)


def _drift(triggers: tuple[TriggerStatus, ...]) -> Judgement:
    firing = [t for t in triggers if t.state is EvidenceState.FIRING]
    unknown = [t for t in triggers if t.state is EvidenceState.UNKNOWN]
    if firing:
        return Judgement("DriftDetected", TRUE, firing[0].reason, f"{', '.join(t.name for t in firing)} firing")
    if unknown:
        untold = ", ".join(f"{t.name} ({t.reason})" for t in unknown)
        return Judgement("DriftDetected", UNKNOWN, unknown[0].reason, f"can't be told: {untold}")
    return Judgement("DriftDetected", FALSE, "AllClear", "no trigger fires")


def _retraining(status: RetrainStatus, doing: str, hold: Hold | None) -> Judgement:
    if status.cycle is not None:
        reason, message = (hold.reason, hold.message) if hold else (status.cycle.phase.value, doing)
        return Judgement("Retraining", TRUE, reason, f"cycle {status.cycle.number}: {message}")
    if hold is not None:
        return Judgement("Retraining", FALSE, hold.reason, hold.message)
    return Judgement("Retraining", FALSE, "Idle", "no cycle is under way")


def _summary(status: RetrainStatus, doing: str, hold: Hold | None, *, suspended: bool) -> str:
    version = status.evaluated.version
    said = "; ".join(described(t) for t in status.triggers)
    watched = f"version {version} is watched, {number_of(status.evaluated.rows, 'labelled row')} so far: {said}"
    parts = [sentence(watched) if version else ""]
    if suspended:
        parts.append("Suspended.")
    if status.cycle is not None:
        phase, what = status.cycle.phase.value, f"waits ({hold.reason}): {hold.message}" if hold else doing
        parts.append(sentence(f"cycle {status.cycle.number} ({phase}): {what}"))
    elif hold is not None:
        parts.append(sentence(f"held back ({hold.reason}): {hold.message}"))
    return " ".join(part for part in parts if part) or "Waiting for a version to serve."
