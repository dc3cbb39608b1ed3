from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from modelcycle_client import (
    BadRequest,
    Busy,
    ClientError,
    DeadlineExceeded,
    GarbledAnswer,
    InvalidInput,
    NotServed,
    ServerFault,
    TensorSpec,
)
from modelcycle_client.protocol import (
    JSON_LENGTH,
    Options,
    infer_request,
    model_path,
    read_answer,
    read_metadata,
    refusal,
)

ROWS = np.array([[1, 2]], np.float32)
TOKENS = ["a" * 60]


def _head(options: Options, timeout: float | None = None) -> dict[str, Any]:
    request = infer_request({"x": ROWS}, options, timeout)
    return dict(json.loads(bytes(request.parts[0])))


def test_a_binary_request() -> None:
    request = infer_request({"x": ROWS, "t": ["ab"]}, Options(), None)
    text, x, t = request.parts
    assert json.loads(bytes(text)) == {
        "inputs": [
            {"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}},
            {"name": "t", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 6}},
        ],
        "parameters": {"binary_data_output": True},
    }
    assert request.headers[JSON_LENGTH] == str(len(text))
    assert (bytes(x), bytes(t)) == (ROWS.tobytes(), b"\x02\0\0\0ab")


def test_a_request_as_json() -> None:
    request = infer_request({"x": ROWS}, Options(binary=False), None)
    assert request.headers == {"Content-Type": "application/json"}
    assert json.loads(bytes(*request.parts)) == {
        "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]
    }


SUMMER = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("options", "timeout", "expected"),
    [
        (Options(), None, {"binary_data_output": True}),
        (Options(binary=False), 1.5, {"timeout": 1_500_000}),
        (Options(binary=False), 1e-9, {"timeout": 1}),
        (Options(binary=False, priority=0), None, {"priority": 0}),
        (Options(binary=False, event_time="2008-09-15T00:00:00Z"), None, {"event_time": "2008-09-15T00:00:00Z"}),
        (
            Options(binary=False, event_time=datetime(2008, 9, 15, 2, tzinfo=SUMMER)),
            None,
            {"event_time": "2008-09-15T00:00:00Z"},
        ),
        (
            Options(binary=False, event_time=[datetime(2008, 9, 15, microsecond=5, tzinfo=UTC)]),
            None,
            {"event_time": ["2008-09-15T00:00:00.000005Z"]},
        ),
    ],
)
def test_parameters(options: Options, timeout: float | None, expected: dict[str, Any]) -> None:
    assert _head(options, timeout)["parameters"] == expected


def test_outputs_and_id() -> None:
    head = _head(Options(outputs=("z", "y"), request_id="mine"))
    assert head["id"] == "mine"
    assert head["outputs"] == [{"name": name, "parameters": {"binary_data": True}} for name in ("z", "y")]
    assert "parameters" not in head


def test_what_can_not_be_sent() -> None:
    with pytest.raises(InvalidInput, match="no time zone"):
        infer_request({"x": ROWS}, Options(event_time=datetime(2008, 9, 15)), None)  # noqa: DTZ001
    with pytest.raises(InvalidInput, match="there is none"):
        infer_request({}, Options(), None)
    assert issubclass(InvalidInput, ValueError)


def test_a_name_in_a_path() -> None:
    assert model_path("energy-desk.hedge") == "/v2/models/energy-desk.hedge"
    assert model_path("a/b c", "7") == "/v2/models/a%2Fb%20c/versions/7"


def _answer(head: dict[str, Any], tail: bytes = b"") -> tuple[dict[str, str], bytes]:
    text = json.dumps({"model_name": "m", "model_version": "7", **head}).encode()
    return ({JSON_LENGTH: str(len(text))} if tail else {}), text + tail


def test_a_binary_answer() -> None:
    outputs = [
        {"name": "z", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": 8}},
        {"name": "j", "datatype": "INT8", "shape": [1], "data": [3]},
        {"name": "y", "datatype": "INT16", "shape": [1, 1], "parameters": {"binary_data_size": 2}},
    ]
    parameters = {"feedback_token": TOKENS, "other": 1}
    answer = read_answer(*_answer({"id": "i", "outputs": outputs, "parameters": parameters}, bytes(8) + b"\x05\0"))
    assert (answer.model, answer.version, answer.request_id) == ("m", "7", "i")
    assert list(answer) == ["z", "j", "y"]
    assert (answer["z"].tolist(), answer["j"].tolist(), answer["y"].tolist()) == ([0, 0], [3], [[5]])
    assert answer.tokens == tuple(TOKENS)
    assert answer.parameters == {"other": 1}


OUTPUT = {"name": "y", "datatype": "FP32", "shape": [1]}


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b"<html>"),
        ({}, b""),
        ({}, b"[]"),
        ({}, b"{}"),
        ({}, b'{"model_name":"m","model_version":"7","outputs":[7]}'),
        ({}, b'{"model_name":"m","model_version":"7","outputs":[{"name":"y","datatype":"FP32","shape":["a"]}]}'),
        ({JSON_LENGTH: "900"}, b"{}"),
        ({JSON_LENGTH: "-1"}, b"{}"),
        ({JSON_LENGTH: "1"}, b"{}"),
        _answer({"outputs": [OUTPUT]}),
        _answer({"outputs": [{**OUTPUT, "parameters": {"binary_data_size": 4}}]}),
        _answer({"outputs": [{**OUTPUT, "parameters": {"binary_data_size": 4}}]}, b"\0\0"),
        _answer({"outputs": [{**OUTPUT, "parameters": {"binary_data_size": "x"}}]}, b"\0\0"),
        _answer({"outputs": [], "parameters": 7}),
    ],
)
def test_what_is_no_answer_is_garbled(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(GarbledAnswer):
        read_answer(headers, body)


def test_metadata() -> None:
    body = b'{"name":"m","versions":["7"],"inputs":[{"name":"x","datatype":"FP32","shape":[-1,2]}],"outputs":[]}'
    metadata = read_metadata(body)
    assert metadata.inputs == (TensorSpec("x", "FP32", (-1, 2)),)
    assert (metadata.name, metadata.versions) == ("m", ("7",))
    for garbled in (b"{}", b'{"name":"m","inputs":7,"outputs":[]}', b"x"):
        with pytest.raises(GarbledAnswer):
            read_metadata(garbled)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequest),
        (413, BadRequest),
        (415, BadRequest),
        (404, NotServed),
        (405, NotServed),
        (408, DeadlineExceeded),
        (504, DeadlineExceeded),
        (429, Busy),
        (503, Busy),
        (500, ServerFault),
        (502, ServerFault),
        (302, ServerFault),
    ],
)
def test_refusals(status: int, kind: type[ClientError]) -> None:
    found = refusal(status, {}, b'{"error":"inputs[0]: is wrong"}')
    assert type(found) is kind
    assert str(found) == f"{status}: inputs[0]: is wrong"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [({"Retry-After": "1"}, 1), ({"Retry-After": "Mon, 15 Sep 2008 00:00:00 GMT"}, None), ({}, None)],
)
def test_when_to_come_back(headers: dict[str, str], expected: float | None) -> None:
    found = refusal(503, headers, b"")
    assert isinstance(found, Busy)
    assert found.retry_after == expected


def test_what_a_proxy_says() -> None:
    assert str(refusal(502, {}, b"<h1>Bad gateway</h1>")) == "502: <h1>Bad gateway</h1>"
    assert str(refusal(502, {}, b"")) == "502: without a message"
