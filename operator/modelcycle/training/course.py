"""The course of the attempts: start one, watch it, say what keeps it from starting, try again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from modelcycle.api.v1alpha1.training import Attempt, AttemptState, FailureClass
from modelcycle.core.observed import ContainerView, JobView, PodView, awaits_last_words
from modelcycle.core.plan import Event, Manifest, Plan
from modelcycle.settings import MlflowEndpoint
from modelcycle.training import attempts, children
from modelcycle.training.case import MOMENT_TO_END, MOMENT_TO_RUN, MOMENT_TO_START, SUSPENDED, Case, TrainingPlan
from modelcycle.training.ending import completed, failed, over, register, retrying, with_pod_facts
from modelcycle.training.failures import may_retry, train_container
from modelcycle.training.kept import COPYING, keep, kept
from modelcycle.training.obstacles import NO_POD_GRACE, blocked, obstacle
from modelcycle.training.status import Stage

OTHER_CODE = (
    "a copy of its ConfigMaps was deleted, and what they hold has changed since, but all attempts have to run the same "
    "code; to train with what they hold now, delete this ModelTraining and apply it again"
)
LAST_WORDS = timedelta(seconds=2)


def attempt(case: Case, endpoint: MlflowEndpoint, run_id: str) -> TrainingPlan:
    number = attempts.latest_number(case.training, case.observed.jobs)
    if number == 0:
        return _start(case, endpoint, run_id, 1, COPYING)
    job = attempts.find_job(case.training, case.observed.jobs, number)
    record = attempts.recorded(case.status, number)
    if record is not None and record.state is AttemptState.FAILED:
        return _again(case, endpoint, run_id, record)
    if record is not None and record.state is AttemptState.SUCCEEDED:
        return register(case, record)
    pod = attempts.find_pod(case.observed.pods, number)
    if job is None:
        return _job_is_gone(case, record, number)
    if record is None:
        case = _begun(case, job, pod, number)
    if awaits_last_words(job, pod):
        return Plan(status=case.training.status, look_again=LAST_WORDS)
    if job.complete:
        return completed(case, job, number, pod)
    if job.failed:
        return failed(case, attempts.failed(with_pod_facts(case.status, pod), job, number, pod, case.now), number)
    return _under_way(case, endpoint, run_id, job, pod, number)


def _again(case: Case, endpoint: MlflowEndpoint, run_id: str, record: Attempt) -> TrainingPlan:
    failure = record.failure or FailureClass.UNKNOWN
    if not may_retry(case.training.spec.retries, case.status.failures, failure):
        return over(case, failure.value, f"attempt {record.number} failed: {record.message}")
    if case.training.spec.suspend:
        return case.unblocked().plan(SUSPENDED)
    due = attempts.retry_due(case.status, record)
    if due is not None and due > case.now:
        return case.plan(retrying(record.number, failure, record.message), look_again=due - case.now)
    return _start(case, endpoint, run_id, record.number + 1, retrying(record.number, failure, record.message))


def _remaining(case: Case) -> int:
    return case.training.spec.deadline_seconds - case.status.running_seconds


def _start(case: Case, endpoint: MlflowEndpoint, run_id: str, number: int, meanwhile: Stage) -> TrainingPlan:
    """``meanwhile``: what is said until the copies of its ConfigMaps are seen to be there."""
    if _remaining(case) <= 0:
        return over(case, FailureClass.DEADLINE.value, "the attempts together used up deadlineSeconds")
    code = kept(case, number)
    if code is None:
        return keep(case, number, meanwhile)
    if case.status.code is None and children.copies(case.training):
        # An operator that kept no copies made the run. Digests are in the status before a pod can see what they are of.
        return case.with_status(case.status.evolve(code=code)).plan(meanwhile)
    if case.status.code not in (None, code):
        return over(case, FailureClass.CONFIG.value, OTHER_CODE)
    job = children.job(case.revised, endpoint, run_id, number, _remaining(case))
    # Nothing but the Job, which names the attempt and its run: both are told once they are seen.
    return Plan(status=case.training.status, apply=(job,))


def _begun(case: Case, job: JobView, pod: PodView | None, number: int) -> Case:
    """An attempt that is in no status yet: it is told with whatever is told next."""
    attempt = attempts.started(job, number, pod)
    start = case.status.start_time or attempt.started_at
    event = Event("AttemptStarted", f"attempt {number}: Job {attempt.job}", transition=f"attempt-{number}")
    case = case.with_status(attempts.with_attempt(case.status, attempt).evolve(start_time=start)).unblocked()
    return replace(case, untold=(event,))


def _job_is_gone(case: Case, record: Attempt | None, number: int) -> TrainingPlan:
    if record is None:  # can't be: the number came from a Job or from a record
        return case.plan(Stage("Pending", f"Attempt {number} is starting."))
    if case.now - (record.started_at or case.now) < timedelta(seconds=5):
        # Our own Job of a moment ago: the cache may not have it yet.
        return case.plan(Stage("Pending", f"Attempt {number} is starting."), look_again=timedelta(seconds=5))
    return failed(case, attempts.vanished(case.status, record, case.now), number)


def _under_way(
    case: Case, endpoint: MlflowEndpoint, run_id: str, job: JobView, pod: PodView | None, number: int
) -> TrainingPlan:
    apply = _adjusted(case, endpoint, run_id, job, number)
    attempt = attempts.started(job, number, pod)
    status = attempts.with_attempt(with_pod_facts(case.status, pod), attempt)
    case = case.with_status(status)
    if case.training.spec.suspend:
        since = status.suspended_since or case.now
        event = Event("Suspended", f"attempt {number} is suspended", transition=f"suspended-{since.timestamp():.0f}")
        case = case.with_status(status.evolve(suspended_since=since)).unblocked()
        return case.plan(SUSPENDED, apply=apply, events=(event,))
    case = case.with_status(status.evolve(suspended_since=None))
    found = obstacle(case, job, pod)
    if found is not None:
        job_ends = (job.start_time or job.created) + timedelta(seconds=max(1, _remaining(case)))
        return blocked(case, found, number, job_ends=job_ends, apply=apply)
    case = case.unblocked()
    if attempt.state is AttemptState.RUNNING:
        running = Stage("Running", f"Attempt {number} runs on node {attempt.node}.")
        return case.plan(running, apply=apply, **_lasting(case, train_container(pod)))
    pending = Stage("Pending", f"Attempt {number} is starting" + (f" on node {attempt.node}." if attempt.node else "."))
    since = pod.created if pod else job.created
    moment = MOMENT_TO_START if pod is None else _patience(case, MOMENT_TO_START)
    return case.plan(pending, apply=apply, look_again=NO_POD_GRACE, since=since, moment=moment)


def _patience(case: Case, moment: timedelta) -> timedelta:
    """Nobody waits to be told that an attempt has a pod, unless in a rush."""
    return timedelta(0) if case.untold else moment


def _lasting(case: Case, container: ContainerView | None) -> dict[str, Any]:
    """Since when, and for what moment, it is not worth a write that the container runs or has run.

    A success comes with its Job in no time. How it failed, and what it read, goes with a pod that is taken away.
    """
    if container is None:
        return {}
    if container.exit_code is None:
        return {"since": container.started_at, "moment": _patience(case, MOMENT_TO_RUN)}
    if container.exit_code == 0 and case.status.data == case.training.status.data:
        return {"since": container.finished_at, "moment": MOMENT_TO_END}
    return {}


def _adjusted(case: Case, endpoint: MlflowEndpoint, run_id: str, job: JobView, number: int) -> tuple[Manifest, ...]:
    """The Job anew where something of it differs that may still be changed.

    A Job's template can't be, and the API server refuses the whole Job with another one: what a later deadline, other
    settings or a newer operator would make of it is for the next attempt.
    """
    remaining = _remaining(case)
    if (job.suspended, job.deadline) == (case.training.spec.suspend, max(1, remaining)):
        return ()
    return (children.job(case.revised, endpoint, run_id, number, remaining, told=job.told_deadline),)
