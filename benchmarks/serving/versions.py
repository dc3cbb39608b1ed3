"""The model that is served, and the requests to it."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from modelcycle_runtime.bins import Baseline, histogram
from tests.support.versions import write_version

FEATURES = 32
ROWS = 32
"""Of the larger requests."""


def version(folder: Path, *, baseline: bool) -> Path:
    """A fetched version of the network 32-64-64-1, with the histograms of its training or without."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(1000, FEATURES))
    features = tuple(histogram(f"x{i}", rows[:, i]) for i in range(FEATURES))
    found = Baseline(1000, features, (histogram("y", rng.normal(size=1000)),))
    return write_version(folder, _network((FEATURES, 64, 64, 1), rng), baseline=found if baseline else None)


def _network(sizes: tuple[int, ...], rng: np.random.Generator) -> onnx.ModelProto:
    nodes, weights, last = [], [], "x"
    pairs = list(pairwise(sizes))
    for i, (width, height) in enumerate(pairs):
        weights.append(numpy_helper.from_array(rng.normal(0, 0.2, (width, height)).astype(np.float32), f"W{i}"))
        weights.append(numpy_helper.from_array(rng.normal(0, 0.2, height).astype(np.float32), f"b{i}"))
        is_last = i == len(pairs) - 1
        nodes.append(helper.make_node("Gemm", [last, f"W{i}", f"b{i}"], ["y" if is_last else f"h{i}"]))
        if not is_last:
            last = f"r{i}"
            nodes.append(helper.make_node("Relu", [f"h{i}"], [last]))
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", sizes[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", sizes[-1]])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def bodies(folder: Path) -> tuple[Path, tuple[Path, tuple[str, ...]], tuple[Path, tuple[str, ...]]]:
    """Files with a body of JSON (one row), and of binary tensors (one row, and :data:`ROWS`) with their headers."""
    rows = np.random.default_rng(2).normal(size=(ROWS, FEATURES)).astype("<f4")
    one_row = [round(float(value), 6) for value in rows[0]]
    tensor = {"name": "x", "shape": [1, FEATURES], "datatype": "FP32", "data": one_row}
    path = folder / "json"
    path.write_text(json.dumps({"inputs": [tensor]}, separators=(",", ":")))
    return path, _binary(folder / "binary-1", rows[:1]), _binary(folder / "binary-many", rows)


def _binary(path: Path, rows: np.ndarray) -> tuple[Path, tuple[str, ...]]:
    tensor = {
        "name": "x",
        "shape": list(rows.shape),
        "datatype": "FP32",
        "parameters": {"binary_data_size": rows.nbytes},
    }
    request = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    head = json.dumps(request, separators=(",", ":")).encode()
    path.write_bytes(head + rows.tobytes())
    return path, (f"Inference-Header-Content-Length: {len(head)}", "Content-Type: application/octet-stream")
