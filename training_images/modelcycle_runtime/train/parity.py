"""Whether an ONNX graph answers as the model did that it was made from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from modelcycle_runtime.errors import UserError

Floats = NDArray[np.float32]
Predict = Callable[[Floats], Floats]
"""Takes features [n, k] and gives predictions [n] or [n, 1]."""

ABSOLUTE_TOLERANCE = 1e-5
RELATIVE_TOLERANCE = 1e-4
REAL_ROWS = 256
EDGES_ALONE = 6
_STRETCH = 10.0


def probe_rows(features: Floats) -> Floats:
    """Rows to compare on: real ones, spread evenly, and edges.

    Edges are zeros, each feature's extremes, and ten times those: all features at once, and one at a time.
    """
    finite = np.where(np.isfinite(features), features, np.nan)
    finite[:, np.isnan(finite).all(axis=0)] = 0
    low, middle, high = (f(finite, axis=0) for f in (np.nanmin, np.nanmedian, np.nanmax))
    extremes = (low, high, _STRETCH * low, _STRETCH * high)
    places = np.linspace(0, len(features) - 1, min(len(features), REAL_ROWS)).astype(np.intp)
    edges = [
        np.stack([np.zeros_like(low), middle, *extremes]),
        *(_one_at_a_time(middle, extreme) for extreme in extremes),
    ]
    return np.concatenate([features[places], *edges]).astype(np.float32)


def check_parity(expected: Predict, actual: Predict, features: Floats) -> None:
    """Compare two models on :func:`probe_rows`: all rows in one batch, and some, also extreme ones, each alone.

    An exporter that traces freezes what a branch decided for its example; rows alone, low and high, take both ways.

    Raises:
        UserError: they differ; the message names the worst row.
    """
    rows = probe_rows(features)
    first_edge = min(len(features), REAL_ROWS)
    alone = (0, *range(first_edge, first_edge + EDGES_ALONE))
    for batch in (rows, *(rows[place : place + 1] for place in alone)):
        compare(np.asarray(expected(batch)), np.asarray(actual(batch)), batch)


def compare(expected: NDArray[np.floating], actual: NDArray[np.floating], rows: Floats) -> None:
    """Raise UserError unless both predict alike, row by row; NaN equals NaN."""
    if expected.shape != actual.shape:
        raise UserError(f"ONNX export differs: the model answers with shape {expected.shape}, ONNX with {actual.shape}")
    want, got = (values.reshape(len(rows), -1).astype(np.float64) for values in (expected, actual))
    alike = np.isclose(got, want, rtol=RELATIVE_TOLERANCE, atol=ABSOLUTE_TOLERANCE, equal_nan=True)
    if alike.all():
        return
    gap = np.nan_to_num(np.abs(got - want), nan=np.inf)
    row, column = np.unravel_index(np.where(alike, -1.0, gap).argmax(), gap.shape)
    raise UserError(
        f"ONNX export differs: {(~alike).any(axis=1).sum()} of {len(rows)} rows; at worst row {rows[row].tolist()}: "
        f"the model says {want[row, column]:.7g}, ONNX {got[row, column]:.7g} (tolerated: {ABSOLUTE_TOLERANCE:g} + "
        f"{RELATIVE_TOLERANCE:g} of the value)"
    )


def _one_at_a_time(middle: NDArray[np.floating], extreme: NDArray[np.floating]) -> NDArray[np.floating]:
    rows = np.tile(middle, (len(middle), 1))
    np.fill_diagonal(rows, extreme)
    return rows
