"""How many pods each version gets."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from modelcycle.api.v1alpha1.deployment import Candidate, DeploymentSpec, DeploymentStatus, Purpose, ReplicasStep


@dataclass(frozen=True, slots=True)
class Shares:
    """Pods wanted. Never more than twice the total together."""

    stable: int
    candidate: int


def total(spec: DeploymentSpec, status: DeploymentStatus) -> int:
    """Pods of both versions together: ``spec.replicas``, or more where the load asks for more."""
    if spec.autoscaling is None or status.autoscaled is None:
        return spec.replicas
    return max(spec.replicas, min(status.autoscaled.replicas, spec.autoscaling.max_replicas))


def split(pods: int, percent: int) -> Shares:
    """The candidate gets ``percent`` of ``pods``, rounded up and at least one; the stable version at least one."""
    candidate = max(1, ceil(percent * pods / 100))
    return Shares(max(1, pods - candidate), candidate)


def shares(spec: DeploymentSpec, status: DeploymentStatus, candidate_ready: int) -> Shares:
    """The pods that each version of ``status`` should have now.

    The stable version gives up pods only for as many of the candidate's as are ready, and gets them back when they are
    not, so that at least the total answers at any time.
    """
    candidate, pods = status.candidate, total(spec, status)
    if candidate is None:
        return Shares(pods if status.stable else 0, 0)
    if status.stable is None:
        return Shares(0, pods)
    step = step_of(spec, candidate)
    if candidate.purpose is not Purpose.TRIAL or step is None:
        return Shares(pods, 1)
    target = split(pods, step.percent)
    return Shares(max(target.stable, pods - candidate_ready), target.candidate)


def step_of(spec: DeploymentSpec, candidate: Candidate) -> ReplicasStep | None:
    """The replicas step that the candidate's share follows: its own, or the last one while it waits for approval."""
    steps = spec.rollout.steps
    if candidate.step >= len(steps):
        return next((step.replicas for step in reversed(steps) if step.replicas), None)
    return steps[candidate.step].replicas
