"""Frozen histograms of features and predictions, and ``baseline.json`` that keeps them.

Edges are fixed once, at training, so that the counters of all replicas and times may be added up. Inner edges
``e[0] < ... < e[k-1]`` make ``k + 1`` bins: bin i holds ``e[i-1] <= x < e[i]``, the first and last are open. One more
bin, the last, counts null and NaN.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modelcycle_runtime.errors import DataError

DEFAULT_BINS = 10
BASELINE_VERSION = 1
NULL_BIN = "null"
_CHUNK_CELLS = 1 << 20
# A constant feature gets a bin of its own, wide enough for a value that was float64 at training and is float32 now.
_CONSTANT_WIDTH = 1e-5

Edges = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Histogram:
    """One feature or output: ``counts`` has ``len(edges) + 2`` entries, the last for nulls."""

    name: str
    edges: Edges
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LossBaseline:
    """The loss that the version had at its training, over ``rows`` rows."""

    name: str
    mean: float
    rows: int


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a version saw and said at its training."""

    rows: int
    features: tuple[Histogram, ...]
    predictions: tuple[Histogram, ...]
    loss: LossBaseline | None = None


def quantile_edges(values: ArrayLike, bins: int = DEFAULT_BINS) -> Edges:
    """Inner edges of at most ``bins`` bins of about equal mass.

    Every edge lies half-way between two values that occurred, so that a value's rounding to float32 does not move it to
    another bin, and tied values stay together: a binary feature gets one edge, a constant one a bin of its own between
    two empty ones. Without a finite value there is no edge.
    """
    array = np.asarray(values, dtype=np.float64).ravel()
    distinct, counts = np.unique(array[np.isfinite(array)], return_counts=True)
    if distinct.size < 2:
        return _around(distinct)
    halfway = distinct[:-1] / 2 + distinct[1:] / 2
    if distinct.size <= bins:
        return tuple(halfway.tolist())
    below = np.cumsum(counts)[:-1] / counts.sum()
    wanted = np.arange(1, bins) / bins
    return tuple(halfway[np.unique(_nearest(below, wanted))].tolist())


def _nearest(below: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.intp]:
    right = np.searchsorted(below, wanted).clip(1, below.size - 1)
    return np.where(wanted - below[right - 1] <= below[right] - wanted, right - 1, right)


def _around(distinct: NDArray[np.float64]) -> Edges:
    if distinct.size == 0:
        return ()
    value = float(distinct[0])
    width = max(abs(value) * _CONSTANT_WIDTH, float(np.finfo(np.float32).tiny))
    return (value - width, value + width)


class Binner:
    """Counts values of several columns into their bins, all columns at once."""

    def __init__(self, columns: Sequence[Edges]) -> None:
        self.width = max((len(edges) for edges in columns), default=0) + 2
        self.bins = tuple(len(edges) + 1 for edges in columns)
        # NaN compares false with everything, so that the padding of shorter rows of edges counts for nothing.
        self._edges = np.full((len(columns), self.width - 2), np.nan)
        for row, edges in zip(self._edges, columns, strict=True):
            row[: len(edges)] = edges
        self._null = np.array(self.bins, dtype=np.intp)
        self._offsets = np.arange(len(columns), dtype=np.intp) * self.width

    def count(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Counts of ``values`` [n, columns] as [columns, width]; a column's null bin is its ``len(edges) + 1``-th."""
        total = np.zeros(len(self.bins) * self.width, dtype=np.int64)
        rows = max(_CHUNK_CELLS // max(self._edges.size, 1), 1)
        for start in range(0, len(values), rows):
            total += np.bincount(self._places(values[start : start + rows]), minlength=total.size)
        return total.reshape(len(self.bins), self.width)

    def _places(self, values: NDArray[Any]) -> NDArray[np.intp]:
        places = np.count_nonzero(values[:, :, None] >= self._edges, axis=2)
        places = np.where(np.isnan(values), self._null, places)
        return (places + self._offsets).ravel()


def histogram(name: str, values: ArrayLike, edges: Edges | None = None) -> Histogram:
    """Histogram of one column; ``edges`` by :func:`quantile_edges` unless given."""
    column = np.asarray(values, dtype=np.float64).reshape(-1, 1)
    kept = quantile_edges(column) if edges is None else edges
    return Histogram(name, kept, tuple(Binner([kept]).count(column)[0].tolist()))


def bin_names(edges: Edges) -> tuple[str, ...]:
    """Values of the metric label ``bin``, in the order of ``counts``."""
    return (*(str(i) for i in range(len(edges) + 1)), NULL_BIN)


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Writes ``baseline`` as ``baseline.json``.

    Raises:
        DataError: it holds NaN or infinity, or counts that don't fit their edges.
    """
    for one in (*baseline.features, *baseline.predictions):
        _check(one, str(path))
    if baseline.loss is not None and not np.isfinite(baseline.loss.mean):
        raise DataError(f"{path}: the mean loss is {baseline.loss.mean}; a baseline needs a finite one")
    path.write_text(json.dumps({"version": BASELINE_VERSION, **asdict(baseline)}, allow_nan=False))


def read_baseline(path: Path) -> Baseline:
    """Reads and checks ``baseline.json``.

    Raises:
        DataError: it is no such file; the message names the field.
    """
    try:
        record = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}") from error
    if not isinstance(record, dict) or record.get("version") != BASELINE_VERSION:
        raise DataError(f"{path}: version must be {BASELINE_VERSION}")
    try:
        return _baseline(record, str(path))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a baseline: {type(error).__name__} {error}") from error


def _baseline(record: Mapping[str, Any], where: str) -> Baseline:
    loss = record.get("loss")
    return Baseline(
        rows=int(record["rows"]),
        features=tuple(_histogram(one, where) for one in record["features"]),
        predictions=tuple(_histogram(one, where) for one in record["predictions"]),
        loss=None if loss is None else LossBaseline(str(loss["name"]), float(loss["mean"]), int(loss["rows"])),
    )


def _histogram(record: Mapping[str, Any], where: str) -> Histogram:
    edges = tuple(float(edge) for edge in record["edges"])
    found = Histogram(str(record["name"]), edges, tuple(int(count) for count in record["counts"]))
    _check(found, where)
    return found


def _check(found: Histogram, where: str) -> None:
    if not np.isfinite(found.edges).all() or any(right <= left for left, right in pairwise(found.edges)):
        raise DataError(f"{where}: {found.name}: edges must be finite and strictly increasing")
    if len(found.counts) != len(found.edges) + 2 or min(found.counts) < 0:
        raise DataError(f"{where}: {found.name}: needs {len(found.edges) + 2} counts of 0 or more (the last for nulls)")
