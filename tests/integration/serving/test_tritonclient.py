"""The calls of ``tritonclient``, http and grpc: the Open Inference Protocol has no other conformance test."""

from __future__ import annotations

import itertools
import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ml_dtypes
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from tests.support.typed_models import ONNX_TYPES, mirror
from tests.support.versions import write_version

CLIENTS = {"http": triton_http, "grpc": triton_grpc}
MODEL = "hedge"
DTYPES: dict[str, Any] = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "BF16": ml_dtypes.bfloat16,
    "FP32": "float32",
    "FP64": "float64",
    "BYTES": "object",
}


@pytest.fixture(params=sorted(CLIENTS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def triton(kind: str) -> Any:
    return CLIENTS[kind]


@pytest.fixture
def client(triton: Any, server: Any) -> Iterator[Any]:
    with triton.InferenceServerClient(urlsplit(server.url).netloc) as client:
        yield client


@pytest.fixture(scope="module")
def mirrored(start: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A model that gives back what it gets, in all datatypes at once."""
    with start(write_version(tmp_path_factory.mktemp("mirror"), mirror(list(ONNX_TYPES)))) as running:
        yield running


def _input(triton: Any, rows: NDArray[Any], name: str = "x", datatype: str = "FP32", **how: Any) -> Any:
    found = triton.InferInput(name, list(rows.shape), datatype)
    found.set_data_from_numpy(rows, **how)
    return found


ROWS = np.array([[1, 1], [0, 0]], np.float32)


def test_health(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert client.is_model_ready(MODEL, "7")


def test_metadata(client: Any, kind: str) -> None:
    as_json = {"as_json": True} if kind == "grpc" else {}
    server, model = client.get_server_metadata(**as_json), client.get_model_metadata(MODEL, **as_json)
    assert (server["name"], server["extensions"]) == (
        "modelcycle",
        ["binary_tensor_data", "model_configuration", "statistics"],
    )
    assert (model["name"], model["versions"], model["platform"]) == (MODEL, ["7"], "onnxruntime_onnx")
    (x,), (y,) = model["inputs"], model["outputs"]
    assert (x["name"], x["datatype"], list(map(int, x["shape"]))) == ("x", "FP32", [-1, 2])
    assert (y["name"], y["datatype"], list(map(int, y["shape"]))) == ("y", "FP32", [-1, 1])


def test_configuration(client: Any, kind: str) -> None:
    config = (
        client.get_model_config(MODEL) if kind == "http" else client.get_model_config(MODEL, as_json=True)["config"]
    )
    assert (config["name"], config["platform"], config["backend"]) == (MODEL, "onnxruntime_onnx", "onnxruntime")
    assert config["max_batch_size"] > 1
    (x,), (y,) = config["input"], config["output"]
    assert (x["name"], x["data_type"], list(map(int, x["dims"]))) == ("x", "TYPE_FP32", [2])
    assert (y["name"], y["data_type"], list(map(int, y["dims"]))) == ("y", "TYPE_FP32", [1])


def test_statistics(client: Any, triton: Any, kind: str) -> None:
    def counted(*asked: str) -> dict[str, int]:
        as_json = {"as_json": True} if kind == "grpc" else {}
        (model,) = client.get_inference_statistics(*asked, **as_json)["model_stats"]
        assert (model["name"], model["version"]) == (MODEL, "7")
        spent = {name: int(each.get("count", 0)) for name, each in model["inference_stats"].items()}
        return {**spent, "rows": int(model["inference_count"]), "runs": int(model["execution_count"])}

    client.infer(MODEL, [_input(triton, ROWS)])
    before = counted(MODEL)
    client.infer(MODEL, [_input(triton, ROWS)])
    with pytest.raises(InferenceServerException):
        client.infer(MODEL, [_input(triton, ROWS, "other")])
    changed = {name: count - before[name] for name, count in counted(MODEL, "7").items()}
    assert changed == {"success": 1, "fail": 1, "queue": 1, "compute_infer": 1, "rows": len(ROWS), "runs": 1}
    assert counted()["success"] == before["success"] + 1, "of all models, when none is named"


def test_repository(client: Any, kind: str) -> None:
    index = client.get_model_repository_index(**({"as_json": True} if kind == "grpc" else {}))
    (model,) = index["models"] if kind == "grpc" else index
    assert (model["name"], model["version"], model["state"]) == (MODEL, "7", "READY")


def test_rows_are_answered(client: Any, triton: Any) -> None:
    answer = client.infer(MODEL, [_input(triton, ROWS)], request_id="mine")
    assert answer.as_numpy("y").tolist() == [[-0.5], [0.5]]
    record = answer.get_response() if triton is triton_http else answer.get_response(as_json=True)
    assert (record["id"], record["model_name"], record["model_version"]) == ("mine", MODEL, "7")


@pytest.mark.parametrize(("sent", "asked"), [*itertools.product([True, False], repeat=2)])
def test_tensors_are_binary_or_not(server: Any, sent: bool, asked: bool) -> None:
    with triton_http.InferenceServerClient(urlsplit(server.url).netloc) as client:
        outputs = [triton_http.InferRequestedOutput("y", binary_data=asked)]
        answer = client.infer(MODEL, [_input(triton_http, ROWS, binary_data=sent)], outputs=outputs)
        assert answer.as_numpy("y").tolist() == [[-0.5], [0.5]]


@pytest.mark.parametrize("named", ["", "7"])
def test_a_version_may_be_named(client: Any, triton: Any, named: str) -> None:
    assert client.infer(MODEL, [_input(triton, ROWS)], model_version=named).as_numpy("y").shape == (2, 1)


def test_calls_that_do_not_wait(client: Any, triton: Any, kind: str) -> None:
    if kind == "http":
        answers = [one.get_result() for one in [client.async_infer(MODEL, [_input(triton, ROWS)]) for _ in range(8)]]
    else:
        done = queue.Queue[Any]()
        for _ in range(8):
            client.async_infer(MODEL, [_input(triton, ROWS)], lambda result, error: done.put(error or result))
        answers = [done.get(timeout=30) for _ in range(8)]
    assert [answer.as_numpy("y").tolist() for answer in answers] == [[[-0.5], [0.5]]] * 8


def test_priority_and_timeout_are_taken(client: Any, triton: Any) -> None:
    answer = client.infer(MODEL, [_input(triton, ROWS)], priority=1, timeout=10_000_000)
    assert answer.as_numpy("y").shape == (2, 1)


def test_tokens_and_event_times(client: Any, triton: Any, kind: str) -> None:
    parameters = {"event_time": "2008-09-15T00:00:00Z"}
    answer = client.infer(MODEL, [_input(triton, ROWS)], parameters=parameters)
    if kind == "http":
        tokens = answer.get_response()["parameters"]["feedback_token"]
    else:
        tokens = answer.get_response().parameters["feedback_token"].string_param.split(",")
    assert [len(token) for token in tokens] == [60, 60]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"model_name": "other"}, "model 'other' is not served here; hedge is", id="another model"),
        pytest.param({"model_version": "6"}, "version '6' is not served here; 7 is", id="another version"),
        pytest.param({"name": "z"}, "inputs[0].name: 'z' is no input of the model; it has x", id="another input"),
        pytest.param({"rows": np.zeros((1, 3), np.float32)}, "inputs[0] (x).shape", id="another shape"),
        pytest.param({"rows": np.zeros((1, 2)), "datatype": "FP64"}, "datatype: must be FP32", id="another type"),
        pytest.param({"rows": np.full((1, 2), np.nan, np.float32)}, "a is null, and never was", id="NaN"),
        pytest.param({"outputs": ["q"]}, "outputs[0].name: 'q' is no output; it has y", id="another output"),
        pytest.param({"parameters": {"event_time": "today"}}, "parameters.event_time: 'today'", id="no time"),
    ],
)
def test_what_is_wrong_is_named(client: Any, triton: Any, change: dict[str, Any], said: str) -> None:
    words = {"model_name": MODEL, **change}
    tensor = _input(triton, words.pop("rows", ROWS), words.pop("name", "x"), words.pop("datatype", "FP32"))
    outputs = [triton.InferRequestedOutput(name) for name in words.pop("outputs", ["y"])]
    with pytest.raises(InferenceServerException) as error:
        client.infer(inputs=[tensor], outputs=outputs, **words)
    assert said in str(error.value)


def _values(datatype: str, rng: np.random.Generator) -> NDArray[Any]:
    if datatype == "BYTES":
        return np.array([[b"", b"a\xc3\xa9"], [b"long " * 100, b"x"]], dtype=object)
    if datatype.startswith(("FP", "BF")):
        return rng.normal(size=(2, 2)).astype(DTYPES[datatype])
    return rng.integers(0, 2 if datatype == "BOOL" else 100, size=(2, 2)).astype(DTYPES[datatype])


def test_every_datatype_comes_back_bit_for_bit(mirrored: Any, triton: Any) -> None:
    rng = np.random.default_rng(3)
    sent = {datatype: _values(datatype, rng) for datatype in ONNX_TYPES}
    with triton.InferenceServerClient(urlsplit(mirrored.url).netloc) as client:
        tensors = [_input(triton, rows, f"in_{name.lower()}", name) for name, rows in sent.items()]
        answer = client.infer(MODEL, tensors)
        for name, rows in sent.items():
            np.testing.assert_array_equal(answer.as_numpy(f"out_{name.lower()}"), rows, err_msg=name)


def test_outputs_are_those_asked_for_in_their_order(mirrored: Any, triton: Any) -> None:
    rng = np.random.default_rng(4)
    sent = {datatype: _values(datatype, rng) for datatype in ONNX_TYPES}
    with triton.InferenceServerClient(urlsplit(mirrored.url).netloc) as client:
        tensors = [_input(triton, rows, f"in_{name.lower()}", name) for name, rows in reversed(sent.items())]
        outputs = [triton.InferRequestedOutput(name) for name in ("out_int8", "out_fp32")]
        answer = client.infer(MODEL, tensors, outputs=outputs)
        np.testing.assert_array_equal(answer.as_numpy("out_fp32"), sent["FP32"])
        np.testing.assert_array_equal(answer.as_numpy("out_int8"), sent["INT8"])
        assert answer.as_numpy("out_bool") is None


def test_a_large_tensor(start: Callable[..., Any], tmp_path: Path, triton: Any) -> None:
    """Of many frames, and of more bytes than a window of HTTP/2."""
    rows = np.random.default_rng(5).normal(size=(3000, 1000)).astype(np.float32)
    with (
        start(write_version(tmp_path, mirror(["FP32"]))) as running,
        triton.InferenceServerClient(urlsplit(running.url).netloc) as client,
    ):
        answer = client.infer(MODEL, [_input(triton, rows, "in_fp32")])
        np.testing.assert_array_equal(answer.as_numpy("out_fp32"), rows)
