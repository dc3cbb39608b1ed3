"""Bodies of requests: nearly right ones by the protocol's grammar, and what becomes of them when bytes are lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

# Its messages are tritonclient's: what its users send.
from tritonclient.grpc import service_pb2 as pb

Edit = tuple[str, int, bytes]
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["insert", "delete", "replace", "repeat", "cut"]),
        st.integers(0, 400),
        st.binary(min_size=1, max_size=6)
        | st.sampled_from([b"\x00", b'"', b"[", b"}", b"\\u", b"\xff", b"1e999", b"-"]),
    ),
    min_size=1,
    max_size=3,
)


def edited(content: bytes, edits: Sequence[Edit]) -> bytes:
    """``content`` after ``edits``, each of them at a place and with the bytes of its own."""
    for what, where, piece in edits:
        at = where % (len(content) + 1)
        before, after = content[:at], content[at:]
        match what:
            case "insert":
                content = before + piece + after
            case "delete":
                content = before + after[len(piece) :]
            case "replace":
                content = before + piece + after[len(piece) :]
            case "repeat":
                content = before + after[:20] * 2 + after[20:]
            case _:
                content = before
    return content


def mostly(right: st.SearchStrategy[Any], *wrong: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """``right`` in most of all cases, so that a request with many parts is nearly right."""
    return st.integers(0, 11).flatmap(lambda chance: right if chance else st.one_of(wrong))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NUMBERS = st.integers(-200, 200) | st.integers() | st.floats() | st.none() | st.booleans() | st.text(max_size=3)
_ODD_SHAPES = st.lists(st.integers(-2, 3), max_size=3) | st.lists(st.integers(), max_size=3) | JSON
SHAPES = mostly(st.just([1, 2]), _ODD_SHAPES)
DATATYPES = ("FP32", "INT8", "BYTES", "BOOL")
MIRRORED = tuple(f"in_{datatype.lower()}" for datatype in DATATYPES)


def _texts(content: Any) -> bytes:
    return json.dumps(content).encode()


_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "FP32": st.floats(width=32, allow_nan=False, allow_infinity=False) | st.integers(-(10**30), 10**30) | st.none(),
    "INT8": st.integers(-128, 127),
    "BYTES": st.text(max_size=5),
    "BOOL": st.booleans(),
}


def _tensor(name: str, datatype: str) -> st.SearchStrategy[Any]:
    two = st.lists(_VALUES[datatype], min_size=2, max_size=2)
    data = mostly(two | two.map(lambda row: [row]), st.lists(NUMBERS, max_size=3), st.lists(st.lists(NUMBERS)), JSON)
    return st.fixed_dictionaries(
        {
            "name": mostly(st.just(name), JSON),
            "shape": SHAPES,
            "datatype": mostly(st.just(datatype), st.sampled_from(["FP64", "INT8", "BYTES"]), JSON),
            "data": data,
        },
        optional={"parameters": mostly(st.just({}), JSON)},
    )


def _request(tensors: st.SearchStrategy[Any], outputs: Sequence[str]) -> st.SearchStrategy[Any]:
    parameters = st.fixed_dictionaries(
        {},
        optional={
            "event_time": mostly(st.just("2008-09-15T00:00:00Z"), st.text(max_size=25), JSON),
            "timeout": mostly(st.integers(10**6, 10**7), st.integers(), JSON),
            "priority": mostly(st.integers(0, 9), JSON),
            "binary_data_output": mostly(st.booleans(), JSON),
        },
    )
    named = st.fixed_dictionaries({"name": mostly(st.sampled_from(outputs), JSON)})
    return st.fixed_dictionaries(
        {"inputs": mostly(tensors, JSON)},
        optional={
            "id": mostly(st.text(max_size=5), JSON),
            "outputs": mostly(st.lists(named, max_size=2), JSON),
            "parameters": mostly(parameters, JSON),
        },
    )


_LINEAR = _request(mostly(st.tuples(_tensor("x", "FP32")), st.lists(_tensor("x", "FP32"), max_size=3)), ["y"])
_TYPED = _request(
    st.tuples(*map(_tensor, MIRRORED, DATATYPES)).flatmap(lambda tensors: st.permutations(tensors)),
    [f"out_{datatype.lower()}" for datatype in DATATYPES],
)


VARIANTS = 8
"""Bodies that come of one: itself, and what becomes of it when bytes are lost. To draw one takes longest."""


def _variants(content: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[bytes]]:
    edits = st.lists(EDITS, min_size=VARIANTS - 1, max_size=VARIANTS - 1)
    return st.builds(lambda whole, many: [whole, *(edited(whole, some) for some in many)], content, edits)


REQUESTS = _variants(mostly(mostly(_LINEAR, JSON).map(_texts), st.binary()))
TYPED_REQUESTS = _variants(_TYPED.map(_texts))

FEEDBACK = _variants(
    (
        st.fixed_dictionaries(
            {
                "feedback": mostly(
                    st.lists(mostly(st.fixed_dictionaries({"token": st.text() | JSON, "label": NUMBERS}), JSON)), JSON
                )
            }
        )
        | JSON
    ).map(_texts)
)


_RIGHT_ROWS = st.lists(st.lists(_VALUES["FP32"], min_size=2, max_size=2), min_size=1, max_size=3)
_ROWS = mostly(_RIGHT_ROWS, st.lists(st.lists(NUMBERS, max_size=3), max_size=3), JSON)
_COLUMNS = mostly(st.permutations(["a", "b"]), st.lists(st.sampled_from(["a", "b", "x"]) | st.text(max_size=3)), JSON)
_RECORDS = mostly(
    st.lists(st.fixed_dictionaries({"b": _VALUES["FP32"], "a": _VALUES["FP32"]}), min_size=1, max_size=3),
    st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), NUMBERS | JSON), max_size=3),
    JSON,
)
_FORMS: dict[str, st.SearchStrategy[Any]] = {
    "dataframe_split": mostly(
        st.fixed_dictionaries({"data": _ROWS}, optional={"columns": _COLUMNS, "index": _COLUMNS}), JSON
    ),
    "dataframe_records": _RECORDS,
    "instances": _ROWS | st.lists(st.fixed_dictionaries({"x": _RIGHT_ROWS.map(lambda rows: rows[0])}), max_size=3),
    "inputs": _ROWS | st.dictionaries(mostly(st.just("x"), st.text(max_size=3)), _ROWS, max_size=2),
}
_PARAMS = mostly(st.just({}), st.fixed_dictionaries({"event_time": st.text(max_size=25) | JSON}), JSON)
_FRAMES = mostly(
    st.one_of(*(st.fixed_dictionaries({name: form}, optional={"params": _PARAMS}) for name, form in _FORMS.items())),
    st.fixed_dictionaries({}, optional=_FORMS),
)
_CELLS = st.sampled_from(["1", "-2.5", "", "nan", "true", '"a,b"', '"', "1e999", "\x00", "é"])
_LINES = st.lists(
    mostly(
        st.lists(_VALUES["FP32"].map(lambda value: "" if value is None else str(value)), min_size=2, max_size=2),
        st.lists(_CELLS, min_size=1, max_size=3),
    ).map(",".join),
    min_size=1,
    max_size=4,
)
_TABLES = st.builds(
    lambda header, lines: "\n".join([header, *lines]).encode(),
    mostly(st.just("a,b"), st.sampled_from(["b,a,c", "a,a", ""])),
    _LINES,
)

Invocation = tuple[str, list[bytes]]
"""A media type and bodies."""
_KINDS = mostly(
    st.just("application/json"), st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=12)
)
INVOCATIONS: st.SearchStrategy[Invocation] = st.tuples(
    _KINDS, _variants(mostly(_FRAMES.map(_texts), st.binary()))
) | st.tuples(st.just("text/csv"), _variants(mostly(_TABLES, st.binary())))


def _binary_input(name: str, datatype: str, size: int) -> st.SearchStrategy[Any]:
    sizes = mostly(st.just(size), st.integers(-1, 30), JSON)
    return st.fixed_dictionaries(
        {
            "name": st.just(name),
            "shape": mostly(st.just([1, 2]), _ODD_SHAPES),
            "datatype": st.just(datatype),
            "parameters": st.fixed_dictionaries({"binary_data_size": sizes}),
        }
    )


Binary = tuple[list[bytes], str]
"""Bodies, and the value of their header ``Inference-Header-Content-Length``."""


def _binaries(inputs: st.SearchStrategy[Any], tail: st.SearchStrategy[bytes]) -> st.SearchStrategy[Binary]:
    parameters = st.fixed_dictionaries({"binary_data_output": mostly(st.booleans(), JSON)})
    heads = st.fixed_dictionaries({"inputs": inputs}, optional={"parameters": parameters}).map(_texts)
    odd = st.sampled_from(["", "-1", "+3", "0x10", "1e1", "99999999999999999999999", " 4", "4, 4"])
    return heads.flatmap(
        lambda head: st.tuples(
            _variants(mostly(tail, st.binary(max_size=40)).map(lambda rest: head + rest)),
            mostly(st.just(str(len(head))), st.integers(-3, 3).map(lambda off: str(len(head) + off)), odd),
        )
    )


BINARY = {
    "linear": _binaries(
        st.lists(_binary_input("x", "FP32", 8), min_size=1, max_size=2), st.binary(min_size=8, max_size=8)
    ),
    "mirror": _binaries(
        st.tuples(*map(_binary_input, MIRRORED, DATATYPES, (8, 2, 10, 2))),
        st.just(bytes(8) + b"\1\1" + b"\1\0\0\0a" * 2 + b"\0\1"),
    ),
}


def _message(fields: dict[str, Any]) -> bytes:
    return bytes(pb.ModelInferRequest(**fields).SerializeToString())


_PARAMETERS = st.dictionaries(
    st.sampled_from(["event_time", "timeout", "priority", "binary_data", "shared_memory_region"]) | st.text(max_size=4),
    st.builds(pb.InferParameter, int64_param=st.integers(-(2**63), 2**63 - 1))
    | st.builds(pb.InferParameter, string_param=st.text(max_size=9)),
    max_size=3,
)
_CONTENTS = st.builds(
    pb.InferTensorContents,
    fp32_contents=st.lists(st.floats(width=32), max_size=3),
    int_contents=st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3),
    bytes_contents=st.lists(st.binary(max_size=4), max_size=3),
    bool_contents=st.lists(st.booleans(), max_size=3),
)
_RIGHT_CONTENTS = {
    "FP32": st.just(pb.InferTensorContents(fp32_contents=[1, 2])),
    "INT8": st.just(pb.InferTensorContents(int_contents=[1, -128])),
    "BYTES": st.just(pb.InferTensorContents(bytes_contents=[b"", b"a"])),
    "BOOL": st.just(pb.InferTensorContents(bool_contents=[True, False])),
}
_MESSAGE_INPUTS = st.tuples(
    *(
        st.builds(
            pb.ModelInferRequest.InferInputTensor,
            name=mostly(st.just(name), st.text(max_size=4)),
            datatype=mostly(st.just(datatype), st.text(max_size=4)),
            shape=mostly(st.just([1, 2]), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4)),
            parameters=mostly(st.just({}), _PARAMETERS),
            contents=mostly(_RIGHT_CONTENTS[datatype], st.none(), _CONTENTS),
        )
        for name, datatype in zip(MIRRORED, DATATYPES, strict=True)
    )
)
MESSAGE = mostly(
    st.fixed_dictionaries(
        {
            "model_name": mostly(st.just("hedge"), st.text(max_size=4)),
            "inputs": mostly(_MESSAGE_INPUTS, st.just(())),
            "raw_input_contents": mostly(st.just([]), st.lists(st.binary(max_size=12), max_size=5)),
            "parameters": mostly(st.just({}), _PARAMETERS),
        },
        optional={"model_version": mostly(st.just("7"), st.text(max_size=4)), "id": st.text(max_size=4)},
    ).map(_message),
    st.binary(),
)
MESSAGES = _variants(MESSAGE)


def right_request() -> tuple[bytes, dict[str, str]]:
    """A body that is right, with a binary tensor in and out, and its headers; for the linear model."""
    tensor = {"name": "x", "shape": [2, 2], "datatype": "FP32", "parameters": {"binary_data_size": 16}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    body = head + np.array([[1, 1], [0.1, -7.3]], "<f4").tobytes()
    return body, {"Inference-Header-Content-Length": str(len(head))}


def right_message() -> bytes:
    """The message of gRPC that is right for the linear model."""
    tensor = pb.ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=[1, 2])
    raw = np.array([1, 1], "<f4").tobytes()
    return _message({"model_name": "hedge", "inputs": [tensor], "raw_input_contents": [raw]})
