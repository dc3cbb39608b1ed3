from __future__ import annotations

import json
from typing import Any

import pytest

from modelcycle.errors import ModelcycleError, Refused, Unavailable, Unusable
from modelcycle.metricstore.answers import series_of
from modelcycle.metricstore.port import Series
from modelcycle.outside import HttpAnswer


def answer(payload: Any, status: int = 200) -> HttpAnswer:
    body = payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()
    return HttpAnswer("Prometheus endpoint 'default': POST api/v1/query", status, body)


def success(kind: str, result: Any, **more: Any) -> HttpAnswer:
    return answer({"status": "success", "data": {"resultType": kind, "result": result}, **more})


POD = {"__name__": "rows", "pod": "a"}
LABELS = (("__name__", "rows"), ("pod", "a"))


@pytest.mark.parametrize(
    ("given", "series"),
    [
        pytest.param(success("vector", []), (), id="no series is not zero"),
        pytest.param(
            success("vector", [{"metric": POD, "value": [10.5, "3"]}]), (Series(LABELS, ((10.5, 3.0),)),), id="a vector"
        ),
        pytest.param(
            success("matrix", [{"metric": POD, "values": [[10, "1"], [20, "NaN"], [30, "+Inf"], [40, "1e3"]]}]),
            (Series(LABELS, ((10.0, 1.0), (40.0, 1000.0))),),
            id="a matrix, without what is no number",
        ),
        pytest.param(success("vector", [{"metric": POD, "value": [1, "NaN"]}]), (), id="0/0 is no series"),
        pytest.param(success("scalar", [10, "2"]), (Series((), ((10.0, 2.0),)),), id="a scalar"),
        pytest.param(
            success("vector", [{"metric": POD, "histogram": [1, {"count": "1"}]}]), (), id="a native histogram"
        ),
        pytest.param(
            success("vector", [], warnings=["PromQL info: metric might not be a counter"], infos=["x"]),
            (),
            id="notes on style are no warnings",
        ),
    ],
)
def test_series_of(given: HttpAnswer, series: tuple[Series, ...]) -> None:
    assert series_of(given) == series


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        pytest.param(
            answer({"status": "error", "errorType": "bad_data", "error": "parse error at char 3"}, 400),
            Unusable,
            "400: bad_data: parse error at char 3",
            id="a query that is none",
        ),
        pytest.param(
            answer({"status": "error", "errorType": "execution", "error": "many-to-many matching"}, 422),
            Unusable,
            "many-to-many",
            id="a query that can't be executed",
        ),
        pytest.param(
            answer({"status": "error", "errorType": "timeout", "error": "query timed out"}, 503),
            Unavailable,
            "query timed out",
            id="too slow",
        ),
        pytest.param(answer("forbidden", 403), Refused, "403: forbidden", id="forbidden"),
        pytest.param(answer("", 401), Refused, "token_file", id="no token"),
        pytest.param(answer("slow down", 429), Unavailable, "429", id="rate limit"),
        pytest.param(answer("<html>", 502), Unavailable, "502: <html>", id="a proxy's page"),
        pytest.param(answer("<html>"), Unavailable, "check the endpoint's url", id="a login page"),
        pytest.param(answer({"a": 1}), Unavailable, "not an answer of Prometheus", id="JSON of somebody else"),
        pytest.param(answer('{"status": "succ'), Unavailable, "not an answer of Prometheus", id="half an answer"),
        pytest.param(answer({"status": "success"}), Unavailable, "not an answer", id="no data"),
        pytest.param(success("string", [1, "x"]), Unavailable, "not an answer", id="a string"),
        pytest.param(success("vector", [{"metric": POD, "value": [1, "x"]}]), Unavailable, "not an", id="no number"),
        pytest.param(success("vector", [7]), Unavailable, "not an answer", id="not a series"),
        pytest.param(success("vector", {"a": 1}), Unavailable, "not an answer", id="not a list"),
        pytest.param(
            success("vector", [], warnings=["store gateway 3 timed out"]), Unavailable, "partial: store", id="partial"
        ),
    ],
)
def test_what_is_no_clear_answer(given: HttpAnswer, kind: type[ModelcycleError], said: str) -> None:
    with pytest.raises(kind) as raised:
        series_of(given)
    assert said in str(raised.value)
    assert str(raised.value).startswith("Prometheus endpoint 'default': POST api/v1/query: ")


def test_a_bad_query_has_a_reason_for_a_condition() -> None:
    with pytest.raises(Unusable) as raised:
        series_of(answer({"status": "error", "errorType": "bad_data", "error": "x" * 5000}, 400))
    assert raised.value.reason == "QueryInvalid"
    assert len(str(raised.value)) < 600
