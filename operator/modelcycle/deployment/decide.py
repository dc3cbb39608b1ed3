"""What to do for a ``ModelDeployment``: ``decide(observed, now) -> Plan``.

A chain of policies works out the next status; what is applied and deleted follows from the status that is *persisted*.
So everything that matters (a new candidate, a verdict, an alias move) is written down before it is acted on, and a
crash between any two requests finds the same plan again::

    counted     how many pods there are
    retry       a person wants a rejected version tried again
    claim       who owns the model's aliases
    settle      alias moves that are under way
    select      start, end or convert a candidate: by pin, or by the table of aliases
    advance     the candidate's next step, its verdict
    scale       how many pods the load needs
    record      verdicts to the versions' tags
    forget      retired versions whose pods are gone
    prepare     Service and feedback key before the first pods
    concluded   conditions, summary
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from modelcycle.api.v1alpha1.deployment import DeploymentStatus
from modelcycle.core.plan import Plan
from modelcycle.deployment import (
    moves,
    ownership,
    requests,
    retirement,
    rollout,
    scaling,
    selection,
    status,
    verdicts,
    workload,
)
from modelcycle.deployment.scene import STALLED, DeploymentObserved, Draft, Scene

Policy = Callable[[Scene, Draft], Draft]

WITH_REGISTRY: tuple[Policy, ...] = (requests.retry, ownership.claim, moves.settle, selection.select)
ALWAYS: tuple[Policy, ...] = (rollout.advance, scaling.scale, retirement.forget, workload.prepare)


def decide(observed: DeploymentObserved, now: datetime) -> Plan[DeploymentStatus]:
    """The plan for one deployment; total, and the same for the same arguments."""
    resource = observed.resource
    scene, draft = Scene(observed, now), Draft(resource.status)
    if resource.deleting:
        return Plan(resource.status)
    if resource.invalid:
        draft = status.invalid(scene, draft)
        return Plan(draft.status, events=draft.events)
    for policy in (status.counted, _registry, *ALWAYS, status.concluded):
        draft = policy(scene, draft)
    return Plan(
        status=draft.status,
        apply=workload.applied(scene),
        delete=(*retirement.deletions(scene), *workload.deleted(scene)),
        effects=tuple(dict.fromkeys(draft.effects)),
        events=draft.events,
        facts=draft.facts,
        look_again=draft.look_again,
    )


def _registry(scene: Scene, draft: Draft) -> Draft:
    """Everything that needs to know where the registry is."""
    if scene.mlflow is None:
        message = (
            f"no MLflow endpoint {scene.spec.mlflow!r} serves namespace {scene.resource.namespace!r}: set spec.mlflow "
            f"to one that does, or have the administrator define it; what serves goes on"
        )
        return draft.finding(STALLED, "EndpointUnknown", message)
    for policy in (*WITH_REGISTRY, verdicts.record):
        draft = policy(scene, draft)
    return draft
