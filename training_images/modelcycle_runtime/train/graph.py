"""ONNX graphs: made from torch by a named exporter and opset, and run."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import onnx
import onnxruntime

from modelcycle_runtime.errors import UserError
from modelcycle_runtime.train.parity import Floats, Predict

OPSET = 18
INPUT, OUTPUT = "features", "prediction"


class TorchModule(Protocol):
    """What is used of a ``torch.nn.Module``. torch itself is imported where it is needed: not every training has it."""

    def cpu(self) -> TorchModule: ...
    def eval(self) -> TorchModule: ...
    def __call__(self, features: Any) -> Any: ...  # noqa: ANN401  (tensors)


def export_torch(model: TorchModule, example: Floats) -> onnx.ModelProto:
    """Export a torch module that takes features [n, k] and gives predictions [n] or [n, 1], for any number of rows.

    By torch.export and onnxscript (``dynamo=True``). Where that fails torch falls back on tracing, which freezes what
    the example made of branches and sizes, so that an export is worth nothing before it is compared.

    Raises:
        UserError: torch can't export the module.
    """
    import torch

    # Below another module, parameters get a dot in their names: torch 2.6 calls a result of torch.mean "mean", and a
    # parameter of that name would clash with it.
    wrapped = torch.nn.Sequential(model.cpu())
    tensor = torch.from_numpy(np.ascontiguousarray(example, dtype=np.float32))
    rows = torch.export.Dim("rows", min=1)
    try:
        program = torch.onnx.export(
            wrapped,
            (tensor,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: rows},),
            verbose=False,
        )
    except Exception as error:
        raise UserError(f"torch can't export the model to ONNX (dynamo, opset {OPSET}): {error}") from error
    graph: onnx.ModelProto = program.model_proto
    return graph


def predict_torch(model: TorchModule) -> Predict:
    """Answers of a torch module on the CPU, without gradients."""
    import torch

    def run(features: Floats) -> Floats:
        with torch.no_grad():
            return np.asarray(model(torch.from_numpy(np.ascontiguousarray(features, dtype=np.float32))).numpy())

    return run


def predict_onnx(model: onnx.ModelProto) -> Predict:
    """Answers of a graph by ONNX Runtime on the CPU.

    Raises:
        UserError: ONNX Runtime can't load it, or it has not one input [n, k] and one output.
    """
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise UserError(f"ONNX Runtime can't load the exported model: {error}") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0].shape) != 2 or inputs[0].type != "tensor(float)":
        found = [(one.name, one.type, one.shape) for one in (*inputs, *outputs)]
        raise UserError(f"the model must have one float input [n, k] and one output; it has {found}")

    def run(features: Floats) -> Floats:
        try:
            (answer,) = session.run(None, {inputs[0].name: np.asarray(features, dtype=np.float32)})
        except Exception as error:
            raise UserError(f"ONNX export differs: the graph can't answer {len(features)} rows: {error}") from error
        return np.asarray(answer)

    return run


def names_of(model: onnx.ModelProto) -> tuple[str, str]:
    """Name of the one input and of the one output."""
    return model.graph.input[0].name, model.graph.output[0].name
