"""Which version is to serve or to be tried next: by the pin of the spec, or by the table of aliases."""

from __future__ import annotations

from datetime import timedelta

from modelcycle.api.v1alpha1.deployment import Candidate, DeploymentStatus, Purpose, ServedVersion
from modelcycle.core.plan import Event, Outcome
from modelcycle.deployment.aliases import Action, Challenger, act
from modelcycle.deployment.ownership import forfeited
from modelcycle.deployment.relations import TRIED, Relation, relate
from modelcycle.deployment.scene import DEGRADED, PROGRESSING, STALLED, Draft, Scene, known
from modelcycle.deployment.verdicts import dismiss, occasion, unread
from modelcycle.registry.port import ModelReading, ReadVersion, VersionInfo

LOOK_AGAIN = timedelta(seconds=10)
AT_REST = timedelta(minutes=10)
NOT_FOUND = "NotFound"
UNDECIDED = frozenset({NOT_FOUND, "Refused", "AlreadyExists", "EndpointUnknown"})
"""Errors of reading a version that say nothing about the version itself."""


def select(scene: Scene, draft: Draft) -> Draft:
    """Start, end or convert a candidate."""
    pin = scene.spec.model.version
    if pin is not None:
        return _pinned(scene, draft, pin)
    candidate = draft.status.candidate
    if candidate is not None and candidate.purpose is Purpose.PIN:
        return dismiss(scene, draft, candidate, "Unpinned", "the pin was removed")
    failing = scene.fact is not None and scene.fact.error is not None
    draft = draft.watching((scene.model_fact,)).again(LOOK_AGAIN if failing else AT_REST)
    reading = scene.reading
    if reading is None:
        return _unreadable(scene, draft)
    if not reading.exists:
        return _absent(scene, draft)
    if not (draft.status.owner or scene.spec.model.follow):
        return _not_ours(scene, draft)
    return _by_table(scene, draft, reading) if _recent(scene) else draft


def _absent(scene: Scene, draft: Draft) -> Draft:
    name, stable = scene.spec.model.name, draft.status.stable
    if stable is None:
        return draft.finding(PROGRESSING, "WaitingForModel", f"model {name} is not registered in MLflow yet")
    message = f"model {name} is not in MLflow any more; version {stable.version} goes on serving"
    return draft.finding(DEGRADED, "ModelNotFound", message)


def _unreadable(scene: Scene, draft: Draft) -> Draft:
    """The registry does not answer: what serves goes on, and a running rollout is judged on."""
    fact = scene.fact
    if fact is None or (fact.at is None and fact.error is None):
        return draft if draft.status.stable else draft.finding(PROGRESSING, "ReadingRegistry", "reading MLflow")
    why = fact.error or "its last answer is too old"
    message = f"the aliases of model {scene.spec.model.name} can't be read, so changes to them wait: {why}"
    return draft.again(LOOK_AGAIN).finding(DEGRADED, "RegistryUnavailable", message)


def _not_ours(scene: Scene, draft: Draft) -> Draft:
    candidate = draft.status.candidate
    if candidate is None or candidate.purpose not in TRIED or not forfeited(scene):
        return draft
    return dismiss(scene, draft, candidate, "ModelClaimed", "the model's aliases belong to another deployment now")


def _recent(scene: Scene) -> bool:
    """A reading from before our last own change says nothing about what others did since."""
    fact, status = scene.fact, scene.written
    changes = [record.since for record in (status.stable, status.candidate) if record and record.since]
    return fact is not None and fact.at is not None and all(fact.at >= change for change in changes)


# --- the table --------------------------------------------------------------------------------------------------------
def _by_table(scene: Scene, draft: Draft, reading: ModelReading) -> Draft:
    missing = _missing(scene, reading)
    draft = draft.asking(*(_read_effect(scene, version) for version in sorted(missing)))
    relation = relate(draft.status, scene.spec.model, reading, missing)
    candidate = draft.status.candidate
    match act(relation.activity, relation.champion, relation.challenger):
        case Action.KEEP:
            return _kept(scene, draft, relation)
        case Action.FOLLOW:
            return _followed(scene, draft, relation.target)
        case Action.ROLL:
            return _rolled(scene, draft, relation.target)
        case Action.REPLACE if candidate:
            message = f"version {relation.target} took its place as challenger"
            return dismiss(scene, draft, candidate, "ChallengerReplaced", message)
        case Action.WITHDRAW if candidate:
            return dismiss(scene, draft, candidate, "ChallengerWithdrawn", "the challenger alias was taken from it")
    return draft


def _missing(scene: Scene, reading: ModelReading) -> frozenset[str]:
    """Versions that the aliases name and that the registry, asked for them, does not have."""
    aliases = scene.spec.model.aliases
    named = {version for alias in (aliases.champion, aliases.challenger) if (version := reading.alias(alias))}
    outcomes = {version: scene.outcome(_read_effect(scene, version)) for version in named}
    return frozenset(v for v, outcome in outcomes.items() if outcome is not None and outcome.error_kind == NOT_FOUND)


def _kept(scene: Scene, draft: Draft, relation: Relation) -> Draft:
    if relation.challenger is Challenger.GONE:
        message = f"version {relation.target}, named by an alias, is not in MLflow: point the alias to another version"
        return draft.finding(DEGRADED, "VersionNotFound", message)
    if draft.status.stable or draft.status.candidate:
        return draft
    aliases = scene.spec.model.aliases
    message = f"no version of model {scene.spec.model.name} has the alias {aliases.champion}" + (
        "" if scene.spec.model.follow else f" or {aliases.challenger}"
    )
    return draft.finding(PROGRESSING, "WaitingForModel", message)


def _followed(scene: Scene, draft: Draft, version: str | None) -> Draft:
    """The champion alias was moved by hand, or nothing serves yet."""
    candidate = draft.status.candidate
    if version is None:
        return draft
    if candidate is None:
        return _begun(scene, draft, version, Purpose.FOLLOW)
    if candidate.version == version:
        return draft.with_status(candidate=candidate.evolve(purpose=Purpose.FOLLOW))
    return dismiss(
        scene, draft, candidate, "ChampionMoved", f"the champion alias was moved to version {version} by hand"
    )


def _rolled(scene: Scene, draft: Draft, version: str | None) -> Draft:
    if version is None:
        return draft
    if scene.spec.rollout.paused:
        message = f"version {version} waits to be tried (rollout.paused)"
        return draft.finding(PROGRESSING, "Paused", message)
    if scene.workload(version) is not None:
        message = f"version {version} is tried once its earlier pods are gone"
        return draft.again(LOOK_AGAIN).finding(PROGRESSING, "Retiring", message)
    return _begun(scene, draft, version, Purpose.TRIAL if draft.status.stable else Purpose.BOOTSTRAP)


# --- the pin ----------------------------------------------------------------------------------------------------------
def _pinned(scene: Scene, draft: Draft, version: str) -> Draft:
    candidate, stable = draft.status.candidate, draft.status.stable
    if candidate is not None and candidate.version == version:
        return draft.with_status(candidate=candidate.evolve(purpose=Purpose.PIN))
    if candidate is not None:
        return dismiss(scene, draft, candidate, "Pinned", f"the spec pins version {version}")
    if stable is not None and stable.version == version:
        return draft
    return _begun(scene, draft, version, Purpose.PIN)


# --- beginning --------------------------------------------------------------------------------------------------------
def _read_effect(scene: Scene, version: str) -> ReadVersion:
    return ReadVersion(scene.spec.mlflow, scene.spec.model.name, version)


def _begun(scene: Scene, draft: Draft, version: str, purpose: Purpose) -> Draft:
    """Make ``version`` the candidate, once its files and their digests are known."""
    record = known(draft.status, version)
    if record is not None:
        return _entered(scene, draft, record, purpose)
    effect = _read_effect(scene, version)
    outcome = scene.outcome(effect)
    if outcome is not None and outcome.ok and isinstance(outcome.value, VersionInfo):
        return _entered(scene, draft, _served(scene, outcome.value), purpose)
    asked = draft.asking(effect).again(LOOK_AGAIN)
    if outcome is None or outcome.ok or outcome.retryable:
        why = f": {outcome.error}" if outcome and outcome.error else ""
        return asked.finding(PROGRESSING, "ReadingVersion", f"reading version {version} from MLflow{why}")
    return _refused(scene, asked, version, purpose, outcome)


def _refused(scene: Scene, draft: Draft, version: str, purpose: Purpose, outcome: Outcome) -> Draft:
    reason = "VersionNotFound" if outcome.error_kind == NOT_FOUND else outcome.error_kind or "VersionUnusable"
    message = f"version {version} of model {scene.spec.model.name} can't be served: {outcome.error}"
    if purpose in TRIED and outcome.error_kind not in UNDECIDED:
        return unread(scene, draft, version, reason, message)
    return draft.finding(STALLED if purpose is Purpose.PIN else DEGRADED, reason, message)


def _served(scene: Scene, version: VersionInfo) -> ServedVersion:
    return ServedVersion(
        version=version.version,
        image=scene.observed.settings.serving_image,  # for as long as the spec names none
        digest=version.digest,
        run_id=version.run_id,
        model_root=version.model_root,
        run_root=version.run_root,
        files=version.files,
    )


def _entered(scene: Scene, draft: Draft, record: ServedVersion, purpose: Purpose) -> Draft:
    steps = scene.spec.rollout.steps
    kept = {name: getattr(record, name) for name in ServedVersion.model_fields}
    candidate = Candidate(
        **kept | {"replicas": 0, "ready_replicas": 0, "since": scene.now},
        purpose=purpose,
        step_name=steps[0].name if steps and purpose in TRIED else purpose.value.lower(),
        step_since=scene.now,
    )
    note = f"version {record.version} is on its way ({purpose.value}), {_serving(draft.status)}"
    event = Event("RolloutStarted", note, f"{purpose.value}-v{record.version}-{occasion(scene.written)}")
    retiring = tuple(r for r in draft.status.retiring if r.version != record.version)
    return draft.with_status(candidate=candidate, retiring=retiring).telling(event)


def _serving(status: DeploymentStatus) -> str:
    return f"version {status.stable.version} serves" if status.stable else "nothing serves yet"
