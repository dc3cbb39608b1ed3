from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from modelcycle_runtime.errors import ModelUnusable
from modelcycle_runtime.model import feature_columns, load_model, one_number_a_row
from tests.support.models import linear_model
from tests.support.versions import write_version


def _external(location: str) -> onnx.ModelProto:
    model = linear_model()
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", location
    return model


def _write_external(folder: Path, location: str) -> Path:
    write_version(folder)
    (folder / "model" / "model.onnx").write_bytes(_external(location).SerializeToString())
    return folder


def _cast_model(from_type: int) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Cast", ["a"], ["y"], to=TensorProto.FLOAT)],
        "cast",
        [helper.make_tensor_value_info("a", from_type, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_version_is_loaded_and_answers(tmp_path: Path) -> None:
    model = load_model(write_version(tmp_path))
    assert [str(spec) for spec in (*model.inputs, *model.outputs)] == ["x: FP32 [?, 2]", "y: FP32 [?, 1]"]
    assert model.run({"x": np.array([[1, 1]], np.float32)})[0].tolist() == [[-0.5]]


def test_data_beside_the_model_is_read(tmp_path: Path) -> None:
    folder = _write_external(tmp_path, "weights.bin")
    (folder / "model" / "weights.bin").write_bytes(np.array([1, -2], np.float32).tobytes())
    assert load_model(folder).run({"x": np.array([[1, 1]], np.float32)})[0].tolist() == [[-0.5]]


@pytest.mark.parametrize("location", ["../secret.bin", "{folder}/secret.bin"], ids=["above", "absolute"])
def test_data_outside_of_the_model_is_refused(tmp_path: Path, location: str) -> None:
    folder = _write_external(tmp_path, location.format(folder=tmp_path))
    (tmp_path / "secret.bin").write_bytes(np.ones(2, np.float32).tobytes())
    with pytest.raises(ModelUnusable, match=r"xternal data"):
        load_model(folder)


@pytest.mark.parametrize("name", ["model.onnx", "weights.bin"])
def test_a_symbolic_link_is_refused(tmp_path: Path, name: str) -> None:
    folder = write_version(tmp_path)
    (folder / "model" / name).unlink(missing_ok=True)
    (folder / "model" / name).symlink_to("/dev/null")
    with pytest.raises(ModelUnusable, match=f"{name} is a symbolic link"):
        load_model(folder)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    folder = write_version(tmp_path)
    (folder / "model" / "model.onnx").write_bytes(b"pickle")
    with pytest.raises(ModelUnusable, match="ONNX Runtime can't load it"):
        load_model(folder)


def test_a_folder_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="does not exist"):
        load_model(tmp_path)


@pytest.mark.parametrize("names", [[], ["a.onnx", "b.onnx"]], ids=["none", "two"])
def test_a_version_has_one_model(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "model").mkdir()
    for name in names:
        (tmp_path / "model" / name).touch()
    with pytest.raises(ModelUnusable, match=r"must hold one \.onnx file, holds (none|a\.onnx, b\.onnx)"):
        load_model(tmp_path)


def test_a_type_that_no_protocol_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"a is a tensor\(bfloat16\), which can't be served"):
        load_model(write_version(tmp_path, _cast_model(TensorProto.BFLOAT16)))


def test_models_of_the_same_signature_are_known_whatever_they_call_their_sizes(tmp_path: Path) -> None:
    other = linear_model((3.0, 4.0))
    other.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "rows"
    models = [load_model(write_version(tmp_path / "a")), load_model(write_version(tmp_path / "b", other))]
    wider = load_model(write_version(tmp_path / "c", linear_model((1.0, 2.0, 3.0))))
    assert models[0].signature() == models[1].signature() != wider.signature()


def test_features_are_the_numbers_of_all_inputs(tmp_path: Path) -> None:
    model = load_model(write_version(tmp_path))
    assert feature_columns(model, {"x": np.array([[1, 2], [3, 4]], np.float32)}).tolist() == [[1, 2], [3, 4]]


def test_texts_are_no_features(tmp_path: Path) -> None:
    model = load_model(write_version(tmp_path, _cast_model(TensorProto.STRING)))
    assert feature_columns(model, {"a": np.array(["1"], object)}).shape == (0, 0)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param([np.array([[1.0], [2.0]])], [1.0, 2.0], id="[n, 1]"),
        pytest.param([np.array([1, 2])], [1.0, 2.0], id="[n], whole numbers"),
        pytest.param([np.ones((2, 2))], None, id="two numbers a row"),
        pytest.param([np.ones(2), np.ones(2)], None, id="two outputs"),
        pytest.param([np.array(["a", "b"])], None, id="texts"),
        pytest.param([np.array(1.0)], None, id="one number in all"),
        pytest.param([np.ones((1, 2))], None, id="a row for two"),
    ],
)
def test_one_number_a_row(answers: list[np.ndarray], expected: list[float] | None) -> None:
    found = one_number_a_row(answers, 2)
    assert (None if found is None else found.tolist()) == expected
