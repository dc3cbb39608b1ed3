"""Tensors of the Open Inference Protocol v2 as JSON: checked on the way in, made on the way out.

Every error is a :class:`BadRequest` that names the input and the field.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modelcycle_runtime.model import Array, TensorSpec
from modelcycle_runtime.serve.errors import BadRequest

_MAX_RANK = 16
_WHOLE = ("whole numbers", {int})
_ALLOWED: dict[str, tuple[str, set[type]]] = {
    "f": ("numbers or null", {int, float, type(None)}),
    "b": ("true or false", {bool}),
    "O": ("texts", {str}),
}


def decode_inputs(specs: Sequence[TensorSpec], sent: Any) -> dict[str, Array]:  # noqa: ANN401
    """One array for each of ``specs`` from the request's ``inputs``."""
    if not isinstance(sent, list) or not all(isinstance(one, dict) for one in sent):
        raise BadRequest("inputs: must be a list of tensors")
    names = [one.get("name") for one in sent]
    expected = [spec.name for spec in specs]
    for i, name in enumerate(names):
        if name not in expected:
            raise BadRequest(f"inputs[{i}].name: {_shown(name)} is no input of the model; it has {', '.join(expected)}")
        if name in names[:i]:
            raise BadRequest(f"inputs[{i}].name: {_shown(name)} is there twice")
    missing = [name for name in expected if name not in names]
    if missing:
        raise BadRequest(f"inputs: {', '.join(missing)} is missing")
    by_name = {one["name"]: (i, one) for i, one in enumerate(sent)}
    arrays = {spec.name: _decode(spec, *by_name[spec.name]) for spec in specs}
    _check_symbols(specs, arrays)
    return arrays


def _decode(spec: TensorSpec, place: int, sent: Mapping[str, Any]) -> Array:
    where = f"inputs[{place}] ({spec.name})"
    if sent.get("datatype") != spec.datatype:
        raise BadRequest(f"{where}.datatype: must be {spec.datatype}, is {_shown(sent.get('datatype'))}")
    shape = _shape(where, spec, sent.get("shape"))
    if not isinstance(sent.get("data"), list):
        raise BadRequest(f"{where}.data: must be a list")
    array = _values(where, spec, sent["data"])
    if array.size != math.prod(shape):
        raise BadRequest(f"{where}.data: has {array.size} values, shape {shape} needs {math.prod(shape)}")
    if array.ndim != 1 and array.shape != tuple(shape):
        raise BadRequest(f"{where}.data: is nested as {list(array.shape)}, shape is {shape}")
    return array.reshape(shape)


def _shape(where: str, spec: TensorSpec, sent: Any) -> list[int]:  # noqa: ANN401
    if not isinstance(sent, list) or len(sent) > _MAX_RANK or not all(type(size) is int for size in sent):
        raise BadRequest(f"{where}.shape: must be a list of at most {_MAX_RANK} whole numbers")
    fits = len(sent) == len(spec.shape) and all(
        size == wanted if isinstance(wanted, int) else size >= 1 for size, wanted in zip(sent, spec.shape, strict=True)
    )
    if not fits:
        raise BadRequest(f"{where}.shape: is {_shown(sent)}, the model takes {spec}, varying sizes from 1")
    return sent


def _values(where: str, spec: TensorSpec, data: list[Any]) -> Array:
    # The types are looked at first: numpy would read the text "1" as a number, true as 1, cut 1.5 to 1, and make of one
    # long text among many numbers an array of that text's length for each.
    said, allowed = _ALLOWED.get(spec.dtype.kind, _WHOLE)
    if not _leaf_types(where, data) <= allowed:
        raise BadRequest(f"{where}.data: must be {said}")
    try:
        with np.errstate(over="ignore"):
            array = np.array(data, dtype=spec.dtype)
    except OverflowError as error:
        raise BadRequest(f"{where}.data: a value is out of the range of {spec.datatype}") from error
    except ValueError as error:
        raise BadRequest(f"{where}.data: is nested unevenly") from error
    if spec.dtype.kind == "f" and np.isinf(array).any():
        raise BadRequest(f"{where}.data: a value is out of the range of {spec.datatype}")
    return array


def _leaf_types(where: str, data: list[Any], depth: int = 0) -> set[type]:
    if depth == _MAX_RANK:
        raise BadRequest(f"{where}.data: is nested deeper than {_MAX_RANK}")
    types = set(map(type, data))
    if list in types:
        types.discard(list)
        types.update(*(_leaf_types(where, one, depth + 1) for one in data if type(one) is list))
    return types


def _check_symbols(specs: Sequence[TensorSpec], arrays: Mapping[str, Array]) -> None:
    """Sizes of the same name are the same."""
    seen: dict[str, tuple[int, str]] = {}
    for spec in specs:
        for wanted, size in zip(spec.shape, arrays[spec.name].shape, strict=True):
            if isinstance(wanted, str):
                before, other = seen.setdefault(wanted, (size, spec.name))
                if before != size:
                    raise BadRequest(f"inputs: {wanted} is {before} in {other} and {size} in {spec.name}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 64 else f"{text[:60]} ..."


def chosen_outputs(specs: Sequence[TensorSpec], sent: Any) -> list[int]:  # noqa: ANN401
    """Places of the outputs that the request asks for; all if it names none."""
    if sent is None or sent == []:
        return list(range(len(specs)))
    if not isinstance(sent, list) or not all(isinstance(one, dict) for one in sent):
        raise BadRequest("outputs: must be a list of {name}")
    names = [spec.name for spec in specs]
    for i, one in enumerate(sent):
        if one.get("name") not in names:
            raise BadRequest(f"outputs[{i}].name: {_shown(one.get('name'))} is no output; it has {', '.join(names)}")
    return [names.index(one["name"]) for one in sent]


def encode_output(spec: TensorSpec, array: Array) -> dict[str, Any]:
    """An output as the protocol has it; what is not finite becomes null, since JSON has no name for it."""
    data = array.ravel()
    if spec.datatype == "FP16":
        data = data.astype(np.float32)
    return {
        "name": spec.name,
        "datatype": spec.datatype,
        "shape": list(array.shape),
        "data": data.tolist() if spec.datatype == "BYTES" else np.ascontiguousarray(data),
    }


def describe(spec: TensorSpec) -> dict[str, Any]:
    """A tensor of the model's metadata; a size that may vary is -1."""
    shape = [size if isinstance(size, int) else -1 for size in spec.shape]
    return {"name": spec.name, "datatype": spec.datatype, "shape": shape}
