"""Whatever comes as a body is answered with a status of the client's, never with one of the server's."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NUMBERS = st.integers() | st.floats() | st.none() | st.booleans() | st.text(max_size=3)
TENSOR = st.fixed_dictionaries(
    {
        "name": st.just("x") | JSON,
        "shape": st.just([1, 2]) | st.lists(st.integers(-2, 3), max_size=3) | JSON,
        "datatype": st.just("FP32") | st.sampled_from(["FP64", "INT8", "BYTES"]) | JSON,
        "data": st.lists(NUMBERS, min_size=2, max_size=2) | st.lists(st.lists(NUMBERS, max_size=3), max_size=3) | JSON,
    },
    optional={"parameters": JSON},
)
REQUEST = st.fixed_dictionaries(
    {"inputs": st.lists(TENSOR, min_size=1, max_size=2) | JSON},
    optional={
        "id": JSON,
        "outputs": st.lists(st.fixed_dictionaries({"name": st.just("y") | JSON}), max_size=2) | JSON,
        "parameters": st.fixed_dictionaries({"event_time": st.text(max_size=25) | JSON}) | JSON,
    },
)
FEEDBACK = st.fixed_dictionaries(
    {"feedback": st.lists(st.fixed_dictionaries({"token": st.text() | JSON, "label": NUMBERS}) | JSON) | JSON}
)


def _message(model: bytes, tensors: list[bytes], raw: bytes) -> bytes:
    """An inference request whose tensors are junk."""
    fields = [(1, model), *((5, tensor) for tensor in tensors), (7, raw)]
    return b"".join(bytes([number << 3 | 2, len(content)]) + content for number, content in fields)


@pytest.fixture(scope="module")
def channel(server: Any) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(urlsplit(server.url).netloc) as channel:
        yield channel


SETTINGS = settings(max_examples=400, suppress_health_check=list(HealthCheck))


BINARY = st.tuples(
    st.fixed_dictionaries(
        {
            "inputs": st.lists(
                st.fixed_dictionaries(
                    {
                        "name": st.just("x"),
                        "shape": st.just([1, 2]) | st.lists(st.integers(-1, 3), max_size=3),
                        "datatype": st.just("FP32"),
                        "parameters": st.fixed_dictionaries(
                            {"binary_data_size": st.just(8) | st.integers(-1, 12) | JSON}
                        ),
                    }
                ),
                min_size=1,
                max_size=2,
            )
        },
        optional={"parameters": st.fixed_dictionaries({"binary_data_output": st.booleans() | JSON})},
    ),
    st.binary(min_size=8, max_size=8) | st.binary(max_size=12),
    st.just(0) | st.integers(-3, 3),
)
"""JSON, the bytes after it, and by how much the header that parts them is wrong."""


def _status(server: Any, path: str, body: bytes) -> int:
    with closing(http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)) as connection:
        connection.request("POST", f"/v2/models/hedge/{path}", body)
        answer = connection.getresponse()
        assert isinstance(json.loads(answer.read()), dict)
        return answer.status


@SETTINGS
@given(REQUEST | JSON)
def test_requests(server: Any, body: Any) -> None:
    assert _status(server, "infer", json.dumps(body).encode()) in {200, 400}


@SETTINGS
@given(st.binary())
def test_bytes(server: Any, body: bytes) -> None:
    assert _status(server, "infer", body) == 400


@SETTINGS
@given(BINARY)
def test_binary_tensors(server: Any, request_: tuple[Any, bytes, int]) -> None:
    record, tail, off = request_
    head = json.dumps(record).encode()
    headers = {"Inference-Header-Content-Length": str(len(head) + off)}
    with closing(http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)) as connection:
        connection.request("POST", "/v2/models/hedge/infer", head + tail, headers)
        answer = connection.getresponse()
        assert answer.status in {200, 400}
        answer.read()


@SETTINGS
@given(
    st.binary()
    | st.builds(_message, st.just(b"hedge"), st.lists(st.binary(max_size=12), max_size=3), st.binary(max_size=99))
)
def test_messages_of_grpc(channel: grpc.Channel, message: bytes) -> None:
    call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
    with pytest.raises(grpc.RpcError) as error:
        call(message, timeout=60)
    assert error.value.code() in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}


@SETTINGS
@given(FEEDBACK | JSON)
def test_feedback(server: Any, body: Any) -> None:
    assert _status(server, "feedback", json.dumps(body).encode()) in {200, 400}
