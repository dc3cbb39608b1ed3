from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from modelcycle_runtime.errors import SmokeFailed
from modelcycle_runtime.model import load_model
from modelcycle_runtime.serve import smoke
from modelcycle_runtime.serve.settings import Tolerance
from tests.support.models import linear_model
from tests.support.versions import linear_smoke, write_version


def _check(folder: Path, tolerance: Tolerance | None = None) -> str:
    return smoke.check(load_model(folder), folder, tolerance or Tolerance())


def test_recorded_rows_are_answered(tmp_path: Path) -> None:
    assert _check(write_version(tmp_path, smoke=linear_smoke())).startswith("2 recorded rows of y")


def test_an_answer_that_differs_is_told_with_row_and_numbers(tmp_path: Path) -> None:
    folder = write_version(tmp_path, smoke=linear_smoke(answer=-0.75))
    with pytest.raises(SmokeFailed, match=r"output y, row 1: expected -0\.75, got -0\.5, tolerance 0\.0001"):
        _check(folder)


def test_the_tolerance_is_the_settings(tmp_path: Path) -> None:
    folder = write_version(tmp_path, smoke=linear_smoke(answer=-0.55))
    assert _check(folder, Tolerance(absolute=0.0, relative=0.1))
    assert _check(folder, Tolerance(absolute=0.06, relative=0.0))


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        pytest.param({"output_y": np.zeros((1, 1), np.float32)}, "input_x", id="rows are missing"),
        pytest.param({"input_x": np.zeros((1, 2), np.float32)}, "has no output_<name>", id="answers are missing"),
        pytest.param(
            {"input_x": np.zeros((1, 3), np.float32), "output_y": np.zeros(1, np.float32)}, "can't", id="width"
        ),
        pytest.param(
            {"input_x": np.zeros((1, 2), np.float32), "output_y": np.zeros(1, np.float32)}, "shape", id="shape"
        ),
    ],
)
def test_records_of_another_model_fail(tmp_path: Path, arrays: dict[str, np.ndarray], said: str) -> None:
    folder = write_version(tmp_path, smoke=arrays)
    with pytest.raises(SmokeFailed, match=said):
        _check(folder)


def test_pickled_records_are_not_read(tmp_path: Path) -> None:
    folder = write_version(tmp_path, smoke={"input_x": np.array([{}], dtype=object)})
    with pytest.raises(SmokeFailed, match="allow_pickle"):
        _check(folder)


def test_a_file_that_is_no_archive_fails(tmp_path: Path) -> None:
    folder = write_version(tmp_path)
    (folder / "modelcycle" / "smoke.npz").write_bytes(b"PK nothing")
    with pytest.raises(SmokeFailed, match="can't be read"):
        _check(folder)


def test_nan_is_answered_with_nan(tmp_path: Path) -> None:
    rows, answers = np.array([[np.nan, 0]], np.float32), np.array([[np.nan]], np.float32)
    assert _check(write_version(tmp_path, smoke={"input_x": rows, "output_y": answers}))


def test_without_records_signature_and_finiteness_are_checked(tmp_path: Path) -> None:
    assert "no recorded rows" in _check(write_version(tmp_path))


def test_without_records_an_answer_that_is_not_finite_fails(tmp_path: Path) -> None:
    with pytest.raises(SmokeFailed, match="expected finite numbers"):
        _check(write_version(tmp_path, linear_model((1.0,), bias=float("nan"))))
