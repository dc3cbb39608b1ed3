"""What a resource's status says when a pass can't be completed: the last status, with the error as a condition."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar, cast

from modelcycle.api.v1alpha1.deployment import DeploymentStatus
from modelcycle.api.v1alpha1.retrain_status import RetrainStatus
from modelcycle.api.v1alpha1.training import TrainingStatus
from modelcycle.core.conditions import TRUE, Judgement, find, merge
from modelcycle.errors import ModelcycleError, Unusable

STALLED = "Stalled"
REASON_REFUSED = "ApiServerRefused"
StatusT = TypeVar("StatusT", bound=TrainingStatus | DeploymentStatus | RetrainStatus)


def blocked(status: StatusT, error: ModelcycleError, generation: int, now: datetime) -> StatusT | None:
    """``status`` with ``Stalled`` in its conditions; everything else stays, since no decision was carried out.

    None where it says so already. The message does not count: one that differs each time would be a write each time,
    and each write a new pass.
    """
    before = status.conditions
    reason = error.reason if isinstance(error, Unusable) else REASON_REFUSED
    said = find(before, STALLED)
    if said is not None and (said.status, said.reason, said.observed_generation) == (TRUE, reason, generation):
        return None
    stalled = merge(before, [Judgement(STALLED, TRUE, reason, str(error))], generation, now)
    conditions = (*(one for one in before if one.type != STALLED), *stalled)
    return cast(StatusT, status.evolve(conditions=conditions))
