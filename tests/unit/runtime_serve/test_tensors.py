from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from modelcycle_runtime.model import TensorSpec
from modelcycle_runtime.serve.errors import BadRequest
from modelcycle_runtime.serve.tensors import chosen_outputs, decode_inputs, describe, encode_output


def _spec(datatype: str = "FP32", dtype: str = "float32", shape: tuple[int | str | None, ...] = ("n", 2)) -> TensorSpec:
    return TensorSpec("x", datatype, shape, np.dtype(dtype))


X = _spec()
INT8 = _spec("INT8", "int8", ("n",))
BOOL = _spec("BOOL", "bool", ("n",))
BYTES = _spec("BYTES", "object", ("n",))


def _sent(**change: Any) -> list[dict[str, Any]]:
    return [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4.5], **change}]


@pytest.mark.parametrize("data", [[1, 2, 3, 4.5], [[1, 2], [3, 4.5]]], ids=["flat", "nested"])
def test_data_may_be_flat_or_nested(data: list[Any]) -> None:
    array = decode_inputs([X], _sent(data=data))["x"]
    assert array.dtype == np.float32
    assert array.tolist() == [[1, 2], [3, 4.5]]


def test_null_is_nan() -> None:
    assert np.isnan(decode_inputs([X], _sent(data=[None, 1, 1, 1]))["x"][0, 0])


@pytest.mark.parametrize(
    ("spec", "data"),
    [
        pytest.param(INT8, [1, -128], id="whole numbers"),
        pytest.param(BOOL, [True, False], id="truth values"),
        pytest.param(BYTES, ["a", "bc"], id="texts"),
        pytest.param(_spec("FP64", "float64", ("n",)), [1e300, 2], id="double"),
    ],
)
def test_other_types(spec: TensorSpec, data: list[Any]) -> None:
    array = decode_inputs([spec], _sent(shape=[2], datatype=spec.datatype, data=data))["x"]
    assert array.dtype == spec.dtype
    assert array.tolist() == data


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        pytest.param(None, "inputs: must be a list", id="nothing"),
        pytest.param([1], "inputs: must be a list", id="no objects"),
        pytest.param([], "inputs: x is missing", id="an input is missing"),
        pytest.param(_sent(name="z"), r"inputs\[0\].name: 'z' is no input of the model; it has x", id="another name"),
        pytest.param(_sent(name={}), r"inputs\[0\].name", id="a name that is none"),
        pytest.param(_sent() * 2, r"inputs\[1\].name: 'x' is there twice", id="twice"),
        pytest.param(_sent(datatype="FP64"), r"\(x\).datatype: must be FP32, is 'FP64'", id="another type"),
        pytest.param(_sent(shape=[1, 2]), r"\(x\).data: has 4 values, shape \[1, 2\] needs 2", id="too many values"),
        pytest.param(_sent(shape=[4]), r"\(x\).shape: is \[4\], the model takes x: FP32 \[\?, 2\]", id="another rank"),
        pytest.param(_sent(shape=[2, 3]), r"\(x\).shape", id="another width"),
        pytest.param(_sent(shape=[0, 2], data=[]), r"\(x\).shape", id="no rows"),
        pytest.param(_sent(shape=[-2, 2]), r"\(x\).shape", id="a negative size"),
        pytest.param(_sent(shape=[True, 2]), r"\(x\).shape: must be a list", id="a size that is no number"),
        pytest.param(_sent(shape="22"), r"\(x\).shape: must be a list", id="a shape that is none"),
        pytest.param(_sent(shape=[2**62, 2]), r"\(x\).data: has 4 values", id="an absurd size"),
        pytest.param(_sent(data=None), r"\(x\).data: must be a list", id="no data"),
        pytest.param(_sent(data=["1", 2, 3, 4]), r"\(x\).data: must be numbers", id="a text"),
        pytest.param(_sent(data=[True, 2, 3, 4]), r"\(x\).data: must be numbers", id="a truth value"),
        pytest.param(_sent(data=[{}, 2, 3, 4]), r"\(x\).data: must be numbers", id="an object"),
        pytest.param(_sent(data=[1e39, 2, 3, 4]), r"\(x\).data: a value is out of the range of FP32", id="too large"),
        pytest.param(_sent(data=[[1, 2, 3], [4]]), r"\(x\).data: is nested unevenly", id="ragged"),
        pytest.param(_sent(data=[[1, 2, 3, 4]]), r"\(x\).data: is nested as \[1, 4\]", id="nested otherwise"),
    ],
)
def test_what_is_wrong_is_named(sent: Any, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        decode_inputs([X], sent)


@pytest.mark.parametrize(
    ("spec", "data", "said"),
    [
        pytest.param(INT8, [1.5, 2], "must be whole numbers", id="a fraction"),
        pytest.param(INT8, [None, 2], "must be whole numbers", id="null among whole numbers"),
        pytest.param(INT8, [128, 2], "out of the range of INT8", id="beyond the type"),
        pytest.param(BOOL, [1, 0], "must be true or false", id="numbers for truth values"),
        pytest.param(BYTES, ["a", 1], "must be texts", id="a number among texts"),
    ],
)
def test_values_are_not_bent_to_fit(spec: TensorSpec, data: list[Any], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        decode_inputs([spec], _sent(shape=[2], datatype=spec.datatype, data=data))


def test_data_nested_without_end_is_refused() -> None:
    data: list[Any] = [1]
    for _ in range(900):
        data = [data]
    with pytest.raises(BadRequest, match="nested deeper than 16"):
        decode_inputs([X], _sent(data=data))


def test_sizes_of_the_same_name_must_be_the_same() -> None:
    specs = [TensorSpec(name, "FP32", ("n",), np.dtype("float32")) for name in "ab"]
    sent = [{"name": n, "shape": [k], "datatype": "FP32", "data": [0] * k} for n, k in (("a", 1), ("b", 2))]
    with pytest.raises(BadRequest, match="inputs: n is 1 in a and 2 in b"):
        decode_inputs(specs, sent)


OUTPUTS = [TensorSpec(name, "FP32", ("n",), np.dtype("float32")) for name in ("y", "z")]


@pytest.mark.parametrize(
    ("sent", "places"),
    [(None, [0, 1]), ([], [0, 1]), ([{"name": "z"}], [1]), ([{"name": "z"}, {"name": "y"}], [1, 0])],
)
def test_outputs_are_those_asked_for(sent: Any, places: list[int]) -> None:
    assert chosen_outputs(OUTPUTS, sent) == places


@pytest.mark.parametrize("sent", [{"name": "y"}, [1], [{"name": "w"}], [{"name": []}]])
def test_other_outputs_are_refused(sent: Any) -> None:
    with pytest.raises(BadRequest, match="outputs"):
        chosen_outputs(OUTPUTS, sent)


@pytest.mark.parametrize(
    ("spec", "array", "data"),
    [
        pytest.param(X, np.array([[1.5, np.nan]], np.float32), [1.5, None], id="NaN is null"),
        pytest.param(_spec("FP16", "float16"), np.array([[1.5, 2]], np.float16), [1.5, 2.0], id="half"),
        pytest.param(BYTES, np.array([["a", "b"]], object), ["a", "b"], id="texts"),
        pytest.param(X, np.array([[1, 3], [2, 4]], np.float32).T, [1.0, 2.0, 3.0, 4.0], id="not contiguous"),
    ],
)
def test_outputs_are_flat_in_the_order_of_rows(spec: TensorSpec, array: np.ndarray, data: list[Any]) -> None:
    encoded = orjson.loads(orjson.dumps(encode_output(spec, array), option=orjson.OPT_SERIALIZE_NUMPY))
    assert encoded == {"name": "x", "datatype": spec.datatype, "shape": list(array.shape), "data": data}


def test_a_size_that_varies_is_minus_one_in_the_metadata() -> None:
    assert describe(X) == {"name": "x", "datatype": "FP32", "shape": [-1, 2]}
