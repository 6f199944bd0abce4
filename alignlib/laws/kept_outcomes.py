"""Optima in χ² in closed form: from sums over the outcomes that are kept, which are known for any number of them."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import FloatArray

__all__ = ["kept_outcomes"]

_MET = 1e-13


def kept_outcomes(
    gap: FloatArray, prob: FloatArray, budgets: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return the top's price, λ, the gain, and the dual's bound on it, for each χ²; the last two NaN where sums round.

    The optimum is ``φ/p = max(0, A - c gap)``: outcomes are dropped from the lowest reward on. With mass ``P``, mean
    gap ``μ`` and ``V = E_p (gap - μ)²`` of those that are kept, ``A = 1/P + cμ`` makes it sum to one, and then
    ``χ² + 1 = 1/P + c²V``. How many are kept is read off the χ² at which the next one would be; the dual is evaluated
    at ``A`` and ``c`` alone, so that it knows nothing of that.

    Parameters
    ----------
    gap : array (k,)
        Distance >= 0 of each reward to the largest; not all zero.
    prob : array (k,)
        Positive base masses, summing to one.
    budgets : array (b,)
        χ² to spend, > 0; where it cannot be spent λ is infinite or NaN.

    Returns
    -------
    price : array (b,)
        The top's price.
    lam : array (b,)
        Inverse temperatures λ.
    gain, dual : array (b,)
        The gain and the dual's bound on it; NaN where sums round.

    Examples
    --------
    >>> price, lam, gain, dual = kept_outcomes(np.array([1.0, 0.0]), np.array([0.5, 0.5]), np.array([0.04]))
    >>> [float(one[0].round(12)) for one in (price, lam, gain, dual)]
    [0.4, 0.8, 0.1, 0.1]
    """
    order = np.argsort(gap)
    gap, prob = gap[order], prob[order]
    sold = np.cumsum(prob * gap)
    mass = np.cumsum(prob)
    mean = sold / mass
    # Chan's update, without a difference to the new mean: no digit of the spread is lost to a rare top.
    steps = np.zeros_like(gap)
    steps[1:] = prob[1:] * (mass[:-1] / mass[1:]) * np.square(gap[1:] - mean[:-1])
    spread = np.cumsum(steps)
    base = float(mean[-1])
    with np.errstate(all="ignore"):
        # χ² at which the next outcome begins to be kept; it falls with their number.
        ends = 1.0 / mass[:-1] - 1.0 + spread[:-1] / np.square(mass[:-1] * (gap[1:] - mean[:-1]))
        kept = np.searchsorted(-ends, -budgets, side="left")
        p, mu, v = mass[kept] / mass[-1], mean[kept], spread[kept] / mass[-1]
        c = np.sqrt((budgets + (1.0 - 1.0 / p)) / v)
        top = 1.0 / p + c * mu
        held = np.minimum(np.searchsorted(gap, top / c, side="left"), gap.size) - 1  # with a ratio above 0
        p, mu, v = mass[held] / mass[-1], mean[held], spread[held] / mass[-1]
        middle = top - c * mu  # the mean ratio of those that are held
        total = p * middle
        spent = p * middle * middle + c * c * v - 2.0 * total + 1.0
        gain = (base - mu) + mu * (1.0 - total) + c * v
        # f*(s) = s + s²/4 = (s/2 + 1)² - 1, and s/2 + 1 is the ratio; -1 where an outcome is dropped
        conjugate = p * middle * middle + c * c * v - 1.0
        dual = base + (budgets - 2.0 * (top - 1.0) + conjugate) / (2.0 * c)
        met = (np.abs(total - 1.0) <= _MET) & (np.abs(spent - budgets) <= _MET * budgets)
    return 2.0 * (top - 1.0), 2.0 * c, np.where(met, gain, np.nan), np.where(met, dual, np.nan)
