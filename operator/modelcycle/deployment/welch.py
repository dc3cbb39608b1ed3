"""Is the candidate's mean loss higher? Welch's unequal-variances t-test, one-sided, from sums.

B. L. Welch, "The generalization of 'Student's' problem when several different population variances are involved",
Biometrika 34 (1947). The tail of Student's t is a regularized incomplete beta function, by the continued fraction of
Abramowitz and Stegun 26.5.8, evaluated with Lentz's method.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, lgamma, log, sqrt

_PRECISION = 1e-12
_TINY = 1e-300
_TERMS = 500


@dataclass(frozen=True, slots=True)
class Losses:
    """Sums over ``rows`` losses: of the losses, and of their squares."""

    rows: float
    total: float
    squared: float

    @property
    def mean(self) -> float:
        return self.total / self.rows

    @property
    def variance(self) -> float:
        """Unbiased; never below 0, whatever rounding did to the sums."""
        return max(0.0, (self.squared - self.total**2 / self.rows) / (self.rows - 1))


def p_value(candidate: Losses, stable: Losses) -> float:
    """Chance of a difference this large if the candidate's mean loss were not higher. Both need at least 2 rows."""
    a, b = candidate.variance / candidate.rows, stable.variance / stable.rows
    difference = candidate.mean - stable.mean
    if a + b == 0.0:
        return 0.0 if difference > 0 else 1.0
    degrees = (a + b) ** 2 / (a**2 / (candidate.rows - 1) + b**2 / (stable.rows - 1))
    return upper_tail(difference / sqrt(a + b), degrees)


def upper_tail(t: float, degrees: float) -> float:
    """P(T > t) for Student's t with ``degrees`` degrees of freedom (not necessarily whole)."""
    if t in (inf, -inf):
        return 0.0 if t > 0 else 1.0
    half = incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t)) / 2
    return half if t > 0 else 1.0 - half


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularized incomplete beta function I_x(a, b)."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(1.0 - x))
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _continued_fraction(a, b, x) / a
    return 1.0 - front * _continued_fraction(b, a, 1.0 - x) / b


def _continued_fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1.0))
    result = d
    for m in range(1, _TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / _away_from_zero(1.0 + term * d)
            c = _away_from_zero(1.0 + term / c)
            result *= c * d
        if abs(c * d - 1.0) < _PRECISION:
            break
    return result


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
