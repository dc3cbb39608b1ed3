"""Saves an ONNX model as MLflow's own flavour.

mlflow_save.py MODEL FOLDER
"""

from __future__ import annotations

import sys

import onnx

import mlflow

if __name__ == "__main__":
    path, folder = sys.argv[1:]
    options = {"intra_op_num_threads": 1, "inter_op_num_threads": 1, "execution_mode": "sequential"}
    mlflow.onnx.save_model(
        onnx.load(path), folder, onnx_execution_providers=["CPUExecutionProvider"], onnx_session_options=options
    )
