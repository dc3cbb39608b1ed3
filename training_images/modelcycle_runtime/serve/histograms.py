"""Which histograms of features and predictions a version has; the core counts them.

Edges are the frozen ones of the version's baseline. Series are made only when they are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from modelcycle_runtime.bins import Baseline, Histogram, bin_names
from modelcycle_runtime.model import TensorSpec

MAX_FEATURES = 64
"""Features beyond are not counted: each has a series for every bin and replica. The core knows the same number."""

Series = tuple[str, str, int]
"""Name of the feature or output, bin, count."""


@dataclass(frozen=True, slots=True)
class Histograms:
    features: tuple[Histogram, ...] = ()
    """In the order of the model's columns."""
    predictions: tuple[tuple[int, Histogram], ...] = ()
    """With the place of the output."""

    def columns(self) -> list[tuple[str, Sequence[float], bool]]:
        """Name, edges, and whether it was null at training, for the core."""
        return [(one.name, one.edges, one.counts[-1] > 0) for one in self.features]

    def outputs(self) -> list[tuple[int, Sequence[float]]]:
        """Place and edges, for the core."""
        return [(place, one.edges) for place, one in self.predictions]

    def feature_counts(self, counts: Sequence[Sequence[int]]) -> Iterator[Series]:
        """Series of the core's ``counts``, which are none where the baseline is another model's."""
        return _series(self.features, counts)

    def feature_baseline(self, counts: Sequence[Sequence[int]]) -> Iterator[Series]:
        """Counts at training of the same features."""
        return _series(self.features, [one.counts for one in self.features[: len(counts)]])

    def prediction_counts(self, counts: Sequence[Sequence[int]]) -> Iterator[Series]:
        return _series([one for _, one in self.predictions], counts)

    def prediction_baseline(self) -> Iterator[Series]:
        return _series([one for _, one in self.predictions], [one.counts for _, one in self.predictions])


def histograms_of(outputs: Sequence[TensorSpec], baseline: Baseline | None) -> Histograms:
    """The histograms of a model with ``outputs``; without a baseline there are none."""
    if baseline is None:
        return Histograms()
    places = {spec.name: place for place, spec in enumerate(outputs)}
    predictions = sorted((places[one.name], i) for i, one in enumerate(baseline.predictions) if one.name in places)
    return Histograms(baseline.features, tuple((place, baseline.predictions[i]) for place, i in predictions))


def _series(histograms: Sequence[Histogram], counts: Sequence[Sequence[int]]) -> Iterator[Series]:
    for one, bins in zip(histograms, counts, strict=False):
        for bin_, count in zip(bin_names(one.edges), bins, strict=True):
            yield one.name, bin_, count
