from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelcycle_runtime.losses import LossName, built_in
from modelcycle_runtime.serve.desk import feedback_answer
from modelcycle_runtime.serve.feedback import Fate, Labelled, Ledger, Outcome, Scorer, Sums, fate_of, read_row
from modelcycle_runtime.serve.tokens import Signer, Token

SIGNER = Signer(b"k" * 32)
NAN, INF = math.nan, math.inf


def _row(label: float, *, id_: int = 0, version: int = 1, time: int = 0, prediction: float = 1.0) -> Labelled:
    return Labelled(Token(version, time, prediction, id_.to_bytes(8, "little")), label)


def _ledger(window: int = 10, own: int | None = None) -> Ledger:
    return Ledger(Scorer(built_in(LossName.SQUARED), own), window)


def test_a_label_is_scored_and_attributed_to_the_version_that_predicted() -> None:
    ledger = _ledger()
    assert ledger.score([_row(3.0, id_=1, version=1), _row(1.5, id_=2, version=2)]) == ["accepted", "accepted"]
    assert ledger.sums == {1: Sums(1, 4.0, 0.0, 16.0), 2: Sums(1, 0.25, 0.0, 0.0625)}


@pytest.mark.parametrize("label", [NAN, INF, -INF, 1e200])
def test_a_loss_that_is_not_finite_enters_no_sum(label: float) -> None:
    ledger = _ledger()
    assert ledger.score([_row(label)]) == [Outcome.ACCEPTED]
    assert ledger.sums[1] == Sums(nonfinite=1)


def test_a_negative_loss_has_a_counter_of_its_own() -> None:
    ledger = Ledger(Scorer(lambda label, _: -np.asarray(label, dtype=np.float64)), 10)
    ledger.score([_row(2.0, id_=1), _row(-1.0, id_=2)])
    assert ledger.sums[1] == Sums(rows=2, positive=1.0, negative=2.0, squared=5.0)


def test_a_duplicate_is_refused_within_one_request_and_later() -> None:
    ledger = _ledger()
    assert ledger.score([_row(1.0), _row(1.0)]) == [Outcome.ACCEPTED, Outcome.DUPLICATE]
    assert ledger.score([_row(2.0)]) == [Outcome.DUPLICATE]
    assert (ledger.sums[1].rows, ledger.rejected[Outcome.DUPLICATE]) == (1, 2)


def test_the_window_of_duplicates_is_bounded() -> None:
    ledger = _ledger(window=2)
    ledger.score([_row(1.0, id_=i) for i in range(3)])
    assert ledger.score([_row(1.0, id_=2), _row(1.0, id_=0)]) == [Outcome.DUPLICATE, Outcome.ACCEPTED]


def test_the_loss_of_a_model_scores_tokens_of_its_own_version_only() -> None:
    ledger = _ledger(own=2)
    assert ledger.score([_row(1.0, id_=1, version=1), _row(1.0, id_=2, version=2)]) == ["unscorable", "accepted"]
    assert ledger.score([_row(1.0, id_=1, version=1)]) == [Outcome.UNSCORABLE]


def test_the_watermark_only_rises() -> None:
    ledger = _ledger()
    assert ledger.watermark is None
    for id_, time in enumerate((5, 9, 7)):
        ledger.score([_row(1.0, id_=id_, time=time)])
    assert ledger.watermark == 9


@given(st.lists(st.tuples(st.floats(), st.integers(0, 5), st.integers(1, 3))))
def test_rows_are_counted_as_if_they_came_one_by_one(rows: list[tuple[float, int, int]]) -> None:
    sent = [_row(label, id_=id_, version=version) for label, id_, version in rows]
    together, alone = _ledger(), _ledger()
    assert together.score(sent) == [outcome for row in sent for outcome in alone.score([row])]
    assert together.sums.keys() == alone.sums.keys()
    for version, sums in together.sums.items():
        assert (sums.rows, sums.nonfinite) == (alone.sums[version].rows, alone.sums[version].nonfinite)
        assert math.isfinite(sums.positive) or sums.positive == alone.sums[version].positive


TOKEN = SIGNER.sign(1, [0], [1.0])[0]


@pytest.mark.parametrize(
    ("sent", "label"),
    [
        pytest.param(1, 1.0, id="a whole number"),
        pytest.param(10**400, INF, id="a number beyond all floats"),
        pytest.param(None, NAN, id="null"),
        pytest.param(NAN, NAN, id="NaN"),
    ],
)
def test_labels(sent: Any, label: float) -> None:
    row = read_row(SIGNER, {"token": TOKEN, "label": sent})
    assert isinstance(row, Labelled)
    np.testing.assert_equal(row.label, label)


NO_TOKEN = "token: is no feedback token; send back what parameters.feedback_token has"


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        pytest.param(None, 'must be {"token": text, "label": number}, is null', id="no object"),
        pytest.param({"token": TOKEN}, "label is missing", id="no label"),
        pytest.param({"label": 1}, "token is missing", id="no token"),
        pytest.param({"token": [TOKEN], "label": 1}, "token must be a text, is a list", id="the list of all rows"),
        pytest.param({"token": TOKEN, "label": "1"}, "label must be a number, is a text", id="a label that is a text"),
        pytest.param(
            {"token": TOKEN, "label": True},
            "label must be a number, is true or false",
            id="a label that is a truth value",
        ),
        pytest.param({"token": "AAAA", "label": 1}, NO_TOKEN, id="a token that is none"),
    ],
)
def test_rows_that_are_malformed(sent: Any, reason: str) -> None:
    assert read_row(SIGNER, sent) == Fate("malformed", reason)


def test_a_row_that_is_forged() -> None:
    (token,) = Signer(b"x" * 32).sign(1, [0], [1.0])
    assert read_row(SIGNER, {"token": token, "label": 1}) == fate_of("forged")


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        ("accepted", None),
        ("duplicate", "a label came with this token before"),
        ("forged", "token: not signed with this deployment's key"),
        ("unscorable", "token: of another version than the one here, whose loss is a part of the model"),
        ("of a newer replica", None),
    ],
)
def test_an_outcome_says_why(outcome: str, reason: str | None) -> None:
    assert fate_of(outcome) == Fate(outcome, reason)


BAD, GOOD, OTHER = Fate("malformed", "label is missing"), Fate("accepted"), Fate("forged", "why")


@pytest.mark.parametrize(
    ("fates", "status", "accepted"),
    [
        pytest.param([], 200, 0, id="nothing was sent"),
        pytest.param([GOOD, BAD], 200, 1, id="some"),
        pytest.param([OTHER, BAD], 200, 0, id="none, and one that could be read"),
        pytest.param([BAD, BAD], 400, 0, id="none could be read"),
    ],
)
def test_the_answer_to_feedback(fates: list[Fate], status: int, accepted: int) -> None:
    found, body = feedback_answer(fates)
    assert (found, json.loads(body)) == (
        status,
        {
            "accepted": accepted,
            "results": [fate.outcome for fate in fates],
            "reasons": [fate.reason for fate in fates],
        },
    )
