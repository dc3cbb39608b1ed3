"""What keeps an attempt from starting: told, and waited for until the earlier of its two deadlines."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from modelcycle.api.v1alpha1.common import Resources
from modelcycle.api.v1alpha1.training import FailureClass
from modelcycle.core.observed import JobView, PodView
from modelcycle.core.plan import Effect, Event, EventType, Manifest
from modelcycle.training.case import Case, TrainingPlan
from modelcycle.training.ending import over
from modelcycle.training.failures import Blockade, blockade
from modelcycle.training.status import Stage

NO_POD_GRACE = timedelta(seconds=60)


def obstacle(case: Case, job: JobView, pod: PodView | None) -> Blockade | None:
    """Why the pod of ``job`` can't start; if no node has room, with what it needs beside the scheduler's words."""
    found = blockade(pod) or no_pod(case, job, pod)
    if found is None or found.kind is not FailureClass.UNSCHEDULABLE:
        return found
    return replace(found, message=f"{found.message.rstrip('.')} (it {asked_for(case.training.spec.resources)})")


def no_pod(case: Case, job: JobView, pod: PodView | None) -> Blockade | None:
    """A Job that got no pod for a minute: a quota or an admission policy refuses it, and says so only in an event."""
    since = job.start_time or job.created
    if pod is not None or job.suspended or case.now - since < NO_POD_GRACE:
        return None
    return Blockade(
        FailureClass.CONFIG, f"no pod could be made; see: kubectl describe job -n {job.namespace} {job.name}"
    )


def asked_for(wanted: Resources) -> str:
    """What a node has to have free, in the words of the spec."""
    storage = f", {wanted.ephemeral_storage} ephemeral storage" if wanted.ephemeral_storage else ""
    gpus = f", {wanted.gpu} GPU" if wanted.gpu else ""
    return f"asks for {wanted.cpu} CPU, {wanted.memory} memory{storage}{gpus}"


def blocked(
    case: Case,
    found: Blockade,
    number: int,
    *,
    job_ends: datetime | None = None,
    apply: tuple[Manifest, ...] = (),
    effects: tuple[Effect, ...] = (),
) -> TrainingPlan:
    """``job_ends``: when Kubernetes ends the attempt's Job by ``deadlineSeconds``, which counts waiting, too."""
    since = case.status.blocked_since or case.now
    left = timedelta(seconds=case.training.spec.pending_deadline_seconds) - (case.now - since)
    if left <= timedelta(0):
        return over(case, found.kind.value, f"it could not start within pendingDeadlineSeconds: {found.message}")
    status = case.status.evolve(blocked_since=since, blocked_reason=found.kind.value)
    event = Event(
        found.kind.value,
        f"attempt {number} can't start: {found.message}",
        transition=f"blocked-{number}-{found.kind.value}",
        type=EventType.WARNING,
    )
    gives_up, field = case.now + left, "pendingDeadlineSeconds"
    if job_ends is not None and job_ends < gives_up:
        gives_up, field = job_ends, "deadlineSeconds"
    stage = Stage(
        found.kind.value,
        f"Attempt {number} can't start: {found.message}. It goes on by itself when that is mended, and gives up at "
        f"{gives_up.strftime('%H:%M:%SZ')} ({field}).",
    )
    return case.with_status(status).plan(stage, apply=apply, effects=effects, events=(event,), look_again=left)
