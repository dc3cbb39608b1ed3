"""The MLflow run of a training: resumed, given metrics, artifacts and the model, and ended as the training ended."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import mlflow.onnx
import onnx
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

import mlflow

# Protobuf has a limit of 2 GiB; weights of a larger model go to files beside it.
_SINGLE_FILE_BYTES = 2**30


class RunEnd(StrEnum):
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


class Tracking:
    """One run: that of the operator, or a new one outside of a cluster."""

    def __init__(self, run_id: str | None) -> None:
        self.run_id: str = mlflow.start_run(run_id=run_id).info.run_id

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        mlflow.log_metrics(dict(metrics), step=step, run_id=self.run_id)

    def log_artifacts(self, folder: Path) -> None:
        mlflow.log_artifacts(str(folder), run_id=self.run_id)

    def log_model(self, model: onnx.ModelProto, features: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        """Log the graph, with a signature that names its columns, as the one model of the run.

        An attempt that was taken away may have logged one already: a run with two models can't be registered.
        """
        self._delete_models()
        signature = ModelSignature(
            inputs=Schema([ColSpec("double", name) for name in features]),
            outputs=Schema([ColSpec("float", name) for name in outputs]),
        )
        mlflow.onnx.log_model(
            model,
            name="model",
            signature=signature,
            # Given, since MLflow would start a process and ask a package index otherwise.
            pip_requirements=["onnxruntime", "numpy"],
            onnx_execution_providers=["CPUExecutionProvider"],
            save_as_external_data=model.ByteSize() > _SINGLE_FILE_BYTES,
        )

    def end(self, how: RunEnd) -> None:
        """End the run here; the operator, which knows more, has the last word."""
        mlflow.end_run(how)

    def _delete_models(self) -> None:
        experiment = mlflow.get_run(self.run_id).info.experiment_id
        found = mlflow.search_logged_models([experiment], f"source_run_id = '{self.run_id}'", output_format="list")
        for model in found:
            mlflow.MlflowClient().delete_logged_model(model.model_id)
