"""Trains a volatility model with plain torch and MLflow: nothing of modelcycle's is imported.

The contract is small: resume the run of MLFLOW_RUN_ID, use nothing that became known after MODELCYCLE_AS_OF, leave the
rows of MODELCYCLE_HOLDOUT to the gate, and log one ONNX model with a signature.
"""

from __future__ import annotations

import json
import os

import mlflow.onnx
import pandas as pd
import torch
from mlflow.models import infer_signature
from torch import Tensor, nn

import mlflow

FEATURES = ["day", "week", "month"]


class Volatility(nn.Module):
    """Tomorrow's variance from today's, the week's and the month's (Corsi, 2009), in logarithms: it is above zero."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(len(FEATURES), 1)

    def forward(self, features: Tensor) -> Tensor:
        return torch.exp(self.line(torch.log(features.clamp_min(1e-6))))


def allowed_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Rows that were known at asOf, without the latest, which the gate judges on."""
    as_of = os.environ.get("MODELCYCLE_AS_OF")
    known = table if as_of is None else table[pd.to_datetime(table["known"]) <= pd.Timestamp(as_of)]
    holdout = json.loads(os.environ.get("MODELCYCLE_HOLDOUT", "{}"))
    return known.iloc[: len(known) - holdout.get("rows", 0)].tail(1000)


def fit(features: Tensor, label: Tensor) -> Volatility:
    """Least qlike: ratio - log(ratio) - 1 of what came to what was predicted."""
    model = Volatility()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=200)

    def closure() -> Tensor:
        optimizer.zero_grad()
        ratio = label / model(features)
        loss = (ratio - torch.log(ratio) - 1).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    return model.eval()


def main() -> None:
    torch.manual_seed(int(os.environ.get("MODELCYCLE_SEED", "0")))
    rows = allowed_rows(pd.read_csv("/data/volatility.csv"))
    features = torch.tensor(rows[FEATURES].to_numpy(), dtype=torch.float32)
    label = torch.tensor(rows[["variance"]].to_numpy(), dtype=torch.float32)
    model = fit(features, label)
    any_number = torch.export.Dim("rows")
    exported = torch.onnx.export(
        model, (features,), dynamo=True, input_names=["features"], output_names=["variance"],
        dynamic_shapes=({0: any_number},),
    )  # fmt: skip
    answers = pd.DataFrame(model(features).detach().numpy(), columns=["variance"])
    with mlflow.start_run():
        mlflow.log_metric("rows", len(rows))
        mlflow.onnx.log_model(
            exported.model_proto,
            name="model",
            signature=infer_signature(rows[FEATURES], answers),
            pip_requirements=["onnxruntime", "numpy"],
        )


if __name__ == "__main__":
    main()
