"""``ModelInferRequest`` of the protocol's gRPC, by hand: one message, of which no more than this is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelcycle_client.tensors import Encoded, encode

_BYTES = 2
"""The wire type of texts, bytes, messages and packed numbers."""


def infer_message(model: str, inputs: Mapping[str, Any]) -> bytes:
    """The message for ``inputs`` by name, with their bytes in ``raw_input_contents``."""
    tensors = [encode(name, values) for name, values in inputs.items()]
    heads = [_field(5, _head(tensor)) for tensor in tensors]
    return b"".join([_field(1, model.encode()), *heads, *(_field(7, bytes(tensor.raw())) for tensor in tensors)])


def _head(tensor: Encoded) -> bytes:
    name, datatype = tensor.name.encode(), tensor.datatype.encode()
    return _field(1, name) + _field(2, datatype) + _field(3, b"".join(_varint(size) for size in tensor.array.shape))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
