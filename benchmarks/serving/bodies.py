"""Example rows as the bodies that the servers take."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.load import Request

Rows = Mapping[str, NDArray[np.generic]]

DATATYPES = {"float32": "FP32", "int64": "INT64"}


def v2_json(folder: Path, model: str, rows: Rows) -> Request:
    """Open Inference Protocol: each tensor as a flat list."""
    tensors = [{**_told(name, values), "data": _numbers(values.ravel())} for name, values in rows.items()]
    return _json(folder / "v2.json", f"/v2/models/{model}/infer", {"inputs": tensors}, rows)


def v2_binary(folder: Path, model: str, rows: Rows) -> Request:
    """Open Inference Protocol with binary tensors, there and back."""
    tensors = [
        {**_told(name, values), "parameters": {"binary_data_size": values.nbytes}} for name, values in rows.items()
    ]
    head = _text({"inputs": tensors, "parameters": {"binary_data_output": True}}).encode()
    path = folder / f"v2-{count(rows)}.binary"
    path.write_bytes(b"".join([head, *(values.tobytes() for values in rows.values())]))
    headers = (f"Inference-Header-Content-Length: {len(head)}", "Content-Type: application/octet-stream")
    return Request(f"/v2/models/{model}/infer", path, headers, count(rows))


def v2_grpc(folder: Path, model: str, rows: Rows) -> Request:
    """The same over gRPC, with ``raw_input_contents``."""
    # Here, since it takes a while and only one server is asked by gRPC.
    from tritonclient.grpc import service_pb2

    message = service_pb2.ModelInferRequest(model_name=model)
    for name, values in rows.items():
        message.inputs.add(name=name, shape=values.shape, datatype=DATATYPES[values.dtype.name])
        message.raw_input_contents.append(values.tobytes())
    path = folder / f"v2-{count(rows)}.protobuf"
    path.write_bytes(message.SerializeToString())
    return Request("/inference.GRPCInferenceService/ModelInfer", path, (), count(rows), "grpc")


def v1_json(folder: Path, model: str, rows: Rows) -> Request:
    """KServe's older protocol: rows as nested lists (of a model with one input), or as an object for each."""
    lists = {name: _numbers(values) for name, values in rows.items()}
    (alone, *more) = lists.values()
    instances = [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)] if more else alone
    return _json(folder / "v1.json", f"/v1/models/{model}:predict", {"instances": instances}, rows)


def mlflow_json(folder: Path, rows: Rows) -> Request:
    """MLflow's ``inputs``: nested lists by name."""
    inputs = {name: _numbers(values) for name, values in rows.items()}
    return _json(folder / "mlflow.json", "/invocations", {"inputs": inputs}, rows)


def plain_json(folder: Path, rows: Rows) -> Request:
    """One row as an object of lists, for servers that prescribe nothing."""
    row = {name: _numbers(values[0]) for name, values in rows.items()}
    return _json(folder / "plain.json", "/predict", row, rows)


def count(rows: Rows) -> int:
    """How many rows."""
    return len(next(iter(rows.values())))


def _json(path: Path, target: str, body: Mapping[str, object], rows: Rows) -> Request:
    path.write_text(_text(body))
    return Request(target, path, rows=count(rows))


def _text(body: Mapping[str, object]) -> str:
    return json.dumps(body, separators=(",", ":"))


def _told(name: str, values: NDArray[np.generic]) -> dict[str, object]:
    return {"name": name, "shape": list(values.shape), "datatype": DATATYPES[values.dtype.name]}


def _numbers(values: NDArray[np.generic]) -> object:
    """Lists of numbers as short as they can be told: six places of a float."""
    return np.round(values.astype(np.float64), 6).tolist() if values.dtype.kind == "f" else values.tolist()
