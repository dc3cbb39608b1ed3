"""Conditions as Kubernetes' API conventions have them: one for each type, its time moved only by its status."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from modelcycle.api.v1alpha1.common import Condition, ConditionStatus

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a decision says of one condition type."""

    type: str
    status: ConditionStatus
    reason: str
    message: str = ""


def merge(
    before: tuple[Condition, ...], judgements: Iterable[Judgement], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """The conditions after ``judgements``: types that are not judged vanish, unchanged ones keep their time."""
    earlier = {condition.type: condition for condition in before}
    return tuple(_merged(earlier.get(judgement.type), judgement, generation, now) for judgement in judgements)


def _merged(before: Condition | None, judgement: Judgement, generation: int, now: datetime) -> Condition:
    unmoved = before is not None and before.status == judgement.status
    return Condition(
        type=judgement.type,
        status=judgement.status,
        reason=judgement.reason,
        message=judgement.message,
        observed_generation=generation,
        last_transition_time=before.last_transition_time if before is not None and unmoved else now,
    )


def find(conditions: tuple[Condition, ...], type_: str) -> Condition | None:
    return next((condition for condition in conditions if condition.type == type_), None)


def is_true(conditions: tuple[Condition, ...], type_: str) -> bool:
    condition = find(conditions, type_)
    return condition is not None and condition.status is TRUE


def ending(conditions: tuple[Condition, ...]) -> Condition | None:
    """What ``Succeeded`` says once it has ended: True well, False badly. None while it is open."""
    condition = find(conditions, "Succeeded")
    return None if condition is None or condition.status is UNKNOWN else condition
