"""An ONNX model from the folder of a fetched version, run by ONNX Runtime: what serving and gate share.

The folder holds ``model/`` (MLflow's ONNX flavour) and, optionally, ``modelcycle/``. Nothing in it is unpickled or
executed. ONNX Runtime itself refuses external data outside of the model's folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelcycle_runtime.contract import ARTIFACT_DATASET
from modelcycle_runtime.errors import DataError, ModelUnusable

if TYPE_CHECKING:
    import onnxruntime

Array = NDArray[Any]
Dimensions = tuple[int | str | None, ...]
"""Sizes of a tensor: a number, the name of a size that may vary, or None."""

_TYPES: dict[str, tuple[str, str]] = {
    "tensor(bool)": ("BOOL", "bool"),
    "tensor(uint8)": ("UINT8", "uint8"),
    "tensor(uint16)": ("UINT16", "uint16"),
    "tensor(uint32)": ("UINT32", "uint32"),
    "tensor(uint64)": ("UINT64", "uint64"),
    "tensor(int8)": ("INT8", "int8"),
    "tensor(int16)": ("INT16", "int16"),
    "tensor(int32)": ("INT32", "int32"),
    "tensor(int64)": ("INT64", "int64"),
    "tensor(float16)": ("FP16", "float16"),
    "tensor(float)": ("FP32", "float32"),
    "tensor(double)": ("FP64", "float64"),
    "tensor(string)": ("BYTES", "object"),
}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output; ``datatype`` as the Open Inference Protocol calls it."""

    name: str
    datatype: str
    shape: Dimensions
    dtype: np.dtype[Any]

    @property
    def is_number(self) -> bool:
        return self.datatype not in {"BOOL", "BYTES"}

    def __str__(self) -> str:
        sizes = ", ".join("?" if not isinstance(size, int) else str(size) for size in self.shape)
        return f"{self.name}: {self.datatype} [{sizes}]"


class Model:
    """A loaded model. :meth:`run` may be called from several threads at once."""

    def __init__(self, session: onnxruntime.InferenceSession, where: Path) -> None:
        self.inputs = tuple(_spec(one, where) for one in session.get_inputs())
        self.outputs = tuple(_spec(one, where) for one in session.get_outputs())
        self._names = [output.name for output in self.outputs]
        self._session = session

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        """Answers, one array for each of ``outputs``."""
        return [np.asarray(answer) for answer in self._session.run(self._names, feeds)]

    def signature(self) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """Inputs and outputs with every varying size as None, so that two models can be compared."""
        return tuple(map(_anonymous, self.inputs)), tuple(map(_anonymous, self.outputs))


def load_model(folder: Path, threads: int = 1) -> Model:
    """Loads ``<folder>/model/*.onnx`` with ``threads`` threads for one answer.

    Raises:
        ModelUnusable: there is no such file or more than one, a symbolic link, or ONNX Runtime refuses it.
    """
    import onnxruntime  # the server has it loaded by the core, and takes only the types here

    path = model_file(folder / "model")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # A thread that spins for the next request takes the CPU time of a pod that has a limit.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelUnusable(f"{path}: ONNX Runtime can't load it: {error}") from error
    return Model(session, path)


def model_file(folder: Path) -> Path:
    """The model in ``folder``.

    Raises:
        ModelUnusable: there is no such file or more than one, or a symbolic link.
    """
    if not folder.is_dir():
        raise ModelUnusable(f"{folder} does not exist: the version's files are not there")
    links = [path for path in _walk(folder) if path.is_symlink()]
    if links:
        raise ModelUnusable(f"{links[0]} is a symbolic link; a version's files must be files")
    found = sorted(folder.glob("*.onnx"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ModelUnusable(
            f"{folder} must hold one .onnx file, holds {names}; log the model with MLflow's ONNX flavour"
        )
    return found[0]


def recorded_columns(folder: Path) -> tuple[str, ...] | None:
    """The features that the version in ``folder`` was trained on, in the order of its input; None when nobody said.

    Raises:
        DataError: ``modelcycle/dataset.json`` is there and has none.
    """
    path = folder / ARTIFACT_DATASET
    if not path.exists():
        return None
    try:
        return tuple(str(name) for name in json.loads(path.read_bytes())["columns"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: has no columns: {type(error).__name__} {error}") from error


def _walk(folder: Path) -> Iterable[Path]:
    if folder.is_symlink():
        yield folder
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, name) for name in (*folders, *files))


def _spec(argument: onnxruntime.NodeArg, where: Path) -> TensorSpec:
    if argument.type not in _TYPES:
        raise ModelUnusable(
            f"{where}: {argument.name} is a {argument.type}, which can't be served; export it as tensors "
            "(for scikit-learn: zipmap=False)"
        )
    datatype, dtype = _TYPES[argument.type]
    shape = tuple(size if isinstance(size, int) and size >= 0 else _symbol(size) for size in argument.shape)
    return TensorSpec(argument.name, datatype, shape, np.dtype(dtype))


def _symbol(size: object) -> str | None:
    return size if isinstance(size, str) and size else None


def _anonymous(spec: TensorSpec) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) else None for size in spec.shape)
    return TensorSpec(spec.name, spec.datatype, shape, spec.dtype)


def feature_columns(model: Model, feeds: Mapping[str, Array]) -> NDArray[np.float64]:
    """The numbers of ``feeds`` as [rows, columns]: inputs in the model's order, each [n], [n, 1] or [n, k]."""
    numbers = [feeds[spec.name] for spec in model.inputs if spec.is_number]
    rows = len(numbers[0]) if numbers else 0
    columns = [np.asarray(array, dtype=np.float64).reshape(rows, -1) for array in numbers if len(array) == rows]
    return np.concatenate(columns, axis=1) if columns else np.empty((0, 0))


def one_number_a_row(answers: Sequence[Array], rows: int) -> NDArray[np.float64] | None:
    """The predictions [rows] of a model with one output of one number a row, else None."""
    if len(answers) != 1 or answers[0].dtype.kind not in "iuf" or not answers[0].ndim:
        return None
    answer = answers[0]
    return answer.reshape(rows).astype(np.float64) if len(answer) == rows == answer.size else None
