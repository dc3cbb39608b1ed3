from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from modelcycle.errors import Unusable
from modelcycle.registry.mlmodel import ModelDescription, described, mean_loss, require_servable

SIGNATURE = {"inputs": '[{"type": "tensor"}]', "outputs": '[{"type": "tensor"}]'}
ONNX = {"onnx": {"data": "model.onnx"}, "python_function": {"loader_module": "mlflow.onnx"}}


def mlmodel(flavors: Any = ONNX, signature: Any = SIGNATURE) -> bytes:
    return yaml.safe_dump({"flavors": flavors, "signature": signature}).encode()


@pytest.mark.parametrize(
    ("content", "description"),
    [
        pytest.param(mlmodel(), (("onnx", "python_function"), "model.onnx", True), id="as mlflow.onnx logs it"),
        pytest.param(mlmodel({"sklearn": {}}), (("sklearn",), None, True), id="another flavor"),
        pytest.param(mlmodel(signature=None), (("onnx", "python_function"), "model.onnx", False), id="no signature"),
        pytest.param(
            mlmodel(signature={"inputs": "[1]"}), (("onnx", "python_function"), "model.onnx", False), id="no outputs"
        ),
        pytest.param(mlmodel({}), ((), None, True), id="no flavor"),
    ],
)
def test_described(content: bytes, description: tuple[Any, ...]) -> None:
    assert described(content, "MLmodel") == ModelDescription(*description)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"\xff\xfe\x00", "not YAML", id="binary"),
        pytest.param(b"a: [", "not YAML", id="broken"),
        pytest.param(b"!!python/object/apply:os.system ['true']", "not YAML", id="an attack"),
        pytest.param(b"[" * 50_000, "not YAML", id="too deep"),
        pytest.param(b"a: &a {k: v}\nb: {<<: [*a, *a]}", "merge keys are not read", id="some that grow"),
        pytest.param(b"a: !!bool foo", "not YAML", id="a tag on something else"),
        pytest.param(b"", "names no flavors", id="empty"),
        pytest.param(b"- a", "names no flavors", id="a list"),
        pytest.param(b"flavors: text", "names no flavors", id="flavors that are none"),
        pytest.param(mlmodel({"onnx": None}), "no data file", id="an onnx flavor without a file"),
        pytest.param(mlmodel({"onnx": {"data": ["x"]}}), "no data file", id="a file that is no text"),
    ],
)
def test_an_mlmodel_that_is_none(content: bytes, said: str) -> None:
    with pytest.raises(Unusable, match=said) as raised:
        described(content, "there/MLmodel")
    assert raised.value.reason == "ModelMalformed"
    assert "there/MLmodel" in str(raised.value)
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        pytest.param(ModelDescription(("onnx",), "model.onnx", signed=True), None, id="good"),
        pytest.param(ModelDescription(("sklearn",), None, signed=True), "UnsupportedFlavor", id="a pickle"),
        pytest.param(ModelDescription(("onnx",), "model.onnx", signed=False), "SignatureMissing", id="unsigned"),
    ],
)
def test_what_can_be_served(model: ModelDescription, reason: str | None) -> None:
    if reason is None:
        assert require_servable(model, "here") == "model.onnx"
        return
    with pytest.raises(Unusable) as raised:
        require_servable(model, "here")
    assert raised.value.reason == reason


@pytest.mark.parametrize(
    ("baseline", "loss"),
    [
        pytest.param({"loss": {"mean": 1.25}}, "1.25", id="a number"),
        pytest.param({"loss": {"mean": 3}}, "3", id="an integer"),
        pytest.param({"loss": {"mean": -0.5}}, "-0.5", id="losses may be negative"),
        pytest.param({"loss": {"mean": 1e-7}}, "0.0000001", id="no exponents"),
        pytest.param({"loss": {"mean": 100}}, "100", id="zeros before the point stay"),
        pytest.param({"loss": None}, None, id="no loss"),
        pytest.param({}, None, id="features only"),
    ],
)
def test_mean_loss(baseline: dict[str, Any], loss: str | None) -> None:
    assert mean_loss(json.dumps(baseline).encode()) == loss


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"{", id="broken"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"[" * 100_000, id="too deep"),
        pytest.param(b'{"loss": 3}', id="a loss that is no object"),
        pytest.param(b'{"loss": {}}', id="no mean"),
        pytest.param(b'{"loss": {"mean": "1"}}', id="text"),
        pytest.param(b'{"loss": {"mean": true}}', id="a truth value"),
        pytest.param(b'{"loss": {"mean": NaN}}', id="NaN"),
        pytest.param(b'{"loss": {"mean": 1e300}}', id="too large"),
    ],
)
def test_a_baseline_that_is_none(content: bytes) -> None:
    with pytest.raises(Unusable, match=r"baseline\.json") as raised:
        mean_loss(content)
    assert raised.value.reason == "ModelMalformed"
