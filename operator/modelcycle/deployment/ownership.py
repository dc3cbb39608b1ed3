"""Whose aliases they are: one deployment owns a registered model's aliases, the others follow or stay out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from modelcycle.constants import TAG_OWNER
from modelcycle.deployment.scene import DEGRADED, PROGRESSING, STALLED, Draft, Scene
from modelcycle.registry.port import ClaimModel

CLAIM_AGAIN = timedelta(seconds=15)


def tag(scene: Scene) -> str:
    """Value of the owner tag of this life of the deployment."""
    resource = scene.resource
    return f"{scene.observed.settings.cluster_id}/{resource.namespace}/{resource.name}/{resource.uid}"


def is_earlier_life(ours: str, theirs: str) -> bool:
    """Whether ``theirs`` names a deployment of our cluster, namespace and name that we have taken the place of."""
    return ours != theirs and ours.rpartition("/")[0] == theirs.rpartition("/")[0]


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
    if reading.owner is None or is_earlier_life(tag(scene), reading.owner):
        return _claimed(scene, draft, reading.owner)
    return draft.with_status(owner=False).finding(STALLED, "ModelClaimed", _foreign(scene, reading.owner))


def forfeited(scene: Scene) -> bool:
    """Whether the aliases are certainly not ours to move: pinned, following, or owned by another deployment."""
    model, reading = scene.spec.model, scene.reading
    if model.version or model.follow:
        return True
    owner = reading.owner if reading else None
    return owner is not None and owner != tag(scene) and not is_earlier_life(tag(scene), owner)


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
        f"champion; if that deployment is gone for good, delete the model's tag {TAG_OWNER} in MLflow"
    )
