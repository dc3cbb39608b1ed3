"""Ends: of an attempt, well or badly, and of the training, after which nothing is ever started."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from modelcycle.api.v1alpha1.training import Attempt, FailureClass, RegisteredVersion, TrainingStatus
from modelcycle.core.observed import JobView, PodView
from modelcycle.core.plan import Effect, Event, EventType, Plan, Ref
from modelcycle.registry.port import EndRun, RegisterModel, RunStatus, SetAlias, VersionInfo
from modelcycle.training import attempts, children, identity
from modelcycle.training.case import MOMENT_TO_REGISTER, Case, TrainingPlan, asking
from modelcycle.training.failures import may_retry, train_container
from modelcycle.training.status import Stage
from modelcycle.training.termination import parse

REGISTERING = Stage("Registering", "The training is done; its model is being registered.")


def with_pod_facts(status: TrainingStatus, pod: PodView | None) -> TrainingStatus:
    """What only the pod knows and takes away with it: the digest of its image, and what it read."""
    container = train_container(pod)
    if container is None:
        return status
    data = parse(container.terminated_message).data
    return status.evolve(image_digest=container.image_id or status.image_digest, data=data or status.data)


def completed(case: Case, job: JobView, number: int, pod: PodView | None) -> TrainingPlan:
    """The attempt's success, with what the pod said, goes to the status with what comes of its registration.

    In a rush the event of that tells of the attempt, too, if nothing has told of it yet.
    """
    record = attempts.succeeded(job, number, pod, case.now)
    status = attempts.with_attempt(with_pod_facts(case.status, pod), record)
    case = replace(case, untold=()) if case.observed.rush else case
    return register(case.with_status(status).ended(), record, since=job.completion_time)


def register(case: Case, record: Attempt, since: datetime | None = None) -> TrainingPlan:
    """``since``: when the attempt succeeded, if that is not in the status yet."""
    spec, run = case.training.spec, case.status.run
    effect = RegisterModel(
        endpoint=spec.mlflow,
        run_id=run.id if run else "",
        model=spec.register_.model,
        tags=identity.version_tags(case.observed.settings.cluster_id, case.training, case.status),
        logged_since=record.started_at,  # what an earlier attempt logged before it failed is not this model
    )
    outcome = case.outcome(effect)
    if outcome is not None and not outcome.ok and not outcome.retryable:
        reason = outcome.error_kind or "RegistryRefused"
        return over(case, reason, f"the model can't be registered: {outcome.error}")
    if outcome is None or not outcome.ok:
        stage = asking(outcome, "Registering the model", REGISTERING)
        return case.plan(stage, effects=(effect,), since=None if outcome else since, moment=MOMENT_TO_REGISTER)
    version: VersionInfo = outcome.value
    if run is not None and version.run_id != run.id:  # of this training's former life, registered since it looked
        return already_registered(case, version)
    case = case.with_status(case.status.evolve(registered=registered_version(version)))
    return _set_alias(case, version, since) or _registered_well(case, record, version, outcome.at)


def already_registered(case: Case, version: VersionInfo) -> TrainingPlan:
    """A version has the key of this training, and was not made by it."""
    status = case.status.evolve(registered=registered_version(version), completion_time=case.now)
    code = " and the same content of its ConfigMaps" if status.code else ""
    message = (
        f"{version.model} version {version.version} was trained from this very spec{code} before; "
        "set spec.nonce in a resource of a new name to train again"
    )
    event = Event("AlreadyRegistered", message, transition=f"known-{version.version}")
    return case.with_status(status).plan(Stage("AlreadyRegistered", message, succeeded=True), events=(event,))


def registered_version(version: VersionInfo) -> RegisteredVersion:
    return RegisteredVersion(model=version.model, version=version.version, digest=version.digest, files=version.files)


def _set_alias(case: Case, version: VersionInfo, since: datetime | None) -> TrainingPlan | None:
    alias = case.training.spec.register_.alias
    if alias is None:
        return None
    effect = SetAlias(case.training.spec.mlflow, version.model, alias.value, version.version)
    outcome = case.outcome(effect)
    if outcome is not None and outcome.ok:
        return None
    stage = asking(outcome, f"Setting alias {alias.value}", REGISTERING)
    return case.plan(stage, effects=(effect,), since=None if outcome else since, moment=MOMENT_TO_REGISTER)


def _registered_well(case: Case, record: Attempt, version: VersionInfo, since: datetime) -> TrainingPlan:
    """``since``: when it was registered. The end of its run is told with it, unless that takes time."""
    message = f"{version.model} version {version.version} is registered, trained in attempt {record.number}."
    status, ending = _close_run(case, RunStatus.FINISHED)
    if ending and case.outcome(ending[0]) is None and case.passing(since, MOMENT_TO_REGISTER) is not None:
        return case.plan(REGISTERING, effects=ending, since=since, moment=MOMENT_TO_REGISTER)
    status = status.evolve(completion_time=case.now)
    event = Event("Registered", message, transition=f"registered-{version.version}")
    stage = Stage("Registered", message, succeeded=True)
    return case.with_status(status).plan(stage, effects=ending, events=(event,))


def failed(case: Case, status: TrainingStatus, number: int) -> TrainingPlan:
    """The failure goes to the status first; what follows from it is decided on what the status says."""
    case = case.with_status(status).ended()
    record = attempts.recorded(status, number)
    failure = record.failure if record and record.failure else FailureClass.UNKNOWN
    said = record.message if record else ""
    event = Event(
        failure.value, f"attempt {number} failed: {said}", transition=f"failed-{number}", type=EventType.WARNING
    )
    if may_retry(case.training.spec.retries, status.failures, failure):
        return case.plan(retrying(number, failure, said), events=(event,))
    return over(case, failure.value, f"attempt {number} failed: {said}", events=(event,))


def retrying(number: int, failure: FailureClass, said: str | None) -> Stage:
    return Stage("Retrying", f"Attempt {number} failed ({failure.value}): {said}. The next one follows.")


# --- the end of the training -----------------------------------------------------------------------------------------
def over(case: Case, reason: str, message: str, *, events: tuple[Event, ...] = ()) -> TrainingPlan:
    status = case.status.evolve(completion_time=case.now)
    logs = f" — logs: kubectl logs -n {case.training.namespace} -l {_pods(case.training)} --tail=50"
    hint = message + (logs if attempts.has_logs(status) else "")
    event = Event("TrainingFailed", f"{reason}: {message}", transition="failed", type=EventType.WARNING)
    return case.with_status(status).plan(Stage(reason, hint, succeeded=False), events=(*events, event))


def _pods(training: children.Training) -> str:
    return f"modelcycle.dev/owner-uid={training.uid}"


def after_the_end(case: Case, *, succeeded: bool) -> TrainingPlan:
    """Close the run, end what still runs, and remove the Jobs once their time is over. Nothing is ever started here."""
    status, training = case.status, case.training
    if training.invalid:  # it was understood when it ended; nothing can be done for it with this spec
        return Plan(status=status)
    status, effects = _close_run(case, RunStatus.FINISHED if succeeded else RunStatus.FAILED)
    left = (status.completion_time or case.now) + timedelta(seconds=training.spec.ttl_seconds_after_finished) - case.now
    present = tuple(job for job in case.observed.jobs if not job.deleting)
    over = present if left <= timedelta(0) else tuple(job for job in present if not (job.complete or job.failed))
    status = status.evolve(observed_generation=training.generation)
    look_again = left if present and left > timedelta(0) else None
    return Plan(status=status, delete=tuple(map(_ref, over)), effects=effects, look_again=look_again)


def _close_run(case: Case, final: RunStatus) -> tuple[TrainingStatus, tuple[Effect, ...]]:
    """The run gets its final status in MLflow, whatever the pod left it in."""
    run = case.status.run
    if run is None or run.ended:
        return case.status, ()
    effect = EndRun(case.training.spec.mlflow, run.id, final)
    outcome = case.outcome(effect)
    if outcome is not None and outcome.ok:
        return case.status.evolve(run=run.evolve(ended=True)), ()
    return case.status, (effect,)


def _ref(job: JobView) -> Ref:
    return Ref("batch/v1", "Job", job.namespace, job.name, job.uid)
