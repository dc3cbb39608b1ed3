"""Small ONNX models of every datatype, with several inputs, and of sizes that vary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ONNX_TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "BF16": TensorProto.BFLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}


def mirror(datatypes: Sequence[str]) -> onnx.ModelProto:
    """Gives back each input ``in_<datatype>`` [n, m] as ``out_<datatype>``."""
    names = [name.lower() for name in datatypes]
    sizes = ["n", "m"]
    types = [ONNX_TYPES[name] for name in datatypes]
    return _model(
        [helper.make_node("Identity", [f"in_{name}"], [f"out_{name}"]) for name in names],
        [helper.make_tensor_value_info(f"in_{n}", t, sizes) for n, t in zip(names, types, strict=True)],
        [helper.make_tensor_value_info(f"out_{n}", t, sizes) for n, t in zip(names, types, strict=True)],
    )


def mixing() -> onnx.ModelProto:
    """``y = x - mean over the rows of x``: what a row gets depends on the others of its request."""
    return _model(
        [
            helper.make_node("ReduceMean", ["x"], ["m"], axes=[0], keepdims=1),
            helper.make_node("Sub", ["x", "m"], ["y"]),
        ],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
    )


def slow(size: int = 700) -> onnx.ModelProto:
    """``y = x ** 9`` [1, 1], by a tenth of a second of products of matrices; not for several rows."""
    shape = numpy_helper.from_array(np.array([size, size], np.int64), "shape")
    scale = numpy_helper.from_array(np.array(1 / size, np.float32), "scale")
    steps = [helper.make_node("Expand", ["x", "shape"], ["p0"])]
    for i in range(8):
        steps.append(helper.make_node("MatMul", [f"p{i}", "p0"], [f"q{i}"]))
        steps.append(helper.make_node("Mul", [f"q{i}", "scale"], [f"p{i + 1}"]))
    steps.append(helper.make_node("ReduceMean", ["p8"], ["y"], keepdims=1))
    return _model(
        steps,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])],
        [shape, scale],
    )


def grown() -> onnx.ModelProto:
    """``y`` [?] is as many zeros as ``n`` [1] says: a model that takes what memory it is asked to."""
    return _model(
        [helper.make_node("ConstantOfShape", ["n"], ["y"])],
        [helper.make_tensor_value_info("n", TensorProto.INT64, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["m"])],
    )


def picking() -> onnx.ModelProto:
    """``y`` [n] is what a table of three has at the places ``i`` [n]; no other places are there."""
    return _model(
        [helper.make_node("Gather", ["table", "i"], ["y"])],
        [helper.make_tensor_value_info("i", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
        [numpy_helper.from_array(np.array([10, 20, 30], np.float32), "table")],
    )


def dividing() -> onnx.ModelProto:
    """``y = a / (b + 1)`` [n] of whole numbers, as the processor does it: the least one by -1 is a signal."""
    names = ("a", "b", "y")
    infos = [helper.make_tensor_value_info(name, TensorProto.INT32, ["n"]) for name in names]
    nodes = [helper.make_node("Add", ["b", "one"], ["c"]), helper.make_node("Div", ["a", "c"], ["y"])]
    return _model(nodes, infos[:2], infos[2:], [numpy_helper.from_array(np.array([1], np.int32), "one")])


def _model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Sequence[onnx.TensorProto] = (),
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "small", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
