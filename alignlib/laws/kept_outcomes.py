"""Optima in χ² in closed form, from the number of outcomes that are kept: where a search for them may start."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import FloatArray

__all__ = ["kept_outcomes"]


def kept_outcomes(gap: FloatArray, prob: FloatArray, budgets: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return ``A`` and ``c`` of the optimum ``φ/p = max(0, A - c gap)`` for each χ², to rounding of sums from the top.

    Outcomes are dropped from the lowest reward on. With mass ``P``, mean gap ``μ`` and ``V = E_p (gap - μ)²`` of those
    that are kept, ``A = 1/P + cμ`` makes the policy sum to one, and then ``χ² + 1 = 1/P + c²V``.

    Parameters
    ----------
    gap : array (k,)
        Distance >= 0 of each reward to the largest; not all zero.
    prob : array (k,)
        Positive base masses, summing to one.
    budgets : array (b,)
        χ² to spend, > 0; where it cannot be spent ``c`` is infinite or NaN.

    Examples
    --------
    >>> a, c = kept_outcomes(np.array([1.0, 0.0]), np.array([0.5, 0.5]), np.array([0.04]))
    >>> a.round(12).tolist(), c.round(12).tolist()
    ([1.2], [0.4])
    """
    order = np.argsort(gap)
    gap, prob = gap[order], prob[order]
    sold = prob * gap
    mass, first = np.cumsum(prob), np.cumsum(sold)
    mean = first / mass
    # Welford's update: no digit of the spread is lost to the mean.
    steps = np.zeros_like(gap)
    steps[1:] = prob[1:] * (gap[1:] - mean[:-1]) * (gap[1:] - mean[1:])
    spread = np.cumsum(steps)
    with np.errstate(all="ignore"):
        # χ² at which the next outcome begins to be kept; it falls with their number.
        ends = 1.0 / mass[:-1] - 1.0 + spread[:-1] / np.square(mass[:-1] * (gap[1:] - mean[:-1]))
        kept = np.searchsorted(-ends, -budgets, side="left")
        c = np.sqrt((budgets + (1.0 - 1.0 / mass[kept])) / spread[kept])
        return 1.0 / mass[kept] + c * mean[kept], c
