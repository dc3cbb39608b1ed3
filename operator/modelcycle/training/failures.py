"""Failures told apart: what ended an attempt, and whose budget the next one is on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from modelcycle.api.v1alpha1.training import FailureClass, Retries
from modelcycle.core.observed import ContainerView, JobView, PodView
from modelcycle.training.termination import parse

CONTAINER = "train"

_WAITING = {
    "ErrImagePull": FailureClass.IMAGE,
    "ImagePullBackOff": FailureClass.IMAGE,
    "ErrImageNeverPull": FailureClass.IMAGE,
    "InvalidImageName": FailureClass.IMAGE,
    "ImageInspectError": FailureClass.IMAGE,
    "CreateContainerConfigError": FailureClass.CONFIG,
    "CreateContainerError": FailureClass.CONFIG,
    "RunContainerError": FailureClass.CONFIG,
}
_POD_REASON = {
    "Evicted": FailureClass.DISRUPTED,
    "Preempting": FailureClass.DISRUPTED,
    "Shutdown": FailureClass.DISRUPTED,
    "NodeShutdown": FailureClass.DISRUPTED,
    "Terminated": FailureClass.DISRUPTED,
    "NodeLost": FailureClass.NODE_LOST,
    "NodeAffinity": FailureClass.NODE_LOST,
    "UnexpectedAdmissionError": FailureClass.DEVICE,
}
_EXIT_CODE = {
    65: FailureClass.DATA_ERROR,
    70: FailureClass.NON_FINITE_LOSS,
    75: FailureClass.DEVICE,
    137: FailureClass.UNKNOWN,  # killed from outside, and not for its memory
    143: FailureClass.DISRUPTED,  # asked to stop, and stopped
}
_SAID = {kind.value: kind for kind in FailureClass}
_USER = frozenset(
    {
        FailureClass.USER_ERROR,
        FailureClass.DATA_ERROR,
        FailureClass.NON_FINITE_LOSS,
        FailureClass.OUT_OF_MEMORY,
    }
)
_INFRASTRUCTURE = frozenset({FailureClass.NODE_LOST, FailureClass.DEVICE, FailureClass.UNKNOWN})
_NEVER_AGAIN = frozenset({FailureClass.DEADLINE, FailureClass.IMAGE, FailureClass.CONFIG, FailureClass.UNSCHEDULABLE})


@dataclass(frozen=True, slots=True)
class Failure:
    kind: FailureClass
    message: str
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Blockade:
    """Why a pod that should run does not start; it may still start when the cause goes away."""

    kind: FailureClass
    message: str


def train_container(pod: PodView | None) -> ContainerView | None:
    return next((c for c in pod.containers if c.name == CONTAINER), None) if pod else None


def classify(job: JobView, pod: PodView | None, *, ran: bool, blocked: str | None) -> Failure:
    """What ended a failed attempt; the first rule that knows wins, the most certain first.

    ``ran``: whether its container was ever seen to run. ``blocked``: why it could not start, when last seen.
    """
    container = train_container(pod)
    exit_code = container.exit_code if container else None
    words = parse(container.terminated_message if container else None)
    if job.failed_reason == "DeadlineExceeded":
        return Failure(FailureClass.DEADLINE, out_of_time(job, ran=ran, blocked=blocked), exit_code)
    if pod is None:
        return Failure(FailureClass.NODE_LOST, job.failed_message or "the pod is gone, and nothing it said is left")
    if pod.disruption:
        why = pod.message or "the cluster took the pod away"
        return Failure(FailureClass.DISRUPTED, f"{pod.disruption}: {why}", exit_code)
    if pod.reason in _POD_REASON:
        return Failure(_POD_REASON[pod.reason], f"{pod.reason}: {pod.message or ''}".strip(), exit_code)
    if container and container.terminated_reason == "OOMKilled":
        return Failure(FailureClass.OUT_OF_MEMORY, "the pod used more memory than resources.memory allows", exit_code)
    if words.kind in _SAID:
        return Failure(_SAID[words.kind], words.message, exit_code)
    if exit_code in _EXIT_CODE:
        return Failure(_EXIT_CODE[exit_code], words.message or f"exit code {exit_code}", exit_code)
    if exit_code is None:
        why = pod.message or job.failed_message or "the pod failed and gave no exit code"
        return Failure(FailureClass.UNKNOWN, why)
    return Failure(FailureClass.USER_ERROR, words.message or f"exit code {exit_code}", exit_code)


def out_of_time(job: JobView, *, ran: bool, blocked: str | None) -> str:
    """Kubernetes counts from the start of the Job: a pod that waits uses up the time as one that runs does."""
    if ran:
        return "it took longer than deadlineSeconds allows"
    waited = f"it waited {job.deadline} s" if job.deadline else "it waited"
    waited += f" ({blocked})" if blocked else ""
    return f"{waited} and its container never started: deadlineSeconds counts from the start of the Job"


def blockade(pod: PodView | None) -> Blockade | None:
    """Why a pod that is not running yet can't start, if it is more than the ordinary time that starting takes."""
    if pod is None or pod.phase != "Pending":
        return None
    if pod.unschedulable:
        return Blockade(FailureClass.UNSCHEDULABLE, pod.unschedulable)
    stuck = next((c for c in pod.containers if c.waiting_reason in _WAITING), None)
    if stuck is None or stuck.waiting_reason is None:
        return None
    said = f"{stuck.waiting_reason}: {stuck.waiting_message or ''}".rstrip(": ")
    return Blockade(_WAITING[stuck.waiting_reason], said)


def may_retry(retries: Retries, failures: Iterable[FailureClass], latest: FailureClass) -> bool:
    """Whether the budget of ``latest`` (already counted in ``failures``) allows one more attempt."""
    if latest in _NEVER_AGAIN:
        return False
    seen = tuple(failures)
    if latest in _USER:
        return _count(seen, _USER) <= retries.user_errors
    if latest in _INFRASTRUCTURE:
        return _count(seen, _INFRASTRUCTURE) <= retries.infrastructure
    return seen.count(latest) <= retries.disruptions


def _count(failures: tuple[FailureClass, ...], kinds: frozenset[FailureClass]) -> int:
    return sum(1 for failure in failures if failure in kinds)


def delay_seconds(failures: int) -> int:
    """Wait before the next attempt: 10, 20, 40, ... 300 seconds, long enough for a device or a node to come back."""
    return int(min(300, 10 * 2 ** min(max(failures - 1, 0), 10)))
