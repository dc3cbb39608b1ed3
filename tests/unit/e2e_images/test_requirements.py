"""The sets of requirements are hashed, agree with one another, and say nothing of the machine that made them."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from e2e.images.catalogue import ROOT

FOLDER = ROOT / "requirements"
SETS = sorted(path.stem for path in FOLDER.glob("*.txt"))
each_set = pytest.mark.parametrize("name", SETS)


def pins(name: str) -> set[str]:
    """Give a set's `name==version`, without markers and hashes: a smaller set may need a library on fewer Pythons."""
    lines = (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return {re.split(r"[ ;\\]", line)[0] for line in lines if re.match(r"[a-z0-9]", line)}


def test_every_set_is_compiled() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.in")) == SETS


@each_set
def test_every_requirement_has_hashes(name: str) -> None:
    lines = [line for line in (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    for line, following in pairwise([*lines, ""]):
        if not line.startswith(" "):
            assert "==" in line
            assert following.strip().startswith("--hash=sha256:"), line


@each_set
def test_no_index_and_no_path_is_named(name: str) -> None:
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    assert not re.search(r"--(extra-)?index-url|--find-links|https?://|file:", text)


@each_set
def test_a_library_has_one_version_wherever_it_runs(name: str) -> None:
    assert pins(name) <= pins("dev")


@each_set
def test_torch_comes_with_the_base_image_only(name: str) -> None:
    assert not any(re.match(r"torch\b|nvidia-(?!ml-py)", pin) for pin in pins(name))


def test_the_operator_has_no_machine_learning_library() -> None:
    assert not any(re.match(r"(mlflow|numpy|onnx|pandas)", pin) for pin in pins("operator"))
