"""The requests that servers are measured with: what each says of the same rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving import bodies

ROWS = {"x": np.array([[1.5, 0.1], [-2.0, 3.0]], np.float32)}
TWO = {"ids": np.array([[1, 2]], np.int64), "mask": np.array([[1, 0]], np.int64)}


def test_v2_is_flat(tmp_path: Path) -> None:
    made = bodies.v2_json(tmp_path, "m", ROWS)
    tensor = {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1.5, 0.1, -2.0, 3.0]}
    assert (made.path, made.rows, json.loads(made.body.read_text())) == ("/v2/models/m/infer", 2, {"inputs": [tensor]})


def test_binary_tensors_follow_their_header(tmp_path: Path) -> None:
    made = bodies.v2_binary(tmp_path, "m", TWO)
    length = int(made.headers[0].removeprefix("Inference-Header-Content-Length: "))
    raw = made.body.read_bytes()
    told = json.loads(raw[:length])
    assert [(one["name"], one["datatype"], one["parameters"]) for one in told["inputs"]] == [
        ("ids", "INT64", {"binary_data_size": 16}),
        ("mask", "INT64", {"binary_data_size": 16}),
    ]
    assert np.frombuffer(raw[length:], np.int64).tolist() == [1, 2, 1, 0]


def test_grpc_has_the_same_bytes(tmp_path: Path) -> None:
    from tritonclient.grpc import service_pb2

    made = bodies.v2_grpc(tmp_path, "m", ROWS)
    message = service_pb2.ModelInferRequest.FromString(made.body.read_bytes())
    assert (message.model_name, list(message.inputs[0].shape)) == ("m", [2, 2])
    assert message.raw_input_contents[0] == ROWS["x"].tobytes()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (ROWS, {"instances": [[1.5, 0.1], [-2.0, 3.0]]}),
        (TWO, {"instances": [{"ids": [1, 2], "mask": [1, 0]}]}),
    ],
)
def test_v1_is_nested(tmp_path: Path, rows: bodies.Rows, expected: object) -> None:
    assert json.loads(bodies.v1_json(tmp_path, "m", rows).body.read_text()) == expected


def test_mlflow_has_inputs_by_name_and_litserve_one_row(tmp_path: Path) -> None:
    assert json.loads(bodies.mlflow_json(tmp_path, TWO).body.read_text()) == {
        "inputs": {"ids": [[1, 2]], "mask": [[1, 0]]}
    }
    assert json.loads(bodies.plain_json(tmp_path, TWO).body.read_text()) == {"ids": [1, 2], "mask": [1, 0]}
