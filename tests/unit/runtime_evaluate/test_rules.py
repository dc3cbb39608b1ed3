from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from modelcycle_runtime.evaluate.rules import GateRules, Losses, Verdict, judge

RNG = np.random.default_rng(0)
OLD = RNG.gamma(2.0, size=60)
BETTER = OLD * 0.7
SLIGHTLY_BETTER = OLD - 0.01 * OLD.mean()
WORSE = OLD * 1.3
NOISE = OLD + RNG.normal(scale=0.5, size=60)
RULES = GateRules(min_rows=40, alpha=0.1)


def _with(losses: Losses, value: float, *places: int) -> Losses:
    changed = losses.copy()
    changed[list(places)] = value
    return changed


def _said(verdict: Verdict) -> str:
    return f"{verdict.outcome}/{verdict.reason}"


@pytest.mark.parametrize(
    ("champion", "challenger", "rules", "said"),
    [
        pytest.param(OLD, BETTER, RULES, "Passed/Better", id="a better challenger passes"),
        pytest.param(OLD, WORSE, RULES, "Rejected/NotBetter", id="a worse challenger is refused"),
        pytest.param(OLD, OLD, RULES, "Rejected/NotBetter", id="the same model is not better"),
        pytest.param(OLD, NOISE, RULES, "Rejected/NotBetter", id="a difference that may be chance is none"),
        pytest.param(OLD[:39], BETTER[:39], RULES, "Unknown/TooFewRows", id="too few rows are no verdict"),
        pytest.param(OLD[:0], BETTER[:0], RULES, "Unknown/TooFewRows", id="no rows are no verdict"),
        pytest.param(
            OLD[:4], BETTER[:4], GateRules(2, 0.1), "Unknown/TooFewRows", id="fewer than the test can do with"
        ),
        pytest.param(OLD, SLIGHTLY_BETTER, RULES, "Passed/Better", id="a small, certain gain passes"),
        pytest.param(OLD, SLIGHTLY_BETTER, GateRules(40, 0.1, 2), "Rejected/NotBetter", id="unless more is asked for"),
        pytest.param(OLD, BETTER, GateRules(40, 0.1, 20), "Passed/Better", id="as much as asked for"),
        pytest.param(-OLD, -OLD * 1.3, RULES, "Passed/Better", id="losses below zero: lower is better"),
        pytest.param(
            -OLD, -OLD * 1.01, GateRules(40, 0.1, 2), "Rejected/NotBetter", id="below zero, more is asked for"
        ),
        pytest.param(OLD, BETTER, GateRules(40, 0.1, max_loss=0.1), "Rejected/AboveBound", id="better but not good"),
        pytest.param(OLD, BETTER, GateRules(40, 0.1, max_loss=9.0), "Passed/Better", id="better and good"),
        pytest.param(OLD, WORSE, GateRules(40, 0.1, max_loss=9.0), "Rejected/NotBetter", id="good but not better"),
        pytest.param(None, OLD, GateRules(40, 0.1, max_loss=9.0), "Passed/WithinBound", id="alone and good"),
        pytest.param(None, OLD, GateRules(40, 0.1, max_loss=0.1), "Rejected/AboveBound", id="alone and not good"),
        pytest.param(None, OLD[:9], GateRules(40, 0.1, max_loss=9.0), "Unknown/TooFewRows", id="alone, too few rows"),
        pytest.param(None, OLD[:9], RULES, "Passed/WithinBound", id="neither champion nor bound"),
        pytest.param(
            OLD, _with(BETTER, np.nan, 3), RULES, "Rejected/NonFiniteLoss", id="a challenger that fails a row"
        ),
        pytest.param(None, _with(OLD, np.inf, 3), RULES, "Rejected/NonFiniteLoss", id="alone, and fails a row"),
        pytest.param(
            _with(OLD, np.nan, 3), BETTER, RULES, "Passed/Better", id="a row that the champion fails is left out"
        ),
        pytest.param(
            _with(OLD, np.inf, 3), _with(BETTER, np.inf, 3), RULES, "Passed/Better", id="a label at fault is left out"
        ),
        pytest.param(
            _with(OLD, np.inf, *range(30)),
            _with(BETTER, np.inf, *range(30)),
            RULES,
            "Unknown/TooFewRows",
            id="rows that are left out do not count",
        ),
    ],
)
def test_verdicts(champion: Losses | None, challenger: Losses, rules: GateRules, said: str) -> None:
    assert _said(judge(champion, challenger, rules)) == said


def test_a_verdict_has_both_losses_the_rows_and_the_p_value() -> None:
    verdict = judge(OLD, BETTER, RULES)
    assert verdict.rows == 60
    assert verdict.champion_loss == pytest.approx(OLD.mean())
    assert verdict.challenger_loss == pytest.approx(BETTER.mean())
    assert verdict.p_value is not None
    assert verdict.p_value < 0.01
    assert f"{BETTER.mean():.6g}" in verdict.message


def test_rows_left_out_enter_neither_loss() -> None:
    verdict = judge(_with(OLD, np.inf, 0), _with(BETTER, np.inf, 0), RULES)
    assert verdict.rows == 59
    assert verdict.champion_loss == pytest.approx(OLD[1:].mean())


def test_without_champion_and_bound_that_is_said() -> None:
    assert judge(None, OLD, RULES).message == "no champion and no bound"


ANY = hnp.arrays(np.float64, st.shared(st.integers(0, 60), key="rows"), elements=st.floats(-1e100, 1e100) | st.floats())


@given(st.none() | ANY, ANY, st.builds(GateRules, st.integers(2, 50), st.floats(0.001, 0.5), st.integers(0, 100)))
def test_whatever_the_losses_there_is_a_verdict(champion: Losses | None, challenger: Losses, rules: GateRules) -> None:
    verdict = judge(champion, challenger, rules)
    if verdict.reason == "Better":
        assert verdict.challenger_loss is not None
        assert verdict.champion_loss is not None
        assert verdict.challenger_loss < verdict.champion_loss


@given(ANY, st.builds(GateRules, st.integers(2, 50), st.floats(0.001, 0.5)))
def test_nothing_is_better_than_itself(losses: Losses, rules: GateRules) -> None:
    assert judge(losses, losses, rules).outcome != "Passed"
