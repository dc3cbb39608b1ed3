"""How a cycle starts and ends, and what is kept of it. Its way from one to the other is in ``phases``."""

from __future__ import annotations

from modelcycle import constants as names
from modelcycle.api.v1alpha1.retrain_status import Cycle, CycleOutcome, CyclePhase, Decision, Evidence
from modelcycle.core.conditions import ending
from modelcycle.core.plan import Ref
from modelcycle.retrain import children
from modelcycle.retrain.draft import Draft
from modelcycle.retrain.guards import as_of, cooldown, recent_starts
from modelcycle.retrain.observed import Training

_HELPED = frozenset({CycleOutcome.PROMOTED})
_DID_NOT_HELP = frozenset({CycleOutcome.GATE_REJECTED, CycleOutcome.ROLLED_BACK})
KEPT = 20


# --- start and end ---------------------------------------------------------------------------------------------------
def next_number(draft: Draft) -> int:
    """One more than any that was ever seen: in the status, and in trainings that outlived it."""
    seen = [int(n) for t in draft.observed.trainings if (n := t.labels.get(names.LABEL_CYCLE, "")).isdigit()]
    return max([draft.status.last_cycle, *seen], default=0) + 1


def start(draft: Draft, evidence: Evidence, reason: str) -> None:
    """Write down that a cycle begins, with what it rests on. Its training is made once that is in the status."""
    number = next_number(draft)
    stable = draft.deployment.status.stable
    cycle = Cycle(
        number=number,
        phase=CyclePhase.TRAINING,
        started_at=draft.now,
        training=children.training_name(draft.policy, number),
        as_of=as_of(draft.spec, draft.status, draft.now),
        evidence=evidence,
        champion=stable.version if stable else None,
    )
    starts = (*recent_starts(draft.status, draft.spec.budget.per, draft.now), draft.now)
    draft.change(
        cycle=cycle,
        last_cycle=number,
        last_started_rows=draft.status.evaluated.rows,
        schedule_since=draft.now,
        starts=starts[-100:],
    )
    draft.say("CycleStarted", f"cycle {number}: {reason}; training {cycle.training}", f"cycle-{number}-started")


def end(draft: Draft, cycle: Cycle, outcome: CycleOutcome, reason: str, message: str, told: str = "") -> None:
    """Close the cycle: history, cooldown, and the count of cycles that did not help.

    ``message`` is for the history; ``told`` for the event, where that is another.
    """
    decision = Decision(
        number=cycle.number,
        outcome=outcome,
        reason=reason,
        message=message,
        time=draft.now,
        started_at=cycle.started_at,
        training=cycle.training,
        as_of=cycle.as_of,
        champion=cycle.champion,
        version=cycle.version,
        evidence=cycle.evidence,
        gate=cycle.gate,
    )
    failures = draft.status.consecutive_failures
    failures = 0 if outcome in _HELPED else min(1000, failures + (outcome in _DID_NOT_HELP))
    conclude(draft, decision, failures)
    draft.change(cycle=None)
    draft.say(
        f"Cycle{outcome.value}",
        f"cycle {cycle.number}: {told or message}",
        f"cycle-{cycle.number}-ended",
        warning=outcome is not CycleOutcome.PROMOTED,
    )


def conclude(draft: Draft, decision: Decision, failures: int) -> None:
    """Add a decision to the history and start the cooldown after it."""
    until_rows, until = cooldown(draft.spec, draft.status.evaluated.rows, failures, draft.now)
    draft.change(
        history=(*draft.status.history, decision)[-KEPT:],
        consecutive_failures=failures,
        cooldown_until_rows=until_rows,
        cooldown_until=until,
    )


def abort(draft: Draft, cycle: Cycle) -> None:
    """A person said so. A training that runs is ended; a rollout is the deployment's own and goes on."""
    stop_training(draft, cycle)
    end(draft, cycle, CycleOutcome.ABORTED, "AbortRequested", "aborted by annotation")


def stop_training(draft: Draft, cycle: Cycle) -> None:
    """Delete the training that the cycle is waiting for; one that has ended stays."""
    training = training_of(draft, cycle)
    if cycle.phase is CyclePhase.TRAINING and training is not None:
        ref = Ref("modelcycle.dev/v1alpha1", "ModelTraining", training.namespace, training.name, training.uid)
        draft.delete(ref)


def training_of(draft: Draft, cycle: Cycle) -> Training | None:
    return next((t for t in draft.observed.trainings if t.name == cycle.training), None)


# --- tidying up ------------------------------------------------------------------------------------------------------
def prune(draft: Draft) -> None:
    """Remove the policy's oldest ended trainings beyond historyLimit, and evaluation Jobs of earlier cycles."""
    current = draft.status.cycle.training if draft.status.cycle else None
    others = [t for t in draft.observed.trainings if t.name != current and not t.deleting]
    ended = [t for t in others if ending(t.status.conditions) is not None]
    for training in sorted(ended, key=_cycle_of, reverse=True)[draft.spec.history_limit :]:
        draft.delete(Ref("modelcycle.dev/v1alpha1", "ModelTraining", training.namespace, training.name, training.uid))
    for job in draft.observed.jobs:
        number = job.labels.get(names.LABEL_CYCLE, "")
        if number.isdigit() and int(number) < draft.status.last_cycle and not job.deleting:
            draft.delete(Ref("batch/v1", "Job", job.namespace, job.name, job.uid))


def _cycle_of(training: Training) -> int:
    number = training.labels.get(names.LABEL_CYCLE, "")
    return int(number) if number.isdigit() else 0
