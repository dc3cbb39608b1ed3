"""Live histograms of features and predictions, by the frozen edges of the version's baseline.

Counted all columns at once in one array, and turned into series only when they are read.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from modelcycle_runtime.bins import Baseline, Binner, Histogram, bin_names
from modelcycle_runtime.model import Array, Model

MAX_FEATURES = 64
"""Features beyond are not counted: each has a series for every bin and replica."""

log = logging.getLogger(__name__)


class Histograms:
    """Counts since the process started. Written by the event loop alone, read by any thread."""

    def __init__(self, model: Model, baseline: Baseline | None) -> None:
        features = () if baseline is None else baseline.features
        predictions = {} if baseline is None else {one.name: one for one in baseline.predictions}
        self.feature_names = tuple(one.name for one in features)
        self._features = _Counts(features[:MAX_FEATURES])
        self._predictions = [
            (place, _Counts((predictions[spec.name],)))
            for place, spec in enumerate(model.outputs)
            if spec.name in predictions
        ]

    def columns_with_nulls(self, baseline: Baseline | None) -> NDArray[np.bool_] | None:
        """Which features were null at training; None when nobody knows."""
        if baseline is None or not baseline.features:
            return None
        return np.array([one.counts[-1] > 0 for one in baseline.features])

    def count(self, columns: NDArray[np.float64], answers: Sequence[Array]) -> None:
        """Counts the rows of one request; what does not fit the baseline is said once, and not counted."""
        if self._features.fits and columns.shape[1] != len(self.feature_names):
            self._features.fits = False
            log.warning(
                "the baseline has %d features, the model %d: drift is not counted",
                len(self.feature_names),
                columns.shape[1],
            )
        self._features.add(columns[:, :MAX_FEATURES])
        for place, counts in self._predictions:
            answer = answers[place]
            if answer.size == len(answer):
                counts.add(np.asarray(answer, dtype=np.float64).reshape(-1, 1))

    def feature_baseline(self) -> Iterator[tuple[str, str, int]]:
        """Name, bin and count at training."""
        return self._features.reference()

    def prediction_baseline(self) -> Iterator[tuple[str, str, int]]:
        """Output, bin and count at training."""
        for _, counts in self._predictions:
            yield from counts.reference()

    def feature_counts(self) -> Iterator[tuple[str, str, int]]:
        """Name, bin and count."""
        return self._features.series()

    def prediction_counts(self) -> Iterator[tuple[str, str, int]]:
        """Output, bin and count."""
        for _, counts in self._predictions:
            yield from counts.series()


class _Counts:
    def __init__(self, histograms: Sequence[Histogram]) -> None:
        self.fits = bool(histograms)
        self._histograms = histograms
        self._names = [(one.name, bin_names(one.edges)) for one in histograms]
        self._binner = Binner([one.edges for one in histograms])
        self._total = np.zeros((len(histograms), self._binner.width), dtype=np.int64)

    def add(self, values: NDArray[np.float64]) -> None:
        if self.fits:
            self._total = self._total + self._binner.count(values)

    def reference(self) -> Iterator[tuple[str, str, int]]:
        if not self.fits:
            return
        for (name, bins), histogram in zip(self._names, self._histograms, strict=True):
            for bin_, count in zip(bins, histogram.counts, strict=True):
                yield name, bin_, count

    def series(self) -> Iterator[tuple[str, str, int]]:
        if not self.fits:
            return
        for (name, bins), counts in zip(self._names, self._total, strict=True):
            for bin_, count in zip(bins, counts, strict=False):
                yield name, bin_, int(count)
