from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelcycle_runtime.serve.tokens import Forged, Malformed, Signer

SIGNER = Signer(b"k" * 32)


@given(st.integers(0, 2**32 - 1), st.integers(-(2**63), 2**63 - 1), st.floats())
def test_a_token_says_what_was_signed(version: int, time: int, prediction: float) -> None:
    (text,) = SIGNER.sign(version, [time], [prediction])
    token = SIGNER.read(text)
    assert (token.version, token.event_time) == (version, time)
    assert token.prediction == prediction or math.isnan(prediction)
    assert len(text) == 60


def test_two_tokens_of_the_same_row_differ() -> None:
    first, second = SIGNER.sign(1, [0, 0], [1.0, 1.0])
    assert SIGNER.read(first).id != SIGNER.read(second).id


@given(st.integers(0, 59), st.sampled_from("AZaz09-_"))
def test_a_token_with_any_letter_changed_is_not_ours(place: int, letter: str) -> None:
    (text,) = SIGNER.sign(3, [0], [1.5])
    changed = text[:place] + letter + text[place + 1 :]
    if changed != text:
        with pytest.raises((Forged, Malformed)):
            SIGNER.read(changed)


def test_a_token_of_another_key_is_forged() -> None:
    (text,) = Signer(b"x" * 32).sign(3, [0], [1.5])
    with pytest.raises(Forged):
        SIGNER.read(text)


@given(st.text() | st.text("AQID-_=", max_size=80))
def test_whatever_comes_is_a_token_or_not(text: str) -> None:
    with pytest.raises((Forged, Malformed)):
        SIGNER.read(text)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 bytes"):
        Signer(b"short")
