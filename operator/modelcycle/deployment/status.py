"""From what is known of a deployment to its conditions, its one sentence for people, and events of their changes."""

from __future__ import annotations

from collections.abc import Iterable

from modelcycle.api.v1alpha1.common import Condition, ConditionStatus
from modelcycle.api.v1alpha1.deployment import Candidate, DeploymentStatus, ServedVersion
from modelcycle.core.conditions import FALSE, TRUE, Judgement, is_true, merge
from modelcycle.core.plan import Event, EventType
from modelcycle.core.text import number_of, sentence
from modelcycle.deployment import children
from modelcycle.deployment.advice import advice
from modelcycle.deployment.relations import TRIED
from modelcycle.deployment.scaling import UNKNOWN
from modelcycle.deployment.scene import DEGRADED, PROGRESSING, READY, STALLED, Draft, Finding, Scene
from modelcycle.deployment.shares import shares, total

WARNED = (DEGRADED, STALLED)


def counted(scene: Scene, draft: Draft) -> Draft:
    """The numbers of pods, and what else of the status is plain observation."""
    resource, status = scene.resource, draft.status
    return draft.with_status(
        stable=_counted(scene, status.stable) if status.stable else None,
        candidate=_counted(scene, status.candidate) if status.candidate else None,
        replicas=sum(workload.existing for workload in scene.observed.deployments),
        ready_replicas=_ready_pods(scene),
        selector=children.selector_text(resource),
        url=children.url(resource),
        observed_generation=resource.generation,
    )


def _counted(scene: Scene, served: ServedVersion) -> ServedVersion:
    workload, endpoint = scene.workload(served.version), scene.mlflow
    seen = {
        "replicas": workload.replicas if workload else 0,
        "ready_replicas": workload.ready if workload else 0,
        "template_hash": children.template_hash(scene.resource, served, endpoint) if endpoint else served.template_hash,
    }
    return served if all(getattr(served, name) == value for name, value in seen.items()) else served.evolve(**seen)


def _ready_pods(scene: Scene) -> int:
    return sum(workload.ready for workload in scene.observed.deployments)


def concluded(scene: Scene, draft: Draft) -> Draft:
    """Conditions, summary, and an event for each condition that turned bad."""
    before = scene.written.conditions
    judgements = [_ready(scene, draft), _progressing(scene, draft), _degraded(scene, draft), _stalled(draft)]
    after = merge(before, judgements, scene.resource.generation, scene.now)
    told = draft.with_status(conditions=after)
    return told.with_status(summary=summary(scene, told)).telling(*_warnings(before, after))


def invalid(scene: Scene, draft: Draft) -> Draft:
    """The spec can't be understood: everything stays as it is, and says so."""
    kept = [Judgement(c.type, c.status, c.reason, c.message) for c in scene.written.conditions if c.type != STALLED]
    message = f"the spec can't be understood: {scene.resource.invalid}; what serves goes on as it is"
    judgements = [*kept, Judgement(STALLED, TRUE, "InvalidSpec", message)]
    after = merge(scene.written.conditions, judgements, scene.resource.generation, scene.now)
    told = draft.with_status(conditions=after, summary=message, observed_generation=scene.resource.generation)
    return told.telling(*_warnings(scene.written.conditions, after))


# --- conditions -------------------------------------------------------------------------------------------------------
def _first(draft: Draft, type_: str) -> Finding | None:
    return next((finding for finding in draft.findings if finding.type == type_), None)


def _ready(scene: Scene, draft: Draft) -> Judgement:
    """True once all pods wanted are ready, and from then on for as long as one is."""
    stable, ready, wanted = draft.status.stable, _ready_pods(scene), total(scene.spec, draft.status)
    pinned = scene.spec.model.version
    if stable is None:
        why = _first(draft, STALLED) or _first(draft, DEGRADED) or _first(draft, PROGRESSING)
        reason, message = (why.reason, why.message) if why else ("NothingServes", "no version serves yet")
        return Judgement(READY, FALSE, reason, message)
    message = pods_told(scene, draft.status)
    if pinned not in (None, stable.version):
        why = _first(draft, STALLED) or _first(draft, DEGRADED) or _first(draft, PROGRESSING)
        reason, said = (why.reason, why.message) if why else ("RollingOut", "it is on its way")
        return Judgement(READY, FALSE, reason, f"version {pinned} is pinned and does not serve: {said}; {message}")
    if ready >= wanted or (ready > 0 and is_true(scene.written.conditions, READY)):
        return Judgement(READY, TRUE, "Serving", message)
    return Judgement(READY, FALSE, "PodsNotReady", message)


def _progressing(scene: Scene, draft: Draft) -> Judgement:
    found = _first(draft, PROGRESSING)
    if found is not None:
        return Judgement(PROGRESSING, TRUE, found.reason, found.message)
    status = draft.status
    if status.candidate is not None:
        message = f"version {status.candidate.version} is in step {status.candidate.step_name}"
        return Judgement(PROGRESSING, TRUE, "RollingOut", message)
    if status.stable is not None and _ready_pods(scene) < total(scene.spec, status):
        return Judgement(PROGRESSING, TRUE, "Starting", f"pods of version {status.stable.version} are starting")
    if status.alias_moves:
        moves = ", ".join(move.alias for move in status.alias_moves)
        return Judgement(PROGRESSING, TRUE, "MovingAlias", f"to be moved in MLflow: {moves}")
    if status.retiring:
        versions = ", ".join(entry.version for entry in status.retiring)
        return Judgement(PROGRESSING, TRUE, "Retiring", f"pods that are no longer needed: version {versions}")
    return Judgement(PROGRESSING, FALSE, "Settled", "nothing is under way")


def _degraded(scene: Scene, draft: Draft) -> Judgement:
    """A version is stable only once it was ready, so whatever keeps its pods from being ready is decay, not a start."""
    stable = draft.status.stable
    found = scene.trouble(stable.version) if stable else None
    if stable is not None and found is not None:
        return Judgement(DEGRADED, TRUE, found.reason, f"pods of version {stable.version} fail: {found.message}")
    reported = _first(draft, DEGRADED)
    if reported is not None:
        return Judgement(DEGRADED, TRUE, reported.reason, reported.message)
    if stable is not None and _ready_pods(scene) == 0:
        return Judgement(DEGRADED, TRUE, "NothingReady", f"no pod of version {stable.version} is ready any more")
    return Judgement(DEGRADED, FALSE, "AsExpected", "")


def _stalled(draft: Draft) -> Judgement:
    found = _first(draft, STALLED)
    if found is not None:
        return Judgement(STALLED, TRUE, found.reason, found.message)
    return Judgement(STALLED, FALSE, "NotStalled", "")


def _warnings(before: tuple[Condition, ...], after: Iterable[Condition]) -> tuple[Event, ...]:
    """An event for each bad condition that is new or has a new reason; named after what is persisted."""
    earlier = {condition.type: condition for condition in before}
    turned = [c for c in after if c.type in WARNED and c.status is ConditionStatus.TRUE]
    return tuple(
        Event(c.reason, c.message, f"{c.type}-{c.reason}-{_since(earlier.get(c.type))}", EventType.WARNING)
        for c in turned
        if c.type not in earlier or earlier[c.type].status is not c.status or earlier[c.type].reason != c.reason
    )


def _since(condition: Condition | None) -> str:
    return condition.last_transition_time.isoformat() if condition else "new"


# --- the sentence for people ------------------------------------------------------------------------------------------
def summary(scene: Scene, draft: Draft) -> str:
    """What serves, what is tried, what is wrong, and the command for what one would want next."""
    status = draft.status
    found = _worst_first(draft)
    parts = [_serving(scene, status)]
    if status.candidate is not None and not any(finding.type == PROGRESSING for finding in found):
        parts.append(_trying(status.candidate))
    parts += [sentence(finding.message) for finding in found]
    if status.autoscaled is not None and status.autoscaled.reason == UNKNOWN:
        parts.append(sentence(status.autoscaled.message))
    parts += [advice(scene.resource, status)]
    return " ".join(part for part in parts if part)


def _serving(scene: Scene, status: DeploymentStatus) -> str:
    if status.stable is None:
        return "Nothing serves yet."
    return sentence(pods_told(scene, status))


def pods_told(scene: Scene, status: DeploymentStatus) -> str:
    """Of each version that has pods: what it does, how many are ready and how many are wanted."""
    stable, candidate = status.stable, status.candidate
    wanted = shares(scene.spec, status, scene.ready(candidate.version) if candidate else 0)
    told = []
    if stable is not None:
        pinned = "pinned, " if scene.spec.model.version == stable.version else ""
        told.append(f"version {stable.version} serves ({pinned}{_pods(scene, stable.version, wanted.stable)})")
    if candidate is not None:
        does = "is tried" if candidate.purpose in TRIED else "is on its way"
        told.append(f"version {candidate.version} {does} ({_pods(scene, candidate.version, wanted.candidate)})")
    gone = [old.version for old in status.retiring if scene.ready(old.version)]
    return ", ".join([*told, *(f"version {version} retires ({_pods(scene, version, 0)})" for version in gone)])


def _pods(scene: Scene, version: str, wanted: int) -> str:
    return f"{number_of(scene.ready(version), 'pod')} ready, {wanted} wanted"


def _trying(candidate: Candidate) -> str:
    return f"Version {candidate.version} is in step {candidate.step_name} ({candidate.purpose.value})."


def _worst_first(draft: Draft) -> list[Finding]:
    found = (_first(draft, type_) for type_ in (STALLED, DEGRADED, PROGRESSING))
    return [finding for finding in found if finding is not None]
