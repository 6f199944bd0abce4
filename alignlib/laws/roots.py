"""Roots of what rises: a budget spent or a gain reached, as a function of λ. The one solver of the library.

`rising_root` is for any law, by a bracket on the logarithmic scale; `rising_roots` finds many at once. `convex_root`
serves closed forms. One root of a finite law has a quicker way, in `finite_roots`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import scipy

from alignlib._core.checks import FloatArray

__all__ = ["convex_root", "rising_root", "rising_roots", "roots_in_order"]

_TINY = 5e-324
_FURTHEST = 708.0  # e^±700 is near the end of the doubles
# A continuous function is met to the resolution of λ; one that jumps over the target is not, and that is an error.
_MET = 1e-6
_BESIDE = 1e-13  # of log λ: to both sides of a place where λ is too coarse


def rising_root(
    value: Callable[[float], float], target: float, guess: float, *, end: float = math.inf, steep: bool = False
) -> float:
    """Return the λ in ``(0, end)`` with ``value(λ) = target``, for a ``value`` that rises from 0.

    The bracket grows from ``guess`` on the scale ``log λ`` (``log λ/(end - λ)`` where the line ends) until it holds a
    change of sign; Alefeld, Potra and Shi's method then shrinks it to rounding, and the value there is the certificate.

    Parameters
    ----------
    value : callable
        Of one float, not decreasing.
    target : float
        Value to reach, > 0.
    guess : float
        Where to start, > 0; half of ``end`` where it lies beyond.
    end : float
        Where the line ends.
    steep : bool
        Whether ``value`` may pass the target within a few units of the last digit of λ, which is then the root.

    Raises
    ------
    ArithmeticError
        If the target is not reached, or jumped over (unless ``steep``); the message carries the bracket.

    Examples
    --------
    >>> round(rising_root(lambda lam: lam**2, 9.0, 1.0), 12)
    3.0
    """
    finite_end = math.isfinite(end)

    def lam_at(x: float) -> float:
        if not finite_end:
            return math.exp(x)
        return min(end / (1.0 + math.exp(-x)), math.nextafter(end, 0.0))

    found: dict[float, float] = {}  # ends of the bracket and the root are asked for more than once

    def miss(x: float) -> float:
        if x not in found:
            found[x] = math.log(max(value(lam_at(x)), _TINY) / target)
        return found[x]

    inside = guess if guess < end else 0.5 * end
    low = high = math.log(inside / (end - inside)) if finite_end else math.log(inside)
    below = above = miss(low)
    step = 0.125
    while below > 0.0 and low > -_FURTHEST:
        high, above = low, below
        low = max(low - step, -_FURTHEST)
        below, step = miss(low), 2.0 * step
    while above < 0.0 and high < _FURTHEST:
        low, below = high, above
        high = min(high + step, _FURTHEST)
        above, step = miss(high), 2.0 * step
    root = low if below == 0.0 else high
    if below < 0.0 < above:
        root = float(scipy.optimize.toms748(miss, low, high, xtol=1e-15, rtol=1e-15))
    if not (
        abs(miss(root)) <= _MET or (steep and miss(root - _BESIDE * abs(root)) < 0.0 < miss(root + _BESIDE * abs(root)))
    ):
        raise ArithmeticError(
            f"no λ with value {target:g} was found in [{lam_at(low)!r}, {lam_at(high)!r}]: the values at the ends are "
            f"{value(lam_at(low))!r} and {value(lam_at(high))!r}."
        )
    return lam_at(root)


def rising_roots(
    value: Callable[[FloatArray], FloatArray], target: FloatArray, start: FloatArray, *, end: float = math.inf
) -> FloatArray:
    """Return what `rising_root` returns for each of many targets, by calls of ``value`` with many λ at once.

    Parameters
    ----------
    value : callable
        Of an array of λ, not decreasing.
    target, start : arrays (k,)
        Values to reach and where to start, > 0.
    end : float
        Where the line ends.

    Raises
    ------
    ArithmeticError
        If a target is not reached, or jumped over.

    Examples
    --------
    >>> rising_roots(lambda lam: lam**2, np.array([9.0, 1e-8]), np.ones(2)).round(12).tolist()
    [3.0, 0.0001]
    """
    from scipy.optimize import elementwise  # which scipy.optimize does not import by itself

    finite_end = math.isfinite(end)

    def lam_at(x: FloatArray) -> FloatArray:
        return np.minimum(end / (1.0 + np.exp(-x)), math.nextafter(end, 0.0)) if finite_end else np.exp(x)

    def miss(x: FloatArray, log_target: FloatArray) -> FloatArray:
        return np.asarray(np.log(np.maximum(value(lam_at(x)), _TINY)) - log_target)

    inside, wanted = np.where(start < end, start, 0.5 * end), np.log(target)
    low = np.log(inside / (end - inside)) if finite_end else np.log(inside)
    below = miss(low, wanted)
    high, above = low.copy(), below.copy()
    step = 0.125
    while (on := (below > 0.0) & (low > -_FURTHEST)).any():
        high[on], above[on] = low[on], below[on]
        low[on] = np.maximum(low[on] - step, -_FURTHEST)
        below[on], step = miss(low[on], wanted[on]), 2.0 * step
    step = 0.125
    while (on := (above < 0.0) & (high < _FURTHEST)).any():
        low[on], below[on] = high[on], above[on]
        high[on] = np.minimum(high[on] + step, _FURTHEST)
        above[on], step = miss(high[on], wanted[on]), 2.0 * step
    root = np.where(below == 0.0, low, high)
    if (on := (below < 0.0) & (above > 0.0)).any():
        root[on] = elementwise.find_root(miss, (low[on], high[on]), args=(wanted[on],)).x
    if (lost := ~(np.abs(miss(root, wanted)) <= _MET)).any():
        ends = lam_at(np.array([low[lost][0], high[lost][0]]))
        raise ArithmeticError(
            f"no λ with value {target[lost][0]:g} was found in {ends.tolist()!r}: the values at the ends are "
            f"{value(ends).tolist()!r}."
        )
    return lam_at(root)


def roots_in_order(values: FloatArray, end: float, one: Callable[[float, float], float]) -> FloatArray:
    """Return the root ``one(value, guess)`` of each value: 0 at 0, ``inf`` from ``end`` on.

    They are found in increasing order, so that each starts the search for the next; the first guess is 0.

    Parameters
    ----------
    values : array
        What is to be reached, >= 0.
    end : float
        What no finite λ reaches.
    one : callable
        From a value and a guess to its root.
    """
    flat = values.reshape(-1)
    out = np.empty(flat.size)
    guess = 0.0
    for i in np.argsort(flat):
        value = float(flat[i])
        out[i] = guess = 0.0 if value == 0.0 else math.inf if value >= end else one(value, guess)
    return out.reshape(values.shape)


def convex_root(
    value: Callable[[FloatArray], FloatArray],
    slope: Callable[[FloatArray], FloatArray],
    target: FloatArray,
    start: FloatArray,
) -> FloatArray:
    """Return the root of an increasing convex function by Newton from above, where every step goes down to the root.

    Parameters
    ----------
    value : callable
        The function, of an array.
    slope : callable
        Its derivative.
    target : array
        What is to be reached.
    start : array
        Above the roots.

    Raises
    ------
    ArithmeticError
        If it does not settle.
    """
    v = np.array(start, dtype=np.float64)
    for _ in range(100):
        with np.errstate(invalid="ignore", divide="ignore"):
            new = np.where(v > 0, v - (value(v) - target) / slope(v), 0.0)
        # From above the iterates only fall, so the first that does not has met rounding.
        if (new >= v * (1 - 2e-15)).all():
            return np.asarray(np.minimum(new, v))
        v = np.minimum(new, v)
    raise ArithmeticError(f"Newton did not settle for KL budgets {target!r}; the last iterate is {v!r}.")
