"""The gate's rules: pure functions from losses to a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from modelcycle_runtime.evaluate.paired_test import MIN_ROWS, p_value

Losses = NDArray[np.float64]

_LARGEST = 1e150
"""A loss beyond it counts as infinite: sums of its square would be."""


class Outcome(StrEnum):
    PASSED = "Passed"
    REJECTED = "Rejected"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    BETTER = "Better"
    NOT_BETTER = "NotBetter"
    ABOVE_BOUND = "AboveBound"
    WITHIN_BOUND = "WithinBound"
    TOO_FEW_ROWS = "TooFewRows"
    TRAINED_ON_HOLDOUT = "TrainedOnHoldout"
    SIGNATURE_DIFFERS = "SignatureDiffers"
    DATA_UNREADABLE = "DataUnreadable"
    NON_FINITE_LOSS = "NonFiniteLoss"


@dataclass(frozen=True, slots=True)
class GateRules:
    """``alpha``: chance of passing a challenger that is no better. ``max_loss``: bound of its mean loss."""

    min_rows: int
    alpha: float
    min_improvement_percent: int = 0
    max_loss: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Outcome
    reason: Reason
    message: str
    rows: int = 0
    champion_loss: float | None = None
    challenger_loss: float | None = None
    p_value: float | None = None


@dataclass(frozen=True, slots=True)
class Paired:
    """Losses on the same rows, in order of time, all finite; ``champion`` is None when there is none."""

    champion: Losses | None
    challenger: Losses

    def verdict(self, outcome: Outcome, reason: Reason, message: str, p: float | None = None) -> Verdict:
        champion = None if self.champion is None or not len(self.champion) else float(self.champion.mean())
        challenger = float(self.challenger.mean()) if len(self.challenger) else None
        return Verdict(outcome, reason, message, len(self.challenger), champion, challenger, p)


def judge(champion: Losses | None, challenger: Losses, rules: GateRules) -> Verdict:
    """The verdict on a challenger by its losses [n] and the champion's on the same rows, in order of time.

    A row on which neither loss is finite tells nothing of the models (its label is at fault) and is left out, as is one
    on which only the champion's isn't; a challenger that alone fails on a row is rejected. Without a champion there is
    nobody else to blame.
    """
    broken = _check_finite(champion, challenger)
    if broken is not None:
        return broken
    pair = _finite(champion, challenger)
    if pair.champion is None and rules.max_loss is None:
        return pair.verdict(Outcome.PASSED, Reason.WITHIN_BOUND, "no champion and no bound")
    for check in (_check_rows, _check_bound, _check_improvement):
        verdict = check(pair, rules)
        if verdict is not None:
            return verdict
    return pair.verdict(Outcome.PASSED, Reason.WITHIN_BOUND, f"no champion; mean loss is at most {rules.max_loss:g}")


def _is_finite(losses: Losses) -> NDArray[np.bool_]:
    return np.abs(losses) < _LARGEST


def _check_finite(champion: Losses | None, challenger: Losses) -> Verdict | None:
    others = np.ones(len(challenger), dtype=bool) if champion is None else _is_finite(champion)
    failed = np.flatnonzero(~_is_finite(challenger) & others)
    if not failed.size:
        return None
    message = f"the challenger's loss is {challenger[failed[0]]} on {failed.size} of {len(challenger)} rows"
    return Verdict(Outcome.REJECTED, Reason.NON_FINITE_LOSS, message, rows=len(challenger))


def _finite(champion: Losses | None, challenger: Losses) -> Paired:
    if champion is None:
        return Paired(None, challenger)
    both = _is_finite(champion) & _is_finite(challenger)
    return Paired(champion[both], challenger[both])


def _check_rows(pair: Paired, rules: GateRules) -> Verdict | None:
    needed = max(rules.min_rows, MIN_ROWS)
    if len(pair.challenger) >= needed:
        return None
    message = f"{len(pair.challenger)} rows, {needed} are needed: wait for labels, or withhold more rows (gate.holdout)"
    return pair.verdict(Outcome.UNKNOWN, Reason.TOO_FEW_ROWS, message)


def _check_bound(pair: Paired, rules: GateRules) -> Verdict | None:
    mean = float(pair.challenger.mean())
    if rules.max_loss is None or mean <= rules.max_loss:
        return None
    return pair.verdict(Outcome.REJECTED, Reason.ABOVE_BOUND, f"mean loss {mean:.6g} is above {rules.max_loss:g}")


def _check_improvement(pair: Paired, rules: GateRules) -> Verdict | None:
    if pair.champion is None:
        return None
    differences = pair.champion - pair.challenger
    p = p_value(differences)
    before = float(pair.champion.mean())
    gained = float(differences.mean())
    wanted = abs(before) * rules.min_improvement_percent / 100
    said = f"mean loss {before - gained:.6g}, the champion's {before:.6g}, p = {p:.3g} (alpha {rules.alpha:g})"
    if p >= rules.alpha or gained <= 0:
        return pair.verdict(Outcome.REJECTED, Reason.NOT_BETTER, said, p)
    if gained < wanted:
        short = f"{said}; better by {gained:.6g}, {rules.min_improvement_percent} % ({wanted:.6g}) are asked for"
        return pair.verdict(Outcome.REJECTED, Reason.NOT_BETTER, short, p)
    return pair.verdict(Outcome.PASSED, Reason.BETTER, said, p)
