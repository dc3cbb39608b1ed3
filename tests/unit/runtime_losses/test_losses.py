from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelcycle_runtime.errors import ModelUnusable
from modelcycle_runtime.losses import LossName, built_in, load_loss
from tests.support.models import loss_model

INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("name", "label", "prediction", "expected"),
    [
        pytest.param("Squared", 1.0, 3.0, 4.0, id="squared"),
        pytest.param("Absolute", 1.0, 3.0, 2.0, id="absolute"),
        pytest.param("Log", 1.0, 0.5, np.log(2), id="log of a coin"),
        pytest.param("Log", 0.0, 0.0, 0.0, id="log, certain and right"),
        pytest.param("Log", 1.0, 0.0, INF, id="log, certain and wrong"),
        pytest.param("Log", 1.0, 1.5, NAN, id="log of what is no probability"),
        pytest.param("Log", 2.0, 0.5, NAN, id="log of a label that is no class"),
        pytest.param("Pinball", 1.0, 0.0, 0.9, id="pinball, predicted too low"),
        pytest.param("Pinball", 0.0, 1.0, 0.1, id="pinball, predicted too high"),
        pytest.param("Qlike", 2.0, 2.0, 0.0, id="qlike at its minimum"),
        pytest.param("Qlike", 2.0, 1.0, 2 - np.log(2) - 1, id="qlike, predicted too low"),
        pytest.param("Qlike", 0.0, 1.0, INF, id="qlike of no variance at all"),
        pytest.param("Qlike", 1.0, 0.0, NAN, id="qlike of a prediction that is no variance"),
        pytest.param("Squared", NAN, 1.0, NAN, id="a label that is missing"),
        pytest.param("Absolute", INF, 1.0, INF, id="a label that is infinite"),
    ],
)
def test_losses(name: str, label: float, prediction: float, expected: float) -> None:
    found = built_in(LossName(name), pinball_quantile=0.9)([label], [prediction])
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, [expected])


@given(st.sampled_from([n for n in LossName if n is not LossName.MODEL]), st.floats(0, 1), st.floats(0.001, 0.999))
def test_the_right_answer_has_no_loss_and_no_answer_has_less(name: LossName, label: float, prediction: float) -> None:
    loss = built_in(name)
    assert not loss([label], [prediction]) < -1e-12
    if name in {LossName.SQUARED, LossName.ABSOLUTE, LossName.PINBALL}:
        assert loss([label], [label]) == 0


def test_the_loss_of_a_model_is_not_built_in() -> None:
    with pytest.raises(KeyError):
        built_in(LossName.MODEL)


def _saved(folder: Path, model: onnx.ModelProto) -> Path:
    onnx.save(model, str(folder / "loss.onnx"))
    return folder / "loss.onnx"


def test_a_version_brings_its_own_loss_which_may_be_negative(tmp_path: Path) -> None:
    loss = load_loss(_saved(tmp_path, loss_model()))
    assert loss([1.0, 2.0], [3.0, 1.0]).tolist() == [-2.0, 1.0]


def test_a_loss_of_other_inputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="needs float inputs label and prediction"):
        load_loss(_saved(tmp_path, loss_model("answer")))


def test_a_loss_that_is_no_onnx_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "loss.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(ModelUnusable, match="can't load"):
        load_loss(path)
