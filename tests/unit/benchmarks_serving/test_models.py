"""The models that servers are measured with are what they are called."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingRegressor

from benchmarks.serving import minilm, models
from benchmarks.serving.resnet import resnet18


def _answers(model: models.Model, rows: int = 2) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.proto.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, {name: values[:rows] for name, values in model.rows.items()})
    return np.asarray(found[0])


def test_the_trees_answer_what_scikit_learn_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    original = GradientBoostingRegressor.fit

    def fit(self: GradientBoostingRegressor, *data: object) -> GradientBoostingRegressor:
        kept.append(self)
        return original(self, *data)

    monkeypatch.setattr(models, "TREES", 3)
    monkeypatch.setattr(GradientBoostingRegressor, "fit", fit)
    made = models.boosted()
    assert _answers(made, 32)[:, 0] == pytest.approx(kept[0].predict(made.rows["x"]), rel=1e-4)


def test_the_network_is_the_same_in_each_run() -> None:
    first, second = models.small(), models.small()
    assert first.proto.SerializeToString() == second.proto.SerializeToString()
    assert _answers(first).shape == (2, 1)


def test_resnet18_has_its_11_7_million_weights() -> None:
    made = resnet18(np.random.default_rng(1))
    count = sum(int(np.prod(one.dims)) for one in made.graph.initializer)
    assert count == pytest.approx(11.7e6, rel=0.01)
    image = np.random.default_rng(2).normal(size=(2, 3, 224, 224)).astype(np.float32)
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"image": image})
    assert scores.shape == (2, 1000)
    assert np.isfinite(scores).all()


def test_minilm_reads_no_padding_and_answers_vectors_of_length_1() -> None:
    rng = np.random.default_rng(1)
    width, inner = minilm.WIDTH, 8
    shapes = {"embeddings.word_embeddings": (50, width), "embeddings.position_embeddings": (16, width)}
    shapes |= {"embeddings.token_type_embeddings": (2, width)}
    for i in range(minilm.LAYERS):
        name = f"encoder.layer.{i}"
        shapes |= {f"{name}.attention.self.{part}": (width, width) for part in ("query", "key", "value")}
        shapes |= {f"{name}.attention.output.dense": (width, width)}
        shapes |= {f"{name}.intermediate.dense": (inner, width), f"{name}.output.dense": (width, inner)}
    weights = {f"{name}.weight": rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}
    weights |= {
        f"{name}.bias": np.zeros(shape[0], np.float32)
        for name, shape in shapes.items()
        if "dense" in name or "self" in name
    }
    norms = ["embeddings.LayerNorm"]
    for i in range(minilm.LAYERS):
        norms += [f"encoder.layer.{i}.attention.output.LayerNorm", f"encoder.layer.{i}.output.LayerNorm"]
    weights |= {f"{name}.weight": np.ones(width, np.float32) for name in norms}
    weights |= {f"{name}.bias": np.zeros(width, np.float32) for name in norms}

    session = onnxruntime.InferenceSession(
        minilm.graph(weights).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    ids = np.array([[5, 6, 7, 0, 0]])
    mask = np.array([[1, 1, 1, 0, 0]])

    def embedding(length: int) -> NDArray[np.float32]:
        rows = {"input_ids": ids[:, :length], "attention_mask": mask[:, :length]}
        return np.asarray(session.run(None, {**rows, "token_type_ids": np.zeros((1, length), np.int64)})[0])

    assert np.linalg.norm(embedding(3)) == pytest.approx(1, rel=1e-5)
    assert embedding(5) == pytest.approx(embedding(3), abs=1e-5)
