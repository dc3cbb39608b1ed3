"""How a candidate's way ends: promoted, rejected, superseded, or arrived without a trial.

The verdict and what follows from it (who is stable, which alias is to be moved) are one status write. Aliases are
touched afterwards, by ``moves``.
"""

from __future__ import annotations

import json

from modelcycle.api.v1alpha1.deployment import (
    Candidate,
    DeploymentStatus,
    Purpose,
    RetiringVersion,
    ServedVersion,
    Verdict,
    VerdictRecord,
)
from modelcycle.constants import TAG_ROLLOUT
from modelcycle.core.plan import Event, EventType
from modelcycle.deployment.moves import intend
from modelcycle.deployment.ownership import forfeited
from modelcycle.deployment.relations import TRIED
from modelcycle.deployment.scene import Draft, Scene, verdict_of
from modelcycle.registry.port import SetVersionTags

KEPT_VERDICTS = 20
KEPT_RETIRING = 4


def promote(scene: Scene, draft: Draft, candidate: Candidate, reason: str, message: str) -> Draft:
    """The candidate's pods become the stable ones; an owner's champion alias is to follow."""
    replaced = draft.status.stable.version if draft.status.stable else None
    judged = _judged(scene, draft, candidate, Verdict.PROMOTED, reason, message)
    return _untried(scene, _crowned(scene, take_over(scene, judged, candidate), candidate, replaced), candidate.version)


def reject(scene: Scene, draft: Draft, candidate: Candidate, reason: str, message: str) -> Draft:
    judged = _judged(scene, draft, candidate, Verdict.REJECTED, reason, message)
    return _untried(scene, _retired(scene, judged.with_status(candidate=None), candidate), candidate.version)


def dismiss(scene: Scene, draft: Draft, candidate: Candidate, reason: str, message: str) -> Draft:
    """End the candidate's way for something else. Only one that was being tried gets a verdict: Superseded."""
    if candidate.purpose in TRIED:
        draft = _judged(scene, draft, candidate, Verdict.SUPERSEDED, reason, message)
        draft = _untried(scene, draft, candidate.version)
    return _retired(scene, draft.with_status(candidate=None), candidate)


def arrive(scene: Scene, draft: Draft, candidate: Candidate) -> Draft:
    """A version that somebody chose, by alias or by pin, is ready: it serves from now on."""
    if candidate.purpose is Purpose.FOLLOW and verdict_of(draft.status, candidate.version) is None:
        reason, message = "ChampionMoved", "the champion alias was moved to it by hand"
        if draft.status.stable is None:
            reason, message = "Adopted", "it was the champion when this deployment began to serve"
        draft = _judged(scene, draft, candidate, Verdict.PROMOTED, reason, message)
        draft = _untried(scene, draft, candidate.version)
    why = "the spec pins it" if candidate.purpose is Purpose.PIN else "the champion alias names it"
    note = f"version {candidate.version} serves now: {why}"
    event = Event("Serving", note, f"serving-v{candidate.version}-{_since(candidate)}", action="Serve")
    return take_over(scene, draft, candidate).telling(event)


def take_over(scene: Scene, draft: Draft, candidate: Candidate) -> Draft:
    """The candidate becomes the stable version with the pods that it has."""
    fields = {name: getattr(candidate, name) for name in ServedVersion.model_fields}
    before = draft.status.stable
    changed = draft.with_status(stable=ServedVersion(**fields | {"since": scene.now}), candidate=None)
    if before is None or before.version == candidate.version:
        return changed
    return _retired(scene, changed.with_status(previous=before), before)


def unread(scene: Scene, draft: Draft, version: str, reason: str, message: str) -> Draft:
    """A verdict without pods: the registry has the version, and it can't be used."""
    candidate = Candidate(version=version, since=scene.now)
    judged = _judged(scene, draft, candidate, Verdict.REJECTED, reason, message)
    return _untried(scene, judged, version)


def record(scene: Scene, draft: Draft) -> Draft:
    """Put the verdicts that the persisted status has on their versions, as a tag. Only the owner writes there."""
    if scene.written.verdicts and not scene.written.owner:
        return draft
    for verdict in scene.written.verdicts:
        if not verdict.recorded:
            draft = _recorded(scene, draft, verdict)
    return draft


def _recorded(scene: Scene, draft: Draft, verdict: VerdictRecord) -> Draft:
    effect = SetVersionTags(
        scene.spec.mlflow, scene.spec.model.name, verdict.version, ((TAG_ROLLOUT, _evidence(scene, verdict)),)
    )
    outcome = scene.outcome(effect)
    if outcome is None or (not outcome.ok and outcome.retryable):
        return draft.asking(effect)
    # Refused for good (the version was deleted) is as recorded as it gets: the verdict itself is in our status.
    marked = tuple(v.evolve(recorded=True) if v == verdict else v for v in draft.status.verdicts)
    return draft.with_status(verdicts=marked)


def _evidence(scene: Scene, verdict: VerdictRecord) -> str:
    told = {name: value for name, value in verdict.manifest().items() if name not in ("version", "recorded")}
    return json.dumps(told | {"deployment": f"{scene.resource.namespace}/{scene.resource.name}"}, sort_keys=True)


def _judged(scene: Scene, draft: Draft, candidate: Candidate, verdict: Verdict, reason: str, message: str) -> Draft:
    entry = VerdictRecord(
        version=candidate.version,
        verdict=verdict,
        reason=reason,
        message=message,
        time=scene.now,
        replaced=draft.status.stable.version if verdict is Verdict.PROMOTED and draft.status.stable else None,
    )
    kind = EventType.WARNING if verdict is Verdict.REJECTED else EventType.NORMAL
    note = f"version {candidate.version}: {reason}: {message}"
    transition = f"{verdict.value}-v{candidate.version}-{occasion(scene.written)}"
    event = Event(verdict.value, note, transition, kind, "Rollout")
    earlier = tuple(v for v in draft.status.verdicts if v.version != candidate.version)
    return draft.with_status(verdicts=(*earlier, entry)[-KEPT_VERDICTS:]).telling(event)


def _crowned(scene: Scene, draft: Draft, candidate: Candidate, replaced: str | None) -> Draft:
    if forfeited(scene):
        return draft
    alias = scene.spec.model.aliases.champion
    named = scene.reading.alias(alias) if scene.reading else replaced
    if named == candidate.version:
        return draft
    return intend(draft, alias, candidate.version, named, "Promoted", scene.now)


def _untried(scene: Scene, draft: Draft, version: str) -> Draft:
    """The challenger alias is removed after the verdict, only if it still names that version."""
    alias = scene.spec.model.aliases.challenger
    if forfeited(scene):
        return draft
    if scene.reading and scene.reading.alias(alias) != version:
        return draft
    return intend(draft, alias, None, version, "Judged", scene.now)


def _retired(scene: Scene, draft: Draft, version: ServedVersion) -> Draft:
    entry = RetiringVersion(version=version.version, revision=version.revision, since=scene.now)
    others = tuple(r for r in draft.status.retiring if r.version != version.version)
    return draft.with_status(retiring=(*others, entry)[-KEPT_RETIRING:])


def occasion(status: DeploymentStatus) -> str:
    """Tells one rollout of a version from a later one, from what is persisted: events of each happen once."""
    stable = status.stable.manifest().get("since") if status.stable else "none"
    return f"{status.handled.retry or 'first'}-{stable}"


def _since(candidate: Candidate) -> str:
    return str(candidate.manifest().get("since", ""))
