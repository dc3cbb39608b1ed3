"""What to do for a ``RetrainPolicy``: ``decide(observed, now) -> Plan``.

Look at the metrics, say what each trigger says, then either go on with the cycle that is under way, or start one where
a trigger fires (long enough) and no guard holds it back. In Observe mode the decision is written down and nothing is
started.
"""

from __future__ import annotations

from datetime import datetime

from modelcycle import constants as names
from modelcycle.api.v1alpha1.retrain import Mode
from modelcycle.api.v1alpha1.retrain_status import CycleOutcome, Decision, Evidence, EvidenceState, RetrainStatus
from modelcycle.core.plan import Plan
from modelcycle.core.text import clip
from modelcycle.registry.port import ModelReading
from modelcycle.retrain import cycle as cycles
from modelcycle.retrain.champion import another_serves, read
from modelcycle.retrain.draft import Draft
from modelcycle.retrain.evidence import number, persisted
from modelcycle.retrain.guards import Hold, Situation, cooldown_left, held_back, held_by_pin
from modelcycle.retrain.metrics import Source
from modelcycle.retrain.observed import Deployment, Policy, PolicyObserved
from modelcycle.retrain.phases import advance
from modelcycle.retrain.status import Stall, stall_event, stalled, watching
from modelcycle.retrain.watch import Findings, described, watch

RetrainPlan = Plan[RetrainStatus]
ECHO_LIMIT = 256  # bytes of status.handled


def decide(observed: PolicyObserved, now: datetime) -> RetrainPlan:
    """The plan for one policy; total, and the same for the same arguments."""
    policy, deployment = observed.resource, observed.deployment
    if policy.deleting:
        return Plan(status=policy.status)
    if policy.invalid:
        stall: Stall | None = Stall("InvalidSpec", f"the spec can't be understood: {policy.invalid}")
    else:
        stall = _stay_out(observed)
    if stall is not None or deployment is None:
        return _staying_out(policy, stall or Stall("DeploymentMissing", ""), now)
    mlflow = observed.settings.endpoints.mlflow_named(deployment.spec.mlflow, policy.namespace)
    prometheus = observed.settings.endpoints.prometheus_named(policy.spec.prometheus, policy.namespace)
    if mlflow is None or prometheus is None:
        return _staying_out(policy, _endpoint_missing(policy, deployment), now)
    draft = Draft(observed, now, deployment, mlflow)
    source = Source(prometheus.name, prometheus.scrape_seconds, deployment, now, observed.facts)
    hold = _judge(draft, source)
    cycles.prune(draft)
    draft.change(**dict(watching(policy, draft.status, draft.doing, hold, suspended=policy.spec.suspend, now=now)))
    return draft.plan()


# --- staying out -----------------------------------------------------------------------------------------------------
def _staying_out(policy: Policy, stall: Stall, now: datetime) -> RetrainPlan:
    return Plan(status=stalled(policy, policy.status, stall, now), events=stall_event(policy, stall))


def _stay_out(observed: PolicyObserved) -> Stall | None:
    policy, deployment = observed.resource, observed.deployment
    name = policy.spec.deployment.name
    if deployment is None or deployment.deleting:
        return Stall("DeploymentMissing", f"there is no ModelDeployment {name!r} in namespace {policy.namespace!r}")
    if deployment.invalid:
        return Stall("DeploymentInvalid", f"ModelDeployment {name!r} can't be understood: {deployment.invalid}")
    elder = elder_sibling(observed)
    if elder is not None:
        return Stall(
            "AnotherPolicy", f"RetrainPolicy {elder!r} is older and watches {name!r} already; delete one of the two"
        )
    return None


def elder_sibling(observed: PolicyObserved) -> str | None:
    """Name of an older policy for the same deployment; of two the older one works, by creation time, then uid."""
    policy = observed.resource
    mine = (policy.created, policy.uid)
    elders = [s for s in observed.siblings if (s.created, s.uid) < mine and not s.deleting]
    return min(elders, key=lambda s: (s.created, s.uid)).name if elders else None


def _endpoint_missing(policy: Policy, deployment: Deployment) -> Stall:
    return Stall(
        "EndpointUnknown",
        f"MLflow endpoint {deployment.spec.mlflow!r} or Prometheus endpoint {policy.spec.prometheus!r} "
        f"is not defined for namespace {policy.namespace!r}: ask the administrator",
    )


# --- judging ---------------------------------------------------------------------------------------------------------
def _judge(draft: Draft, source: Source) -> Hold | None:
    """Watch, then go on with the cycle or perhaps start one. Gives what holds the cycle or a firing trigger back."""
    findings = () if draft.spec.suspend else watch(draft, source)
    _shorten_cooldown(draft)
    _abort_if_asked(draft)
    if draft.status.cycle is not None:
        advance(draft, draft.status.cycle)
        return draft.waits
    if draft.spec.suspend:
        return None
    asked = _asked_for(draft)
    if asked is not None:
        return _start_as_asked(draft, asked)
    return _start_if_due(draft, findings)


def _shorten_cooldown(draft: Draft) -> None:
    rows, until = cooldown_left(draft.spec, draft.status, draft.now)
    if (rows, until) != (draft.status.cooldown_until_rows, draft.status.cooldown_until):
        draft.change(cooldown_until_rows=rows, cooldown_until=until)


def _asked(draft: Draft, annotation: str, handled: str | None) -> str | None:
    """The annotation's value as the status can echo it, if it was not handled yet."""
    value = draft.policy.annotations.get(annotation)
    echo = clip(value, ECHO_LIMIT) if value else None
    return None if echo == handled else echo


def _abort_if_asked(draft: Draft) -> None:
    handled = draft.status.handled
    asked = _asked(draft, names.ANNOTATION_ABORT, handled.abort)
    if asked is None:
        return
    if draft.status.cycle is not None:
        cycles.abort(draft, draft.status.cycle)
    draft.change(handled=handled.evolve(abort=asked))


def _asked_for(draft: Draft) -> str | None:
    return _asked(draft, names.ANNOTATION_RETRAIN, draft.status.handled.retrain)


def _start_as_asked(draft: Draft, asked: str) -> Hold | None:
    """A person asks for a cycle: neither triggers nor cooldown nor budget have a say. Only a pin has."""
    hold = held_by_pin(draft.deployment)
    if hold is not None:
        return hold
    draft.change(handled=draft.status.handled.evolve(retrain=asked))
    evidence = Evidence(watermark=draft.status.evaluated.watermark, detail=f"asked for by annotation {asked}")
    cycles.start(draft, evidence, f"asked for by annotation {asked}")
    return None


def _start_if_due(draft: Draft, findings: Findings) -> Hold | None:
    due = _due(draft, findings)
    if due is None:
        return None
    evidence, reason = due
    hold = held_back(Situation(draft.spec, draft.status, draft.deployment, draft.now))
    if hold is not None:
        draft.look_again_at(hold.until)
        return hold
    found = read(draft)
    hold = another_serves(draft.deployment, found) if isinstance(found, ModelReading) else found
    if hold is not None or found is None:
        return hold
    if draft.spec.mode is Mode.OBSERVE:
        _write_down(draft, evidence, reason)
    else:
        cycles.start(draft, evidence, reason)
    return None


def _due(draft: Draft, findings: Findings) -> tuple[Evidence, str] | None:
    """The first trigger that has fired for long enough, as evidence, and in words."""
    lines = {status.name: status for status in draft.status.triggers}
    rows = draft.status.evaluated.rows
    for trigger, finding in findings:
        line = lines[trigger.name]
        if finding.state is not EvidenceState.FIRING or not persisted(line, trigger.persistence, rows, draft.now):
            continue
        evidence = Evidence(
            trigger=trigger.name,
            query=finding.query,
            time=draft.now,
            value=number(finding.value),
            threshold=number(finding.threshold),
            rows=finding.rows,
            watermark=draft.status.evaluated.watermark,
            detail=finding.detail,
        )
        return evidence, described(line)
    return None


def _write_down(draft: Draft, evidence: Evidence, reason: str) -> None:
    """Observe mode: the decision counts, with its cooldown, and nothing is started."""
    stable = draft.deployment.status.stable
    decision = Decision(
        number=0,
        outcome=CycleOutcome.OBSERVED,
        reason="ObserveMode",
        message=f"a cycle would start: {reason}",
        time=draft.now,
        champion=stable.version if stable else None,
        evidence=evidence,
    )
    draft.change(last_started_rows=draft.status.evaluated.rows, schedule_since=draft.now)
    cycles.conclude(draft, decision, failures=0)
    draft.say("WouldRetrain", decision.message, f"observed-{draft.now.timestamp():.0f}")
