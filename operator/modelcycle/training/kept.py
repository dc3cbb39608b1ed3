"""What a training takes from ConfigMaps: copied before anything else, and seen to be there before each attempt."""

from __future__ import annotations

from modelcycle.api.v1alpha1.training import FailureClass, KeptCode
from modelcycle.errors import Missing
from modelcycle.training import children
from modelcycle.training.case import Case, TrainingPlan
from modelcycle.training.failures import Blockade
from modelcycle.training.obstacles import blocked
from modelcycle.training.status import Stage

COPYING = Stage("Preparing", "Its ConfigMaps are being copied.")


def kept(case: Case, attempt: int) -> KeptCode | None:
    """Digests of the copies, as they were found for this attempt; None while one of them is not there."""
    outcomes = {part: case.outcome(effect) for part, effect in children.copies(case.training, attempt).items()}
    done = {part: outcome.value for part, outcome in outcomes.items() if outcome is not None and outcome.ok}
    return KeptCode(**done) if len(done) == len(outcomes) else None


def keep(case: Case, attempt: int, meanwhile: Stage) -> TrainingPlan:
    """Ask for the copies that are not there yet, and say what keeps them from being made."""
    outcomes = {effect: case.outcome(effect) for effect in children.copies(case.training, attempt).values()}
    effects = tuple(effect for effect, outcome in outcomes.items() if outcome is None or not outcome.ok)
    failure = next((outcome for outcome in outcomes.values() if outcome is not None and not outcome.ok), None)
    if failure is None:
        return case.plan(meanwhile, effects=effects, since=case.training.created)
    if failure.retryable and failure.error_kind != Missing.__name__:
        return case.plan(Stage(meanwhile.reason, f"{COPYING.message[:-1]}: {failure.error}"), effects=effects)
    return blocked(case, Blockade(FailureClass.CONFIG, failure.error or ""), attempt, effects=effects)
