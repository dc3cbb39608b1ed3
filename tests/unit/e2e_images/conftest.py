"""A small repository with one image, and a PATH on which there is nothing but stand-ins."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from e2e.images.catalogue import Recipe
from tests.unit.e2e_images.programs import Programs


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("sh", "cat", "mkdir", "printf", "sleep", "touch"):
        target = next(Path(part, name) for part in os.environ["PATH"].split(":") if Path(part, name).exists())
        (folder / name).symlink_to(target)
    (folder / "python").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(folder))
    return Programs(folder)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one image, `sample`, made of one requirements file and one package."""
    root = tmp_path / "repository"
    for name, text in {
        "training_images/sample/Dockerfile": "ARG BASE_IMAGE=python:3.13-slim\n\nFROM ${BASE_IMAGE}\n",
        "requirements/sample.txt": "numpy==1.0\n",
        "source/package/__init__.py": "",
        "source/package/core.py": "ANSWER = 42\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


@pytest.fixture
def sample() -> Recipe:
    return Recipe("sample", "python", ("requirements/sample.txt", "source/package"), ("requirements",))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "image.log"
