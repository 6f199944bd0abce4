"""An interval for the mean of values between two known ends: never of no width, whatever the values."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, as_level, as_vector, require
from alignlib._core.root import rising_root

__all__ = ["bounded_mean_interval"]

_STEP = 0.04  # of the trapezoidal rule along the contour, which converges geometrically
_REACH = 8.0  # how far the contour goes: the integrand of few different values falls slowest
_MANY, _GRID = 2000, 2.0**12  # of more values than this each is rounded outward to a grid


def bounded_mean_interval(
    values: npt.ArrayLike, level: float = 0.95, *, low: float = 0.0, high: float = 1.0
) -> tuple[float, float]:
    """Return an interval for the mean of independent values of one law on [low, high].

    The upper end is a quantile of ``Σ D_i v_i`` over uniformly random weights D of the values and one more at ``high``;
    the lower end has the one more at ``low``. On zeros and ones it is Clopper and Pearson's. Equal values give an
    interval too: more values unlike them are not ruled out.

    Parameters
    ----------
    values : array (m,)
        One value a prompt, or another unit drawn independently.
    level : float
        Nominal coverage, such as 0.95.
    low, high : float
        Ends that no value can exceed.

    Returns
    -------
    low, high : float
        In the unit of the values.

    Raises
    ------
    InputError
        For values outside the ends, or a level that is none.

    Examples
    --------
    >>> [round(end, 4) for end in bounded_mean_interval([1.0] * 60)]
    [0.9404, 1.0]
    >>> [round(end, 4) for end in bounded_mean_interval([0.2, 0.4, 0.9, 1.0])]
    [0.206, 0.9268]

    Source: LearnedMiller2019, who conjecture that it covers as often as it claims for every law; its quantiles are
    taken here from an integral, without draws.
    """
    found = as_vector("values", values)
    as_level(level)
    require(low < high, f"high must exceed low; got {low:g} and {high:g}.", "high")
    slack = 1e-12 * (high - low)
    require(
        bool((found >= low - slack).all() and (found <= high + slack).all()),
        f"values must lie in [{low:g}, {high:g}]; they reach from {found.min():g} to {found.max():g}.",
        "values",
    )
    unit = np.clip((found - low) / (high - low), 0.0, 1.0)
    tail = (1.0 - level) / 2.0
    upper = 1.0 - _lower_end(1.0 - unit, tail)
    return low + (high - low) * _lower_end(unit, tail), low + (high - low) * upper


def _lower_end(values: FloatArray, tail: float) -> float:
    """Return the ``tail`` quantile of the mean of values and one more at 0, under weights uniform on the simplex."""
    if values.size > _MANY:
        values = np.floor(values * _GRID) / _GRID
    points, counts = np.unique(np.append(values, 0.0), return_counts=True)
    if points.size == 1:
        return 0.0
    # The quantile scales with the values, whose squares may be too small for a double: pass^k of many draws is.
    scale, top = float(points[-1]), 1.0
    points = points / scale
    # Where the mean lies below m: Σ E_i (v_i - m) < 0 for exponential E. It is above 0 and below the largest value.
    weight, goal = counts.astype(np.float64), math.log(tail)
    if _log_below(points, weight, 1.0 - 1e-12) <= goal:
        return scale

    def over(m: float) -> float:
        return _log_below(points, weight, m) - goal

    # Not far from where the normal law has its quantile.
    middle = float(weight @ points / weight.sum())
    sd = math.sqrt(float(weight @ np.square(points - middle)) / (weight.sum() * (weight.sum() + 1.0)))
    guess, reach = middle + NormalDist().inv_cdf(tail) * sd, 0.5 * sd
    low, high = (min(max(guess + sign * reach, 0.0), top) for sign in (-1.0, 1.0))
    while low > 0.0 and over(low) > 0.0:
        low, high, reach = max(low - 2.0 * reach, 0.0), low, 2.0 * reach
    while high < top and over(high) < 0.0:
        low, high, reach = high, min(high + 2.0 * reach, top), 2.0 * reach
    return scale * rising_root(over, low, high, absolute=1e-10, relative=1e-9)


def _log_below(points: FloatArray, counts: FloatArray, m: float) -> float:
    """Return ``log P(Σ E_i (v_i - m) <= 0)`` by the inversion integral through its saddle point."""
    d = m - points  # the sum of E_i d_i is not negative
    if m <= points[0]:
        return -math.inf
    if m >= points[-1]:
        return 0.0
    # P(S > 0) = (1/2πi) ∫ exp(K(s) - log s) ds along any s with 0 < Re s < 1/max d.
    most = 1.0 / d.max()

    def slope(x: float) -> float:
        return float((counts * d / (1.0 - x * d)).sum()) - 1.0 / x

    at = most * rising_root(lambda x: slope(most * x), 1e-9, 1.0 - 1e-15, relative=1e-6)
    bend = float((counts * np.square(d / (1.0 - at * d))).sum()) + 1.0 / at**2
    # s = at + i w sinh(x): the integrand falls like exp(-n |x|), and by symmetry half of the line is enough.
    x = np.arange(0.0, _REACH, _STEP)
    height = np.sinh(x) / math.sqrt(bend)
    s = at + 1j * height
    exponent = -(counts[:, None] * np.log1p(-s * d[:, None])).sum(axis=0) - np.log(s)
    base = float(exponent[0].real)
    terms = np.exp(exponent - base).real * np.cosh(x) / math.sqrt(bend)
    terms[0] /= 2.0
    total = float(terms.sum()) * _STEP / math.pi
    return min(base + math.log(max(total, 1e-300)), 0.0)
