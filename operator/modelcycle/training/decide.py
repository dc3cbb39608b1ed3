"""What to do for a ``ModelTraining``: ``decide(observed, now) -> Plan``.

A chain of policies; the first that has something to say ends it::

    finished?  -> close the run, remove Jobs after their TTL, nothing else, ever
    stalled?   -> spec not understood, endpoint unknown, model name not allowed
    code       -> what it takes from ConfigMaps is copied, and its digests and the key are known
    known?     -> a version with this key exists already: Succeeded/AlreadyRegistered without a pod
    suspended? -> nothing is started; a running Job is suspended
    run        -> exactly one MLflow run, before the first pod
    attempt    -> start, watch, succeed and register, or fail and perhaps try again

Truth lives in our status, never in children: once Succeeded is True or False, no Job is made again whatever happens to
the old ones.
"""

from __future__ import annotations

from datetime import datetime

from modelcycle.core.conditions import TRUE, ending
from modelcycle.core.plan import Plan
from modelcycle.training.beginning import known, make_run, misplaced, suspended_before_start, with_key, with_run
from modelcycle.training.case import Case, TrainingObserved, TrainingPlan
from modelcycle.training.course import attempt
from modelcycle.training.ending import after_the_end
from modelcycle.training.kept import COPYING, keep
from modelcycle.training.status import Stage


def decide(observed: TrainingObserved, now: datetime) -> TrainingPlan:
    """The plan for one training; total, and the same for the same arguments."""
    training = observed.resource
    case = Case(observed, now, training.status)
    if training.deleting:
        return Plan(status=training.status)
    ended = ending(training.status.conditions)
    if ended is not None:
        return after_the_end(case, succeeded=ended.status is TRUE)
    if training.invalid:
        return case.plan(Stage("InvalidSpec", f"the spec can't be understood: {training.invalid}", stalled=True))
    endpoint = observed.settings.endpoints.mlflow_named(training.spec.mlflow, training.namespace)
    elsewhere = misplaced(training, endpoint)
    if elsewhere or endpoint is None:
        return case.plan(elsewhere or Stage("EndpointUnknown", "", stalled=True))
    case = with_key(case)
    if case.status.key is None:
        return suspended_before_start(case) or keep(case, 1, COPYING)
    case = with_run(case)
    if case.status.run is None:
        return known(case) or suspended_before_start(case) or make_run(case)
    return suspended_before_start(case) or attempt(case, endpoint, case.status.run.id)
