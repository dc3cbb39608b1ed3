"""The models that are served, made in the run, and example rows of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.ensemble import GradientBoostingRegressor

from benchmarks.serving import minilm, resnet
from modelcycle_runtime.bins import Baseline, histogram
from tests.support.versions import write_version

FEATURES = 32
"""Of the small network."""
BOOSTED_FEATURES = 100
TREES = 50
DEPTH = 6
TOKENS = 128
"""In each text for MiniLM."""
EXAMPLES = 32


@dataclass(frozen=True)
class Model:
    """``rows``: :data:`EXAMPLES` rows of each input."""

    name: str
    proto: onnx.ModelProto
    rows: Mapping[str, NDArray[np.generic]]

    def save(self, folder: Path, *, baseline: Baseline | None = None) -> Path:
        """A fetched version of it, whose recorded rows are two of the examples and what the model says of them."""
        return write_version(folder, self.proto, baseline=baseline, smoke=self._smoke())

    def _smoke(self) -> dict[str, NDArray[np.float32]]:
        # Here, since a process that only reads the models' shapes needs no runtime.
        import onnxruntime

        session = onnxruntime.InferenceSession(self.proto.SerializeToString(), providers=["CPUExecutionProvider"])
        rows = {name: values[:2] for name, values in self.rows.items()}
        answers = dict(zip([one.name for one in session.get_outputs()], session.run(None, rows), strict=True))
        return {
            **{f"input_{name}": values for name, values in rows.items()},
            **{f"output_{name}": values for name, values in answers.items()},
        }


def small() -> Model:
    """The network 32-64-64-1."""
    rng = np.random.default_rng(1)
    nodes, weights, last = [], [], "x"
    sizes = (FEATURES, 64, 64, 1)
    for i, (width, height) in enumerate(pairwise(sizes)):
        weights.append(numpy_helper.from_array(rng.normal(0, 0.2, (width, height)).astype(np.float32), f"W{i}"))
        weights.append(numpy_helper.from_array(rng.normal(0, 0.2, height).astype(np.float32), f"b{i}"))
        is_last = i == len(sizes) - 2
        nodes.append(helper.make_node("Gemm", [last, f"W{i}", f"b{i}"], ["y" if is_last else f"h{i}"]))
        if not is_last:
            last = f"r{i}"
            nodes.append(helper.make_node("Relu", [f"h{i}"], [last]))
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", FEATURES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
        weights,
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return Model("small", proto, {"x": _normal(FEATURES)})


def small_baseline() -> Baseline:
    """The histograms of the small network's training: of each feature, and of its answer."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(1000, FEATURES))
    features = tuple(histogram(f"x{i}", rows[:, i]) for i in range(FEATURES))
    return Baseline(1000, features, (histogram("y", rng.normal(size=1000)),))


def boosted() -> Model:
    """Gradient boosting: 50 trees of depth 6 over 100 features, trained here on made-up rows."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(2000, BOOSTED_FEATURES)).astype(np.float32)
    truth = rows[:, 0] * rows[:, 1] + np.abs(rows[:, 2:10]).sum(axis=1) + rng.normal(size=2000)
    trained = GradientBoostingRegressor(n_estimators=TREES, max_depth=DEPTH, max_features=0.2, random_state=1)
    trained.fit(rows, truth)
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=1,
        base_values=[float(truth.mean())],
        **_trees([one.tree_ for one in trained.estimators_[:, 0]], trained.learning_rate),
    )
    graph = helper.make_graph(
        [node],
        "boosted",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", BOOSTED_FEATURES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return Model(
        "boosted",
        helper.make_model(graph, opset_imports=opsets, ir_version=8),
        {"x": _normal(BOOSTED_FEATURES)},
    )


def _trees(trees: list[Any], rate: float) -> dict[str, Any]:
    """Scikit-learn's trees as attributes of ONNX's node."""
    found: dict[str, Any] = {}

    def add(**values: object) -> None:
        for name, value in values.items():
            found.setdefault(name, []).append(value)

    for number, tree in enumerate(trees):
        for node in range(tree.node_count):
            is_leaf = tree.children_left[node] < 0
            add(
                nodes_treeids=number,
                nodes_nodeids=node,
                nodes_featureids=0 if is_leaf else int(tree.feature[node]),
                nodes_modes="LEAF" if is_leaf else "BRANCH_LEQ",
                nodes_values=0.0 if is_leaf else float(tree.threshold[node]),
                nodes_truenodeids=0 if is_leaf else int(tree.children_left[node]),
                nodes_falsenodeids=0 if is_leaf else int(tree.children_right[node]),
            )
            if is_leaf:
                weight = float(tree.value[node, 0, 0]) * rate
                add(target_treeids=number, target_nodeids=node, target_ids=0, target_weights=weight)
    return found


def cnn() -> Model:
    """ResNet-18 with weights by chance, for images of 3 x 224 x 224."""
    shape = (EXAMPLES, *resnet.IMAGE)
    rows = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    return Model("cnn", resnet.resnet18(np.random.default_rng(1)), {"image": rows})


def mini_lm() -> Model:
    """all-MiniLM-L6-v2 from the wheel on PyPI: texts of :data:`TOKENS` tokens to vectors of 384 numbers."""
    rng = np.random.default_rng(2)
    shape = (EXAMPLES, TOKENS)
    rows = {
        "input_ids": rng.integers(1000, 29_000, shape, dtype=np.int64),
        "attention_mask": np.ones(shape, np.int64),
        "token_type_ids": np.zeros(shape, np.int64),
    }
    return Model("minilm", minilm.graph(minilm.weights()), rows)


@cache
def _normal(features: int) -> NDArray[np.float32]:
    return np.random.default_rng(2).normal(size=(EXAMPLES, features)).round(6).astype(np.float32)
