"""Whatever comes is answered with a status of the client's, never with one of the server's, and harms nobody else.

A failure is told as the smallest request that shows it. ``make fuzz`` sends 100,000 requests, the test run a slice.
"""

from __future__ import annotations

import http.client
import json
import math
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest
from hypothesis import HealthCheck, given, seed, settings

from tests.integration.serving.fuzz import bodies, wire
from tests.integration.serving.fuzz.conftest import REQUESTS, SEED
from tests.integration.serving.fuzz.watch import Watched
from tests.support.typed_models import mirror
from tests.support.versions import linear_baseline, write_version

INFER = "/v2/models/hedge/infer"
LENGTH = "Inference-Header-Content-Length"


def share(percent: int, requests: int = bodies.VARIANTS) -> Callable[[Any], Any]:
    """Decorates a test with its part of all requests; each example has so many."""
    examples = settings(
        max_examples=max(1, math.ceil(REQUESTS * percent / 100 / requests)),
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    return lambda test: seed(SEED)(examples(test))


@pytest.fixture(scope="module")
def linear(start: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, typed: Any) -> Iterator[Watched]:
    """A server whose model has a baseline, beside a client that uses it as one should."""
    folder = write_version(tmp_path_factory.mktemp("fuzzed"), baseline=linear_baseline())
    with start(folder, maxBodyBytes=100_000, maxRequestsPerConnection=1000) as running:
        watched = Watched(running, typed)
        with watched.beside_a_client():
            yield watched
        watched.check()


@pytest.fixture(scope="module")
def typed(start: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server whose model has inputs of several datatypes and varying sizes."""
    folder = write_version(tmp_path_factory.mktemp("fuzzed"), mirror(list(bodies.DATATYPES)))
    with start(folder, maxBodyBytes=100_000) as running:
        yield running


def _post(watched: Watched, surface: str, url: str, sent: list[bytes], headers: dict[str, str] | None = None) -> None:
    """Sends each body, by one connection unless the server ends it."""
    address = urlsplit(url)
    with closing(http.client.HTTPConnection(address.netloc, timeout=60)) as connection:
        for body in sent:
            connection.request("POST", address.path, body, headers or {})
            answer = connection.getresponse()
            content = answer.read()
            watched.count(surface, answer.status)
            assert answer.status in {200, 400, 415, 504}, (answer.status, content, body)
            if answer.status != 200:
                said = json.loads(content)
                assert isinstance(said.get("error", said.get("results")), str | list), (content, body)


@share(15)
@given(bodies.REQUESTS)
def test_json(linear: Watched, sent: list[bytes]) -> None:
    _post(linear, "JSON", linear.url + INFER, sent)


@share(8)
@given(bodies.TYPED_REQUESTS)
def test_json_of_several_datatypes(linear: Watched, typed: Any, sent: list[bytes]) -> None:
    _post(linear, "JSON, several datatypes", typed.url + INFER, sent)


@share(7)
@given(bodies.BINARY["linear"])
def test_binary_tensors(linear: Watched, sent: bodies.Binary) -> None:
    _post(linear, "binary tensors", linear.url + INFER, sent[0], {LENGTH: sent[1]})


@share(7)
@given(bodies.BINARY["mirror"])
def test_binary_tensors_of_several_datatypes(linear: Watched, typed: Any, sent: bodies.Binary) -> None:
    _post(linear, "binary tensors, several datatypes", typed.url + INFER, sent[0], {LENGTH: sent[1]})


@share(10)
@given(bodies.INVOCATIONS)
def test_invocations(linear: Watched, sent: bodies.Invocation) -> None:
    _post(linear, "invocations", f"{linear.url}/invocations", sent[1], {"Content-Type": sent[0]})


@share(5)
@given(bodies.FEEDBACK)
def test_feedback(linear: Watched, sent: list[bytes]) -> None:
    _post(linear, "feedback", f"{linear.url}/v2/models/hedge/feedback", sent)


@pytest.fixture(scope="module")
def channel(typed: Any) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(urlsplit(typed.url).netloc) as channel:
        yield channel


@share(20)
@given(bodies.MESSAGES)
def test_messages_of_grpc(linear: Watched, channel: grpc.Channel, sent: list[bytes]) -> None:
    call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
    for message in sent:
        try:
            call(message, timeout=60)
            code = "OK"
        except grpc.RpcError as error:
            code = error.code().name
        linear.count("protobuf", code)
        assert code in {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}, message


@share(15, requests=1)
@given(wire.HTTP1)
def test_bytes_of_http(linear: Watched, sent: bytes) -> None:
    statuses = wire.http1_statuses(wire.told(linear.url, sent))
    linear.count("HTTP/1.1", "+".join(map(str, statuses[:1])) or "closed")
    assert all(200 <= status < 500 for status in statuses), statuses


@share(8, requests=1)
@given(wire.HTTP2)
def test_frames_of_http2(linear: Watched, sent: bytes) -> None:
    said = wire.told(linear.url, sent)
    linear.count("HTTP/2 frames", "answered" if said else "closed")


@share(5, requests=1)
@given(wire.GRPC)
def test_frames_of_grpc(linear: Watched, sent: bytes) -> None:
    said = wire.told(linear.url, sent)
    linear.count("gRPC frames", "answered" if said else "closed")
