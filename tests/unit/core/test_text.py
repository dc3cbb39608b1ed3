"""How sentences for people are made and joined."""

from __future__ import annotations

import pytest

from modelcycle.core.text import number_of, sentence

PATCH = """kubectl -n quant patch md hedge --type merge -p '{"spec": {"model": {"version": null}}}'"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("the pod starts", "The pod starts.", id="a sentence"),
        pytest.param("it runs on node a.", "It runs on node a.", id="one that has a full stop"),
        pytest.param("is it there?", "Is it there?", id="a question"),
        pytest.param(f"to go on: {PATCH}", f"To go on: {PATCH}", id="a command at its end"),
        pytest.param("ask kubectl for it", "Ask kubectl for it.", id="a command's name is no command"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_a_sentence_has_one_full_stop_and_a_command_none(text: str, expected: str) -> None:
    assert sentence(text) == expected


@pytest.mark.parametrize(("count", "expected"), [(0, "0 pods"), (1, "1 pod"), (2, "2 pods")])
def test_one_is_singular(count: int, expected: str) -> None:
    assert number_of(count, "pod") == expected
