from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tritonclient.grpc.service_pb2 import ModelInferRequest

from modelcycle_client import InvalidInput, Metadata, TensorSpec
from modelcycle_client.bench.bodies import how_many, http_message, made_up
from modelcycle_client.bench.message import infer_message
from modelcycle_client.tensors import DTYPES, Encoded, encode


def _made(*specs: TensorSpec, rows: int = 3, length: int = 5, seed: int = 1) -> dict[str, Encoded]:
    inputs = made_up(Metadata("m", (), specs, ()), rows, length, np.random.default_rng(seed))
    return {name: encode(name, tensor) for name, tensor in inputs.items()}


@pytest.mark.parametrize("datatype", DTYPES)
def test_rows_of_every_datatype(datatype: str) -> None:
    tensor = _made(TensorSpec("x", datatype, (-1, 2)))["x"]
    assert (tensor.datatype, tensor.array.shape) == (datatype, (3, 2))
    if not datatype.startswith(("FP", "BF", "BYTES")):
        assert set(tensor.array.ravel().tolist()) <= {0, 1}


@pytest.mark.parametrize(
    ("shape", "expected"), [((-1, 2), (3, 2)), ((-1, -1), (3, 5)), ((2, -1), (2, 5)), ((-1,), (3,)), ((), ())]
)
def test_sizes_that_vary(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert _made(TensorSpec("x", "FP32", shape))["x"].array.shape == expected


def test_a_seed_gives_the_same_rows() -> None:
    spec = TensorSpec("x", "FP32", (-1, 2))
    first, same, other = (_made(spec, seed=seed)["x"].array.tolist() for seed in (1, 1, 2))
    assert first == same
    assert first != other


def test_what_nothing_can_be_made_up_for() -> None:
    with pytest.raises(InvalidInput, match="no rows can be made up of FP8; give --input"):
        _made(TensorSpec("x", "FP8", (1,)))


@pytest.mark.parametrize(("size", "count"), [(0, 16), (100, 16), (2**23, 8), (2**40, 1)])
def test_bodies_take_bounded_memory(size: int, count: int) -> None:
    assert how_many(size) == count


def test_a_message_of_http() -> None:
    headers, body = http_message({"x": np.zeros(2, np.float32)}, binary=False)
    assert headers == [("Content-Type", "application/json")]
    assert body == b'{"inputs":[{"name":"x","shape":[2],"datatype":"FP32","data":[0.0,0.0]}]}'


@pytest.mark.parametrize("rows", [1, 300])
def test_a_message_of_grpc_is_what_others_read(rows: int) -> None:
    x: Any = np.arange(rows * 2, dtype=np.float32).reshape(rows, 2)
    message = ModelInferRequest.FromString(infer_message("desk.m", {"x": x, "t": ["é"] * rows}))
    assert message.model_name == "desk.m"
    assert [(one.name, one.datatype, list(one.shape)) for one in message.inputs] == [
        ("x", "FP32", [rows, 2]),
        ("t", "BYTES", [rows]),
    ]
    assert message.raw_input_contents[0] == x.tobytes()
    assert message.raw_input_contents[1] == b"\x02\0\0\0\xc3\xa9" * rows
