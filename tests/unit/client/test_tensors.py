from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from modelcycle_client import GarbledAnswer, InvalidInput, Tensor, tensors
from modelcycle_client.tensors import DTYPES, decode_data, decode_raw, encode

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


@pytest.mark.parametrize(
    ("values", "datatype"),
    [
        (np.array([True]), "BOOL"),
        (np.array([1], np.uint8), "UINT8"),
        (np.array([1], np.uint16), "UINT16"),
        (np.array([1], np.uint32), "UINT32"),
        (np.array([1], np.uint64), "UINT64"),
        (np.array([1], np.int8), "INT8"),
        (np.array([1], np.int16), "INT16"),
        (np.array([1], np.int32), "INT32"),
        (np.array([1], np.int64), "INT64"),
        (np.array([1], np.float16), "FP16"),
        (np.array([1], BFLOAT16), "BF16"),
        (np.array([1], np.float32), "FP32"),
        (np.array([1], ">f4"), "FP32"),
        (np.array([1], np.float64), "FP64"),
        ([[1.5]], "FP64"),
        ([1, 2], "INT64"),
        (["a", "b"], "BYTES"),
        (np.array([b"a"]), "BYTES"),
        ([b"a", "b"], "BYTES"),
        (np.array(["a", b"\xff"], object), "BYTES"),
        (Tensor([1.5], "FP16"), "FP16"),
        (Tensor([1.5], "BF16"), "BF16"),
        (Tensor(np.array([1], np.uint16), "BF16"), "BF16"),
        (Tensor([1], "BOOL"), "BOOL"),
        (Tensor(["a"], "BYTES"), "BYTES"),
    ],
)
def test_datatype_of(values: Any, datatype: str) -> None:
    assert encode("x", values).datatype == datatype


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.array([1j]), "input x: there is no datatype for elements of complex128"),
        (np.array(["2008-01-01"], "M8[D]"), "no datatype for elements of datetime64"),
        (np.array([None], object), "must be numbers, texts or bytes, one is a NoneType"),
        (Tensor([1], "FP8"), "there is no datatype FP8; there are BOOL"),
        (Tensor(["a"], "FP32"), "could not convert string to float"),
        (Tensor([1], "BYTES"), "one is a int"),
        ([[1], [2, 3]], "input x: setting an array element"),
    ],
)
def test_what_is_no_input_is_said(values: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        encode("x", values)


def test_bytes_are_a_view_of_the_array() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    raw = encode("x", array).raw()
    array[1, 2] = 7
    assert isinstance(raw, memoryview)
    assert np.frombuffer(raw, np.float32)[-1] == 7


@pytest.mark.parametrize(
    ("values", "raw"),
    [
        (np.array([[1, 2], [3, 4]], np.int16).T, b"\x01\x00\x03\x00\x02\x00\x04\x00"),
        (np.array([1], ">i2"), b"\x01\x00"),
        (np.array(5, np.uint8), b"\x05"),
        (np.zeros((0, 3), np.float32), b""),
        (Tensor(np.array([0x3FC0], np.uint16), "BF16"), b"\xc0\x3f"),
        (Tensor([1.5], "BF16"), b"\xc0\x3f"),
        ([b"\0"], b"\x01\x00\x00\x00\x00"),
        (["é", ""], b"\x02\x00\x00\x00\xc3\xa9\x00\x00\x00\x00"),
    ],
)
def test_raw(values: Any, raw: bytes) -> None:
    assert bytes(encode("x", values).raw()) == raw


@pytest.mark.parametrize(
    ("values", "data"),
    [
        (np.array([[1.5, np.nan]], np.float32), [1.5, None]),
        (Tensor([1.5], "FP16"), [1.5]),
        (Tensor([1.5], "BF16"), [1.5]),
        (Tensor(np.array([0x3FC0], np.uint16), "BF16"), [1.5]),
        (np.array([2**64 - 1], np.uint64), [2**64 - 1]),
        ([True, False], [True, False]),
        (["a", b"\xc3\xa9"], ["a", "é"]),
    ],
)
def test_data_for_json(values: Any, data: list[Any]) -> None:
    assert encode("x", values).data() == data


@pytest.mark.parametrize("values", [np.array([np.inf]), [b"\xff"]])
def test_what_json_can_not_say(values: Any) -> None:
    with pytest.raises(InvalidInput, match="send it as binary"):
        encode("x", values).data()


def _some(datatype: str) -> np.ndarray[Any, Any]:
    if datatype == "BYTES":
        return np.array([[b"", "é".encode()], [b"long" * 99, b"x"]], object)
    if datatype == "BOOL":
        return np.array([[True, False], [False, False]])
    if datatype.startswith(("FP", "BF")):
        return np.array([[1.5, -0.25], [0, 2]]).astype(DTYPES[datatype])
    info = np.iinfo(DTYPES[datatype])
    return np.array([[info.min, info.max], [0, 1]], DTYPES[datatype])


@pytest.mark.parametrize("datatype", DTYPES)
def test_there_and_back(datatype: str) -> None:
    sent = _some(datatype)
    tensor = encode("x", Tensor(sent, datatype))
    for found in (
        decode_raw("x", datatype, [2, 2], memoryview(bytes(tensor.raw()))),
        decode_data("x", datatype, [2, 2], tensor.data()),
    ):
        assert found.dtype == DTYPES[datatype]
        np.testing.assert_array_equal(found, sent)


def test_without_ml_dtypes_bf16_is_its_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensors, "DTYPES", {**DTYPES, "BF16": np.dtype(np.uint16)})
    bits = np.array([0x3FC0], np.uint16)
    assert bytes(encode("x", Tensor(bits, "BF16")).raw()) == b"\xc0\x3f"
    assert decode_raw("x", "BF16", [1], memoryview(b"\xc0\x3f")).tolist() == [0x3FC0]
    assert decode_data("x", "BF16", [1], [1.5]).tolist() == [0x3FC0]
    with pytest.raises(InvalidInput, match="given as its bits"):
        encode("x", Tensor([1.5], "BF16"))


def test_null_is_nan() -> None:
    assert np.isnan(decode_data("y", "FP32", [1], [None])).all()


def test_an_answer_is_not_copied() -> None:
    body = bytearray(8)
    array = decode_raw("y", "FP32", [2], memoryview(body).toreadonly())
    body[3] = 0x40
    assert array[0] == 2
    assert not array.flags.writeable


@pytest.mark.parametrize(
    ("datatype", "shape", "raw"),
    [
        ("FP32", [2], b"\0\0\0\0"),
        ("FP32", [1], b"\0\0\0"),
        ("FP32", [-5], b"\0\0\0\0"),
        ("FP99", [1], b"\0"),
        ("BYTES", [1], b"\x05\0\0\0abc"),
        ("BYTES", [1], b"\x05\0"),
        ("BYTES", [2], b"\x01\0\0\0a"),
    ],
)
def test_bytes_that_are_no_tensor(datatype: str, shape: list[int], raw: bytes) -> None:
    with pytest.raises(GarbledAnswer, match="output y"):
        decode_raw("y", datatype, shape, memoryview(raw))


@pytest.mark.parametrize(
    ("datatype", "shape", "data"),
    [
        ("FP32", [2], [1]),
        ("FP32", [1], ["a"]),
        ("FP32", [1, 1], [[1], [2, 3]]),
        ("INT8", [1], [None]),
        ("INT8", [1], [300]),
        ("BYTES", [1], [7]),
        ("X", [1], [7]),
    ],
)
def test_data_that_are_no_tensor(datatype: str, shape: list[int], data: list[Any]) -> None:
    with pytest.raises(GarbledAnswer, match="output y"):
        decode_data("y", datatype, shape, data)
