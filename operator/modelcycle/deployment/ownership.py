"""Whose aliases they are: one deployment owns a registered model's aliases, the others follow or stay out."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from modelcycle.constants import TAG_OWNER
from modelcycle.core.plan import Facts
from modelcycle.deployment.scene import DEGRADED, PROGRESSING, STALLED, Draft, Scene
from modelcycle.registry.port import ClaimModel, ModelReading
from modelcycle.settings import Settings

CLAIM_AGAIN = timedelta(seconds=15)


def tag(scene: Scene) -> str:
    """Value of the owner tag of this life of the deployment."""
    resource = scene.resource
    return f"{scene.observed.settings.cluster_id}/{resource.namespace}/{resource.name}/{resource.uid}"


def is_earlier_life(ours: str, theirs: str) -> bool:
    """Whether ``theirs`` names a deployment of our cluster, namespace and name that we have taken the place of."""
    return ours != theirs and ours.rpartition("/")[0] == theirs.rpartition("/")[0]


def owners(facts: Facts) -> frozenset[str]:
    """The owner tags that the registry shows."""
    readings = (fact.value for fact in facts.values() if isinstance(fact.value, ModelReading))
    return frozenset(reading.owner for reading in readings if reading.owner)


def name_of(owner: str) -> tuple[str, str]:
    """Namespace and name of the deployment."""
    _, namespace, name, _ = _parts(owner)
    return namespace, name


def is_left(owner: str, settings: Settings, living: str | None) -> bool:
    """Whether the deployment that ``owner`` names is gone for good. ``living``: uid of the one that has its name now.

    A uid never comes back, and only this operator could have claimed for it: its cache, listed before the first
    decision, has whatever that may be. Of other clusters and of namespaces that it does not see it knows nothing.
    """
    cluster, namespace, _, uid = _parts(owner)
    if cluster != settings.cluster_id or not settings.looks_after(namespace) or not uid:
        return False
    return living != uid


def _parts(owner: str) -> tuple[str, str, str, str]:
    """Cluster, namespace, name, uid; empty for a tag of another form."""
    parts = owner.rsplit("/", 3)
    return (parts[0], parts[1], parts[2], parts[3]) if len(parts) == 4 else ("", "", "", "")


def _is_free(scene: Scene, owner: str) -> bool:
    return is_earlier_life(tag(scene), owner) or owner in scene.observed.left


def claim(scene: Scene, draft: Draft) -> Draft:
    """Become the owner where nobody is; say so where somebody else is. A pin and a follower want no ownership."""
    model = scene.spec.model
    if model.version or model.follow:
        return draft.with_status(owner=False)
    reading = scene.reading
    if reading is None or not reading.exists:
        return draft
    if reading.owner == tag(scene):
        return draft.with_status(owner=True)
    if scene.mlflow is not None and not scene.mlflow.may_register(scene.resource.namespace, model.name):
        return draft.with_status(owner=False).finding(STALLED, "ModelNotAllowed", _not_allowed(scene))
    if reading.owner is None or _is_free(scene, reading.owner):
        return _claimed(scene, draft, reading.owner)
    return draft.with_status(owner=False).finding(STALLED, "ModelClaimed", _foreign(scene, reading.owner))


def forfeited(scene: Scene) -> bool:
    """Whether the aliases are certainly not ours to move: pinned, following, or owned by another deployment."""
    model, reading = scene.spec.model, scene.reading
    if model.version or model.follow:
        return True
    owner = reading.owner if reading else None
    return owner is not None and owner != tag(scene) and not _is_free(scene, owner)


def _claimed(scene: Scene, draft: Draft, replaced: str | None) -> Draft:
    """Ask for the tag; ours from the moment at which the registry said so, even if a reading still lags."""
    effect = _effect(scene, replaced)
    outcome = scene.outcome(effect)
    asked = draft.asking(effect).again(CLAIM_AGAIN)
    if outcome is not None and not outcome.ok and not outcome.retryable:
        return asked.finding(DEGRADED, "ClaimRefused", f"MLflow refuses the owner tag: {outcome.error}")
    if outcome is not None and outcome.value == tag(scene):
        return asked.with_status(owner=True)
    message = f"becoming the owner of the aliases of model {scene.spec.model.name}"
    return asked.with_status(owner=False).finding(PROGRESSING, "ClaimingModel", message)


def _effect(scene: Scene, replaced: str | None) -> ClaimModel:
    """The claim to ask for: a new one where the reading is younger than what came of the last, and shows no owner."""
    effect = ClaimModel(scene.spec.mlflow, scene.spec.model.name, tag(scene), replaced)
    read_at = scene.fact.at if scene.fact else None
    while (outcome := scene.outcome(effect)) and outcome.ok and read_at is not None and outcome.at < read_at:
        effect = replace(effect, again=outcome.at.isoformat())
    return effect


def _not_allowed(scene: Scene) -> str:
    return (
        f"namespace {scene.resource.namespace} may not own model {scene.spec.model.name}: set spec.model.follow to "
        f"true to serve the champion of its owner, or have the administrator allow the name for this namespace"
    )


def _foreign(scene: Scene, owner: str) -> str:
    return (
        f"model {scene.spec.model.name} belongs to deployment {owner}: set spec.model.follow to true to serve its "
        f"champion; or, if that deployment is gone for good, delete the tag {TAG_OWNER}: {_release(scene)}"
    )


def _release(scene: Scene) -> str:
    """The command; where MLflow is inside of the cluster, by a port-forward."""
    url = scene.mlflow.url.rstrip("/") if scene.mlflow else ""
    body = json.dumps({"name": scene.spec.model.name, "key": TAG_OWNER})
    path = "api/2.0/mlflow/registered-models/delete-tag"
    return f"curl -s -X DELETE {url}/{path} -H 'Content-Type: application/json' -d '{body}'"
