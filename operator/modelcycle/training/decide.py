"""What to do for a ``ModelTraining``: ``decide(observed, now) -> Plan``.

A chain of policies; the first that has something to say ends it::

    finished?  -> close the run, remove Jobs after their TTL, nothing else, ever
    stalled?   -> spec not understood, endpoint unknown, model name not allowed
    known?     -> a version with this key exists already: Succeeded/AlreadyRegistered without a pod
    suspended? -> nothing is started; a running Job is suspended
    run        -> exactly one MLflow run, before the first pod
    attempt    -> start, watch, succeed and register, or fail and perhaps try again

Truth lives in our status, never in children: once Succeeded is True or False, no Job is made again whatever happens to
the old ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from modelcycle.api.v1alpha1.common import ConditionStatus
from modelcycle.api.v1alpha1.training import (
    Attempt,
    AttemptState,
    FailureClass,
    RegisteredVersion,
    RunReference,
    TrainingSpec,
    TrainingStatus,
)
from modelcycle.core.conditions import find
from modelcycle.core.observed import JobView, Observed, PodView
from modelcycle.core.plan import Effect, Event, EventType, Manifest, Outcome, Plan, Ref
from modelcycle.registry.port import (
    EndRun,
    EnsureRun,
    FindRegistered,
    RegisterModel,
    RunInfo,
    RunStatus,
    SetAlias,
    VersionInfo,
)
from modelcycle.settings import MlflowEndpoint
from modelcycle.training import attempts, children, identity
from modelcycle.training.failures import Blockade, blockade, may_retry, train_container
from modelcycle.training.status import Stage, with_stage
from modelcycle.training.termination import parse

TrainingObserved = Observed[TrainingSpec, TrainingStatus]
TrainingPlan = Plan[TrainingStatus]

NO_POD_GRACE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Case:
    """One pass: what is seen, when, and the status as it is being worked out."""

    observed: TrainingObserved
    now: datetime
    status: TrainingStatus

    @property
    def training(self) -> children.Training:
        return self.observed.resource

    def with_status(self, status: TrainingStatus) -> Case:
        return replace(self, status=status)

    def outcome(self, effect: Effect) -> Outcome | None:
        return self.observed.outcomes.get(effect)

    def plan(
        self,
        stage: Stage,
        *,
        apply: tuple[Manifest, ...] = (),
        effects: tuple[Effect, ...] = (),
        events: tuple[Event, ...] = (),
        look_again: timedelta | None = None,
    ) -> TrainingPlan:
        status = with_stage(self.status, self.training, stage, self.now)
        return Plan(status=status, apply=apply, effects=effects, events=events, look_again=look_again)


def decide(observed: TrainingObserved, now: datetime) -> TrainingPlan:
    """The plan for one training; total, and the same for the same arguments."""
    training = observed.resource
    case = Case(observed, now, training.status)
    if training.deleting:
        return Plan(status=training.status)
    ended = _ended(training.status)
    if ended is not None:
        return _after_the_end(case, succeeded=ended)
    if training.invalid:
        return case.plan(Stage("InvalidSpec", f"the spec can't be understood: {training.invalid}", stalled=True))
    endpoint = observed.settings.endpoints.mlflow_named(training.spec.mlflow, training.namespace)
    misplaced = _misplaced(training, endpoint)
    if misplaced or endpoint is None:
        return case.plan(misplaced or Stage("EndpointUnknown", "", stalled=True))
    case = case.with_status(_with_key(case))
    return _known(case) or _suspended_before_start(case) or _with_run(case, endpoint)


def _ended(status: TrainingStatus) -> bool | None:
    """Whether the training ended well or badly; None while it is open."""
    condition = find(status.conditions, "Succeeded")
    if condition is None or condition.status is ConditionStatus.UNKNOWN:
        return None
    return condition.status is ConditionStatus.TRUE


def _misplaced(training: children.Training, endpoint: MlflowEndpoint | None) -> Stage | None:
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
        prefixes = ", ".join(p.replace("{namespace}", training.namespace) for p in endpoint.model_prefixes)
        return Stage(
            "ModelNotAllowed",
            f"spec.register.model {model!r} must start with one of: {prefixes}",
            stalled=True,
        )
    return None


def _with_key(case: Case) -> TrainingStatus:
    if case.status.key:
        return case.status
    key = identity.key(case.observed.settings.cluster_id, case.training)
    return case.status.evolve(key=key)


# --- known already ---------------------------------------------------------------------------------------------------
def _known(case: Case) -> TrainingPlan | None:
    """Once means once: a version with the key of this training ends it without a pod. Asked before anything starts."""
    if case.status.run is not None or case.observed.jobs:
        return None
    spec = case.training.spec
    search = FindRegistered(spec.mlflow, spec.register_.model, case.status.key or "")
    outcome = case.outcome(search)
    if outcome is None or not outcome.ok:
        return case.plan(_asking(outcome, "Looking whether it was trained before"), effects=(search,))
    if outcome.value is None:
        return None
    version: VersionInfo = outcome.value
    status = case.status.evolve(registered=_registered(version), completion_time=case.now)
    message = (
        f"{version.model} version {version.version} was trained from this very spec before; "
        "set spec.nonce in a resource of a new name to train again"
    )
    event = Event("AlreadyRegistered", message, transition=f"known-{version.version}")
    return case.with_status(status).plan(Stage("AlreadyRegistered", message, succeeded=True), events=(event,))


def _asking(outcome: Outcome | None, doing: str) -> Stage:
    if outcome is None or outcome.ok:
        return Stage("Preparing", f"{doing}.")
    if outcome.retryable:
        return Stage("RegistryUnavailable", f"{doing} waits for MLflow: {outcome.error}")
    return Stage("RegistryRefused", f"{doing} failed: {outcome.error}", stalled=True)


# --- suspension and run ----------------------------------------------------------------------------------------------
def _suspended_before_start(case: Case) -> TrainingPlan | None:
    if not case.training.spec.suspend or case.observed.jobs or case.status.attempts:
        return None
    return case.plan(_SUSPENDED)


_SUSPENDED = Stage("Suspended", "Suspended by spec.suspend; set it to false to go on.", suspended=True)


def _with_run(case: Case, endpoint: MlflowEndpoint) -> TrainingPlan:
    if case.status.run is not None:
        return _attempt(case, endpoint, case.status.run.id)
    effect = _ensure_run(case)
    outcome = case.outcome(effect)
    if outcome is None or not outcome.ok:
        return case.plan(_asking(outcome, "Making the MLflow run"), effects=(effect,))
    run: RunInfo = outcome.value
    status = case.status.evolve(run=RunReference(id=run.run_id, experiment_id=run.experiment_id))
    # The run is in the status before the first pod: whoever finds the pod can find its run.
    return case.with_status(status).plan(Stage("Preparing", f"MLflow run {run.run_id} is made."))


def _ensure_run(case: Case) -> EnsureRun:
    training = case.training
    return EnsureRun(
        endpoint=training.spec.mlflow,
        experiment=training.spec.experiment or f"{training.namespace}/{training.spec.register_.model}",
        name=training.name,
        uid=training.uid,
        tags=identity.run_tags(case.observed.settings.cluster_id, training, case.status.key or ""),
    )


# --- attempts --------------------------------------------------------------------------------------------------------
def _attempt(case: Case, endpoint: MlflowEndpoint, run_id: str) -> TrainingPlan:
    number = attempts.latest_number(case.training, case.observed.jobs)
    if number == 0:
        return _start(case, endpoint, run_id, 1)
    job = attempts.find_job(case.training, case.observed.jobs, number)
    record = attempts.recorded(case.status, number)
    if record is not None and record.state is AttemptState.FAILED:
        return _again(case, endpoint, run_id, record)
    if record is not None and record.state is AttemptState.SUCCEEDED:
        return _register(case, record)
    pod = attempts.find_pod(case.observed.pods, number)
    if job is None:
        return _job_is_gone(case, record, number)
    if job.complete:
        return _completed(case, job, number, pod)
    if job.failed:
        return _failed(case, attempts.failed(_with_pod_facts(case.status, pod), job, number, pod, case.now), number)
    return _under_way(case, endpoint, run_id, job, pod, number)


def _remaining(case: Case) -> int:
    return case.training.spec.deadline_seconds - case.status.running_seconds


def _start(case: Case, endpoint: MlflowEndpoint, run_id: str, number: int) -> TrainingPlan:
    if _remaining(case) <= 0:
        return _over(case, FailureClass.DEADLINE.value, "the attempts together used up deadlineSeconds")
    job = children.job(case.training, endpoint, run_id, number, _remaining(case))
    attempt = Attempt(number=number, job=job["metadata"]["name"], started_at=case.now)
    status = attempts.with_attempt(case.status, attempt)
    status = status.evolve(start_time=status.start_time or case.now, blocked_since=None, blocked_reason=None)
    event = Event("AttemptStarted", f"attempt {number}: Job {attempt.job}", transition=f"attempt-{number}")
    return case.with_status(status).plan(
        Stage("Pending", f"Attempt {number} is starting."), apply=(job,), events=(event,)
    )


def _job_is_gone(case: Case, record: Attempt | None, number: int) -> TrainingPlan:
    if record is None:  # can't be: the number came from a Job or from a record
        return case.plan(Stage("Pending", f"Attempt {number} is starting."))
    if case.now - (record.started_at or case.now) < timedelta(seconds=5):
        # Our own Job of a moment ago: the cache may not have it yet.
        return case.plan(Stage("Pending", f"Attempt {number} is starting."), look_again=timedelta(seconds=5))
    return _failed(case, attempts.vanished(case.status, record, case.now), number)


def _under_way(
    case: Case, endpoint: MlflowEndpoint, run_id: str, job: JobView, pod: PodView | None, number: int
) -> TrainingPlan:
    manifest = children.job(case.training, endpoint, run_id, number, _remaining(case))
    attempt = attempts.started(job, number, pod)
    status = attempts.with_attempt(_with_pod_facts(case.status, pod), attempt)
    case = case.with_status(status)
    if case.training.spec.suspend:
        since = status.suspended_since or case.now
        event = Event("Suspended", f"attempt {number} is suspended", transition=f"suspended-{since.timestamp():.0f}")
        return case.with_status(status.evolve(suspended_since=since)).plan(
            _SUSPENDED, apply=(manifest,), events=(event,)
        )
    case = case.with_status(status.evolve(suspended_since=None))
    obstacle = blockade(pod) or _no_pod(case, job, pod)
    if obstacle is not None:
        return _blocked(case, obstacle, number, manifest)
    case = case.with_status(case.status.evolve(blocked_since=None, blocked_reason=None))
    if attempt.state is AttemptState.RUNNING:
        return case.plan(Stage("Running", f"Attempt {number} runs on node {attempt.node}."), apply=(manifest,))
    pending = Stage("Pending", f"Attempt {number} is starting" + (f" on node {attempt.node}." if attempt.node else "."))
    return case.plan(pending, apply=(manifest,), look_again=NO_POD_GRACE)


def _no_pod(case: Case, job: JobView, pod: PodView | None) -> Blockade | None:
    """A Job that got no pod for a minute: a quota or an admission policy refuses it, and says so only in an event."""
    since = job.start_time or job.created
    if pod is not None or job.suspended or case.now - since < NO_POD_GRACE:
        return None
    return Blockade(
        FailureClass.CONFIG, f"no pod could be made; see: kubectl describe job -n {job.namespace} {job.name}"
    )


def _blocked(case: Case, obstacle: Blockade, number: int, manifest: Manifest) -> TrainingPlan:
    since = case.status.blocked_since or case.now
    left = timedelta(seconds=case.training.spec.pending_deadline_seconds) - (case.now - since)
    if left <= timedelta(0):
        return _over(case, obstacle.kind.value, f"it could not start within pendingDeadlineSeconds: {obstacle.message}")
    status = case.status.evolve(blocked_since=since, blocked_reason=obstacle.kind.value)
    event = Event(
        obstacle.kind.value,
        f"attempt {number} can't start: {obstacle.message}",
        transition=f"blocked-{number}-{obstacle.kind.value}",
        type=EventType.WARNING,
    )
    stage = Stage(
        obstacle.kind.value,
        f"Attempt {number} can't start: {obstacle.message}. It goes on by itself when that is mended, and gives up at "
        f"{(case.now + left).strftime('%H:%M:%SZ')}.",
    )
    return case.with_status(status).plan(stage, apply=(manifest,), events=(event,), look_again=left)


def _with_pod_facts(status: TrainingStatus, pod: PodView | None) -> TrainingStatus:
    """What only the pod knows and takes away with it: the digest of its image, and what it read."""
    container = train_container(pod)
    if container is None:
        return status
    data = parse(container.terminated_message).data
    return status.evolve(image_digest=status.image_digest or container.image_id, data=data or status.data)


# --- the end of an attempt -------------------------------------------------------------------------------------------
def _completed(case: Case, job: JobView, number: int, pod: PodView | None) -> TrainingPlan:
    """First the attempt's success goes to the status, with what the pod said; it is registered in the next pass."""
    status = attempts.with_attempt(_with_pod_facts(case.status, pod), attempts.succeeded(job, number, pod, case.now))
    return case.with_status(status).plan(Stage("Registering", "The training is done; its model is being registered."))


def _register(case: Case, record: Attempt) -> TrainingPlan:
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
        return _over(case, reason, f"the model can't be registered: {outcome.error}")
    if outcome is None or not outcome.ok:
        return case.plan(_asking(outcome, "Registering the model"), effects=(effect,))
    version: VersionInfo = outcome.value
    case = case.with_status(case.status.evolve(registered=_registered(version)))
    return _set_alias(case, version) or _registered_well(case, record, version)


def _registered(version: VersionInfo) -> RegisteredVersion:
    return RegisteredVersion(model=version.model, version=version.version, digest=version.digest, files=version.files)


def _set_alias(case: Case, version: VersionInfo) -> TrainingPlan | None:
    alias = case.training.spec.register_.alias
    if alias is None:
        return None
    effect = SetAlias(case.training.spec.mlflow, version.model, alias.value, version.version)
    outcome = case.outcome(effect)
    if outcome is not None and outcome.ok:
        return None
    return case.plan(_asking(outcome, f"Setting alias {alias.value}"), effects=(effect,))


def _registered_well(case: Case, record: Attempt, version: VersionInfo) -> TrainingPlan:
    message = f"{version.model} version {version.version} is registered, trained in attempt {record.number}."
    status = case.status.evolve(completion_time=case.now)
    event = Event("Registered", message, transition=f"registered-{version.version}")
    return case.with_status(status).plan(Stage("Registered", message, succeeded=True), events=(event,))


def _failed(case: Case, status: TrainingStatus, number: int) -> TrainingPlan:
    """The failure goes to the status first; what follows from it is decided on what the status says."""
    case = case.with_status(status)
    record = attempts.recorded(status, number)
    failure = record.failure if record and record.failure else FailureClass.UNKNOWN
    said = record.message if record else ""
    event = Event(
        failure.value, f"attempt {number} failed: {said}", transition=f"failed-{number}", type=EventType.WARNING
    )
    if may_retry(case.training.spec.retries, status.failures, failure):
        return case.plan(_retrying(number, failure, said), events=(event,))
    return _over(case, failure.value, f"attempt {number} failed: {said}", events=(event,))


def _retrying(number: int, failure: FailureClass, said: str | None) -> Stage:
    return Stage("Retrying", f"Attempt {number} failed ({failure.value}): {said}. The next one follows.")


def _again(case: Case, endpoint: MlflowEndpoint, run_id: str, record: Attempt) -> TrainingPlan:
    failure = record.failure or FailureClass.UNKNOWN
    if not may_retry(case.training.spec.retries, case.status.failures, failure):
        return _over(case, failure.value, f"attempt {record.number} failed: {record.message}")
    if case.training.spec.suspend:
        return case.plan(_SUSPENDED)
    due = attempts.retry_due(case.status, record)
    if due is not None and due > case.now:
        return case.plan(_retrying(record.number, failure, record.message), look_again=due - case.now)
    return _start(case, endpoint, run_id, record.number + 1)


# --- the end of the training -----------------------------------------------------------------------------------------
def _over(case: Case, reason: str, message: str, *, events: tuple[Event, ...] = ()) -> TrainingPlan:
    status = case.status.evolve(completion_time=case.now)
    hint = f"{message} — logs: kubectl logs -n {case.training.namespace} -l {_pods(case.training)} --tail=50"
    event = Event("TrainingFailed", f"{reason}: {message}", transition="failed", type=EventType.WARNING)
    return case.with_status(status).plan(Stage(reason, hint, succeeded=False), events=(*events, event))


def _pods(training: children.Training) -> str:
    return f"modelcycle.dev/owner-uid={training.uid}"


def _after_the_end(case: Case, *, succeeded: bool) -> TrainingPlan:
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
