"""What is to be in the cluster for the *persisted* status: acted on is only what is written down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from modelcycle.api.v1alpha1.deployment import ServedVersion
from modelcycle.core.observed import PodView
from modelcycle.core.plan import Manifest, Ref
from modelcycle.deployment import children
from modelcycle.deployment.effects import EnsureFeedbackKey, as_json
from modelcycle.deployment.moves import LOOK_AGAIN
from modelcycle.deployment.scene import PROGRESSING, Draft, Scene
from modelcycle.deployment.shares import Shares, shares, total

SLOW_AFTER = timedelta(seconds=60)


def prepare(scene: Scene, draft: Draft) -> Draft:
    """Ask for what has to be there before pods can be made: the feedback key."""
    slow = slow_pod(scene.observed.pods, scene.now)
    if slow is not None:
        draft = draft.asking(replace(_key_effect(scene), again=slow.uid))
    if not all(pod.ready or pod.deleting for pod in scene.observed.pods):
        draft = draft.again(SLOW_AFTER)
    if all(scene.workload(served.version) is not None for served, _ in _served(scene)):
        return draft
    effect = _key_effect(scene)
    outcome = scene.outcome(effect)
    asked = draft.asking(effect).again(LOOK_AGAIN)
    if outcome is None or outcome.ok:
        return asked
    message = f"the Secret {children.secret_name(scene.resource)} can't be made: {outcome.error}"
    return asked.finding(PROGRESSING, "SecretMissing", message)


def slow_pod(pods: Iterable[PodView], now: datetime) -> PodView | None:
    """The oldest pod that should be ready by now. It may lack its key, if somebody deleted the Secret.

    Neither may the operator read Secrets, nor does Kubernetes tell of a volume that is missing; so the key is asked
    for once more on behalf of each such pod, which does nothing where it is there.
    """
    slow = (pod for pod in pods if not pod.ready and not pod.deleting and now - pod.created >= SLOW_AFTER)
    return min(slow, key=lambda pod: (pod.created, pod.uid), default=None)


def applied(scene: Scene) -> tuple[Manifest, ...]:
    """Manifests for server-side apply."""
    resource = scene.resource
    # The clients' Service comes first: if its name is taken, the runtime refuses, and nothing else is made.
    manifests = [children.client_service(resource), children.peers_service(resource)]
    if total(scene.spec, scene.written) > 1:
        manifests.append(children.budget(resource))
    return (*manifests, *_workloads(scene))


def deleted(scene: Scene) -> tuple[Ref, ...]:
    """A disruption budget that a single pod must not have."""
    if total(scene.spec, scene.written) > 1:
        return ()
    name = children.budget_name(scene.resource)
    found = (o for o in scene.observed.objects if o.kind == "PodDisruptionBudget" and o.name == name)
    return tuple(Ref(o.api_version, o.kind, o.namespace, o.name, o.uid) for o in found if not o.deleting)


def _workloads(scene: Scene) -> list[Manifest]:
    endpoint = scene.mlflow
    if endpoint is None:
        return []
    outcome = scene.outcome(_key_effect(scene))
    has_key = outcome is not None and outcome.ok
    return [
        children.workload(scene.resource, served, endpoint, replicas)
        for served, replicas in _served(scene)
        if has_key or scene.workload(served.version) is not None
    ]


def _served(scene: Scene) -> list[tuple[ServedVersion, int]]:
    """The versions that are to have pods, each with their number."""
    status, wanted = scene.written, wanted_pods(scene)
    pairs = ((status.stable, wanted.stable), (status.candidate, wanted.candidate))
    return [(served, replicas) for served, replicas in pairs if served is not None]


def wanted_pods(scene: Scene) -> Shares:
    candidate = scene.written.candidate
    return shares(scene.spec, scene.written, scene.ready(candidate.version) if candidate else 0)


def _key_effect(scene: Scene) -> EnsureFeedbackKey:
    return EnsureFeedbackKey(as_json(children.feedback_secret(scene.resource)))
