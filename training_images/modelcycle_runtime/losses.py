"""Losses of a prediction against its label, row by row.

A loss may be negative (``loss.onnx``), and NaN or infinite where it is not defined: the caller counts such rows
apart and never adds them up.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modelcycle_runtime.errors import ModelUnusable

if TYPE_CHECKING:
    import onnxruntime

Floats = NDArray[np.float64]
Loss = Callable[[ArrayLike, ArrayLike], Floats]
"""Takes labels and predictions, each [n], and gives the losses [n]."""


class LossName(StrEnum):
    SQUARED = "Squared"
    ABSOLUTE = "Absolute"
    LOG = "Log"
    PINBALL = "Pinball"
    QLIKE = "Qlike"
    MODEL = "Model"


def squared(label: ArrayLike, prediction: ArrayLike) -> Floats:
    difference = _floats(label) - _floats(prediction)
    return difference * difference


def absolute(label: ArrayLike, prediction: ArrayLike) -> Floats:
    return np.abs(_floats(label) - _floats(prediction))


def log(label: ArrayLike, prediction: ArrayLike) -> Floats:
    """Cross-entropy of a label in [0, 1] against a predicted probability; NaN outside of [0, 1]."""
    y, p = _floats(label), _floats(prediction)
    terms = _times(y, np.log(p)) + _times(1 - y, np.log1p(-p))
    return np.where((y >= 0) & (y <= 1), -terms, np.nan)


def _times(weight: Floats, logarithm: Floats) -> Floats:
    return np.where((weight == 0) & ~np.isnan(logarithm), 0.0, weight * logarithm)


def pinball(label: ArrayLike, prediction: ArrayLike, quantile: float) -> Floats:
    """Loss of a predicted quantile (Koenker and Bassett, 1978): ``max(q e, (q - 1) e)``, ``e = label - prediction``."""
    error = _floats(label) - _floats(prediction)
    return np.maximum(quantile * error, (quantile - 1) * error)


def qlike(label: ArrayLike, prediction: ArrayLike) -> Floats:
    """Loss of a predicted variance (Patton, 2011): ``r - ln r - 1`` with ``r = label / prediction``, 0 at its minimum.

    NaN unless the prediction is above 0; infinite for a label of 0.
    """
    y, p = _floats(label), _floats(prediction)
    ratio = y / np.where(p > 0, p, np.nan)
    return ratio - np.log(ratio) - 1


def built_in(name: LossName, pinball_quantile: float = 0.5) -> Loss:
    """The loss of that name; silent about what is not finite.

    Raises:
        KeyError: ``Model`` is not built in, see :func:`load_loss`.
    """
    losses: dict[LossName, Loss] = {
        LossName.SQUARED: squared,
        LossName.ABSOLUTE: absolute,
        LossName.LOG: log,
        LossName.PINBALL: partial(pinball, quantile=pinball_quantile),
        LossName.QLIKE: qlike,
    }
    loss = losses[name]

    def quiet(label: ArrayLike, prediction: ArrayLike) -> Floats:
        with np.errstate(all="ignore"):
            return loss(label, prediction)

    return quiet


def load_loss(path: Path) -> Loss:
    """The loss of a version's ``loss.onnx``: inputs ``label`` and ``prediction`` (float32 [n]), output ``loss`` [n].

    Raises:
        ModelUnusable: the file can't be loaded, or has other inputs and outputs.
    """
    session = _session(path)

    def run(label: ArrayLike, prediction: ArrayLike) -> Floats:
        feeds = {"label": _floats(label).astype(np.float32), "prediction": _floats(prediction).astype(np.float32)}
        return np.asarray(session.run(["loss"], feeds)[0], dtype=np.float64).reshape(-1)

    return run


def _session(path: Path) -> onnxruntime.InferenceSession:
    import onnxruntime  # 100 ms that a built-in loss need not wait for

    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelUnusable(f"{path}: ONNX Runtime can't load it: {error}") from error
    inputs = {one.name: one.type for one in session.get_inputs()}
    outputs = [one.name for one in session.get_outputs()]
    if inputs != {"label": "tensor(float)", "prediction": "tensor(float)"} or outputs != ["loss"]:
        raise ModelUnusable(
            f"{path}: needs float inputs label and prediction and one output loss; has {inputs} and {outputs}"
        )
    return session


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)
