from __future__ import annotations

import json
import math
from typing import Any

import pytest

from modelcycle_client import (
    ExpiredToken,
    FeedbackRefused,
    ForgedToken,
    GarbledAnswer,
    InvalidInput,
    MalformedFeedback,
    ReplayedToken,
)
from modelcycle_client.feedback import check, feedback_request, read_feedback


def test_a_batch() -> None:
    request = feedback_request(iter([("a", 1), ("b", math.nan)]))
    assert bytes(*request.parts) == b'{"feedback":[{"token":"a","label":1.0},{"token":"b","label":NaN}]}'


@pytest.mark.parametrize("rows", [[], [7], [("a",)], [("a", "x")], [("a", None)], [(b"a", 1)], 7])
def test_what_is_no_batch(rows: Any) -> None:
    with pytest.raises(InvalidInput, match="feedback"):
        feedback_request(rows)


def _body(*results: str) -> bytes:
    reasons = [None if result == "accepted" else f"why {result}" for result in results]
    return json.dumps({"accepted": results.count("accepted"), "results": list(results), "reasons": reasons}).encode()


@pytest.mark.parametrize(
    ("results", "kind", "said"),
    [
        (["duplicate"], ReplayedToken, "feedback[0]: duplicate: why duplicate; 0 were accepted"),
        (["accepted", "unscorable"], ExpiredToken, "feedback[1]: unscorable: why unscorable; 1 were accepted"),
        (["duplicate", "malformed"], MalformedFeedback, "feedback[1]: malformed: why malformed, and 1 more; 0 were"),
        (["malformed", "forged", "duplicate"], ForgedToken, "feedback[1]: forged: why forged, and 2 more; 0 were"),
        (["new"], FeedbackRefused, "feedback[0]: new: why new; 0 were accepted"),
    ],
)
def test_the_gravest_is_raised(results: list[str], kind: type[FeedbackRefused], said: str) -> None:
    with pytest.raises(FeedbackRefused) as caught:
        check(read_feedback(_body(*results), resent=False))
    assert type(caught.value) is kind
    assert str(caught.value).startswith(said)
    assert [fate.result for fate in caught.value.feedback.rows] == results


def test_all_accepted() -> None:
    assert check(read_feedback(_body("accepted", "accepted"), resent=False)).accepted == 2


def test_a_duplicate_of_ones_own_is_none() -> None:
    feedback = read_feedback(_body("duplicate", "accepted"), resent=True)
    assert check(feedback) is feedback
    with pytest.raises(ForgedToken):
        check(read_feedback(_body("duplicate", "forged"), resent=True))


@pytest.mark.parametrize("body", [b"{}", b"x", b'{"accepted":1,"results":["accepted"],"reasons":[]}'])
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(GarbledAnswer):
        read_feedback(body, resent=False)
