"""The test before the first request: the version answers its own recorded rows as it did at training.

Without records it must answer a row of zeros by its signature, with finite numbers. It also warms the model up, so that
the first request does not wait for ONNX Runtime's first allocations.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from modelcycle_runtime.contract import ARTIFACT_SMOKE
from modelcycle_runtime.errors import SmokeFailed
from modelcycle_runtime.model import Array, TensorSpec
from modelcycle_runtime.serve.settings import Tolerance


class Answering(Protocol):
    """A loaded model, whoever has loaded it."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        """Answers, one array for each of ``outputs``."""
        ...


def check(model: Answering, folder: Path, tolerance: Tolerance) -> str:
    """Checks ``model`` against ``<folder>/modelcycle/smoke.npz``, or without it; says what was checked.

    Raises:
        SmokeFailed: with the output, row, both values and the tolerance.
    """
    path = folder / ARTIFACT_SMOKE
    if not path.exists():
        return _check_signature(model)
    inputs, outputs = _read(path, model)
    answers = dict(zip((spec.name for spec in model.outputs), _run(model, inputs), strict=True))
    for name, expected in outputs.items():
        _compare(name, answers[name], expected, tolerance)
    rows = len(next(iter(inputs.values())))
    return (
        f"{rows} recorded rows of {', '.join(outputs)} within {tolerance.absolute:g} + {tolerance.relative:g} |record|"
    )


def recorded_inputs(model: Answering, folder: Path) -> dict[str, Array] | None:
    """The inputs that were recorded at training, if there are any.

    Raises:
        SmokeFailed: they can't be read.
    """
    path = folder / ARTIFACT_SMOKE
    return _read(path, model)[0] if path.exists() else None


def _read(path: Path, model: Answering) -> tuple[dict[str, Array], dict[str, Array]]:
    try:
        with np.load(path, allow_pickle=False) as recorded:
            inputs = {spec.name: recorded[f"input_{spec.name}"].astype(spec.dtype) for spec in model.inputs}
            names = [spec.name for spec in model.outputs if f"output_{spec.name}" in recorded]
            outputs = {name: recorded[f"output_{name}"] for name in names}
    except (KeyError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise SmokeFailed(
            f"{path}: can't be read: {error}; it needs input_<name> for each input of the model"
        ) from error
    if not outputs:
        raise SmokeFailed(f"{path}: has no output_<name> of {', '.join(spec.name for spec in model.outputs)}")
    return inputs, outputs


def _run(model: Answering, inputs: Mapping[str, Array]) -> list[Array]:
    try:
        return model.run(inputs)
    except Exception as error:
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in inputs.items())
        raise SmokeFailed(f"the model can't answer {shapes}: {error}") from error


def _compare(name: str, got: Array, expected: Array, tolerance: Tolerance) -> None:
    if got.shape != expected.shape:
        raise SmokeFailed(f"output {name}: shape is {list(got.shape)}, recorded was {list(expected.shape)}")
    if expected.dtype.kind not in "iufb":
        wrong = got.astype(str) != expected.astype(str)
        _fail_at(name, wrong, got, expected, "equality")
        return
    got64, expected64 = got.astype(np.float64), expected.astype(np.float64)
    allowed = tolerance.absolute + tolerance.relative * np.abs(expected64)
    with np.errstate(invalid="ignore"):
        near = np.abs(got64 - expected64) <= allowed
    same = (got64 == expected64) | (np.isnan(got64) & np.isnan(expected64))
    _fail_at(name, ~(near | same), got, expected, f"{tolerance.absolute:g} + {tolerance.relative:g} |expected|")


def _fail_at(name: str, wrong: Array, got: Array, expected: Array, tolerance: str) -> None:
    if not wrong.any():
        return
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    row = place[0] if place else 0
    raise SmokeFailed(
        f"output {name}, row {row}: expected {expected[place]}, got {got[place]}, tolerance {tolerance}; "
        f"{int(wrong.sum())} of {wrong.size} values differ"
    )


def _check_signature(model: Answering) -> str:
    for spec, answer in zip(model.outputs, _run(model, _zeros(model)), strict=True):
        if answer.dtype != spec.dtype or not _fits(answer.shape, spec):
            raise SmokeFailed(f"output {spec.name}: got {answer.dtype} {list(answer.shape)}, the model says {spec}")
        if answer.dtype.kind == "f" and not np.isfinite(answer).all():
            raise SmokeFailed(f"output {spec.name}, row 0: got {answer.ravel()[:4]} for zeros, expected finite numbers")
    return "no recorded rows: signature and finiteness"


def _fits(shape: tuple[int, ...], spec: TensorSpec) -> bool:
    return len(shape) == len(spec.shape) and all(
        not isinstance(wanted, int) or size == wanted for size, wanted in zip(shape, spec.shape, strict=True)
    )


def _zeros(model: Answering) -> dict[str, Array]:
    return {spec.name: _zero(spec) for spec in model.inputs}


def _zero(spec: TensorSpec) -> Array:
    shape = [size if isinstance(size, int) else 1 for size in spec.shape]
    return np.full(shape, "", dtype=object) if spec.datatype == "BYTES" else np.zeros(shape, spec.dtype)
