"""Our client against our server: both its kinds, tensors as bytes and as JSON."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from modelcycle_client import (
    BadRequest,
    Client,
    DeadlineExceeded,
    ExpiredToken,
    ForgedToken,
    InvalidInput,
    NotServed,
    ReplayedToken,
    Tensor,
    TensorSpec,
)
from modelcycle_client.tensors import DTYPES
from modelcycle_runtime.serve.tokens import Signer
from tests.support.clients import Either, either
from tests.support.models import loss_model
from tests.support.typed_models import ONNX_TYPES, mirror, slow
from tests.support.versions import write_version

ROWS = np.array([[1, 1], [2, 1]], np.float32)
WATERMARK = "modelcycle_feedback_watermark_seconds"


@pytest.fixture(params=["threads", "asyncio"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def signer(key_file: Path) -> Signer:
    return Signer(key_file.read_bytes())


@pytest.fixture(scope="module")
def mirrored(start: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with start(write_version(tmp_path_factory.mktemp("mirror"), mirror(list(ONNX_TYPES)))) as running:
        yield running


@pytest.mark.parametrize("binary", [True, False])
async def test_inference(server: Any, kind: str, *, binary: bool) -> None:
    async with either(kind, server.url) as client:
        answer = await client.call("infer", {"x": ROWS}, request_id="mine", binary=binary)
    assert answer["y"].tolist() == [[-0.5], [0.5]]
    assert answer["y"].dtype == np.float32
    assert (answer.model, answer.version, answer.request_id) == ("hedge", "7", "mine")
    assert [len(token) for token in answer.tokens] == [60, 60]


def _values(datatype: str) -> Any:
    if datatype == "BYTES":
        return np.array([[b"", b"a\xc3\xa9"], [b"long " * 100, b"x"]], dtype=object)
    rng = np.random.default_rng(3)
    if datatype.startswith(("FP", "BF")):
        return rng.normal(size=(2, 2)).astype(DTYPES[datatype])
    return rng.integers(0, 2 if datatype == "BOOL" else 100, size=(2, 2)).astype(DTYPES[datatype])


@pytest.mark.parametrize("binary", [True, False])
async def test_every_datatype_comes_back_bit_for_bit(mirrored: Any, kind: str, *, binary: bool) -> None:
    sent = {datatype: _values(datatype) for datatype in ONNX_TYPES}
    inputs = {f"in_{name.lower()}": Tensor(values, name) for name, values in sent.items()}
    async with either(kind, mirrored.url) as client:
        answer = await client.call("infer", inputs, binary=binary)
        wanted = ("out_int8", "out_bf16")
        some = await client.call("infer", inputs, outputs=wanted, binary=binary)
    for name, values in sent.items():
        assert answer[f"out_{name.lower()}"].dtype == DTYPES[name]
        np.testing.assert_array_equal(answer[f"out_{name.lower()}"], values, err_msg=name)
    assert tuple(some) == wanted


async def test_a_large_array_goes_without_being_joined(start: Callable[..., Any], tmp_path: Path, kind: str) -> None:
    rows = np.random.default_rng(5).normal(size=(3000, 1000)).astype(np.float32)
    with start(write_version(tmp_path, mirror(["FP32"]))) as running:
        async with either(kind, running.url) as client:
            answer = await client.call("infer", {"in_fp32": rows})
    np.testing.assert_array_equal(answer["out_fp32"], rows)


async def test_what_the_model_takes(server: Any, kind: str) -> None:
    async with either(kind, server.url) as client:
        metadata = await client.call("metadata")
        assert await client.call("ready") is True
    assert (metadata.name, metadata.versions) == ("hedge", ("7",))
    assert metadata.inputs == (TensorSpec("x", "FP32", (-1, 2)),)


async def test_nobody_there_is_not_ready(kind: str, unused_tcp_port: int) -> None:
    async with either(kind, f"http://127.0.0.1:{unused_tcp_port}") as client:
        assert await client.call("ready") is False


@pytest.mark.parametrize(
    ("inputs", "options", "error", "said"),
    [
        ({"z": ROWS}, {}, BadRequest, "400: inputs[0].name: 'z' is no input of the model; it has x"),
        ({"x": ROWS.astype(np.float64)}, {}, BadRequest, "inputs[0] (x).datatype: must be FP32"),
        ({"x": np.zeros((1, 3), np.float32)}, {}, BadRequest, "inputs[0] (x).shape"),
        ({"x": ROWS}, {"outputs": ["q"]}, BadRequest, "'q' is no output"),
        ({"x": ROWS}, {"event_time": "today"}, BadRequest, "parameters.event_time: 'today'"),
        ({"x": ROWS}, {"event_time": ["2008-09-15T00:00:00Z"]}, BadRequest, "event_time"),
        ({"x": np.zeros((20000, 2), np.float32)}, {}, BadRequest, "413: body"),
        ({"x": np.array([1j])}, {}, InvalidInput, "input x"),
    ],
)
async def test_what_is_wrong_is_named(
    server: Any, kind: str, inputs: Any, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    async with either(kind, server.url) as client:
        with pytest.raises(error) as caught:
            await client.call("infer", inputs, **options)
    assert said in str(caught.value)


async def test_another_version_is_refused(server: Any, kind: str) -> None:
    async with either(kind, server.url, version="7") as client:
        assert (await client.call("infer", {"x": ROWS})).version == "7"
    async with either(kind, server.url, version="6") as client:
        with pytest.raises(NotServed, match="version '6' is not served here; 7 is"):
            await client.call("infer", {"x": ROWS})
    async with either(kind, f"{server.url}/behind") as client:
        with pytest.raises(NotServed, match="/behind/v2/models/hedge/infer is not served"):
            await client.call("infer", {"x": ROWS})


async def test_a_deadline_is_the_servers_too(start: Callable[..., Any], tmp_path: Path, kind: str) -> None:
    """The second request would wait for the first: the server gives it up by itself, and says so."""
    with start(write_version(tmp_path, slow(1200)), cpus=1) as running:
        async with either(kind, running.url, timeout=60) as client:
            first = threading.Thread(target=_infer_once, args=(running.url,))
            first.start()
            with pytest.raises(DeadlineExceeded):
                await _until_one_is_late(client)
            first.join()
            answer = await client.call("infer", {"x": np.ones((1, 1), np.float32)}, priority=1)
    assert answer["y"].shape == (1, 1)


async def _until_one_is_late(client: Either) -> None:
    for _ in range(20):
        await client.call("infer", {"x": np.ones((1, 1), np.float32)}, timeout=0.05)


def _infer_once(url: str) -> None:
    with Client(url, "hedge", timeout=60) as client:
        client.infer({"x": np.ones((1, 1), np.float32)})


async def test_feedback(start: Callable[..., Any], version: Path, key_file: Path, kind: str) -> None:
    event_time = datetime(2008, 9, 15, tzinfo=UTC)
    with start(version, feedbackKeyFile=str(key_file)) as running:
        async with either(kind, running.url) as client:
            answer = await client.call("infer", {"x": ROWS}, event_time=[event_time, event_time])
            feedback = await client.call("feedback", zip(answer.tokens, [0.5, 0.5], strict=True))
            assert (feedback.accepted, feedback.resent) == (2, False)
            metrics = await running.metrics()
            with pytest.raises(ReplayedToken, match="a label came with this token before"):
                await client.call("feedback", [(answer.tokens[0], 0.5)])
    assert metrics['modelcycle_feedback_rows_total{version="7"}'] == 2
    assert metrics[WATERMARK] == event_time.timestamp()


async def test_labels_that_do_not_count_harm_no_others(server: Any, kind: str) -> None:
    (forged,) = Signer(b"somebody else's key").sign(7, [0], [1.0])
    async with either(kind, server.url) as client:
        (token,) = (await client.call("infer", {"x": ROWS[:1]})).tokens
        with pytest.raises(ForgedToken, match=r"feedback\[1\]: forged") as caught:
            await client.call("feedback", [(token, 1.0), (forged, 1.0)])
    feedback = caught.value.feedback
    assert (feedback.accepted, [fate.result for fate in feedback.rows]) == (1, ["accepted", "forged"])


async def test_a_batch_of_which_nothing_can_be_read(server: Any, kind: str) -> None:
    async with either(kind, server.url) as client:
        with pytest.raises(BadRequest, match="400"):
            await client.call("feedback", [("x", 1.0)])


async def test_a_label_for_a_version_that_is_gone(
    start: Callable[..., Any], tmp_path: Path, key_file: Path, signer: Signer, kind: str
) -> None:
    """Its loss was a part of its model, which is not here."""
    onnx.save(loss_model(), str(write_version(tmp_path) / "modelcycle" / "loss.onnx"))
    (old,) = signer.sign(6, [0], [1.0])
    with start(tmp_path, feedbackKeyFile=str(key_file), loss="Model") as running:
        async with either(kind, running.url) as client:
            with pytest.raises(ExpiredToken, match="of another version than the one here"):
                await client.call("feedback", [(old, 1.0)])


async def test_connections_spread_again(start: Callable[..., Any], version: Path, kind: str) -> None:
    """The server closes each connection after three requests, and no call notices."""
    with start(version, maxRequestsPerConnection=3) as running:
        async with either(kind, running.url) as client:
            for _ in range(10):
                await client.call("infer", {"x": ROWS})
        metrics = await running.metrics()
    assert metrics['modelcycle_requests_total{code="200",version="7"}'] == 10


def test_threads_may_share_a_client(server: Any) -> None:
    found: list[float] = []

    def ask(client: Client, value: float) -> None:
        rows = {"x": np.array([[value, 0]], np.float32)}
        found.extend(float(client.infer(rows)["y"][0, 0]) - value for _ in range(20))

    with Client(server.url, "hedge") as client:
        threads = [threading.Thread(target=ask, args=(client, float(i))) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [0.5] * 160
