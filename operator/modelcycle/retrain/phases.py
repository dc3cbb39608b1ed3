"""A cycle: training, gate, challenger, rollout. Each phase is in the status before anything of it is done.

::

    Training    the ModelTraining exists            failed      -> TrainingFailed
       v        it registered a version
    Gate        the evaluation Job has a verdict    not passed  -> GateRejected | GateUnknown
       v  ^     its verdict is on the version       another champion since: it is compared anew
    Challenger  the alias names the version
       v
    Rollout     the deployment gave its verdict     -> Promoted | RolledBack | Superseded
"""

from __future__ import annotations

import json
from datetime import timedelta

from modelcycle import constants as names
from modelcycle.api.v1alpha1.deployment import ServedVersion, Verdict
from modelcycle.api.v1alpha1.retrain_status import Cycle, CycleOutcome, CyclePhase, GateOutcome, GateResult
from modelcycle.api.v1alpha1.training import TrainingSpec
from modelcycle.core.conditions import FALSE, TRUE, ending, find
from modelcycle.core.observed import JobView, PodView, awaits_last_words
from modelcycle.core.plan import Effect, Ref
from modelcycle.errors import NotFound
from modelcycle.registry.port import ModelFact, ModelReading, ReadVersion, SetAlias, SetVersionTags, VersionInfo
from modelcycle.retrain import children, gate
from modelcycle.retrain.champion import champion, read
from modelcycle.retrain.cycle import end, stop_training, training_of
from modelcycle.retrain.draft import Draft
from modelcycle.retrain.guards import held_by_pin
from modelcycle.retrain.observed import Deployment, Training

LAST_WORDS = timedelta(seconds=2)


def advance(draft: Draft, cycle: Cycle) -> None:
    """Do what the present phase needs, and go to the next when it is done."""
    training = training_of(draft, cycle)
    if training is not None and is_of_another_model(training, draft.deployment):
        model = draft.deployment.spec.model.name
        message = f"it trains for another model than {model}, which {draft.deployment.name} serves now"
        stop_training(draft, cycle)
        end(draft, cycle, CycleOutcome.ABORTED, "DeploymentChanged", message)
        return
    if cycle.phase is CyclePhase.TRAINING:
        _train(draft, cycle)
    elif cycle.phase is CyclePhase.GATE:
        _pass_gate(draft, cycle)
    elif cycle.phase is CyclePhase.CHALLENGER:
        _set_challenger(draft, cycle)
    else:
        _await_verdict(draft, cycle)


def is_of_another_model(training: Training, deployment: Deployment) -> bool:
    """Whether the policy has been given another deployment since, or its deployment another model."""
    return training.spec.register_.model != deployment.spec.model.name


def _enter(draft: Draft, cycle: Cycle, phase: CyclePhase) -> None:
    draft.change(cycle=cycle.evolve(phase=phase))


def _train(draft: Draft, cycle: Cycle) -> None:
    training = training_of(draft, cycle)
    if training is None:
        draft.doing = f"training {cycle.training} is being made"
        draft.create(children.training(draft.policy, draft.deployment, cycle))
        return
    ended = ending(training.status.conditions)
    registered = training.status.registered
    draft.doing = f"training {cycle.training}: {training.status.summary or 'waiting'}"
    if ended is None:
        if is_stuck(training) and training.spec != wanted(draft, cycle):
            message = f"training {cycle.training} can't go on, and the template is another one by now"
            stop_training(draft, cycle)
            end(draft, cycle, CycleOutcome.ABORTED, "TemplateChanged", message)
        return
    if ended.status is FALSE or registered is None:
        end(draft, cycle, CycleOutcome.TRAINING_FAILED, ended.reason, ended.message)
        return
    version = registered.version
    draft.say("Trained", f"cycle {cycle.number}: version {version} is registered", f"cycle-{cycle.number}-trained")
    draft.change(cycle=cycle.evolve(version=version, phase=CyclePhase.GATE))


def is_stuck(training: Training) -> bool:
    """Whether nothing moves in it until somebody acts, and no deadline will end it: its spec can't be changed."""
    stalled = find(training.status.conditions, "Stalled")
    return stalled is not None and stalled.status is TRUE


def wanted(draft: Draft, cycle: Cycle) -> TrainingSpec:
    """What the cycle's training would be if it were made now."""
    return TrainingSpec.model_validate(children.training(draft.policy, draft.deployment, cycle)["spec"])


def _pass_gate(draft: Draft, cycle: Cycle) -> None:
    if cycle.gate is None:
        _await_gate(draft, cycle)
        return
    result = cycle.gate
    draft.doing = f"the gate's verdict {result.outcome.value} is being recorded"
    if not _carried_out(draft, cycle, _gate_tags(draft, cycle, result)):
        return
    if result.outcome is GateOutcome.PASSED:
        _enter(draft, cycle, CyclePhase.CHALLENGER)
        return
    outcome = CycleOutcome.GATE_REJECTED if result.outcome is GateOutcome.REJECTED else CycleOutcome.GATE_UNKNOWN
    told = f"version {cycle.version} is not tried ({result.reason})"  # the numbers are in the event of the verdict
    end(draft, cycle, outcome, result.reason, f"version {cycle.version}: {result.message or result.reason}", told)


def _carried_out(draft: Draft, cycle: Cycle, effect: Effect) -> bool:
    """Whether MLflow did it. Where the version is no longer there, nothing else is left to try, and the cycle ends."""
    if draft.done(effect):
        return True
    outcome = draft.observed.outcomes.get(effect)
    if outcome is not None and outcome.error_kind == NotFound.__name__:
        message = f"version {cycle.version} is no longer in MLflow: {outcome.error}"
        end(draft, cycle, CycleOutcome.SUPERSEDED, "VersionDeleted", message)
    return False


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
    if job.labels.get(names.LABEL_MODEL_VERSION) != cycle.champion:
        draft.doing = f"evaluation {name} is made anew: version {cycle.champion} is the champion now"
        draft.delete(Ref("batch/v1", "Job", job.namespace, job.name, job.uid))
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
    reading = _undisturbed(draft)
    if reading is None:
        return
    named = champion(draft.deployment, reading)
    challenger = _contender(draft, cycle, cycle.version or "")
    opponent = _contender(draft, cycle, named) if named else None
    if challenger is None or (named and opponent is None):
        return
    if cycle.champion != named:  # first to the status, then into a Job
        draft.change(cycle=cycle.evolve(champion=named))
        return
    image = draft.deployment.spec.image or draft.observed.settings.serving_image
    evaluation = children.Evaluation(draft.policy, draft.deployment, cycle, challenger, opponent, draft.mlflow, image)
    draft.apply(children.gate_job(evaluation))
    _tell_gate(draft, cycle)


def _undisturbed(draft: Draft) -> ModelReading | None:
    """The registered model as it is now, where the cycle may go on; else it says what it waits for."""
    found = held_by_pin(draft.deployment) or read(draft)
    if isinstance(found, ModelReading):
        return found
    draft.waits = found
    return None


def _contender(draft: Draft, cycle: Cycle, version: str) -> children.Contender | None:
    """What the gate fetches of ``version``; None while that is being read. The cycle ends where it can't be."""
    stable, spec = draft.deployment.status.stable, draft.deployment.spec
    if stable is not None and stable.version == version:
        return _served(stable)
    outcome = draft.ask(ReadVersion(spec.mlflow, spec.model.name, version))
    if outcome is None or outcome.retryable:
        return None
    if outcome.ok:
        return _read(outcome.value)
    if draft.status.cycle is not None:
        message = f"version {version} can't be read: {outcome.error}"
        end(draft, cycle, CycleOutcome.GATE_UNKNOWN, outcome.error_kind or "VersionUnreadable", message)
    return None


def _tell_gate(draft: Draft, cycle: Cycle) -> None:
    transition = f"cycle-{cycle.number}-gate-{cycle.champion}"
    draft.say("GateStarted", f"cycle {cycle.number}: {draft.doing}", transition)


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
        f"cycle-{cycle.number}-gate-verdict-{cycle.champion}",
        warning=result.outcome is not GateOutcome.PASSED,
    )


def _set_challenger(draft: Draft, cycle: Cycle) -> None:
    """Only what beat the present champion is to be tried: where that is another one by now, the gate judges anew."""
    spec = draft.deployment.spec
    alias = spec.model.aliases.challenger
    draft.doing = f"alias {alias} is being set to version {cycle.version}"
    reading = _undisturbed(draft)
    if reading is None:
        return
    named = champion(draft.deployment, reading)
    if reading.alias(alias) != cycle.version and named not in (cycle.champion, cycle.version):
        draft.change(cycle=cycle.evolve(phase=CyclePhase.GATE, gate=None, champion=named))
        return
    if _carried_out(draft, cycle, _alias(draft, cycle)):
        _enter(draft, cycle, CyclePhase.ROLLOUT)
        draft.say(
            "ChallengerSet", f"cycle {cycle.number}: version {cycle.version} is {alias}", f"cycle-{cycle.number}-alias"
        )


def _await_verdict(draft: Draft, cycle: Cycle) -> None:
    status = draft.deployment.status
    rollout = find(status.conditions, "Progressing")
    draft.doing = f"the rollout of version {cycle.version} decides: {rollout.message if rollout else 'it begins'}"
    draft.waits = held_by_pin(draft.deployment)
    verdicts = [v for v in status.verdicts if v.version == cycle.version and v.time >= cycle.started_at]
    if verdicts:
        latest = verdicts[-1]
        outcome = {
            Verdict.PROMOTED: CycleOutcome.PROMOTED,
            Verdict.REJECTED: CycleOutcome.ROLLED_BACK,
            Verdict.SUPERSEDED: CycleOutcome.SUPERSEDED,
        }[latest.verdict]
        end(draft, cycle, outcome, latest.reason, f"version {cycle.version}: {latest.message or latest.reason}")
    elif _is_withdrawn(draft, cycle):
        alias = draft.deployment.spec.model.aliases.challenger
        message = f"alias {alias} was taken from version {cycle.version} before a rollout began"
        end(draft, cycle, CycleOutcome.SUPERSEDED, "ChallengerWithdrawn", message)


def _is_withdrawn(draft: Draft, cycle: Cycle) -> bool:
    """Whether somebody moved the alias before the deployment saw it: then it has nothing to decide on.

    The deployment writes what it does with a version before it moves an alias. A reading that was asked for before our
    own move says nothing; after a restart every reading is a later one.
    """
    status, spec = draft.deployment.status, draft.deployment.spec
    if cycle.version in {one.version for one in (status.candidate, status.stable) if one is not None}:
        return False
    reading = read(draft)
    if not isinstance(reading, ModelReading) or reading.alias(spec.model.aliases.challenger) == cycle.version:
        return False
    moved = draft.observed.outcomes.get(_alias(draft, cycle))
    asked = draft.observed.facts[ModelFact(spec.mlflow, spec.model.name)].at
    return moved is None or (asked is not None and asked > moved.at)


def _alias(draft: Draft, cycle: Cycle) -> SetAlias:
    spec = draft.deployment.spec
    return SetAlias(spec.mlflow, spec.model.name, spec.model.aliases.challenger, cycle.version or "")
