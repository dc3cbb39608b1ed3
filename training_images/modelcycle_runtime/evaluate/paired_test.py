"""Is the mean of a series of differences above zero? A one-sided test that holds up under autocorrelation and few rows.

The losses of consecutive rows of a time series are correlated, and so are their differences. A plain paired t-test then
believes in more rows than there are. The mean's variance is estimated here from the first B cosine transforms of the
series (equal-weighted cosine, Lazarus, Lewis, Stock and Watson, 2018, doi:10.1080/07350015.2018.1506926), with their
B = 0.4 n^(2/3), and compared with Student's t of B degrees of freedom, which pays for B being small.

How often a challenger that is no better passes at alpha 0.1, on 60 rows whose differences are AR(1) (1000 simulations,
normal noise; with n = 40 and 250 and heavy tails the order is the same):

============================  =====  =====  =====  =====
correlation of neighbours     0      0.3    0.5    0.7
============================  =====  =====  =====  =====
paired t                      0.098  0.161  0.241  0.315
Newey-West, t of n - 1        0.109  0.121  0.169  0.216
moving block bootstrap        0.113  0.115  0.174  0.214
this test                     0.107  0.085  0.109  0.140
============================  =====  =====  =====  =====

What that costs: a gain of 0.3 standard deviations passes in 80 % of cases without correlation (paired t: 84 %), and in
50 % with 0.5 (paired t: 73 %, most of which it did not earn).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

MIN_ROWS = 5
"""With fewer there are not the two cosines that make a variance worth the name."""
_STEPS = 20_001


def p_value(differences: NDArray[np.float64]) -> float:
    """Chance of so large a mean of ``differences`` [n], in order of time, were their true mean zero or less.

    Raises:
        ValueError: there are fewer than :data:`MIN_ROWS`.
    """
    n = len(differences)
    if n < MIN_ROWS:
        raise ValueError(f"the paired test needs {MIN_ROWS} rows, has {n}")
    largest = float(np.abs(differences).max())
    if largest == 0:
        return 1.0
    differences = differences / largest  # the test has no unit; squares of what is tiny would be zero
    mean = float(differences.mean())
    terms = max(round(0.4 * n ** (2 / 3)), 2)
    variance = _long_run_variance(differences, terms)
    if variance <= 0:
        return 0.0 if mean > 0 else 1.0
    return student_t_above(mean / math.sqrt(variance / n), terms)


def _long_run_variance(differences: NDArray[np.float64], terms: int) -> float:
    n = len(differences)
    waves = np.cos(np.pi * np.outer(np.arange(1, terms + 1), (np.arange(n) + 0.5) / n))
    transforms = math.sqrt(2 / n) * waves @ (differences - differences.mean())
    return float((transforms * transforms).mean())


def student_t_above(t: float, degrees: int) -> float:
    """Probability that Student's t with ``degrees`` of freedom is above ``t``: by ``t = sqrt(degrees) tan(angle)``."""
    angles = np.linspace(math.atan(t / math.sqrt(degrees)), math.pi / 2, _STEPS)
    height = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(math.pi)
    return float(np.trapezoid(np.cos(angles) ** (degrees - 1), angles) * height)
