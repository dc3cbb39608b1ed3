"""Arrays as the tensors of the Open Inference Protocol v2, and back: bytes without a copy where that is possible.

BF16 is ``ml_dtypes.bfloat16`` where that package is installed, and the same bits as uint16 where it is not. BYTES are
arrays of objects, each ``bytes``; texts are sent as UTF-8.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modelcycle_client.errors import GarbledAnswer, InvalidInput

_LENGTH = struct.Struct("<I")


def _bfloat16() -> np.dtype[Any]:
    try:
        found: np.dtype[Any] = np.dtype(import_module("ml_dtypes").bfloat16)
    except ImportError:
        return np.dtype(np.uint16)
    return found


DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "BF16": _bfloat16(),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(object),
}

_DATATYPES = {dtype: datatype for datatype, dtype in DTYPES.items() if datatype != "BF16"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """An array that is sent as another datatype than its own says: bits of BF16 in uint16, or numbers as FP16."""

    values: ArrayLike
    datatype: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """A tensor whose array has the dtype of its datatype."""

    name: str
    datatype: str
    array: NDArray[Any]

    def head(self) -> dict[str, Any]:
        return {"name": self.name, "shape": list(self.array.shape), "datatype": self.datatype}

    def raw(self) -> bytes | memoryview:
        """The elements' bytes: a view of the array where it is contiguous and little-endian."""
        if self.datatype == "BYTES":
            return b"".join(_LENGTH.pack(len(text)) + text for text in self.array.ravel())
        return np.ascontiguousarray(self.array).reshape(-1).view(np.uint8).data

    def data(self) -> list[Any]:
        """The elements for JSON, which has no infinity; NaN is null.

        Raises:
            InvalidInput: there is an infinity, or a text that is no UTF-8.
        """
        flat = self.array.ravel()
        if self.datatype == "BYTES":
            return [_text(self.name, text) for text in flat]
        if not self.datatype.startswith(("FP", "BF")):
            return flat.tolist()
        wide = (flat.astype("<u4") << 16).view("<f4") if _is_bits(self.array) else flat.astype(np.float64)
        if np.isinf(wide).any():
            raise InvalidInput(f"input {self.name}: JSON has no infinity; send it as binary")
        return [None if math.isnan(value) else value for value in wide.tolist()]


def encode(name: str, values: ArrayLike | Tensor) -> Encoded:
    """The tensor of an input.

    Raises:
        InvalidInput: no datatype has such elements.
    """
    if isinstance(values, Tensor):
        return Encoded(name, values.datatype, _converted(name, values))
    array = _array(name, values)
    if array.dtype.kind in "OSU":
        return Encoded(name, "BYTES", _texts(name, array))
    datatype = _DATATYPES.get(array.dtype) or _DATATYPES.get(array.dtype.newbyteorder("<"))
    if datatype is None:
        if array.dtype.name == "bfloat16":
            return Encoded(name, "BF16", array)
        raise InvalidInput(f"input {name}: there is no datatype for elements of {array.dtype}")
    return Encoded(name, datatype, array.astype(DTYPES[datatype], copy=False))


def _array(name: str, values: ArrayLike) -> NDArray[Any]:
    if isinstance(values, np.ndarray):
        return values
    try:
        array = np.asarray(values)
    except UnicodeDecodeError:
        return np.asarray(values, dtype=object)
    except ValueError as error:
        raise InvalidInput(f"input {name}: {error}") from error
    # NumPy's own texts drop zeros at their ends, and take no bytes among them.
    return np.asarray(values, dtype=object) if array.dtype.kind in "SU" else array


def _converted(name: str, tensor: Tensor) -> NDArray[Any]:
    dtype = DTYPES.get(tensor.datatype)
    if dtype is None:
        raise InvalidInput(f"input {name}: there is no datatype {tensor.datatype}; there are {', '.join(DTYPES)}")
    array = _array(name, tensor.values)
    if tensor.datatype == "BYTES":
        return _texts(name, array)
    if tensor.datatype != "BF16":
        try:
            return array.astype(dtype, copy=False)
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"input {name}: {error}") from error
    if array.dtype in (np.dtype(np.uint16), dtype):
        return array
    if dtype == np.uint16:
        raise InvalidInput(f"input {name}: BF16 is given as its bits in uint16, where ml_dtypes is not installed")
    return array.astype(dtype)


def _is_bits(array: NDArray[Any]) -> bool:
    return array.dtype == np.uint16


def _texts(name: str, array: NDArray[Any]) -> NDArray[np.object_]:
    """An array of ``bytes``."""
    flat = [text.encode() if isinstance(text, str) else text for text in array.ravel().tolist()]
    wrong = next((type(text).__name__ for text in flat if not isinstance(text, bytes)), None)
    if wrong is not None:
        raise InvalidInput(f"input {name}: elements must be numbers, texts or bytes, one is a {wrong}")
    return _objects(flat, array.shape)


def _text(name: str, text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"input {name}: JSON takes UTF-8 only ({error}); send it as binary") from error


def _objects(flat: Sequence[bytes], shape: Sequence[int]) -> NDArray[np.object_]:
    array = np.empty(len(flat), dtype=object)
    array[:] = flat
    return array.reshape(shape)


def decode_raw(name: str, datatype: str, shape: Sequence[int], raw: memoryview) -> NDArray[Any]:
    """The array of an output: a view of ``raw``, which can't be written to.

    Raises:
        GarbledAnswer: bytes, shape and datatype do not go together.
    """
    dtype = _dtype(name, datatype, shape)
    try:
        if datatype == "BYTES":
            return _objects(_split(raw), shape)
        return np.frombuffer(raw, dtype).reshape(shape)
    except (TypeError, ValueError, struct.error) as error:
        raise GarbledAnswer(f"output {name}: {len(raw)} bytes are no {datatype} {list(shape)}: {error}") from error


def decode_data(name: str, datatype: str, shape: Sequence[int], data: Sequence[Any]) -> NDArray[Any]:
    """The array of an output in JSON.

    Raises:
        GarbledAnswer: elements, shape and datatype do not go together.
    """
    dtype = _dtype(name, datatype, shape)
    try:
        if datatype == "BYTES":
            return _objects([text.encode() for text in data], shape)
        if datatype == "BF16" and dtype == np.uint16:
            return _bits(np.array(data, np.float32)).reshape(shape)
        # A null becomes NaN on its way through float64.
        return np.array(data, np.float64 if datatype.startswith(("FP", "BF")) else dtype).astype(dtype).reshape(shape)
    except (AttributeError, OverflowError, TypeError, ValueError) as error:
        raise GarbledAnswer(f"output {name}: {len(data)} elements are no {datatype} {list(shape)}: {error}") from error


def _dtype(name: str, datatype: str, shape: Sequence[int]) -> np.dtype[Any]:
    dtype = DTYPES.get(datatype)
    if dtype is None:
        raise GarbledAnswer(f"output {name}: there is no datatype {datatype!r}")
    if any(size < 0 for size in shape):  # NumPy would reckon it out
        raise GarbledAnswer(f"output {name}: has the shape {list(shape)}")
    return dtype


def _split(raw: memoryview) -> list[bytes]:
    texts, at = [], 0
    while at < len(raw):
        (length,) = _LENGTH.unpack_from(raw, at)
        at += _LENGTH.size
        if at + length > len(raw):
            raise ValueError("a text is cut short")
        texts.append(bytes(raw[at : at + length]))
        at += length
    return texts


def _bits(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The upper halves of float32: of numbers that were BF16 these are all that there is."""
    return (values.view(np.uint32) >> 16).astype(np.uint16)
