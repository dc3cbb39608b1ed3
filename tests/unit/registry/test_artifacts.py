"""Whether an ONNX file needs others beside it."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from modelcycle.registry.artifacts import WeightsBeside
from tests.support.models import linear_model

WEIGHTS = tuple(float(number) for number in range(1000))


def saved(folder: Path, *, beside: bool) -> bytes:
    path = folder / "model.onnx"
    onnx.save_model(linear_model(WEIGHTS), str(path), save_as_external_data=beside)
    return path.read_bytes()


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("size", [1, 3, 9, 10, 11, 64, 1 << 20])
def test_weights_beside_the_graph_are_seen_however_the_file_comes(tmp_path: Path, beside: bool, size: int) -> None:
    content = saved(tmp_path, beside=beside)
    assert len(list(tmp_path.iterdir())) == 1 + beside
    search = WeightsBeside()
    for start in range(0, len(content), size):
        search.see(content[start : start + size])
    assert search.found is beside
