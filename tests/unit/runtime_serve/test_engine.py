from __future__ import annotations

from pathlib import Path

import pytest

from modelcycle_runtime.errors import ModelUnusable
from modelcycle_runtime.serve.engine import available_providers, load_model
from modelcycle_runtime.serve.providers import CPU, CUDA, TENSORRT, Provider
from tests.support.versions import write_version


def test_the_library_says_what_it_was_built_with() -> None:
    assert CPU in available_providers()


@pytest.mark.parametrize("name", [CUDA, TENSORRT, "OtherExecutionProvider"])
def test_a_provider_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    if name in available_providers():
        pytest.skip("this machine has it")
    with pytest.raises(ModelUnusable, match=f"ONNX Runtime can't load it: {name}: "):
        load_model(write_version(tmp_path), 1, [Provider(name, (("device_id", "0"),))])


def test_rows_a_second_are_counted(tmp_path: Path) -> None:
    engine = load_model(write_version(tmp_path), 1).engine
    assert engine.throughput(None, 4, 2) > 0
