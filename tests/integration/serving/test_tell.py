"""What a server tells of its requests: traces to an OTLP receiver, payloads to a file; neither holds anybody up."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import numpy as np
import pytest
import tritonclient.grpc as triton
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

INFER = "/v2/models/hedge/infer"
BODY = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 1]}]}
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def _messages() -> Any:
    """OTLP's request by its published field numbers (opentelemetry-proto 1.x), without a package that has them."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="otlp.proto", package="otlp", syntax="proto3")

    def message(name: str, *fields: tuple[str, int, Any, bool]) -> None:
        found = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            one = found.field.add(name=field, number=number, label=label)
            if isinstance(kind, str):
                one.type, one.type_name = kinds.TYPE_MESSAGE, f".otlp.{kind}"
            else:
                one.type = kind

    message("AnyValue", ("string_value", 1, kinds.TYPE_STRING, False), ("int_value", 3, kinds.TYPE_INT64, False))
    message("KeyValue", ("key", 1, kinds.TYPE_STRING, False), ("value", 2, "AnyValue", False))
    message("Status", ("code", 3, kinds.TYPE_INT32, False))
    message(
        "Span",
        ("trace_id", 1, kinds.TYPE_BYTES, False),
        ("span_id", 2, kinds.TYPE_BYTES, False),
        ("parent_span_id", 4, kinds.TYPE_BYTES, False),
        ("name", 5, kinds.TYPE_STRING, False),
        ("kind", 6, kinds.TYPE_INT32, False),
        ("start_time_unix_nano", 7, kinds.TYPE_FIXED64, False),
        ("end_time_unix_nano", 8, kinds.TYPE_FIXED64, False),
        ("attributes", 9, "KeyValue", True),
        ("status", 15, "Status", False),
    )
    message("Scope", ("name", 1, kinds.TYPE_STRING, False))
    message("ScopeSpans", ("scope", 1, "Scope", False), ("spans", 2, "Span", True))
    message("Resource", ("attributes", 1, "KeyValue", True))
    message("ResourceSpans", ("resource", 1, "Resource", False), ("scope_spans", 2, "ScopeSpans", True))
    message("Request", ("resource_spans", 1, "ResourceSpans", True))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("otlp.Request"))


class Receiver:
    """An OTLP receiver; with ``held`` it answers nobody until that is set."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.paths: set[tuple[str, str]] = set()
        self.held = threading.Event()
        self.held.set()

    def spans(self) -> list[Any]:
        groups = [scope for request in self.requests for one in request.resource_spans for scope in one.scope_spans]
        return [span for group in groups for span in group.spans]

    async def wait_for(self, count: int) -> list[Any]:
        async with asyncio.timeout(60):
            while len(self.spans()) < count:  # noqa: ASYNC110 (it is another thread's)
                await asyncio.sleep(0.05)
        return self.spans()


@contextmanager
def _receiving() -> Iterator[tuple[str, Receiver]]:
    receiver, request = Receiver(), _messages()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.held.wait(60)
            receiver.paths.add((self.path, self.headers["Content-Type"]))
            receiver.requests.append(request.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", receiver
    finally:
        receiver.held.set()
        server.shutdown()
        server.server_close()


async def _ask(client: aiohttp.ClientSession, body: Any = BODY, **headers: str) -> int:
    async with client.post(INFER, json=body, headers=headers) as answer:
        await answer.read()
        return answer.status


async def test_a_request_is_a_span_below_its_callers(start: Callable[..., Any], version: Path) -> None:
    with _receiving() as (endpoint, receiver):
        traces = {"endpoint": endpoint, "sampleRatio": "0"}
        with start(version, traces=traces, deployment="team/hedge") as running:
            async with aiohttp.ClientSession(running.url) as client:
                assert await _ask(client) == 200
                assert await _ask(client, traceparent=f"00-{TRACE}-{CALLER}-00") == 200
                assert await _ask(client, traceparent=f"00-{TRACE}-{CALLER}-01") == 200
            with triton.InferenceServerClient(urlsplit(running.url).netloc) as grpc:
                tensor = triton.InferInput("x", [1, 2], "FP32")
                tensor.set_data_from_numpy(np.ones((1, 2), np.float32))
                grpc.infer("hedge", [tensor], headers={"traceparent": f"00-{TRACE}-{CALLER}-01"})
            spans = await receiver.wait_for(6)
            metrics = await running.metrics()
    assert receiver.paths == {("/v1/traces", "application/x-protobuf")}
    assert sorted(span.name for span in spans) == ["ModelInfer", "infer", "queue", "queue", "run", "run"]
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    requests = {span.span_id: span for span in spans if span.name in {"infer", "ModelInfer"}}
    assert {span.parent_span_id.hex() for span in requests.values()} == {CALLER}
    for span in spans:
        if span.span_id not in requests:
            whole = requests[span.parent_span_id]
            assert whole.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
            assert span.end_time_unix_nano <= whole.end_time_unix_nano
    resource = receiver.requests[0].resource_spans[0].resource.attributes
    assert {one.key: one.value.string_value for one in resource} == {
        "service.name": "hedge",
        "service.namespace": "team",
        "service.version": "7",
        "modelcycle.model": "hedge",
    }
    assert metrics['modelcycle_told_requests_total{outcome="kept",version="7",what="spans"}'] == 2


async def test_all_are_traced_where_nobody_says_and_all_are_wanted(start: Callable[..., Any], version: Path) -> None:
    with _receiving() as (endpoint, receiver):
        with start(version, traces={"endpoint": endpoint, "sampleRatio": "1"}) as running:
            async with aiohttp.ClientSession(running.url) as client:
                assert await _ask(client) == 200
                assert await _ask(client, {"inputs": []}) == 400
        # What was kept when it was told to end is told.
        spans = await receiver.wait_for(4)
    (good, bad) = (span for span in spans if span.name == "infer")
    codes = [one.value.int_value for span in (good, bad) for one in span.attributes]
    assert codes == [200, 400]
    assert good.trace_id != bad.trace_id


@pytest.mark.parametrize("trouble", ["silent", "gone"])
async def test_a_receiver_that_is_in_trouble_holds_nobody_up(
    start: Callable[..., Any], version: Path, trouble: str
) -> None:
    with _receiving() as (endpoint, receiver):
        receiver.held.clear()
        if trouble == "gone":
            endpoint = "http://127.0.0.1:1"
        with start(version, traces={"endpoint": endpoint, "sampleRatio": "1"}) as running:
            async with aiohttp.ClientSession(running.url) as client:
                statuses = {await _ask(client) for _ in range(200)}
                assert statuses == {200}
                async with asyncio.timeout(60):
                    lost = 'modelcycle_told_requests_total{outcome="lost",version="7",what="spans"}'
                    while trouble == "gone" and (await running.metrics())[lost] == 0:  # noqa: ASYNC110
                        await asyncio.sleep(0.2)
            if trouble == "gone":
                assert "spans are lost until this is over" in running.log.read_text()
        receiver.held.set()


async def test_a_sample_of_payloads_is_written(start: Callable[..., Any], version: Path, tmp_path: Path) -> None:
    path = tmp_path / "log" / "payloads.jsonl"
    with start(version, payloadLog={"path": str(path), "sampleRatio": "1", "maxBytes": 2**21}) as running:
        async with aiohttp.ClientSession(running.url) as client:
            assert await _ask(client) == 200
            assert await _ask(client, {"inputs": []}) == 400
            async with client.post("/invocations", data=b"a,b\n1,1\n", headers={"Content-Type": "text/csv"}) as answer:
                assert answer.status == 200
                invoked = await answer.json()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(one["method"], one["code"], one["version"]) for one in lines] == [
        ("infer", 200, "7"),
        ("infer", 400, "7"),
        ("invocations", 200, "7"),
    ]
    assert lines[0]["request"] == BODY
    assert lines[0]["answer"]["outputs"][0]["data"] == [-0.5]
    assert (lines[2]["request_text"], lines[2]["answer"]) == ("a,b\n1,1\n", invoked)


async def test_the_log_of_payloads_is_bounded(start: Callable[..., Any], version: Path, tmp_path: Path) -> None:
    path = tmp_path / "payloads.jsonl"
    rows = 2000
    tensor = {"name": "x", "shape": [rows, 2], "datatype": "FP32", "data": [1.25] * (2 * rows)}
    with start(version, payloadLog={"path": str(path), "sampleRatio": "1", "maxBytes": 2**21}) as running:
        async with aiohttp.ClientSession(running.url) as client:
            for _ in range(120):
                assert await _ask(client, {"inputs": [tensor]}) == 200
    kept = await asyncio.to_thread(_files, tmp_path)
    assert kept.keys() == {"payloads.jsonl", "payloads.jsonl.1"}
    assert 2**20 < sum(map(len, kept.values())) <= 2**21
    assert all(json.loads(line)["code"] == 200 for lines in kept.values() for line in lines.splitlines())


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def test_nothing_is_told_unless_it_is_asked_for(server: Any) -> None:
    async with aiohttp.ClientSession(server.url) as client:
        assert await _ask(client, traceparent=f"00-{TRACE}-{CALLER}-01") == 200
    metrics = await server.metrics()
    told = [value for series, value in metrics.items() if series.startswith("modelcycle_told_requests_total")]
    assert told == [0.0] * 6
