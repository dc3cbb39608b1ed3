"""Whatever comes as a body is answered with a status of the client's, never with one of the server's."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

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
SETTINGS = settings(max_examples=400, suppress_health_check=list(HealthCheck))


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
@given(FEEDBACK | JSON)
def test_feedback(server: Any, body: Any) -> None:
    assert _status(server, "feedback", json.dumps(body).encode()) in {200, 400}
