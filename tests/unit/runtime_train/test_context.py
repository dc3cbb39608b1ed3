from __future__ import annotations

from pathlib import Path

import pytest

from modelcycle_runtime.errors import DataError, UserError
from modelcycle_runtime.split import Holdout
from modelcycle_runtime.train.context import parameter_like, read_context


def test_everything_that_the_operator_says_is_understood() -> None:
    context = read_context(
        {
            "MLFLOW_RUN_ID": "r1",
            "MODELCYCLE_AS_OF": "1970-01-01T00:00:01Z",
            "MODELCYCLE_HOLDOUT": '{"rows": 60, "gapRows": 2}',
            "MODELCYCLE_PARAMETERS": '{"rows": "500"}',
            "MODELCYCLE_DATA": '{"market": "/data"}',
            "MODELCYCLE_SEED": "7",
        }
    )
    assert context.run_id == "r1"
    assert context.as_of == 1_000_000_000
    assert context.holdout == Holdout(rows=60, gap_rows=2)
    assert context.parameters == {"rows": "500"}
    assert context.data == {"market": Path("/data")}
    assert context.seed == 7


def test_outside_of_a_cluster_nothing_is_set() -> None:
    context = read_context({})
    assert (context.run_id, context.as_of, context.holdout, context.seed) == (None, None, Holdout(), 0)
    assert (dict(context.parameters), dict(context.data)) == ({}, {})


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        pytest.param("MODELCYCLE_PARAMETERS", "{", "MODELCYCLE_PARAMETERS: not JSON", id="parameters cut short"),
        pytest.param("MODELCYCLE_PARAMETERS", '{"a": 1}', "object of texts", id="a parameter that is a number"),
        pytest.param("MODELCYCLE_DATA", "[]", "object of texts", id="data is a list"),
        pytest.param("MODELCYCLE_SEED", "x", "no whole number", id="seed is a word"),
        pytest.param("MODELCYCLE_AS_OF", "yesterday", "asOf", id="asOf is a word"),
        pytest.param("MODELCYCLE_HOLDOUT", '{"rows": -1}', "holdout", id="holdout below zero"),
    ],
)
def test_a_variable_that_makes_no_sense_is_named(variable: str, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_context({variable: text})


@pytest.mark.parametrize(
    ("text", "default", "expected"),
    [
        pytest.param("500", 100, 500, id="whole number"),
        pytest.param("0.5", 1.0, 0.5, id="number"),
        pytest.param("adam", "sgd", "adam", id="text"),
        pytest.param("false", True, False, id="false is false, not a text that is true"),
        pytest.param(None, 100, 100, id="absent: the default"),
    ],
)
def test_parameters_come_in_the_type_of_their_default(
    text: str | None, default: int | float | str | bool, expected: object
) -> None:
    given = {} if text is None else {"x": text}
    found = parameter_like(given, "x", default)  # type: ignore[type-var]
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(("text", "default"), [("many", 1), ("1.5", 1), ("yes", True)])
def test_a_parameter_of_another_type_is_the_users_error(text: str, default: int) -> None:
    with pytest.raises(UserError, match=f"parameter x: '{text}' is no"):
        parameter_like({"x": text}, "x", default)
