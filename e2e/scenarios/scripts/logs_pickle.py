"""Logs a model that only unpickling can bring back."""

import mlflow.pyfunc

import mlflow


def same(model_input: list[str]) -> list[str]:
    return model_input


with mlflow.start_run():
    mlflow.pyfunc.log_model(name="model", python_model=same, input_example=["a"], pip_requirements=["numpy"])
