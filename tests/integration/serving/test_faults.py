"""Faults of clients and of models: each is told to whom it belongs, and nobody else suffers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import grpc
import numpy as np
import onnx
import pytest
from onnx import TensorProto
from tritonclient.grpc import service_pb2 as pb

from tests.support.models import linear_model
from tests.support.processes import free_port
from tests.support.typed_models import dividing, grown, mirror, picking
from tests.support.versions import write_version

INFER = "/v2/models/hedge/infer"
RIGHT = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 1]}]}


async def _answered(client: aiohttp.ClientSession, body: Any) -> tuple[int, Any]:
    async with client.post(INFER, json=body) as answer:
        return answer.status, await answer.json()


def _resident_mib(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) // 1024


# -- Bodies that are too much --


async def test_a_body_of_a_gigabyte_is_not_read(start: Callable[..., Any], version: Path) -> None:
    """Neither one that says how long it is nor one that does not; others are answered meanwhile."""

    async def gigabyte() -> AsyncIterator[bytes]:
        for _ in range(1024):
            yield bytes(2**20)

    with start(version) as running:
        async with aiohttp.ClientSession(running.url) as client:
            before = _resident_mib(running.pid)
            for headers in ({}, {"Content-Length": str(2**30)}):
                # The server stops listening before all is said.
                with suppress(aiohttp.ClientError):
                    async with client.post(INFER, data=gigabyte(), headers=headers) as answer:
                        assert answer.status == 413
                        assert "are taken" in (await answer.json())["error"]
                status, _ = await _answered(client, RIGHT)
                assert status == 200
            assert _resident_mib(running.pid) - before < 200
        assert (await running.metrics())['modelcycle_requests_total{code="413",version="7"}'] == 2


def _message(**fields: Any) -> bytes:
    return bytes(pb.ModelInferRequest(model_name="hedge", **fields).SerializeToString())


def _call(url: str, message: bytes) -> grpc.StatusCode:
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(urlsplit(url).netloc, options=options) as channel:
        try:
            channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(message, timeout=60)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


@pytest.fixture(scope="module")
def texts(start: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server whose model takes texts; requests together have a MiB."""
    folder = write_version(tmp_path_factory.mktemp("texts"), mirror(["BYTES"]))
    with start(folder, maxBodyBytes=65_536) as running:
        yield running


def _text_message(contents: list[bytes] | None, raw: bytes | None, count: int) -> bytes:
    tensor = pb.ModelInferRequest.InferInputTensor(name="in_bytes", datatype="BYTES", shape=[count, 1])
    if contents is not None:
        tensor.contents.bytes_contents.extend(contents)
    return _message(inputs=[tensor], raw_input_contents=[] if raw is None else [raw])


@pytest.mark.parametrize(
    ("message", "code"),
    [
        pytest.param(_text_message([b""] * 5000, None, 5000), "OK", id="texts"),
        pytest.param(_text_message([b""] * 20_000, None, 20_000), "RESOURCE_EXHAUSTED", id="many texts"),
        pytest.param(_text_message(None, bytes(60_000), 15_000), "RESOURCE_EXHAUSTED", id="many texts, raw"),
        pytest.param(_message(raw_input_contents=[bytes(70_000)]), "RESOURCE_EXHAUSTED", id="a long message"),
        pytest.param(_message(raw_input_contents=[b""] * 3), "INVALID_ARGUMENT", id="more tensors than inputs"),
        pytest.param(
            _message(parameters={str(i): pb.InferParameter(bool_param=True) for i in range(300)}),
            "INVALID_ARGUMENT",
            id="many parameters",
        ),
    ],
)
def test_a_message_can_not_take_more_memory_than_is_lent(texts: Any, message: bytes, code: str) -> None:
    """Two bytes of a message may be a text, which takes a hundred in memory."""
    assert _call(texts.url, message).name == code


async def test_nor_can_json(texts: Any) -> None:
    def body(count: int) -> Any:
        return {"inputs": [{"name": "in_bytes", "datatype": "BYTES", "shape": [count, 1], "data": [""] * count}]}

    async with aiohttp.ClientSession(texts.url) as client:
        status, _ = await _answered(client, body(5000))
        assert status == 200
        status, said = await _answered(client, body(16_000))
        assert (status, "bytes of memory" in said["error"]) == (413, True)


# -- Values that a model does not take --


@pytest.mark.parametrize("kind", ["http", "grpc"])
async def test_nan_is_refused_in_bytes_too(server: Any, kind: str) -> None:
    rows = np.array([[np.nan, 1]], "<f4").tobytes()
    if kind == "grpc":
        tensor = pb.ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=[1, 2])
        assert _call(server.url, _message(inputs=[tensor], raw_input_contents=[rows])).name == "INVALID_ARGUMENT"
        return
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}
    head = json.dumps({"inputs": [tensor]}).encode()
    async with (
        aiohttp.ClientSession(server.url) as client,
        client.post(INFER, data=head + rows, headers={"Inference-Header-Content-Length": str(len(head))}) as answer,
    ):
        assert answer.status == 400
        assert "a is null, and never was" in (await answer.json())["error"]


# -- Slow clients --


async def test_clients_that_dawdle_hold_nobody_up(start: Callable[..., Any], version: Path) -> None:
    """Hundreds trickle a body, which is 408 after 20 s; one that does as it should is answered all the while."""
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n".encode()

    async def dawdle(host: str, port: int) -> bytes:
        reader, writer = await asyncio.open_connection(host, port)
        said = b""
        writer.write(head)
        with suppress(ConnectionError):  # an end that comes while a byte is on its way
            for _ in range(60):
                writer.write(b"{")
                await asyncio.sleep(1)
                if reader.at_eof() or reader.exception() or (said := await _line(reader)):
                    break
        writer.close()
        return said or await reader.readline()

    with start(version) as running:
        where = urlsplit(running.url)
        dawdlers = [asyncio.create_task(dawdle(where.hostname or "", where.port or 0)) for _ in range(300)]
        slowest = 0.0
        async with aiohttp.ClientSession(running.url) as client:
            while not all(task.done() for task in dawdlers):
                started = time.monotonic()
                status, _ = await _answered(client, RIGHT)
                slowest = max(slowest, time.monotonic() - started)
                assert status == 200
                await asyncio.sleep(0.05)
        lines = await asyncio.gather(*dawdlers)
    assert {line.strip() for line in lines} == {b"HTTP/1.1 408 Request Timeout"}
    assert slowest < 15, "it waited for those who dawdle"


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.readline(), 0.01)
    except TimeoutError:
        return b""


# -- Models that fail --


async def test_who_is_to_blame_for_a_run_that_fails_is_told(start: Callable[..., Any], tmp_path: Path) -> None:
    """Those who shared its run get their answers."""
    places = [place % 3 for place in range(60)]
    places[7] = places[40] = 99

    def body(place: int) -> Any:
        return {"inputs": [{"name": "i", "shape": [1], "datatype": "INT64", "data": [place]}]}

    with start(write_version(tmp_path, picking())) as running:
        async with aiohttp.ClientSession(running.url) as client:
            answers = await asyncio.gather(*(_answered(client, body(place)) for place in places))
    for place, (status, said) in zip(places, answers, strict=True):
        if place == 99:
            assert (status, "the model can't take them" in said["error"]) == (400, True), said
        else:
            assert (status, said["outputs"][0]["data"]) == (200, [10.0 * (place + 1)])


async def test_a_model_that_needs_more_memory_than_there_is(start: Callable[..., Any], tmp_path: Path) -> None:
    def body(count: int) -> Any:
        return {"inputs": [{"name": "n", "shape": [1], "datatype": "INT64", "data": [count]}]}

    with start(write_version(tmp_path, grown())) as running:
        async with aiohttp.ClientSession(running.url) as client:
            asked = [2**50 if place % 5 == 0 else 3 for place in range(20)]
            answers = await asyncio.gather(*(_answered(client, body(count)) for count in asked))
    for count, (status, said) in zip(asked, answers, strict=True):
        if count == 3:
            assert (status, said["outputs"][0]["shape"]) == (200, [3])
        else:
            assert (status, "more memory" in said["error"]) == (413, True), said


def test_a_model_that_takes_the_runtime_down_takes_the_process_with_it(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    """Nothing can be said to whoever asked; the log says what it was, and the container starts again."""
    with start(write_version(tmp_path, dividing())) as running:

        async def divide(a: int, b: int) -> tuple[int, Any]:
            inputs = [
                {"name": name, "shape": [1], "datatype": "INT32", "data": [n]} for name, n in (("a", a), ("b", b))
            ]
            async with aiohttp.ClientSession(running.url) as client:
                return await _answered(client, {"inputs": inputs})

        assert asyncio.run(divide(7, 1))[1]["outputs"][0]["data"] == [3]
        # What the runtime notices is an answer.
        assert asyncio.run(divide(7, -1))[0] == 500
        assert asyncio.run(divide(7, 1))[0] == 200
        with pytest.raises(aiohttp.ClientError):
            asyncio.run(divide(-(2**31), -2))
        _, status = os.waitpid(running.pid, 0)
        log = running.log.read_text()
    assert os.waitstatus_to_exitcode(status) == -signal.SIGFPE
    assert "Fatal Python error: Floating point exception" in log


# -- Files that are no model --


def _absurd(model: onnx.ModelProto, sizes: list[int]) -> onnx.ModelProto:
    model.graph.initializer[0].dims[:] = sizes
    return model


def _external(location: str, **entries: str) -> onnx.ModelProto:
    model = linear_model()
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        entry = weight.external_data.add()
        entry.key, entry.value = key, value
    return model


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(_external("../secret.bin"), "xternal data", id="data above its folder"),
        pytest.param(_external("/etc/hostname"), "xternal data", id="data at an absolute path"),
        pytest.param(_external("weights.bin", length=str(2**60)), "can't load it", id="data longer than any file"),
        pytest.param(_external("weights.bin", offset=str(2**62)), "can't load it", id="data beyond the file's end"),
        pytest.param(_external("link.bin"), "symbolic link", id="data through a link"),
        pytest.param(_absurd(linear_model(), [2**40, 2**20]), "can't load it", id="absurd sizes"),
        pytest.param(_absurd(linear_model(), [-1, 2]), "can't load it", id="a negative size"),
        pytest.param(b"\x08\x07" + os.urandom(500), "can't load it", id="junk"),
        pytest.param(b"", "can't load it", id="an empty file"),
    ],
)
def test_a_file_that_can_not_be_trusted_is_not_loaded(
    run_module: Callable[..., Any], tmp_path: Path, content: onnx.ModelProto | bytes, said: str
) -> None:
    folder = write_version(tmp_path / "version")
    (tmp_path / "version" / "secret.bin").write_bytes(np.ones(2, np.float32).tobytes())
    (folder / "model" / "weights.bin").write_bytes(np.ones(2, np.float32).tobytes())
    if "link" in said:
        (folder / "model" / "link.bin").symlink_to(folder / "secret.bin")
    raw = content if isinstance(content, bytes) else content.SerializeToString()
    (folder / "model" / "model.onnx").write_bytes(raw)
    settings = f'{{"modelDir": "{folder}", "port": {free_port()}, "metricsPort": {free_port()}}}'
    ended = run_module("serve", {"MODELCYCLE_SERVE": settings})
    assert (ended.status, ended.message["class"]) == (66, "ModelUnusable"), ended.log
    assert said in ended.message["message"]
