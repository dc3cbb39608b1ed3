"""Before the first attempt: what the administrator allows, what is known already, suspension, and the MLflow run."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from modelcycle.api.v1alpha1.training import RunReference
from modelcycle.core.plan import Outcome
from modelcycle.registry.port import EnsureRun, FindRegistered, RunInfo
from modelcycle.settings import MlflowEndpoint
from modelcycle.training import children, identity
from modelcycle.training.case import SUSPENDED, Case, TrainingPlan, asking
from modelcycle.training.ending import already_registered
from modelcycle.training.kept import kept
from modelcycle.training.status import Stage


def misplaced(training: children.Training, endpoint: MlflowEndpoint | None) -> Stage | None:
    """What the administrator's settings do not allow."""
    model = training.spec.register_.model
    if endpoint is None:
        return Stage(
            "EndpointUnknown",
            f"no MLflow endpoint named {training.spec.mlflow!r} serves namespace {training.namespace!r}: "
            "ask the administrator, or name another in spec.mlflow",
            stalled=True,
        )
    if not endpoint.may_register(training.namespace, model):
        return Stage("ModelNotAllowed", not_allowed(endpoint, training.namespace, model), stalled=True)
    return None


def not_allowed(endpoint: MlflowEndpoint, namespace: str, model: str) -> str:
    """What names are allowed, with an example that is made of the one that is not."""
    prefixes = [prefix.replace("{namespace}", namespace) for prefix in endpoint.model_prefixes]
    allowed = " or ".join(f'"{prefix}"' for prefix in prefixes) or "what the administrator has yet to allow"
    example = f" (for example {prefixes[0]}{model.rpartition('.')[2]})" if prefixes else ""
    return (
        f"spec.register.model {model!r} must start with {allowed}{example}: apply another ModelTraining, "
        "or ask the administrator to allow this name"
    )


def with_key(case: Case) -> Case:
    """The key goes to the status together with the digests that are in it, once the copies are there; then it stays."""
    code = kept(case, 1)
    if case.status.key or code is None:
        return case
    key = identity.key(case.observed.settings.cluster_id, case.training, code)
    kept_code = code if children.copies(case.training) else None
    return case.with_status(case.status.evolve(key=key, code=kept_code)).unblocked()


def known(case: Case) -> TrainingPlan | None:
    """Once means once: a version with the key of this training ends it without a pod. Asked before anything starts."""
    if case.status.run is not None or case.observed.jobs:
        return None
    spec = case.training.spec
    search = FindRegistered(spec.mlflow, spec.register_.model, case.status.key or "")
    outcome = case.outcome(search)
    if outcome is None or not outcome.ok:
        # A new leader asks once more, which is no news of one that is suspended.
        meanwhile = SUSPENDED if case.training.spec.suspend else None
        stage = asking(outcome, "Looking whether it was trained before", meanwhile)
        return case.plan(stage, effects=(search,), since=begun(case, outcome))
    if outcome.value is None:
        return None
    return already_registered(case, outcome.value)


def suspended_before_start(case: Case) -> TrainingPlan | None:
    if not case.training.spec.suspend or case.observed.jobs or case.status.attempts:
        return None
    return case.unblocked().plan(SUSPENDED)


def make_run(case: Case) -> TrainingPlan:
    """Exactly one MLflow run for this training, made or found; see ``with_run``."""
    effect = _ensure_run(case)
    outcome = case.outcome(effect)
    return case.plan(asking(outcome, "Making the MLflow run"), effects=(effect,), since=begun(case, outcome))


def with_run(case: Case) -> Case:
    """The run goes to the status together with the first attempt; then it stays."""
    run = _made(case) if case.status.run is None else None
    if run is None:
        return case
    return case.with_status(case.status.evolve(run=RunReference(id=run.run_id, experiment_id=run.experiment_id)))


def _made(case: Case) -> RunInfo | None:
    """The run, if its pods log to it: a Job that was made with what is known already asks for nothing new."""
    wanted = _ensure_run(case)
    for effect in (replace(wanted, keep=None), wanted):
        outcome = case.outcome(effect)
        if outcome is not None and outcome.ok and wanted.keep in (None, outcome.value.run_id):
            run: RunInfo = outcome.value
            return run
    return None


def begun(case: Case, outcome: Outcome | None) -> datetime | None:
    """Since when a training is being prepared; None where something keeps it from going on.

    Where thousands are made at once most of them wait for their first look for longer than all that comes after it.
    """
    return (case.observed.since or case.training.created) if outcome is None or outcome.ok else None


def _ensure_run(case: Case) -> EnsureRun:
    training = case.training
    return EnsureRun(
        endpoint=training.spec.mlflow,
        experiment=training.spec.experiment or f"{training.namespace}/{training.spec.register_.model}",
        name=training.name,
        uid=training.uid,
        tags=identity.run_tags(case.observed.settings.cluster_id, training, case.status.key or ""),
        keep=next((job.run_id for job in case.observed.jobs if job.run_id), None),
    )
