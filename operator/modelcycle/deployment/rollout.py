"""A candidate's way through its steps, or, for a version that somebody chose, to its first ready pod."""

from __future__ import annotations

from datetime import datetime, timedelta

from modelcycle.api.v1alpha1.common import as_timedelta
from modelcycle.api.v1alpha1.deployment import (
    Approval,
    Candidate,
    DeploymentSpec,
    OnNoData,
    Purpose,
    ReplicasStep,
    SmokeStep,
)
from modelcycle.constants import ANNOTATION_ABORT, ANNOTATION_APPROVE
from modelcycle.core.plan import Event
from modelcycle.core.text import number_of
from modelcycle.deployment.judgement import Case, Opinion, Ruling, judge
from modelcycle.deployment.metrics import answers, question, traffic
from modelcycle.deployment.relations import TRIED
from modelcycle.deployment.requests import asked, handled, unused
from modelcycle.deployment.scene import DEGRADED, PROGRESSING, Draft, Scene
from modelcycle.deployment.shares import shares, step_of
from modelcycle.deployment.trouble import Fault, Trouble
from modelcycle.deployment.verdicts import arrive, promote, reject

LOOK_AGAIN = timedelta(seconds=5)
MARKS = 10
APPROVAL = "approval"
TRY_AGAIN = "to try it again: kubectl annotate"


def advance(scene: Scene, draft: Draft) -> Draft:
    """One step further for the candidate that is persisted; nothing for one that this pass just chose."""
    if scene.written.candidate is None:
        return unused(scene, unused(scene, draft, ANNOTATION_ABORT), ANNOTATION_APPROVE)
    candidate = draft.status.candidate
    if candidate is None or _identity(candidate) != _identity(scene.written.candidate):
        return draft
    draft = draft.again(LOOK_AGAIN)
    place = place_of(scene.spec, candidate)
    if candidate.purpose is Purpose.TRIAL and place != (candidate.step, candidate.step_name):
        # To the status first, then into pods and judgement.
        return draft.with_status(candidate=_moved(candidate, place, scene.now))
    if candidate.purpose not in TRIED:
        return _arriving(scene, unused(scene, draft, ANNOTATION_ABORT), candidate)
    abort = asked(scene, ANNOTATION_ABORT)
    if abort is not None:
        return _aborted(scene, draft, candidate, abort)
    if scene.spec.rollout.paused:
        message = f"the rollout of version {candidate.version} is held in step {candidate.step_name} (rollout.paused)"
        return draft.finding(PROGRESSING, "Paused", message)
    if candidate.purpose is Purpose.TRIAL and candidate.step >= len(scene.spec.rollout.steps):
        return _waiting_for_approval(scene, draft, candidate)
    return _trying(scene, unused(scene, draft, ANNOTATION_APPROVE), candidate)


def _identity(candidate: Candidate) -> tuple[str, Purpose, datetime | None]:
    return candidate.version, candidate.purpose, candidate.since


def place_of(spec: DeploymentSpec, candidate: Candidate) -> tuple[int, str]:
    """Index and name of the step that a candidate is in, found by its name: steps may be edited while it is on its way.

    Where its own step is gone, it is in the one that took that place; past the last one it waits for approval.
    """
    names = [step.name for step in spec.rollout.steps]
    if candidate.step_name in names:
        return names.index(candidate.step_name), candidate.step_name
    index = min(candidate.step, len(names))
    return index, names[index] if index < len(names) else APPROVAL


def _moved(candidate: Candidate, place: tuple[int, str], now: datetime) -> Candidate:
    index, name = place
    if name == candidate.step_name:
        return candidate.evolve(step=index)
    return candidate.evolve(step=index, step_name=name, step_since=now, requests=0, labels=0)


def _aborted(scene: Scene, draft: Draft, candidate: Candidate, value: str) -> Draft:
    message = f"aborted in step {candidate.step_name} by annotation ({value})"
    return reject(scene, handled(draft, ANNOTATION_ABORT, value), candidate, "Aborted", message)


# --- a version that somebody chose ------------------------------------------------------------------------------------
def _arriving(scene: Scene, draft: Draft, candidate: Candidate) -> Draft:
    if scene.ready(candidate.version):
        return arrive(scene, draft, candidate)
    found = scene.trouble(candidate.version)
    stable = draft.status.stable
    keeps = f"version {stable.version} goes on serving" if stable else "nothing serves yet"
    if found is not None and found.fault is Fault.VERSION:
        chosen = "spec.model.version" if candidate.purpose is Purpose.PIN else "the champion alias"
        message = f"version {candidate.version}, named by {chosen}, can't be served ({found.message}); {keeps}"
        return draft.finding(DEGRADED, found.reason, message)
    reason, why = (found.reason, f": {found.message}") if found else ("Starting", "")
    return draft.finding(PROGRESSING, reason, f"pods of version {candidate.version} are starting{why}; {keeps}")


# --- a version that is tried ------------------------------------------------------------------------------------------
def _trying(scene: Scene, draft: Draft, candidate: Candidate) -> Draft:
    step = _step(scene.spec, candidate)
    draft, ruling = _ruled(scene, draft, candidate, step)
    draft = _marked(draft, candidate, ruling, step)
    if ruling.opinion is Opinion.UNKNOWN and _overdue(scene, candidate, _max_wait(scene.spec, candidate)):
        ruling = _out_of_time(scene, candidate, step, ruling)
    match ruling.opinion:
        case Opinion.FAIL:
            return reject(scene, draft, candidate, ruling.reason, f"in step {candidate.step_name}: {ruling.message}")
        case Opinion.PASS:
            return _passed(scene, draft, candidate, ruling)
        case Opinion.UNKNOWN:
            where = f"version {candidate.version} in step {candidate.step_name}"
            return draft.finding(PROGRESSING, ruling.reason, f"{where}: {ruling.message}")


def _step(spec: DeploymentSpec, candidate: Candidate) -> ReplicasStep | None:
    """The replicas step that decides; None where being ready is all that is asked for."""
    return step_of(spec, candidate) if candidate.purpose is Purpose.TRIAL else None


def _ruled(scene: Scene, draft: Draft, candidate: Candidate, step: ReplicasStep | None) -> tuple[Draft, Ruling]:
    """First the pods, then the live requests."""
    found = scene.trouble(candidate.version)
    if found is not None and found.fault is Fault.VERSION:
        return draft, Ruling(Opinion.FAIL, found.reason, found.message)
    wanted = 1 if step is None else shares(scene.spec, draft.status, 0).candidate
    live = Ruling(Opinion.PASS, "Ready", "the recorded rows were answered within tolerance")
    if step is not None:
        draft, live = _live(scene, draft, candidate, step)
    if scene.ready(candidate.version) < wanted and live.opinion is not Opinion.FAIL:
        return draft, _not_ready(found, wanted)
    return draft, live


def _not_ready(found: Trouble | None, wanted: int) -> Ruling:
    if found is None:
        return Ruling(Opinion.UNKNOWN, "Starting", f"waiting for {number_of(wanted, 'ready pod')}")
    return Ruling(Opinion.UNKNOWN, found.reason, found.message)


def _live(scene: Scene, draft: Draft, candidate: Candidate, step: ReplicasStep) -> tuple[Draft, Ruling]:
    asking = question(scene, step, candidate.step_since or scene.now)
    if asking is None:
        name = scene.spec.prometheus
        message = f"no Prometheus endpoint {name!r} for this namespace: have the administrator define it"
        return draft, Ruling(Opinion.UNKNOWN, "EndpointUnknown", message)
    draft = draft.watching((asking.counters, asking.buckets))
    read = answers(scene, asking)
    if isinstance(read, str):
        return draft, Ruling(Opinion.UNKNOWN, "MetricsUnavailable", read)
    stable = draft.status.stable
    compared = stable is not None and scene.ready(stable.version) > 0
    case = Case(
        scene.spec.rollout.limits,
        step,
        traffic(*read, candidate.version, asking.since),
        traffic(*read, stable.version, asking.since) if compared and stable else None,
    )
    return draft, judge(case)


def _marked(draft: Draft, candidate: Candidate, ruling: Ruling, step: ReplicasStep | None) -> Draft:
    """What was seen so far, in tenths of what is asked for: current values live in metrics, not in the status."""
    if step is None or not (ruling.requests or ruling.labels):
        return draft
    requests = max(candidate.requests, _mark(ruling.requests, step.min_requests))
    labels = max(candidate.labels, _mark(ruling.labels, step.min_labels))
    return draft.with_status(candidate=candidate.evolve(requests=requests, labels=labels))


def _mark(seen: int, wanted: int) -> int:
    return wanted * (MARKS * min(seen, wanted) // wanted) // MARKS if wanted else 0


def _max_wait(spec: DeploymentSpec, candidate: Candidate) -> timedelta:
    steps = spec.rollout.steps
    if candidate.purpose is Purpose.BOOTSTRAP:
        return as_timedelta(next((s.smoke.max_wait for s in steps if s.smoke), SmokeStep().max_wait))
    step = steps[candidate.step]
    return as_timedelta((step.replicas or step.smoke or SmokeStep()).max_wait)


def _overdue(scene: Scene, candidate: Candidate, wait: timedelta) -> bool:
    return candidate.step_since is not None and scene.now - candidate.step_since >= wait


def _out_of_time(scene: Scene, candidate: Candidate, step: ReplicasStep | None, ruling: Ruling) -> Ruling:
    """What becomes of a step whose time is up without a decision."""
    found = scene.trouble(candidate.version)
    wanted = 1 if step is None else shares(scene.spec, scene.written, 0).candidate
    if scene.ready(candidate.version) < wanted:
        if found is not None and found.fault is Fault.OUTSIDE:
            return ruling
        return Ruling(Opinion.FAIL, "NotReady", f"not ready in time: {ruling.message}")
    action = step.on_no_data if step else OnNoData.HOLD
    if action is OnNoData.FAIL:
        return Ruling(Opinion.FAIL, "NoData", f"not enough data in time (onNoData: Fail): {ruling.message}")
    if action is OnNoData.PROCEED:
        return Ruling(Opinion.PASS, "NoData", f"not enough data in time (onNoData: Proceed): {ruling.message}")
    held = f"{ruling.message}; maxWait is over and onNoData is Hold: send requests, or annotate {ANNOTATION_ABORT}"
    return Ruling(Opinion.UNKNOWN, ruling.reason, held)


def _passed(scene: Scene, draft: Draft, candidate: Candidate, ruling: Ruling) -> Draft:
    if candidate.purpose is Purpose.BOOTSTRAP:
        return promote(scene, draft, candidate, "Bootstrap", "nothing served before; " + ruling.message)
    steps = scene.spec.rollout.steps
    index = candidate.step + 1
    note = f"version {candidate.version} passed step {candidate.step_name}: {ruling.message}"
    passed = draft.telling(
        Event("StepPassed", note, f"{_life(candidate)}-step-{candidate.step_name}", action="Rollout")
    )
    if index >= len(steps) and scene.spec.rollout.approval is Approval.NONE:
        return promote(scene, passed, candidate, "StepsPassed", ruling.message)
    name = steps[index].name if index < len(steps) else APPROVAL
    entered = candidate.evolve(step=index, step_name=name, step_since=scene.now, requests=0, labels=0)
    return passed.with_status(candidate=entered)


def _waiting_for_approval(scene: Scene, draft: Draft, candidate: Candidate) -> Draft:
    """All steps are passed; the limits still hold while a person thinks."""
    draft, ruling = _ruled(scene, draft, candidate, _step(scene.spec, candidate))
    if ruling.opinion is Opinion.FAIL:
        message = f"while it waited for approval: {ruling.message}"
        return reject(scene, draft, candidate, ruling.reason, message)
    approval = asked(scene, ANNOTATION_APPROVE)
    if approval is not None and scene.ready(candidate.version):
        message = f"all steps passed, approved by annotation ({approval})"
        return promote(scene, handled(draft, ANNOTATION_APPROVE, approval), candidate, "Approved", message)
    if scene.spec.rollout.approval is Approval.NONE and scene.ready(candidate.version):
        return promote(scene, draft, candidate, "StepsPassed", "all steps passed")
    message = f"version {candidate.version} passed all steps and waits for approval"
    return draft.finding(PROGRESSING, "AwaitingApproval", message)


def _life(candidate: Candidate) -> str:
    """Tells this rollout of the version from a later one."""
    return f"v{candidate.version}-{candidate.manifest().get('since', '')}"
