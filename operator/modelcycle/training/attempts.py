"""The attempts of a training, as its status records them and as its Jobs show them."""

from __future__ import annotations

from datetime import datetime, timedelta

from modelcycle import constants as names
from modelcycle.api.v1alpha1.training import Attempt, AttemptState, FailureClass, TrainingStatus
from modelcycle.core.observed import JobView, PodView
from modelcycle.training.children import Training, job_name
from modelcycle.training.failures import Failure, classify, delay_seconds, train_container

KEPT = 20
GONE = Failure(FailureClass.UNKNOWN, "its Job was deleted while it ran")


def latest_number(training: Training, jobs: tuple[JobView, ...]) -> int:
    """Number of the latest attempt that was ever started: by the status, or by a Job that the status missed; else 0."""
    recorded = [attempt.number for attempt in training.status.attempts]
    seen = [int(number) for job in jobs if (number := job.labels.get(names.LABEL_ATTEMPT, "")).isdigit()]
    return max([*recorded, *seen], default=0)


def find_job(training: Training, jobs: tuple[JobView, ...], number: int) -> JobView | None:
    name = job_name(training, number)
    return next((job for job in jobs if job.name == name), None)


def find_pod(pods: tuple[PodView, ...], number: int) -> PodView | None:
    """The attempt's newest pod that still says something."""
    mine = [pod for pod in pods if pod.labels.get(names.LABEL_ATTEMPT) == str(number)]
    return max(mine, key=lambda pod: pod.created, default=None)


def recorded(status: TrainingStatus, number: int) -> Attempt | None:
    return next((attempt for attempt in status.attempts if attempt.number == number), None)


def with_attempt(status: TrainingStatus, attempt: Attempt) -> TrainingStatus:
    """The status with ``attempt`` put in its place; the oldest are dropped beyond the latest 20."""
    others = [a for a in status.attempts if a.number != attempt.number]
    ordered = sorted([*others, attempt], key=lambda a: a.number)
    return status.evolve(attempts=tuple(ordered[-KEPT:]))


def started(job: JobView, number: int, pod: PodView | None) -> Attempt:
    """An attempt that is under way, as its Job and pod show it."""
    container = train_container(pod)
    state = AttemptState.PENDING
    if job.suspended:
        state = AttemptState.SUSPENDED
    elif container is not None and (container.running or container.exit_code is not None):
        # One that has ended is still the attempt that runs: how it ended is for the Job to say.
        state = AttemptState.RUNNING
    return Attempt(
        number=number,
        job=job.name,
        state=state,
        started_at=job.start_time or job.created,
        node=pod.node if pod else None,
    )


def succeeded(job: JobView, number: int, pod: PodView | None, now: datetime) -> Attempt:
    return started(job, number, pod).evolve(
        state=AttemptState.SUCCEEDED, finished_at=job.completion_time or now, exit_code=0
    )


def failed(status: TrainingStatus, job: JobView, number: int, pod: PodView | None, now: datetime) -> TrainingStatus:
    """The status after a Job failed: the attempt told apart, its time and its failure counted once."""
    failure = classify(job, pod, ran=_ran(recorded(status, number), pod), blocked=status.blocked_reason)
    attempt = started(job, number, pod)
    return _with_failure(status, attempt, failure, _finished(pod) or now)


def vanished(status: TrainingStatus, attempt: Attempt, now: datetime) -> TrainingStatus:
    """The status after a Job went away while its attempt was under way."""
    return _with_failure(status, attempt, GONE, now)


def _with_failure(status: TrainingStatus, attempt: Attempt, failure: Failure, finished: datetime) -> TrainingStatus:
    ended = attempt.evolve(
        state=AttemptState.FAILED,
        finished_at=finished,
        failure=failure.kind,
        exit_code=failure.exit_code,
        message=failure.message,
    )
    took = max(0, int((finished - attempt.started_at).total_seconds())) if attempt.started_at else 0
    return with_attempt(status, ended).evolve(
        failures=(*status.failures, failure.kind)[-150:], running_seconds=status.running_seconds + took
    )


def _ran(attempt: Attempt | None, pod: PodView | None) -> bool:
    """Whether the container was ever seen to run; Kubernetes takes the pod away when the time of its Job is over."""
    container = train_container(pod)
    seen = container is not None and (container.running or container.exit_code is not None)
    return seen or (attempt is not None and attempt.state is AttemptState.RUNNING)


def has_logs(status: TrainingStatus) -> bool:
    """Whether a container of some attempt came to its end: otherwise there is nothing that could be read."""
    return any(attempt.exit_code is not None for attempt in status.attempts)


def _finished(pod: PodView | None) -> datetime | None:
    container = train_container(pod)
    return container.finished_at if container else None


def retry_due(status: TrainingStatus, attempt: Attempt) -> datetime | None:
    """When the attempt after a failed one may start."""
    if attempt.finished_at is None:
        return None
    return attempt.finished_at + timedelta(seconds=delay_seconds(len(status.failures)))
