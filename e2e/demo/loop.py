"""The closed loop without a cluster: the operator's own rules, day by day, on answers that are known beforehand.

What differs from the cluster: requests alternate strictly between two versions during a rollout, and nothing takes
time. Triggers, thresholds, cooldown and gate are the functions that the operator and the gate's pod run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from e2e.demo.fitting import Fit, Fitted
from e2e.demo.market import SAMPLE, day_of
from modelcycle.api.v1alpha1.deployment import DeploymentSpec
from modelcycle.api.v1alpha1.retrain import Gate, RetrainSpec, Trigger
from modelcycle.api.v1alpha1.retrain_status import EvidenceState
from modelcycle.retrain.drift import Column, judge_drift
from modelcycle.retrain.evidence import Finding, judge_loss, loss_threshold
from modelcycle.retrain.guards import cooldown
from modelcycle_runtime.bins import histogram
from modelcycle_runtime.evaluate.rules import GateRules, Outcome, Verdict, judge
from modelcycle_runtime.losses import squared
from modelcycle_runtime.split import Holdout, split
from modelcycle_runtime.table import Table

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Rules:
    """The sample's numbers: the policy, rows of a training, and how many requests a rollout takes."""

    policy: RetrainSpec
    training_rows: int
    rollout_requests: int

    @property
    def holdout(self) -> Holdout:
        return Holdout(rows=self.policy.gate.holdout.rows or 0)


def read_rules(folder: Path = SAMPLE) -> Rules:
    """Read the numbers from the sample's YAML, so that there is one place for them."""
    policy = RetrainSpec.model_validate(yaml.safe_load((folder / "policy.yaml").read_text())["spec"])
    deployment = DeploymentSpec.model_validate(yaml.safe_load((folder / "deployment.yaml").read_text())["spec"])
    rows = next(int(p.value) for p in policy.template.parameters if p.name == "rows")
    live = [step.replicas for step in deployment.rollout.steps if step.replicas is not None]
    return Rules(policy, rows, sum(round(100 / step.percent * step.min_requests) for step in live))


@dataclass(frozen=True, slots=True)
class Cycle:
    """One retraining: the day it fired, why, and what became of it."""

    day: str
    trigger: str
    value: float
    threshold: float
    verdict: Verdict
    champion: int
    version: int


@dataclass(frozen=True, slots=True)
class Played:
    """Predictions and versions of each row that was served, and the cycles."""

    predictions: NDArray[np.float64]
    versions: NDArray[np.int64]
    cycles: tuple[Cycle, ...]


@dataclass(slots=True)
class _State:
    champion: Fitted
    version: int
    since: int
    quiet_until: int
    failures: int = 0
    versions_made: int = 1
    candidate: tuple[int, Fitted] | None = None
    ends: int = 0
    served: dict[int, int] = field(default_factory=dict)


def train_first(table: Table, as_of: int, rules: Rules, fit: Fit, seed: int) -> Fitted:
    """Train on all that was known at ``as_of`` (nanoseconds since 1970): the first model has no champion to beat."""
    last = int((table.known <= as_of).sum())
    return fit(max(last - rules.training_rows, 0), last, seed)


def retrain(table: Table, as_of: int, rules: Rules, fit: Fit, seed: int) -> tuple[Fitted, slice]:
    """Train on what was known at ``as_of`` but the rows withheld for the gate, which are given, too."""
    parts = split(table, as_of, rules.holdout)
    last = len(parts.train)
    withheld = slice(last + parts.purged, last + parts.purged + len(parts.withheld))
    return fit(max(last - rules.training_rows, 0), last, seed), withheld


def play(table: Table, fit: Fit, rules: Rules, days: range, *, seed: int, start_as_of: int) -> Played:
    """Serve the rows ``days`` one by one, and retrain as the policy says."""
    state = _State(train_first(table, start_as_of, rules, fit, seed), version=1, since=days.start, quiet_until=0)
    predictions, versions, cycles = np.empty(len(days)), np.empty(len(days), dtype=np.int64), []
    for place, row in enumerate(days):
        version, model = _serve(state, row)
        predictions[place], versions[place] = model.answers[row], version
        state.served[row] = version
        _end_rollout(state, row + 1, rules)
        found = _firing(table, state, rules, int((table.known <= table.time[row]).sum()))
        if found is not None:
            cycles.append(_run_cycle(table, fit, rules, state, row, found, seed))
    return Played(predictions, versions, tuple(cycles))


def _serve(state: _State, row: int) -> tuple[int, Fitted]:
    if state.candidate is not None and row % 2:
        return state.candidate
    return state.version, state.champion


def _end_rollout(state: _State, seen: int, rules: Rules) -> None:
    if state.candidate is None or seen < state.ends:
        return
    state.version, state.champion = state.candidate
    state.candidate, state.since, state.failures = None, seen, 0
    state.quiet_until = _quiet_until(rules, seen, 0)


def _quiet_until(rules: Rules, seen: int, failures: int) -> int:
    rows, _ = cooldown(rules.policy, seen, failures, EPOCH)
    assert rows is not None, "the demo counts in rows, so that it does not depend on the machine's speed"
    return rows


def _firing(table: Table, state: _State, rules: Rules, labelled: int) -> tuple[str, Finding] | None:
    """Find the first trigger that fires on the rows that the champion served since its promotion.

    Of those, the rows before ``labelled`` count: the label of a day comes with the next one.
    """
    if state.candidate is not None or labelled < state.quiet_until:
        return None
    own = np.array([row for row in range(state.since, labelled) if state.served[row] == state.version], dtype=np.intp)
    findings = ((trigger.name, _judge(table, state.champion, trigger, own)) for trigger in rules.policy.triggers)
    return next(((name, f) for name, f in findings if f.state is EvidenceState.FIRING), None)


def _judge(table: Table, champion: Fitted, trigger: Trigger, own: NDArray[np.intp]) -> Finding:
    if trigger.loss is not None:
        rows = own[-(trigger.loss.window.rows or 0) :]
        mean = float(np.mean((table.label[rows] - champion.answers[rows]) ** 2)) if len(rows) else 0.0
        return judge_loss(trigger.loss, mean, len(rows), loss_threshold(trigger.loss, None, None))
    assert trigger.drift is not None, "the sample's triggers are loss and drift"
    rows = own[-(trigger.drift.window.rows or 0) :]
    return judge_drift(trigger.drift, _columns(table, champion, rows))


def _columns(table: Table, champion: Fitted, rows: NDArray[np.intp]) -> tuple[Column, ...]:
    columns = []
    for place, name in enumerate(table.feature_names):
        values = table.features[:, place]
        reference = histogram(name, values[champion.first : champion.last])
        current = histogram(name, values[rows], reference.edges)
        columns.append(Column(name, reference.counts, current.counts))
    return tuple(columns)


def _run_cycle(
    table: Table, fit: Fit, rules: Rules, state: _State, row: int, found: tuple[str, Finding], seed: int
) -> Cycle:
    name, finding = found
    model, withheld = retrain(table, int(table.time[row]), rules, fit, seed)
    label = table.label[withheld]
    losses = [squared(label, one.answers[withheld]) for one in (state.champion, model)]
    verdict = judge(losses[0], losses[1], _gate_rules(rules.policy.gate))
    state.versions_made += 1
    version, champion = state.versions_made, state.version
    if verdict.outcome is Outcome.PASSED:
        state.candidate, state.ends = (version, model), row + 1 + rules.rollout_requests
    else:
        state.failures += 1
        state.quiet_until = _quiet_until(rules, row + 1, state.failures)
    return Cycle(day_of(table, row), name, finding.value or 0.0, finding.threshold or 0.0, verdict, champion, version)


def _gate_rules(gate: Gate) -> GateRules:
    bound = None if gate.max_loss is None else float(gate.max_loss)
    return GateRules(gate.min_rows, float(gate.alpha), gate.min_improvement_percent, bound)
