"""Pods that nothing needs any more go away, but not before the ones that take their place are there."""

from __future__ import annotations

from modelcycle.api.v1alpha1.deployment import DeploymentStatus
from modelcycle.core.observed import DeploymentView
from modelcycle.core.plan import Ref
from modelcycle.deployment.scene import Draft, Scene, version_of
from modelcycle.deployment.shares import total


def forget(scene: Scene, draft: Draft) -> Draft:
    """Drop retired versions whose pods are gone from the status."""
    persisted = {entry.version for entry in scene.written.retiring}
    kept = tuple(
        entry
        for entry in draft.status.retiring
        if entry.version not in persisted or scene.workload(entry.version) is not None
    )
    return draft.with_status(retiring=kept)


def deletions(scene: Scene) -> tuple[Ref, ...]:
    """Deployments that may go: of no version that the persisted status wants, and no longer needed for its pods."""
    wanted = wanted_versions(scene.written)
    unwanted = [d for d in scene.observed.deployments if version_of(d) not in wanted and not d.deleting]
    return tuple(_ref(workload) for workload in unwanted if _may_go(scene, workload))


def wanted_versions(status: DeploymentStatus) -> frozenset[str]:
    return frozenset(record.version for record in (status.stable, status.candidate) if record is not None)


def _may_go(scene: Scene, workload: DeploymentView) -> bool:
    status = scene.written
    if status.stable is None:
        # Nothing was ever served: what a rejected first version left behind goes at once. Pods that answer and that the
        # status has never heard of stay: it may have been lost.
        return workload.ready == 0 or any(entry.version == version_of(workload) for entry in status.retiring)
    stable = scene.workload(status.stable.version)
    ready = sum(scene.ready(version) for version in wanted_versions(status))
    return stable is not None and stable.settled and stable.ready > 0 and ready >= total(scene.spec, status)


def _ref(workload: DeploymentView) -> Ref:
    return Ref("apps/v1", "Deployment", workload.namespace, workload.name, workload.uid)
