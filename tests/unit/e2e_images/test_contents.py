from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.images.catalogue import Recipe
from e2e.images.contents import files_of, key_of, stage
from e2e.images.errors import ImagesError


def write(name: str, text: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")

    return change


CHANGES = {
    "a source": write("source/package/core.py", "ANSWER = 43\n"),
    "a new source": write("source/package/more.py", ""),
    "a requirement": write("requirements/sample.txt", "numpy==2.0\n"),
    "the Dockerfile": write("training_images/sample/Dockerfile", "ARG BASE_IMAGE=other\n"),
    "a file beside the Dockerfile": write("training_images/sample/entry.sh", ""),
    "a mode": lambda root: (root / "source/package/core.py").chmod(0o755),
}
NO_CHANGES = {
    "bytecode": write("source/package/__pycache__/core.cpython-311.pyc", "x"),
    "a page for people": write("training_images/sample/README.md", "x"),
    "a hidden folder": write("source/package/.mypy_cache/x", "x"),
    "another image's file": write("requirements/other.txt", "x"),
    "a time": lambda root: os.utime(root / "source/package/core.py", (1, 1)),
    "a mode that git does not keep": lambda root: (root / "source/package/core.py").chmod(0o600),
}


def cases(changes: dict[str, Callable[[Path], None]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in changes.items()])


@cases(CHANGES)
def test_the_key_changes_with(change: Callable[[Path], None], repository: Path, sample: Recipe) -> None:
    before = key_of(sample, repository, "base")
    change(repository)
    assert key_of(sample, repository, "base") != before


@cases(NO_CHANGES)
def test_the_key_stays_with(change: Callable[[Path], None], repository: Path, sample: Recipe) -> None:
    before = key_of(sample, repository, "base")
    change(repository)
    assert key_of(sample, repository, "base") == before


def test_the_key_changes_with_the_base(repository: Path, sample: Recipe) -> None:
    assert key_of(sample, repository, "base") != key_of(sample, repository, "other base")


def test_a_missing_input_is_named(repository: Path, sample: Recipe) -> None:
    (repository / "requirements/sample.txt").unlink()
    with pytest.raises(ImagesError, match=r"sample is made from requirements/sample\.txt, which is missing"):
        files_of(sample, repository)


def test_the_context_has_exactly_what_the_key_covers(repository: Path, sample: Recipe, tmp_path: Path) -> None:
    write("source/package/__pycache__/core.cpython-311.pyc", "x")(repository)
    context = tmp_path / "context"
    stage(sample, repository, context)
    staged = sorted(path.relative_to(context) for path in context.rglob("*") if path.is_file())
    assert staged == files_of(sample, repository)


def test_the_context_is_the_same_in_every_clone(repository: Path, sample: Recipe, tmp_path: Path) -> None:
    (repository / "source/package/core.py").chmod(0o600)
    stage(sample, repository, tmp_path / "context")
    found = [path.stat() for path in (tmp_path / "context").rglob("*")]
    assert len({status.st_mtime for status in found}) == 1
    assert {status.st_mode & 0o777 for status in found} == {0o644, 0o755}
