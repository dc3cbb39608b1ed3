"""A version in the gate: its files, the columns that it takes, what it was trained on, and its answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelcycle_runtime.contract import ARTIFACT_ROWS
from modelcycle_runtime.errors import DataError, ModelUnusable
from modelcycle_runtime.model import Array, Model, load_model, one_number_a_row, recorded_columns
from modelcycle_runtime.table import Table


@dataclass(frozen=True, slots=True)
class Candidate:
    version: str
    folder: Path
    model: Model

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Feature columns by name, in the model's order; None when nothing names them."""
        if len(self.model.inputs) > 1 or len(self.model.inputs[0].shape) == 1:
            return tuple(spec.name for spec in self.model.inputs)
        return recorded_columns(self.folder)

    def trained_on(self) -> NDArray[np.uint64] | None:
        """Digests of the rows that it was trained on, or None when nobody wrote them down.

        Raises:
            ModelUnusable: the file can't be read.
        """
        path = self.folder / ARTIFACT_ROWS
        if not path.exists():
            return None
        try:
            return np.asarray(np.load(path, allow_pickle=False), dtype=np.uint64)
        except (OSError, ValueError, TypeError) as error:
            raise ModelUnusable(f"{path}: can't be read as digests of rows: {error}") from error

    def files(self) -> list[tuple[str, int, str]]:
        """Path, size and SHA-256 of each file."""
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return [(str(path.relative_to(self.folder)), path.stat().st_size, _sha256(path)) for path in paths]

    def predict(self, table: Table) -> NDArray[np.float64]:
        """Predictions [rows] for ``table``.

        Raises:
            DataError: the table's columns are not those that the model takes.
            ModelUnusable: it does not answer with one number a row.
        """
        features = self._features(table)
        answers = [self._answer(part) for part in self._batches(features)]
        return np.concatenate(answers)[: len(table)] if answers else np.empty(0)

    def _features(self, table: Table) -> NDArray[np.float64]:
        names = self.columns or table.feature_names
        missing = [name for name in names if name not in table.feature_names]
        if missing:
            raise DataError(f"version {self.version} takes {', '.join(missing)}, which the table has not")
        wanted = _width(self.model)
        if wanted is not None and len(names) != wanted:
            raise DataError(
                f"version {self.version} takes {wanted} features, and nothing says which of the table's {len(names)} "
                f"columns they are ({', '.join(names)}); log modelcycle/dataset.json with their names in columns"
            )
        return table.features[:, [table.feature_names.index(name) for name in names]]

    def _batches(self, features: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
        """All rows at once, or, for a model of a fixed number of rows, so many at a time, the last ones repeated."""
        fixed = self.model.inputs[0].shape[0]
        size = fixed if isinstance(fixed, int) else max(len(features), 1)
        for start in range(0, len(features), size):
            part = features[start : start + size]
            padding = np.repeat(part[-1:], size - len(part), axis=0)
            yield np.concatenate([part, padding]) if isinstance(fixed, int) else part

    def _answer(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        try:
            answers = self.model.run(self._feeds(features))
        except Exception as error:
            raise ModelUnusable(f"version {self.version} can't answer {len(features)} rows: {error}") from error
        found = one_number_a_row(answers, len(features))
        if found is None:
            shapes = ", ".join(str(list(answer.shape)) for answer in answers)
            raise ModelUnusable(f"version {self.version}: the gate needs one number a row, got {shapes}")
        return found

    def _feeds(self, features: NDArray[np.float64]) -> dict[str, Array]:
        specs = self.model.inputs
        if len(specs) == 1 and len(specs[0].shape) > 1:
            return {specs[0].name: features.astype(specs[0].dtype)}
        return {
            spec.name: features[:, i].reshape([-1, *[1] * (len(spec.shape) - 1)]).astype(spec.dtype)
            for i, spec in enumerate(specs)
        }


def load_candidate(version: str, folder: Path) -> Candidate:
    """The version in ``folder``.

    Raises:
        ModelUnusable: it can't be loaded, or its inputs are not numbers.
    """
    model = load_model(folder)
    wrong = ", ".join(str(spec) for spec in model.inputs if not spec.is_number or not spec.shape)
    if wrong:
        raise ModelUnusable(f"version {version}: the gate reads numbers from a table, the model takes {wrong}")
    return Candidate(version, folder, model)


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _width(model: Model) -> int | None:
    first = model.inputs[0].shape
    if len(model.inputs) > 1 or len(first) == 1:
        return len(model.inputs)
    return first[1] if isinstance(first[1], int) else None
