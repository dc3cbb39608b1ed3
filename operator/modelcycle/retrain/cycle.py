"""A cycle: training, gate, challenger, rollout. Each phase is in the status before anything of it is done.

::

    Training    the ModelTraining exists            failed      -> TrainingFailed
       v        it registered a version
    Gate        the evaluation Job has a verdict    not passed  -> GateRejected | GateUnknown
       v        its verdict is on the version
    Challenger  the alias names the version
       v
    Rollout     the deployment gave its verdict     -> Promoted | RolledBack | Superseded
"""

from __future__ import annotations

import json
from datetime import timedelta

from modelcycle import constants as names
from modelcycle.api.v1alpha1.deployment import ServedVersion, Verdict
from modelcycle.api.v1alpha1.retrain_status import (
    Cycle,
    CycleOutcome,
    CyclePhase,
    Decision,
    Evidence,
    GateOutcome,
    GateResult,
)
from modelcycle.core.conditions import FALSE, ending
from modelcycle.core.observed import JobView, PodView, awaits_last_words
from modelcycle.core.plan import Ref
from modelcycle.registry.port import ReadVersion, SetAlias, SetVersionTags, VersionInfo
from modelcycle.retrain import children, gate
from modelcycle.retrain.draft import Draft
from modelcycle.retrain.guards import as_of, cooldown, recent_starts
from modelcycle.retrain.observed import Training

_HELPED = frozenset({CycleOutcome.PROMOTED})
_DID_NOT_HELP = frozenset({CycleOutcome.GATE_REJECTED, CycleOutcome.ROLLED_BACK})
KEPT = 20
LAST_WORDS = timedelta(seconds=2)


# --- start and end ---------------------------------------------------------------------------------------------------
def next_number(draft: Draft) -> int:
    """One more than any that was ever seen: in the status, and in trainings that outlived it."""
    seen = [int(n) for t in draft.observed.trainings if (n := t.labels.get(names.LABEL_CYCLE, "")).isdigit()]
    return max([draft.status.last_cycle, *seen], default=0) + 1


def start(draft: Draft, evidence: Evidence, reason: str) -> None:
    """Write down that a cycle begins, with what it rests on. Its training is made once that is in the status."""
    number = next_number(draft)
    stable = draft.deployment.status.stable
    cycle = Cycle(
        number=number,
        phase=CyclePhase.TRAINING,
        started_at=draft.now,
        training=children.training_name(draft.policy, number),
        as_of=as_of(draft.spec, draft.status, draft.now),
        evidence=evidence,
        champion=stable.version if stable else None,
    )
    starts = (*recent_starts(draft.status, draft.spec.budget.per, draft.now), draft.now)
    draft.change(
        cycle=cycle,
        last_cycle=number,
        last_started_rows=draft.status.evaluated.rows,
        schedule_since=draft.now,
        starts=starts[-100:],
    )
    draft.say("CycleStarted", f"cycle {number}: {reason}; training {cycle.training}", f"cycle-{number}-started")


def end(draft: Draft, cycle: Cycle, outcome: CycleOutcome, reason: str, message: str) -> None:
    """Close the cycle: history, cooldown, and the count of cycles that did not help."""
    decision = Decision(
        number=cycle.number,
        outcome=outcome,
        reason=reason,
        message=message,
        time=draft.now,
        started_at=cycle.started_at,
        training=cycle.training,
        as_of=cycle.as_of,
        champion=cycle.champion,
        version=cycle.version,
        evidence=cycle.evidence,
        gate=cycle.gate,
    )
    failures = draft.status.consecutive_failures
    failures = 0 if outcome in _HELPED else min(1000, failures + (outcome in _DID_NOT_HELP))
    conclude(draft, decision, failures)
    draft.change(cycle=None)
    draft.say(
        f"Cycle{outcome.value}",
        f"cycle {cycle.number}: {message}",
        f"cycle-{cycle.number}-ended",
        warning=outcome is not CycleOutcome.PROMOTED,
    )


def conclude(draft: Draft, decision: Decision, failures: int) -> None:
    """Add a decision to the history and start the cooldown after it."""
    until_rows, until = cooldown(draft.spec, draft.status.evaluated.rows, failures, draft.now)
    draft.change(
        history=(*draft.status.history, decision)[-KEPT:],
        consecutive_failures=failures,
        cooldown_until_rows=until_rows,
        cooldown_until=until,
    )


def abort(draft: Draft, cycle: Cycle) -> None:
    """A person said so. A training that runs is ended; a rollout is the deployment's own and goes on."""
    training = _training(draft, cycle)
    if cycle.phase is CyclePhase.TRAINING and training is not None:
        ref = Ref("modelcycle.dev/v1alpha1", "ModelTraining", training.namespace, training.name, training.uid)
        draft.delete(ref)
    end(draft, cycle, CycleOutcome.ABORTED, "AbortRequested", "aborted by annotation")


# --- phases ----------------------------------------------------------------------------------------------------------
def advance(draft: Draft, cycle: Cycle) -> None:
    """Do what the present phase needs, and go to the next when it is done."""
    if cycle.phase is CyclePhase.TRAINING:
        _train(draft, cycle)
    elif cycle.phase is CyclePhase.GATE:
        _pass_gate(draft, cycle)
    elif cycle.phase is CyclePhase.CHALLENGER:
        _set_challenger(draft, cycle)
    else:
        _await_verdict(draft, cycle)


def _enter(draft: Draft, cycle: Cycle, phase: CyclePhase) -> None:
    draft.change(cycle=cycle.evolve(phase=phase))


def _training(draft: Draft, cycle: Cycle) -> Training | None:
    return next((t for t in draft.observed.trainings if t.name == cycle.training), None)


def _train(draft: Draft, cycle: Cycle) -> None:
    training = _training(draft, cycle)
    if training is None:
        draft.doing = f"training {cycle.training} is being made"
        draft.create(children.training(draft.policy, draft.deployment, cycle))
        return
    ended = ending(training.status.conditions)
    registered = training.status.registered
    draft.doing = f"training {cycle.training}: {training.status.summary or 'waiting'}"
    if ended is None:
        return
    if ended.status is FALSE or registered is None:
        end(draft, cycle, CycleOutcome.TRAINING_FAILED, ended.reason, ended.message)
        return
    version = registered.version
    draft.say("Trained", f"cycle {cycle.number}: version {version} is registered", f"cycle-{cycle.number}-trained")
    draft.change(cycle=cycle.evolve(version=version, phase=CyclePhase.GATE))


def _pass_gate(draft: Draft, cycle: Cycle) -> None:
    if cycle.gate is None:
        _await_gate(draft, cycle)
        return
    result = cycle.gate
    draft.doing = f"the gate's verdict {result.outcome.value} is being recorded"
    if not draft.done(_gate_tags(draft, cycle, result)):
        return
    if result.outcome is GateOutcome.PASSED:
        _enter(draft, cycle, CyclePhase.CHALLENGER)
        return
    outcome = CycleOutcome.GATE_REJECTED if result.outcome is GateOutcome.REJECTED else CycleOutcome.GATE_UNKNOWN
    end(draft, cycle, outcome, result.reason, f"version {cycle.version}: {result.message or result.reason}")


def _gate_tags(draft: Draft, cycle: Cycle, result: GateResult) -> SetVersionTags:
    verdict = json.dumps(result.manifest(), sort_keys=True)
    tags = ((names.TAG_GATE, verdict), (names.TAG_CYCLE, str(cycle.number)), (names.TAG_POLICY, draft.policy.name))
    spec = draft.deployment.spec
    return SetVersionTags(spec.mlflow, spec.model.name, cycle.version or "", tuple(sorted(tags)))


def _await_gate(draft: Draft, cycle: Cycle) -> None:
    name = children.gate_name(draft.policy, cycle.number)
    job = next((job for job in draft.observed.jobs if job.name == name), None)
    draft.doing = f"evaluation {name} compares version {cycle.version} with {cycle.champion or 'no champion'}"
    if job is None:
        _start_gate(draft, cycle)
        return
    # Told for as long as it runs, which is once: the operator may have ended between the Job and the event.
    _tell_gate(draft, cycle)
    pods = _pods(draft, job)
    if awaits_last_words(job, gate.newest(pods)):
        draft.look_again_at(draft.now + LAST_WORDS)
    elif job.complete or job.failed:
        _take_verdict(draft, cycle, gate.result(job, pods))


def _pods(draft: Draft, job: JobView) -> tuple[PodView, ...]:
    return tuple(pod for pod in draft.observed.pods if pod.name.startswith(f"{job.name}-"))


def _start_gate(draft: Draft, cycle: Cycle) -> None:
    """The gate compares with whoever is champion now: that may have changed while the training ran."""
    spec = draft.deployment.spec
    outcome = draft.ask(ReadVersion(spec.mlflow, spec.model.name, cycle.version or ""))
    if outcome is None or outcome.retryable:
        return
    if not outcome.ok:
        message = f"version {cycle.version} can't be read: {outcome.error}"
        end(draft, cycle, CycleOutcome.GATE_UNKNOWN, outcome.error_kind or "VersionUnreadable", message)
        return
    stable = draft.deployment.status.stable
    champion = _served(stable) if stable else None
    version = champion.version if champion else None
    if cycle.champion != version:  # first to the status, then into a Job
        draft.change(cycle=cycle.evolve(champion=version))
        return
    image = draft.deployment.spec.image or draft.observed.settings.serving_image
    evaluation = children.Evaluation(
        draft.policy, draft.deployment, cycle, _read(outcome.value), champion, draft.mlflow, image
    )
    draft.apply(children.gate_job(evaluation))
    _tell_gate(draft, cycle)


def _tell_gate(draft: Draft, cycle: Cycle) -> None:
    draft.say("GateStarted", f"cycle {cycle.number}: {draft.doing}", f"cycle-{cycle.number}-gate")


def _served(stable: ServedVersion) -> children.Contender:
    return children.Contender(
        stable.version, stable.run_id or "", stable.model_root or "", stable.run_root or "", stable.files
    )


def _read(version: VersionInfo) -> children.Contender:
    return children.Contender(
        version.version, version.run_id or "", version.model_root, version.run_root or "", version.files
    )


def _take_verdict(draft: Draft, cycle: Cycle, result: GateResult) -> None:
    draft.change(cycle=cycle.evolve(gate=result))
    draft.say(
        f"Gate{result.outcome.value}",
        f"cycle {cycle.number}: version {cycle.version}: {result.message or result.reason}",
        f"cycle-{cycle.number}-gate-verdict",
        warning=result.outcome is not GateOutcome.PASSED,
    )


def _set_challenger(draft: Draft, cycle: Cycle) -> None:
    spec = draft.deployment.spec
    alias = spec.model.aliases.challenger
    draft.doing = f"alias {alias} is being set to version {cycle.version}"
    if draft.done(SetAlias(spec.mlflow, spec.model.name, alias, cycle.version or "")):
        _enter(draft, cycle, CyclePhase.ROLLOUT)
        draft.say(
            "ChallengerSet", f"cycle {cycle.number}: version {cycle.version} is {alias}", f"cycle-{cycle.number}-alias"
        )


def _await_verdict(draft: Draft, cycle: Cycle) -> None:
    status = draft.deployment.status
    draft.doing = f"the rollout of version {cycle.version} decides: {status.summary}"
    verdicts = [v for v in status.verdicts if v.version == cycle.version and v.time >= cycle.started_at]
    if verdicts:
        latest = verdicts[-1]
        outcome = {
            Verdict.PROMOTED: CycleOutcome.PROMOTED,
            Verdict.REJECTED: CycleOutcome.ROLLED_BACK,
            Verdict.SUPERSEDED: CycleOutcome.SUPERSEDED,
        }[latest.verdict]
        end(draft, cycle, outcome, latest.reason, f"version {cycle.version}: {latest.message or latest.reason}")


# --- tidying up ------------------------------------------------------------------------------------------------------
def prune(draft: Draft) -> None:
    """Remove the policy's oldest ended trainings beyond historyLimit, and evaluation Jobs of earlier cycles."""
    current = draft.status.cycle.training if draft.status.cycle else None
    others = [t for t in draft.observed.trainings if t.name != current and not t.deleting]
    ended = [t for t in others if ending(t.status.conditions) is not None]
    for training in sorted(ended, key=_cycle_of, reverse=True)[draft.spec.history_limit :]:
        draft.delete(Ref("modelcycle.dev/v1alpha1", "ModelTraining", training.namespace, training.name, training.uid))
    for job in draft.observed.jobs:
        number = job.labels.get(names.LABEL_CYCLE, "")
        if number.isdigit() and int(number) < draft.status.last_cycle and not job.deleting:
            draft.delete(Ref("batch/v1", "Job", job.namespace, job.name, job.uid))


def _cycle_of(training: Training) -> int:
    number = training.labels.get(names.LABEL_CYCLE, "")
    return int(number) if number.isdigit() else 0
