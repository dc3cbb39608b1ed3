"""``python -m e2e.scenarios.minilm URL NAME``: log the sentence transformer to MLflow, as who has a model already.

A process of its own, since MLflow's client keeps its settings for all of one.
"""

from __future__ import annotations

import sys

import mlflow.onnx
import numpy as np
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

import mlflow
from benchmarks.serving.minilm import WIDTH, graph, weights

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def main(url: str, name: str) -> None:
    entered = Schema([TensorSpec(np.dtype("int64"), (-1, -1), one) for one in INPUTS])
    answered = Schema([TensorSpec(np.dtype("float32"), (-1, WIDTH), "embedding")])
    mlflow.set_tracking_uri(url)
    with mlflow.start_run(experiment_id=mlflow.create_experiment(name)):
        mlflow.onnx.log_model(
            graph(weights()),
            name="model",
            signature=ModelSignature(entered, answered),
            registered_model_name=name,
            pip_requirements=["onnxruntime"],
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
