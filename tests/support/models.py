"""What a training container would log: small ONNX models with a signature, and artifacts beside them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BASELINE: Mapping[str, Any] = {
    "version": 1,
    "rows": 100,
    "features": [{"name": "x0", "edges": [-1.0, 0.0, 1.0], "counts": [10, 40, 40, 10, 0]}],
    "predictions": [{"name": "y", "edges": [0.0], "counts": [50, 50, 0]}],
    "loss": {"name": "Squared", "mean": 1.25, "rows": 100},
}


def linear_model(weights: tuple[float, ...] = (1.0, -2.0), bias: float = 0.5) -> onnx.ModelProto:
    """``y = x W + b`` for float32 rows ``x`` [n, k]; ``y`` is [n, 1]."""
    weight = np.array(weights, dtype=np.float32).reshape(-1, 1)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "W"], ["xW"]), helper.make_node("Add", ["xW", "b"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", len(weights)])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
        [numpy_helper.from_array(weight, "W"), numpy_helper.from_array(np.array([bias], np.float32), "b")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def loss_model(prediction: str = "prediction") -> onnx.ModelProto:
    """``loss = label - prediction``, by which name the latter goes."""
    names = ("label", prediction)
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in names]
    output = helper.make_tensor_value_info("loss", TensorProto.FLOAT, ["n"])
    graph = helper.make_graph([helper.make_node("Sub", list(names), ["loss"])], "loss", inputs, [output])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@contextmanager
def resumed_run(url: str, run_id: str) -> Iterator[Any]:
    """``mlflow`` inside of a run that exists, as in a pod; the run is ended as FINISHED, as ``start_run()`` does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the libraries' own deprecations
        import mlflow

        mlflow.set_tracking_uri(url)
        with mlflow.start_run(run_id=run_id):
            yield mlflow


def log_onnx(
    url: str,
    run_id: str,
    *,
    name: str = "model",
    weights: tuple[float, ...] = (1.0, -2.0),
    signed: bool = True,
    artifacts: Mapping[str, Any] | None = None,
) -> str:
    """Log an ONNX model and JSON artifacts below ``modelcycle/`` to the run; gives the logged model's id."""
    with resumed_run(url, run_id) as mlflow:
        logged = mlflow.onnx.log_model(
            linear_model(weights),
            name=name,
            signature=signature(weights) if signed else None,
            pip_requirements=["onnx", "onnxruntime"],  # to find them out by itself takes MLflow seconds
        )
        for path, content in (artifacts or {}).items():
            mlflow.log_dict(content, f"modelcycle/{path}")
    return str(logged.model_id)


def log_pickle(url: str, run_id: str) -> None:
    """Log a model that only unpickling can bring back."""
    with resumed_run(url, run_id) as mlflow:
        from sklearn.linear_model import LinearRegression

        model = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
        mlflow.sklearn.log_model(
            model, name="pickled", serialization_format="pickle", pip_requirements=["scikit-learn"]
        )


def signature(weights: tuple[float, ...]) -> Any:
    """The signature of ``linear_model(weights)``."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    number = np.dtype("float32")
    inputs = Schema([TensorSpec(number, (-1, len(weights)), "x")])
    return ModelSignature(inputs, Schema([TensorSpec(number, (-1, 1), "y")]))
