"""The statistics of drift: population stability index and the floor below which it says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import log, sqrt
from statistics import NormalDist

SMOOTHING = 0.5


def population_stability_index(reference: Sequence[float], current: Sequence[float]) -> float:
    """PSI of two histograms over the same bins: sum of (p - q) ln(p / q), in nats.

    Half a count is added to every bin (Krichevsky-Trofimov), so that an empty bin does not make it infinite. Bins that
    are empty in both are left out.
    """
    bins = [(r, c) for r, c in zip(reference, current, strict=True) if r or c]
    reference_total = sum(r for r, _ in bins) + SMOOTHING * len(bins)
    current_total = sum(c for _, c in bins) + SMOOTHING * len(bins)
    shares = [((r + SMOOTHING) / reference_total, (c + SMOOTHING) / current_total) for r, c in bins]
    return sum((p - q) * log(p / q) for p, q in shares)


def chi_squared_quantile(probability: float, degrees: int) -> float:
    """Quantile of the chi-squared distribution by Wilson and Hilferty (1931); within 2 % from 3 degrees on."""
    z = NormalDist().inv_cdf(probability)
    spread = 2 / (9 * degrees)
    return float(degrees * max(0.0, 1 - spread + z * sqrt(spread)) ** 3)


def drift_floor(bins: int, reference_rows: float, current_rows: float, alpha: float) -> float:
    """PSI that equal distributions exceed with chance ``alpha`` only: chi2_{B-1} (1/n + 1/m).

    Source: B. Yurdakul, "Statistical Properties of the Population Stability Index" (2018): under equality PSI is
    distributed as (1/n + 1/m) times chi-squared with B - 1 degrees of freedom.
    """
    if bins < 2 or not reference_rows or not current_rows:
        return float("inf")
    return chi_squared_quantile(1 - alpha, bins - 1) * (1 / reference_rows + 1 / current_rows)
