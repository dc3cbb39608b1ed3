"""The requests of a load: of arrays that are given, or of made-up rows of what the model says that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelcycle_client.bench.message import infer_message
from modelcycle_client.errors import InvalidInput
from modelcycle_client.protocol import Metadata, Options, TensorSpec, infer_request
from modelcycle_client.tensors import DTYPES, Tensor

Message = tuple[list[tuple[str, str]], bytes]
"""Headers and body."""
MOST_BODIES = 16
MOST_BYTES = 64 * 2**20


def made_up(metadata: Metadata, rows: int, length: int, rng: np.random.Generator) -> dict[str, Tensor]:
    """Random inputs: ``rows`` where the first size varies, ``length`` where a later one does.

    Whole numbers are 0 and 1, which are valid as ids, as masks and as categories.

    Raises:
        InvalidInput: the model takes a datatype that nothing can be made up for.
    """
    return {
        spec.name: Tensor(_values(spec, _shape(spec, rows, length), rng), spec.datatype) for spec in metadata.inputs
    }


def _shape(spec: TensorSpec, rows: int, length: int) -> tuple[int, ...]:
    varying = [rows, *[length] * len(spec.shape)]
    return tuple(varying[place] if size < 0 else size for place, size in enumerate(spec.shape))


def _values(spec: TensorSpec, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[Any]:
    if spec.datatype not in DTYPES:
        raise InvalidInput(f"input {spec.name}: no rows can be made up of {spec.datatype}; give --input")
    if spec.datatype == "BYTES":
        return np.array(["yes", "no"], dtype=object)[rng.integers(0, 2, shape)]
    if spec.datatype == "BF16":
        return (rng.normal(size=shape).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    if spec.datatype.startswith("FP"):
        return rng.normal(size=shape).astype(DTYPES[spec.datatype])
    return rng.integers(0, 2, shape).astype(DTYPES[spec.datatype])


def how_many(size: int) -> int:
    """Bodies of ``size`` bytes that are sent in turns: some, so that no answer can be kept, in bounded memory."""
    return min(MOST_BODIES, max(1, MOST_BYTES // max(1, size)))


def http_message(inputs: Mapping[str, Any], *, binary: bool) -> Message:
    request = infer_request(inputs, Options(binary=binary), None)
    return list(request.headers.items()), b"".join(request.parts)


def grpc_message(model: str, inputs: Mapping[str, Any]) -> Message:
    return [], infer_message(model, inputs)
