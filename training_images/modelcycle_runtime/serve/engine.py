"""The model in the core, as the parts of Python see it that ask it something: load, smoke test."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import modelcycle_core as core
from modelcycle_runtime.errors import ModelUnusable
from modelcycle_runtime.model import Array, TensorSpec, model_file
from modelcycle_runtime.serve.providers import Provider

_DTYPES = {
    "BOOL": np.dtype("bool"),
    "UINT8": np.dtype("uint8"),
    "UINT16": np.dtype("uint16"),
    "UINT32": np.dtype("uint32"),
    "UINT64": np.dtype("uint64"),
    "INT8": np.dtype("int8"),
    "INT16": np.dtype("int16"),
    "INT32": np.dtype("int32"),
    "INT64": np.dtype("int64"),
    "FP16": np.dtype("float16"),
    "BF16": np.dtype("uint16"),  # numpy has no such floats: their bits
    "FP32": np.dtype("float32"),
    "FP64": np.dtype("float64"),
    "BYTES": np.dtype("object"),
}


class CoreModel:
    """A model that the core has loaded; ``inputs``, ``outputs`` and ``run`` are those of ``model.Model``."""

    def __init__(self, engine: core.Engine) -> None:
        self.engine = engine
        self.inputs = tuple(_spec(*one) for one in engine.inputs())
        self.outputs = tuple(_spec(*one) for one in engine.outputs())

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        """Answers, one array for each of ``outputs``."""
        return [_array(*answer) for answer in self.engine.run(self.tensors(feeds))]

    def tensors(self, feeds: Mapping[str, Array]) -> list[core.Tensor]:
        """The inputs as the core takes them."""
        return [_tensor(spec, feeds[spec.name]) for spec in self.inputs]


def load_model(folder: Path, threads: int, providers: Sequence[Provider] = ()) -> CoreModel:
    """Loads ``<folder>/model/*.onnx`` with ``threads`` threads for one answer, on ``providers`` as far as they go.

    Raises:
        ModelUnusable: there is no such file or more than one, a symbolic link, or ONNX Runtime refuses it.
    """
    path = model_file(folder / "model")
    told = [(provider.name, list(provider.options)) for provider in providers]
    try:
        return CoreModel(core.Engine(_library(), path, threads, told))
    except RuntimeError as error:
        raise ModelUnusable(f"{path}: ONNX Runtime can't load it: {error}") from error


def available_providers() -> list[str]:
    """Execution providers that ONNX Runtime was built with, by its names."""
    return core.available_providers(_library())


def _library() -> Path:
    """ONNX Runtime's library in the wheel. To import the package would load a second copy of it."""
    found = importlib.util.find_spec("onnxruntime")
    folders = found.submodule_search_locations if found else None
    libraries = [path for folder in folders or () for path in sorted(Path(folder, "capi").glob("libonnxruntime.so.*"))]
    if not libraries:
        raise ModelUnusable(f"{sys.executable} has no onnxruntime with capi/libonnxruntime.so: install onnxruntime")
    return libraries[0]


def _spec(name: str, datatype: str, sizes: Sequence[int | str | None]) -> TensorSpec:
    return TensorSpec(name, datatype, tuple(sizes), _DTYPES[datatype])


def _tensor(spec: TensorSpec, array: Array) -> core.Tensor:
    if spec.datatype == "BYTES":
        return spec.datatype, array.shape, [str(text).encode() for text in array.ravel()]
    return spec.datatype, array.shape, np.ascontiguousarray(array, dtype=spec.dtype).tobytes()


def _array(datatype: str, shape: Sequence[int], data: bytes | Sequence[bytes]) -> Array:
    if isinstance(data, bytes):
        return np.frombuffer(data, dtype=_DTYPES[datatype]).reshape(shape)
    return np.array([text.decode(errors="replace") for text in data], dtype=object).reshape(shape)
