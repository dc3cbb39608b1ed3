"""Which images there are, and what goes into each."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from e2e.images.errors import ImagesError

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_REPOSITORY = "localhost/modelcycle"

CORE = "training_images/modelcycle_core.abi3.so"
"""Compiled on the host by e2e.core: no image needs a compiler."""
_PACKAGE = ("LICENSE", "pyproject.toml", "requirements/build.txt")
_DEFAULT_BASE = re.compile(r"\AARG BASE_IMAGE=(?P<reference>\S+)\n")


def published(reference: str) -> str:
    """The name that a release of this version has, which samples use, of an image that is called by its content."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    return f"{reference.rpartition(':')[0]}:{version}"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One image: its Dockerfile's folder is training_images/<name>.

    `base` names the local base that stands in for the Dockerfile's public one, `inputs` are the files and folders that
    the Dockerfile copies, `kept_stages` the stages whose layers are slow to make and do not depend on our sources.
    """

    name: str
    base: str
    inputs: tuple[str, ...]
    kept_stages: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        return f"training_images/{self.name}"

    @property
    def dockerfile(self) -> str:
        return f"{self.folder}/Dockerfile"

    def public_base(self, root: Path) -> str:
        """Give the base image that the Dockerfile names by default."""
        found = _DEFAULT_BASE.match((root / self.dockerfile).read_text(encoding="utf-8"))
        if found is None:
            message = f"{self.dockerfile} has to begin with the line ARG BASE_IMAGE=<public image>."
            raise ImagesError(message)
        return found["reference"]


def _packaged(name: str, *sources: str, base: str = "python") -> Recipe:
    return Recipe(name, base, (*_PACKAGE, f"requirements/{name}.txt", *sources), ("requirements", "tools"))


RECIPES: tuple[Recipe, ...] = (
    _packaged("operator", "operator/modelcycle"),
    _packaged("serving", "training_images/modelcycle_client", "training_images/modelcycle_runtime", CORE),
    Recipe("mlflow", "python", ("requirements/mlflow.txt",), ("requirements",)),
    Recipe("prometheus", "prometheus", ()),
    Recipe("marketdata", "python", ("requirements/marketdata.txt",), ("requirements",)),
    _packaged("training", "training_images/modelcycle_runtime", base="torch"),
)


def recipe(name: str) -> Recipe:
    """Find an image by its name."""
    for found in RECIPES:
        if found.name == name:
            return found
    message = f"There is no image called {name!r}: there are {', '.join(each.name for each in RECIPES)}."
    raise ImagesError(message)
