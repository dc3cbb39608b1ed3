"""Folders of fetched model versions, as the init container leaves them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from modelcycle_runtime.bins import Baseline, histogram, write_baseline
from tests.support.models import linear_model

WEIGHTS = (1.0, -2.0)


def write_version(
    folder: Path,
    model: onnx.ModelProto | None = None,
    *,
    baseline: Baseline | None = None,
    smoke: Mapping[str, NDArray[np.float32]] | None = None,
    columns: Sequence[str] | None = None,
    trained_on: NDArray[np.uint64] | None = None,
) -> Path:
    """A version of ``y = x0 - 2 x1 + 0.5`` unless another ``model`` is given; gives ``folder``."""
    (folder / "model").mkdir(parents=True, exist_ok=True)
    (folder / "modelcycle").mkdir(exist_ok=True)
    onnx.save(model or linear_model(WEIGHTS), str(folder / "model" / "model.onnx"))
    if baseline is not None:
        write_baseline(folder / "modelcycle" / "baseline.json", baseline)
    if smoke is not None:
        np.savez(folder / "modelcycle" / "smoke.npz", **smoke)  # type: ignore[arg-type]
    if columns is not None:
        (folder / "modelcycle" / "dataset.json").write_text(json.dumps({"version": 1, "columns": list(columns)}))
    if trained_on is not None:
        np.save(folder / "modelcycle" / "rows.npy", trained_on)
    return folder


def linear_baseline() -> Baseline:
    """Of the linear model on 100 rows of two features, the second of which was null once."""
    features = np.random.default_rng(7).normal(size=(100, 2))
    predictions = features @ WEIGHTS + 0.5
    features[0, 1] = np.nan
    return Baseline(
        rows=100,
        features=tuple(histogram(name, features[:, i]) for i, name in enumerate(("a", "b"))),
        predictions=(histogram("y", predictions),),
    )


def linear_smoke(answer: float = -0.5) -> dict[str, NDArray[np.float32]]:
    """Two recorded rows of the linear model; the second has ``answer``."""
    return {"input_x": np.array([[0, 0], [1, 1]], np.float32), "output_y": np.array([[0.5], [answer]], np.float32)}
