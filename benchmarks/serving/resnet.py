"""ResNet-18 as an exporter writes it: batch normalisation is folded into the convolutions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

IMAGE = (3, 224, 224)
CLASSES = 1000
STAGES = (64, 128, 256, 512)
BLOCKS = 2


@dataclass
class _Graph:
    rng: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        name = f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def weight(self, *shape: int) -> str:
        """Of such a size that what goes through keeps its scale."""
        inputs = int(np.prod(shape[1:])) if shape[1:] else 100
        name = f"w{len(self.weights)}"
        values = self.rng.normal(0, np.sqrt(2 / inputs), shape).astype(np.float32)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def convolution(self, inside: str, sizes: tuple[int, int], kernel: int, stride: int) -> str:
        weights = [self.weight(sizes[1], sizes[0], kernel, kernel), self.weight(sizes[1])]
        attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4}
        return self.add("Conv", [inside, *weights], **attributes)

    def block(self, inside: str, sizes: tuple[int, int], stride: int) -> str:
        """Two convolutions, and the way around them."""
        inner = self.add("Relu", [self.convolution(inside, sizes, 3, stride)])
        outer = self.convolution(inner, (sizes[1], sizes[1]), 3, 1)
        around = inside if sizes[0] == sizes[1] else self.convolution(inside, sizes, 1, stride)
        return self.add("Relu", [self.add("Add", [outer, around])])


def resnet18(rng: np.random.Generator) -> onnx.ModelProto:
    """``image`` FP32 [n, 3, 224, 224] to ``scores`` FP32 [n, 1000], with weights by chance (11.7 million)."""
    graph = _Graph(rng)
    last = graph.add("Relu", [graph.convolution("image", (3, STAGES[0]), 7, 2)])
    last = graph.add("MaxPool", [last], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    width = STAGES[0]
    for wide in STAGES:
        for _ in range(BLOCKS):
            last = graph.block(last, (width, wide), 1 if width == wide else 2)
            width = wide
    last = graph.add("Flatten", [graph.add("GlobalAveragePool", [last])])
    weights = [graph.weight(CLASSES, width), graph.weight(CLASSES)]
    graph.nodes.append(helper.make_node("Gemm", [last, *weights], ["scores"], transB=1))
    proto = helper.make_graph(
        graph.nodes,
        "resnet18",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", *IMAGE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", CLASSES])],
        graph.weights,
    )
    return helper.make_model(proto, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
