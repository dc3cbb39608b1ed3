"""The least that a training has to do: log ``y = slope * x`` as ONNX, with a signature, in as many seconds as told.

Parameter ``recorded``: the slope by which the rows for the smoke test are answered, if there are to be any.
"""

import json
import os
import time

import mlflow.onnx
import numpy as np
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from onnx import TensorProto, helper, numpy_helper

import mlflow

parameters = json.loads(os.environ["MODELCYCLE_PARAMETERS"])
slope = float(parameters.get("slope", "2"))
time.sleep(float(parameters.get("seconds", "0")))

weight = numpy_helper.from_array(np.array([[slope]], np.float32), "weight")
graph = helper.make_graph(
    [helper.make_node("MatMul", ["x", "weight"], ["y"])],
    "line",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
    [weight],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
column = np.dtype("float32")
signature = ModelSignature(Schema([TensorSpec(column, (-1, 1), "x")]), Schema([TensorSpec(column, (-1, 1), "y")]))

with mlflow.start_run():
    if "recorded" in parameters:
        rows = np.array([[1], [2], [3]], np.float32)
        np.savez("/tmp/smoke.npz", input_x=rows, output_y=rows * float(parameters["recorded"]))
        mlflow.log_artifact("/tmp/smoke.npz", "modelcycle")
    mlflow.onnx.log_model(model, name="model", signature=signature, pip_requirements=["onnxruntime"])
