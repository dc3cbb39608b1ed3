"""From what is known of a training to its conditions and its one sentence for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from modelcycle.api.v1alpha1.training import TrainingStatus
from modelcycle.core.conditions import FALSE, TRUE, UNKNOWN, Judgement, find, merge
from modelcycle.core.plan import Event, EventType
from modelcycle.training.children import Training


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a training stands. ``succeeded``: None while it is open. ``stalled``: nothing moves until somebody acts.

    ``waits_in``: what it was doing when something outside did not answer; it goes on by itself.
    """

    reason: str
    message: str
    succeeded: bool | None = None
    stalled: bool = False
    suspended: bool = False
    waits_in: str | None = None


def with_stage(status: TrainingStatus, training: Training, stage: Stage, now: datetime) -> TrainingStatus:
    """The status with conditions and summary for ``stage``."""
    conditions = merge(status.conditions, _judgements(status, stage), training.generation, now)
    return status.evolve(conditions=conditions, observed_generation=training.generation, summary=_summary(stage))


def warnings(before: TrainingStatus, stage: Stage) -> tuple[Event, ...]:
    """An event when a training comes to wait for somebody, or for something outside; ``before`` is persisted."""
    said = find(before.conditions, "Succeeded")
    if not (stage.stalled or stage.waits_in) or (said is not None and said.reason == stage.reason):
        return ()
    transition = f"{stage.reason}-{stage.waits_in or 'stalled'}"
    return (Event(stage.reason, stage.message, transition, EventType.WARNING),)


def _judgements(status: TrainingStatus, stage: Stage) -> list[Judgement]:
    outcome = {True: TRUE, False: FALSE, None: UNKNOWN}[stage.succeeded]
    version = status.registered
    judgements = [
        Judgement("Succeeded", outcome, stage.reason, stage.message),
        # Generic tools (kstatus, kubectl wait, Argo CD) look at Ready: it is False until the end, then it mirrors.
        Judgement("Ready", TRUE if stage.succeeded else FALSE, stage.reason, stage.message),
        Judgement("Registered", TRUE, "Registered", f"{version.model} version {version.version}")
        if version
        else Judgement("Registered", FALSE, stage.reason, "no model version yet"),
    ]
    if stage.stalled or stage.succeeded is False:
        judgements.append(Judgement("Stalled", TRUE, stage.reason, stage.message))
    if stage.suspended:
        judgements.append(Judgement("Suspended", TRUE, stage.reason, stage.message))
    return judgements


def _summary(stage: Stage) -> str:
    return stage.message
