"""What a version is judged by later: its baseline, recorded rows, and which data it saw."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from modelcycle_runtime import contract
from modelcycle_runtime.bins import Baseline, LossBaseline, histogram, write_baseline
from modelcycle_runtime.errors import NonFiniteLoss
from modelcycle_runtime.losses import LossName, built_in
from modelcycle_runtime.split import Split, dataset_record
from modelcycle_runtime.train.graph import names_of
from modelcycle_runtime.train.parity import Floats, Predict

SMOKE_ROWS = 32


@dataclass(frozen=True, slots=True)
class Judged:
    """A model with the data that it was trained on. ``pinball_quantile`` matters to the pinball loss alone."""

    model: onnx.ModelProto
    predict: Predict
    split: Split
    loss: LossName
    pinball_quantile: float = 0.5


def write_artifacts(folder: Path, judged: Judged) -> Baseline:
    """Write the files of ``modelcycle/`` below ``folder``, which gets that folder, and give the baseline.

    Raises:
        NonFiniteLoss: the mean loss on the training rows is NaN or infinite.
    """
    (folder / contract.ARTIFACT_BASELINE).parent.mkdir(parents=True)
    baseline = baseline_of(judged)
    write_baseline(folder / contract.ARTIFACT_BASELINE, baseline)
    _write_smoke(folder / contract.ARTIFACT_SMOKE, judged)
    (folder / contract.ARTIFACT_DATASET).write_text(json.dumps(dataset_record(judged.split), indent=1))
    np.save(folder / contract.ARTIFACT_ROWS, np.sort(judged.split.train.digests.astype(np.uint64)))
    return baseline


def baseline_of(judged: Judged) -> Baseline:
    """Histograms of the training rows and of the model's answers to them, and its mean loss there."""
    table = judged.split.train
    answers = judged.predict(table.features.astype(np.float32)).reshape(len(table), -1)
    features = (histogram(name, table.features[:, i]) for i, name in enumerate(table.feature_names))
    _, output = names_of(judged.model)
    return Baseline(
        rows=len(table),
        features=tuple(features),
        predictions=(histogram(output, answers),) if answers.shape[1] == 1 else (),
        loss=_mean_loss(judged, answers) if answers.shape[1] == 1 else None,
    )


def _mean_loss(judged: Judged, answers: Floats) -> LossBaseline | None:
    if judged.loss is LossName.MODEL:
        return None
    losses = built_in(judged.loss, judged.pinball_quantile)(judged.split.train.label, answers[:, 0])
    mean = float(losses.mean())
    if not np.isfinite(mean):
        raise NonFiniteLoss(f"the {judged.loss} loss of the trained model on its training rows is {mean}")
    return LossBaseline(judged.loss, mean, len(losses))


def _write_smoke(path: Path, judged: Judged) -> None:
    """Record rows, spread evenly over the training rows, with the graph's own answers."""
    table = judged.split.train
    places = np.linspace(0, len(table) - 1, min(len(table), SMOKE_ROWS)).astype(np.intp)
    rows = table.features[places].astype(np.float32)
    entered, answered = names_of(judged.model)
    arrays: dict[str, Any] = {f"input_{entered}": rows, f"output_{answered}": judged.predict(rows)}
    np.savez(path, **arrays)
